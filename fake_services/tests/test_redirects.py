"""Which redirects of targets are followed, and how."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fake_services.cloud_tasks import CloudTasks, CloudTasksConfig, Semantics
from fake_services.tests.conftest import client_of
from fake_services.tests.test_delivery import Q, client, column, frozen, task

if TYPE_CHECKING:
    from fake_services.host import Host
    from fake_services.tests.targets import Target

__all__ = ["client", "frozen"]

Client = Any  # the official client takes dictionaries, which its annotations do not say


def test_a_redirect_is_followed_within_the_attempt(
    frozen: CloudTasks, client: Client, target: Target
) -> None:
    target.answers = [(307, {"Location": "/next"}), 200]
    client.create_task(parent=Q, task=task(target.url + "/first", body=b"abc"))
    frozen.run_until_idle()
    assert [(each.method, each.path, each.body) for each in target.got] == [
        ("POST", "/first", b"abc"),
        ("POST", "/next", b"abc"),
    ]
    assert column(target.got, "X-CloudTasks-TaskRetryCount") == ["0", "0"]


def test_a_see_other_is_followed_with_get(frozen: CloudTasks, client: Client, target: Target) -> None:
    target.answers = [(303, {"Location": "/next"}), 200]
    client.create_task(parent=Q, task=task(target.url, body=b"abc"))
    frozen.run_until_idle()
    assert [(each.method, each.body) for each in target.got] == [("POST", b"abc"), ("GET", b"")]


def test_each_redirect_starts_from_where_the_one_before_led(
    frozen: CloudTasks, client: Client, target: Target
) -> None:
    target.answers = [(303, {"Location": "/a/b"}), (307, {"Location": "c?d"}), 200]
    client.create_task(parent=Q, task=task(target.url + "/x/y", body=b"abc"))
    frozen.run_until_idle()
    assert [(each.method, each.path) for each in target.got] == [
        ("POST", "/x/y"),
        ("GET", "/a/b"),
        ("GET", "/a/c?d"),
    ]


def test_app_engine_never_follows_and_http_need_not(host: Host, target: Target) -> None:
    config = CloudTasksConfig(
        clock="frozen", app_engine_url=target.url, semantics=Semantics(follow_redirects=False)
    )
    fake = host.start(CloudTasks(config))
    fake.create_queue(Q, retry_config={"max_attempts": 1})
    target.default = (302, {"Location": "/next"})
    with client_of(fake.grpc_address) as client:
        client.create_task(parent=Q, task={"app_engine_http_request": {"relative_uri": "/a"}})
        client.create_task(parent=Q, task=task(target.url + "/b"))
    fake.run_until_idle()
    assert sorted(each.path for each in target.got) == ["/a", "/b"]
    host.stop(fake)


def test_a_circle_of_redirects_ends(frozen: CloudTasks, client: Client, target: Target) -> None:
    target.default = (302, {"Location": "/again"})
    name = client.create_task(parent=Q, task=task(target.url)).name
    frozen.advance(0)
    assert len(target.got) == 11
    assert client.get_task(name=name).last_attempt.response_status.message.endswith("302")
