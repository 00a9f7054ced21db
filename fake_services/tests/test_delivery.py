"""What targets get: headers, deadlines, redirects, counters, and what their answers mean."""

from __future__ import annotations

import gc
import re
from typing import TYPE_CHECKING, Any

import pytest
from google.api_core import exceptions

from fake_services.cloud_tasks import CloudTasks, CloudTasksConfig
from fake_services.cloud_tasks.flight import Flight
from fake_services.tests.conftest import client_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fake_services.host import Host
    from fake_services.tests.targets import Got, Target

Client = Any  # the official client takes dictionaries, which its annotations do not say
L = "projects/p/locations/us-west1"
Q = f"{L}/queues/q"


@pytest.fixture
def frozen(host: Host, target: Target) -> Iterator[CloudTasks]:
    """A fake whose clock only moves when told, and whose App Engine is the target."""
    fake = host.start(CloudTasks(CloudTasksConfig(clock="frozen", app_engine_url=target.url)))
    fake.create_queue(Q)
    yield fake
    host.stop(fake)


@pytest.fixture
def client(frozen: CloudTasks) -> Iterator[Client]:
    with client_of(frozen.grpc_address) as client:
        yield client


def task(url: str, **http: Any) -> Any:
    return {"http_request": {"url": url, **http}}


def column(got: list[Got], name: str) -> list[str | None]:
    return [each.header(name) for each in got]


def test_the_captured_sequence_of_an_http_task(frozen: CloudTasks, client: Client, target: Target) -> None:
    target.answers = [503, 404, 429, 500, 302, 200]
    client.create_task(parent=Q, task=task(target.url))
    frozen.run_until_idle()
    assert column(target.got, "X-CloudTasks-TaskRetryCount") == list("012345")
    assert column(target.got, "X-CloudTasks-TaskExecutionCount") == list("001223")
    previous = column(target.got, "X-CloudTasks-TaskPreviousResponse")
    assert previous == [None, "503", "404", "429", "500", "302"]
    assert column(target.got, "X-CloudTasks-TaskRetryReason") == [None, "", "", "", "", ""]


def test_the_captured_sequence_of_an_app_engine_task(
    frozen: CloudTasks, client: Client, target: Target
) -> None:
    target.answers = [503, 404, 429, 500, 302, 200]
    client.create_task(parent=Q, task={"app_engine_http_request": {"relative_uri": "/x?y=1"}})
    frozen.run_until_idle()
    assert [each.path for each in target.got] == ["/x?y=1"] * 6
    assert column(target.got, "X-AppEngine-TaskRetryCount") == list("012345")
    assert column(target.got, "X-AppEngine-TaskExecutionCount") == list("012345")
    assert column(target.got, "X-AppEngine-TaskRetryReason") == [None] + ["App Error"] * 5
    assert target.got[0].header("User-Agent") == "AppEngine-Google; (+http://code.google.com/appengine)"
    assert target.got[0].header("X-AppEngine-QueueName") == "q"
    assert not any(name.startswith("X-CloudTasks") for name, _ in target.got[0].headers)


def test_a_deadline_that_passed_is_reported_as_504(
    frozen: CloudTasks, client: Client, target: Target
) -> None:
    target.answers = ["hang", 200]
    impatient(frozen)
    client.create_task(parent=Q, task=task(target.url))
    frozen.run_until_idle()
    assert [e.fields["reason"] for e in frozen.journal.snapshot() if e.kind == "attempt.ended"] == [
        "timeout",
        "",
    ]
    second = target.got[1]
    assert second.header("X-CloudTasks-TaskRetryCount") == "1"
    assert second.header("X-CloudTasks-TaskExecutionCount") == "0"
    assert second.header("X-CloudTasks-TaskPreviousResponse") == "504"


def test_the_deadline_is_the_tasks_own(frozen: CloudTasks, client: Client, target: Target) -> None:
    target.default = "hang"
    impatient(frozen)
    client.create_task(parent=Q, task={**task(target.url), "dispatch_deadline": {"seconds": 15}})
    frozen.advance(14.9)
    assert frozen.pending_summary() == "1 attempt(s) in flight"
    frozen.advance(0.1)
    assert "waiting for a retry" in frozen.pending_summary()


