"""What other emulators were seen to get wrong, each as a test."""

from __future__ import annotations

import contextlib
import importlib.metadata
import socket
import time
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from google.api_core import exceptions

from fake_services.cloud_tasks import CloudTasks, CloudTasksConfig
from fake_services.host import Host
from fake_services.tests.conftest import client_of

if TYPE_CHECKING:
    from fake_services.tests.targets import Target

Client = Any  # the official client takes dictionaries, which its annotations do not say
L = "projects/p/locations/us-west1"


def task(url: str, **fields: Any) -> Any:
    return {"http_request": {"url": url}, **fields}


@pytest.mark.parametrize("call", ["pause_queue", "purge_queue", "resume_queue"])
def test_a_missing_queue_does_not_kill_it(client: Client, queue: str, call: str) -> None:
    with pytest.raises(exceptions.NotFound):
        getattr(client, call)(name=queue + "-missing")
    assert client.get_queue(name=queue).name == queue


@pytest.mark.parametrize(
    "given", [{}, {"http_request": {}}, {"http_request": {"url": "http://h/%zz"}}, {"name": "x"}]
)
def test_a_task_without_a_target_or_with_a_bad_escape_does_not_kill_it(
    client: Client, queue: str, given: Any
) -> None:
    with contextlib.suppress(exceptions.InvalidArgument):
        client.create_task(parent=queue, task=given)
    assert client.get_queue(name=queue).name == queue


def test_a_rate_of_half_a_task_a_second_is_legal(client: Client, queue: str) -> None:
    limits = {"max_dispatches_per_second": 0.5}
    updated = client.update_queue(queue={"name": queue, "rate_limits": limits})
    assert (updated.rate_limits.max_dispatches_per_second, updated.rate_limits.max_burst_size) == (0.5, 10)


def test_run_task_delivers_once(fake: CloudTasks, client: Client, queue: str, target: Target) -> None:
    client.pause_queue(name=queue)
    name = client.create_task(parent=queue, task=task(target.url)).name
    client.run_task(name=name)
    fake.journal.wait_for(lambda each: each.kind == "task.gone", 10)
    client.resume_queue(name=queue)
    assert fake.pending_summary() == "nothing"
    assert len(target.got) == 1


def test_unlimited_attempts_are_not_one(host: Host, target: Target) -> None:
    fake = host.start(CloudTasks(CloudTasksConfig(clock="frozen")))
    fake.create_queue(f"{L}/queues/q", retry_config={"max_attempts": -1})
    target.default = 500
    with client_of(fake.grpc_address) as client:
        client.create_task(parent=f"{L}/queues/q", task=task(target.url))
    fake.advance(5)
    assert len(target.got) == 6  # after 0, 0.1, 0.3, 0.7, 1.5 and 3.1 s
    host.stop(fake)