def test_an_app_engine_timeout_is_an_unavailable_instance(
    frozen: CloudTasks, client: Client, target: Target
) -> None:
    target.answers = ["hang", 200]
    impatient(frozen)
    client.create_task(parent=Q, task={"app_engine_http_request": {}})
    frozen.run_until_idle()
    assert target.got[1].header("X-AppEngine-TaskPreviousResponse") == "0"
    assert target.got[1].header("X-AppEngine-TaskRetryReason") == "Instance Unavailable"


def test_every_header_of_a_first_attempt_and_nothing_else(
    frozen: CloudTasks, client: Client, target: Target
) -> None:
    http = {"body": b"abc", "headers": {"content-TYPE": "text/x", "X-Mine": "a, b"}, "http_method": "PUT"}
    name = client.create_task(parent=Q, task=task(target.url + "/p?q=%20", **http)).name
    frozen.run_until_idle()
    [got] = target.got
    assert (got.method, got.path, got.body) == ("PUT", "/p?q=%20", b"abc")
    headers = dict(got.headers)
    assert re.fullmatch(r"\d+\.\d+", headers.pop("X-CloudTasks-TaskETA"))
    assert headers == {
        "Host": target.url.removeprefix("http://"),
        "Content-Length": "3",
        "User-Agent": "Google-Cloud-Tasks",
        "X-CloudTasks-QueueName": "q",
        "X-CloudTasks-TaskName": name.rpartition("/")[2],
        "X-CloudTasks-TaskRetryCount": "0",
        "X-CloudTasks-TaskExecutionCount": "0",
        "content-TYPE": "text/x",
        "X-Mine": "a, b",
    }


def test_the_eta_is_the_schedule_time(frozen: CloudTasks, client: Client, target: Target) -> None:
    when_us = frozen.now_us + 5_250_000
    given = {
        **task(target.url),
        "schedule_time": {"seconds": when_us // 10**6, "nanos": when_us % 10**6 * 1000},
    }
    client.create_task(parent=Q, task=given)
    frozen.advance(5.2)
    assert target.got == []
    frozen.advance(0.05)
    assert target.got[0].header("X-CloudTasks-TaskETA") == f"{when_us // 10**6}.25"


@pytest.mark.parametrize("status", [200, 201, 204, 299])
def test_every_2xx_is_success(frozen: CloudTasks, client: Client, target: Target, status: int) -> None:
    target.default = status
    client.create_task(parent=Q, task=task(target.url))
    frozen.run_until_idle()
    assert len(target.got) == 1


@pytest.mark.parametrize("status", [301, 302, 304, 400, 404, 410, 501])
def test_nothing_else_is(frozen: CloudTasks, client: Client, target: Target, status: int) -> None:
    target.answers = [status]
    client.create_task(parent=Q, task=task(target.url))
    frozen.run_until_idle()
    assert len(target.got) == 2


def test_attempts_are_shown_on_the_task(frozen: CloudTasks, client: Client, target: Target) -> None:
    target.answers = [500, "hang"]
    impatient(frozen)
    start_us = frozen.now_us
    name = client.create_task(parent=Q, task=task(target.url)).name
    frozen.advance(0)
    seen = client.get_task(name=name)
    assert (seen.dispatch_count, seen.response_count) == (1, 1)
    assert micros(seen.first_attempt.dispatch_time) == start_us
    assert "response_time" not in seen.first_attempt
    assert "schedule_time" not in seen.first_attempt
    last = seen.last_attempt
    assert (micros(last.schedule_time), micros(last.dispatch_time), micros(last.response_time)) == (
        start_us,
    ) * 3
    assert (last.response_status.code, last.response_status.message) == (
        13,
        "INTERNAL(13): HTTP status code 500",
    )
    assert micros(seen.schedule_time) == start_us + 100_000
    frozen.advance(0.1)
    seen = client.get_task(name=name)
    assert (seen.dispatch_count, seen.response_count) == (2, 1)
    assert "response_time" not in seen.last_attempt
    frozen.advance(600)
    seen = client.get_task(name=name)
    assert seen.last_attempt.response_status.message == "DEADLINE_EXCEEDED(4): HTTP status code 504"


def impatient(fake: CloudTasks) -> None:
    """For targets that hang: do not wait long for an answer that never comes."""
    fake._keeper.patience_s = 0.5


def micros(time: Any) -> int:
    return int(time.timestamp_pb().ToMicroseconds())


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (403, "PERMISSION_DENIED(7): HTTP status code 403"),
        (504, "DEADLINE_EXCEEDED(4): HTTP status code 504"),
        (404, "NOT_FOUND(5): HTTP status code 404"),
        (429, "RESOURCE_EXHAUSTED(8): HTTP status code 429"),
        (418, "UNKNOWN(2): HTTP status code 418"),
    ],
)
def test_statuses_become_codes(
    frozen: CloudTasks, client: Client, target: Target, status: int, text: str
) -> None:
    target.default = status
    name = client.create_task(parent=Q, task=task(target.url)).name
    frozen.advance(0)
    assert client.get_task(name=name).last_attempt.response_status.message == text


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1/", "http://h/%zz", "http://h:99999/", "http://[::bad/", "http:///x"]
)
def test_without_a_response_the_status_is_zero(frozen: CloudTasks, client: Client, url: str) -> None:
    name = client.create_task(parent=Q, task=task(url)).name
    frozen.advance(0)
    seen = client.get_task(name=name)
    assert seen.last_attempt.response_status.message == "UNKNOWN(2): HTTP status code 0"
    assert (seen.dispatch_count, seen.response_count) == (1, 0)


def test_throttling_lowers_the_rate_and_not_the_setting(
    frozen: CloudTasks, client: Client, target: Target
) -> None:
    target.default = 503
    client.create_task(parent=Q, task=task(target.url))
    frozen.advance(0)
    [queue] = frozen_state(frozen)
    assert (queue["max_dispatches_per_second"], queue["effective_dispatches_per_second"]) == (500, 250)
    target.default = 200
    frozen.advance(1)
    assert frozen_state(frozen)[0]["effective_dispatches_per_second"] > 250


def frozen_state(fake: CloudTasks) -> list[dict[str, Any]]:
    return fake._call(fake.state)["queues"]  # type: ignore[return-value]


def test_retry_after_is_considered(frozen: CloudTasks, client: Client, target: Target) -> None:
    target.answers = [(429, {"Retry-After": "7"})]
    client.create_task(parent=Q, task=task(target.url))
    frozen.advance(6.9)
    assert len(target.got) == 1
    frozen.advance(0.1)
    assert len(target.got) == 2


def test_the_queues_own_target_overrides_the_tasks(host: Host, target: Target) -> None:
    fake = host.start(CloudTasks(CloudTasksConfig(clock="frozen", seed=1)))
    host_name, port = target.url.removeprefix("http://").split(":")
    fake.create_queue(
        Q,
        http_target={
            "uri_override": {
                "scheme": "HTTP",
                "host": host_name,
                "port": int(port),
                "path_override": {"path": "/over"},
                "query_override": {"query_params": "a=1"},
            },
            "http_method": "GET",
            "header_overrides": [{"header": {"key": "X-mine", "value": "queue"}}],
            "oauth_token": {"service_account_email": "queue@p", "scope": "s"},
        },
    )
    with client_of(fake.grpc_address) as client:
        http = {"headers": {"x-MINE": "task", "Authorization": "task"}, "body": b"dropped"}
        client.create_task(parent=Q, task=task("https://elsewhere.test/x?y", **http))
    fake.advance(0)
    [got] = target.got
    assert (got.method, got.path, got.body) == ("GET", "/over?a=1", b"")
    assert got.header("X-mine") == "queue"
    assert got.header("x-MINE") is None
    assert str(got.header("Authorization")).startswith("Bearer ya29.")
    host.stop(fake)