def test_a_schedule_time_is_kept_and_regions_are_free(host: Host, target: Target) -> None:
    fake = host.start(CloudTasks(CloudTasksConfig(clock="frozen")))
    queue = "projects/p/locations/southamerica-west1/queues/q"
    fake.create_queue(queue)
    with client_of(fake.grpc_address) as client:
        later = {"seconds": fake.now_us // 10**6 + 60}
        client.create_task(parent=queue, task=task(target.url, schedule_time=later))
    fake.advance(59.9)
    assert target.got == []
    fake.advance(0.1)
    assert len(target.got) == 1
    host.stop(fake)


def test_a_redirect_without_a_location_is_a_failure(
    fake: CloudTasks, client: Client, queue: str, target: Target
) -> None:
    target.answers = [302]
    client.create_task(parent=queue, task=task(target.url))
    fake.journal.wait_for(lambda each: each.kind == "task.gone", 10)
    assert len(target.got) == 2


def test_the_callers_content_type_is_kept(
    fake: CloudTasks, client: Client, queue: str, target: Target
) -> None:
    http = {"url": target.url, "headers": {"Content-Type": "application/x-mine"}, "body": b"x"}
    client.create_task(parent=queue, task={"http_request": http})
    fake.journal.wait_for(lambda each: each.kind == "task.gone", 10)
    assert target.got[0].header("Content-Type") == "application/x-mine"


def test_waiting_tasks_share_one_timer_and_cost_no_processor_time() -> None:
    with Host() as alone:
        fake = alone.start(CloudTasks(CloudTasksConfig(auto_create_queues=True)))
        later = {"seconds": int(time.time()) + 3600}
        with client_of(fake.grpc_address) as client:
            for _ in range(50):
                client.create_task(
                    parent=f"{L}/queues/q", task=task("http://127.0.0.1:1/", schedule_time=later)
                )
        loop: Any = alone._loop
        timers = alone.call(lambda: [each for each in loop._scheduled if not each.cancelled()])
        assert len(timers) == 2  # the next dispatch and the end of retention
        assert fake.idle


def test_the_rest_transport_with_its_integer_enums(fake: CloudTasks, queue: str) -> None:
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import tasks_v2

    anonymous = AnonymousCredentials()  # type: ignore[no-untyped-call]
    options: Any = {"api_endpoint": fake.rest_url}
    client: Any = tasks_v2.CloudTasksClient(transport="rest", credentials=anonymous, client_options=options)
    client.pause_queue(name=queue)
    created = client.create_task(
        parent=queue, task={"http_request": {"url": "http://127.0.0.1:1/", "http_method": "PUT"}}
    )
    assert created.http_request.http_method.name == "PUT"
    [listed] = client.list_tasks(request={"parent": queue, "response_view": "FULL"})
    assert listed.view.name == "FULL"


def test_it_listens_only_where_it_is_told(fake: CloudTasks) -> None:
    own = socket.gethostbyname(socket.gethostname())
    ports = [fake.grpc_port, *(int(url.rpartition(":")[2]) for url in (fake.rest_url, fake.control_url))]
    for port in ports:
        socket.create_connection(("127.0.0.1", port)).close()
        for address in {own} - {"127.0.0.1"}:
            with pytest.raises(OSError, match=r"refused|unreachable"):
                socket.create_connection((address, port), timeout=5)


def test_it_lives_in_one_process_with_todays_client() -> None:
    assert int(importlib.metadata.version("protobuf").split(".")[0]) >= 6
    from google.cloud import tasks_v2

    from fake_services.cloud_tasks import protos

    ours, theirs = protos.Task(name="x"), tasks_v2.Task(name="x")
    assert ours.SerializeToString() == tasks_v2.Task.serialize(theirs)


def test_the_checked_in_descriptors_are_those_of_the_installed_client() -> None:
    from fake_services.cloud_tasks.make_descriptors import make
    from fake_services.cloud_tasks.protos import DESCRIPTORS

    assert DESCRIPTORS.read_bytes() == make()


def test_https_targets_with_a_certificate_of_ones_own(host: Host) -> None:
    import ssl

    import trustme

    from fake_services.http_server import HttpServer

    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    arrived: list[str] = []

    async def answer(request: Any) -> Any:
        from aiohttp import web

        arrived.append(request.path)
        return web.Response()

    server = HttpServer(answer, tls=context)
    host.run(server.start())
    outcomes = []
    for config in (
        CloudTasksConfig(),
        CloudTasksConfig(verify_targets=False),
        CloudTasksConfig(target_ca_pem=authority.cert_pem.bytes()),
    ):
        fake = host.start(CloudTasks(config))
        fake.create_queue(f"{L}/queues/q", retry_config={"max_attempts": 1})
        with client_of(fake.grpc_address) as client:
            client.create_task(parent=f"{L}/queues/q", task=task(server.url))
        ended = fake.journal.wait_for(lambda each: each.kind == "attempt.ended", 10)
        outcomes.append(ended.fields["outcome"])
        host.stop(fake)
    host.run(server.stop())
    assert outcomes == ["failed", "success", "success"]


def test_host_names_of_targets_can_be_mapped(host: Host, target: Target) -> None:
    port = target.url.rpartition(":")[2]
    fake = host.start(CloudTasks(CloudTasksConfig(hosts={"worker.internal": "127.0.0.1"})))
    fake.create_queue(f"{L}/queues/q")
    with client_of(fake.grpc_address) as client:
        client.create_task(parent=f"{L}/queues/q", task=task(f"http://worker.internal:{port}/"))
    fake.journal.wait_for(lambda each: each.kind == "task.gone", 10)
    assert target.got[0].header("Host") == f"worker.internal:{port}"
    host.stop(fake)


def test_missing_queues_are_made_on_request_only(host: Host) -> None:
    for auto in (True, False):
        fake = host.start(CloudTasks(CloudTasksConfig(auto_create_queues=auto)))
        reply = httpx.post(
            f"{fake.rest_url}/v2/{L}/queues/new/tasks",
            json={"task": {"httpRequest": {"url": "http://127.0.0.1:1"}}},
        )
        assert reply.status_code == (200 if auto else 404)
        host.stop(fake)