def test_an_override_applies_to_waiting_tasks_too(frozen: CloudTasks, client: Client, target: Target) -> None:
    client.pause_queue(name=Q)
    client.create_task(parent=Q, task=task(target.url + "/old"))
    override = {"uri_override": {"path_override": {"path": "/new"}}}
    client.update_queue(queue={"name": Q, "http_target": override}, update_mask={"paths": ["http_target"]})
    client.resume_queue(name=Q)
    frozen.run_until_idle()
    assert [each.path for each in target.got] == ["/new"]


def test_a_tasks_own_retry_settings_beat_the_queues(
    frozen: CloudTasks, client: Client, target: Target
) -> None:
    target.default = 500
    given = {**task(target.url), "retry_config": {"max_attempts": 3, "min_backoff": {"seconds": 10}}}
    client.create_task(parent=Q, task=given)
    frozen.advance(9)
    assert len(target.got) == 1
    frozen.run_until_idle()
    assert len(target.got) == 3
    assert [each.fields["why"] for each in frozen.journal.snapshot() if each.kind == "task.gone"] == [
        "exhausted"
    ]


def test_run_dispatches_at_once_whatever_the_queue_says(
    frozen: CloudTasks, client: Client, target: Target
) -> None:
    client.pause_queue(name=Q)
    target.answers = [500]
    later = {"seconds": frozen.now_us // 10**6 + 3600}
    name = client.create_task(parent=Q, task={**task(target.url), "schedule_time": later}).name
    ran = client.run_task(name=name)
    assert (ran.dispatch_count, ran.response_count) == (1, 0)
    assert "response_time" not in ran.last_attempt
    frozen.advance(0)
    assert len(target.got) == 1
    assert micros(client.get_task(name=name).schedule_time) == frozen.now_us + 100_000
    client.run_task(name=name)
    frozen.advance(7200)
    assert len(target.got) == 2  # it succeeded, and neither the schedule nor the retry fires again
    with pytest.raises(exceptions.NotFound, match=r"Requested entity was not found\."):
        client.run_task(name=name)


def test_run_also_works_while_the_task_is_running(frozen: CloudTasks, client: Client, target: Target) -> None:
    target.answers = ["hang", 200]
    impatient(frozen)
    name = client.create_task(parent=Q, task=task(target.url)).name
    frozen.advance(0)
    assert client.run_task(name=name).dispatch_count == 2
    frozen.advance(3600)
    assert len(target.got) == 2


def test_a_deleted_task_does_not_fire(frozen: CloudTasks, client: Client, target: Target) -> None:
    target.answers = [500]
    name = client.create_task(parent=Q, task=task(target.url)).name
    frozen.advance(0)
    client.delete_task(name=name)
    frozen.advance(86400)
    assert len(target.got) == 1


def test_a_task_expires_after_thirty_one_days_whatever_its_state(
    frozen: CloudTasks, client: Client, target: Target
) -> None:
    client.pause_queue(name=Q)
    name = client.create_task(parent=Q, task=task(target.url)).name
    frozen.advance(31 * 86400 - 1)
    assert client.get_task(name=name).name == name
    frozen.advance(1)
    with pytest.raises(exceptions.NotFound):
        client.get_task(name=name)
    assert frozen.journal.snapshot()[-2].fields["why"] == "expired"


def test_the_clock_decides_the_order(frozen: CloudTasks, client: Client, target: Target) -> None:
    def later(seconds: int) -> dict[str, int]:
        return {"seconds": frozen.now_us // 10**6 + seconds}

    for seconds in (30, 10, 20):
        client.create_task(
            parent=Q, task={**task(f"{target.url}/{seconds}"), "schedule_time": later(seconds)}
        )
    assert frozen.run_until_idle() >= 3
    assert [each.path for each in target.got] == ["/10", "/20", "/30"]


def test_ended_attempts_do_not_wait_for_the_garbage_collector(
    frozen: CloudTasks, client: Client, target: Target
) -> None:
    gc.collect()
    gc.disable()
    try:
        target.answers = [500, (302, {"Location": "/next"})]
        for url in (target.url, target.url, "http://127.0.0.1:1/", "http://h/%zz"):
            client.create_task(parent=Q, task=task(url))
        frozen.advance(1)
        assert [each for each in gc.get_objects() if isinstance(each, Flight)] == []
    finally:
        gc.enable()
