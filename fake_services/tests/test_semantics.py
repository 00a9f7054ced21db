"""Each setting for what the sources disagree on does what it says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from google.api_core import exceptions

from fake_services.cloud_tasks import CloudTasks, CloudTasksConfig, Semantics
from fake_services.tests.conftest import client_of

if TYPE_CHECKING:
    from fake_services.host import Host
    from fake_services.tests.targets import Target

L = "projects/p/locations/us-west1"
Q = f"{L}/queues/q"
Start = Callable[..., tuple[CloudTasks, Any]]


@pytest.fixture
def start(host: Host, target: Target) -> Iterator[Start]:
    """Starts a frozen fake with these settings; gives it and a client."""
    fakes = []

    def begin(**settings: Any) -> tuple[CloudTasks, Any]:
        config = CloudTasksConfig(clock="frozen", app_engine_url=target.url, semantics=Semantics(**settings))
        fake = host.start(CloudTasks(config))
        fakes.append(fake)
        return fake, client_of(fake.grpc_address)

    yield begin
    for fake in fakes:
        host.stop(fake)


def task(url: str = "http://127.0.0.1:1/", **fields: Any) -> Any:
    return {"http_request": {"url": url}, **fields}


def test_dedup_window_s(start: Start) -> None:
    fake, client = start(dedup_window_s=86400)
    fake.create_queue(Q, state="PAUSED")
    client.create_task(parent=Q, task=task(name=f"{Q}/tasks/a"))
    client.delete_task(name=f"{Q}/tasks/a")
    fake.advance(86399)
    with pytest.raises(exceptions.AlreadyExists):
        client.create_task(parent=Q, task=task(name=f"{Q}/tasks/a"))
    fake.advance(1)
    client.create_task(parent=Q, task=task(name=f"{Q}/tasks/a"))


def test_task_size_limit_bytes(start: Start) -> None:
    fake, client = start(task_size_limit_bytes=102_400)
    fake.create_queue(Q, state="PAUSED")
    big = {"http_request": {"url": "http://h", "body": b"x" * 102_400}}
    with pytest.raises(exceptions.InvalidArgument, match="Task size too large"):
        client.create_task(parent=Q, task=big)


def test_burst_formula(start: Start) -> None:
    fake, client = start(burst_formula="at_least_rate")
    fake.create_queue(Q)
    assert client.get_queue(name=Q).rate_limits.max_burst_size == 500


@pytest.mark.parametrize(("rounding", "seconds"), [("exact", 2.5), ("seconds", 2)])
def test_backoff_rounding(start: Start, target: Target, rounding: str, seconds: float) -> None:
    target.answers = [500]
    fake, client = start(backoff_rounding=rounding)
    fake.create_queue(Q, retry_config={"min_backoff": 2.5})
    client.create_task(parent=Q, task=task(target.url))
    fake.advance(0)
    ended = fake.journal.wait_for(lambda each: each.kind == "attempt.ended", 5)
    assert ended.fields["retry_in_s"] == seconds


def test_throttling(start: Start, target: Target) -> None:
    target.answers = [503]
    fake, client = start(throttling=False)
    fake.create_queue(Q)
    client.create_task(parent=Q, task=task(target.url))
    fake.run_until_idle()
    state: Any = fake._call(fake.state)
    assert state["queues"][0]["effective_dispatches_per_second"] == 500


def test_retention_s_and_schedule_horizon_s(start: Start) -> None:
    fake, client = start(retention_s=60, schedule_horizon_s=10)
    fake.create_queue(Q, state="PAUSED")
    with pytest.raises(exceptions.InvalidArgument, match="too far in the future"):
        client.create_task(parent=Q, task=task(schedule_time={"seconds": fake.now_us // 10**6 + 11}))
    client.create_task(parent=Q, task=task())
    fake.advance(60)
    assert list(client.list_tasks(parent=Q)) == []


@pytest.mark.parametrize("content_type", ["", "application/json"])
def test_buffered_content_type(start: Start, target: Target, content_type: str) -> None:
    fake, _ = start(buffered_content_type=content_type)
    host, port = target.url.removeprefix("http://").split(":")
    fake.create_queue(Q, http_target={"uri_override": {"scheme": "HTTP", "host": host, "port": int(port)}})
    httpx.post(f"{fake.rest_url}/v2/{Q}/tasks:buffer", content=b"x")
    fake.run_until_idle()
    assert target.got[0].header("Content-Type") == (content_type or None)


def test_deadline_limit_s(start: Start) -> None:
    fake, client = start(deadline_limit_s=0)
    fake.create_queue(Q)
    assert client.get_queue(name=Q, timeout=3600).name == Q


def test_enforce_rates(start: Start, target: Target) -> None:
    fake, client = start(enforce_rates=False)
    fake.create_queue(Q, rate_limits={"max_dispatches_per_second": 0.1})
    for _ in range(30):
        client.create_task(parent=Q, task=task(target.url))
    fake.advance(0)
    assert len(target.got) == 30


def test_a_queues_app_engine_routing_beats_the_tasks(start: Start, host: Host, target: Target) -> None:
    fake, client = start()
    override = {"name": Q, "app_engine_routing_override": {"service": "queues"}}
    queue = client.create_queue(parent=L, queue=override)
    assert queue.app_engine_routing_override.host == "queues.p.appspot.com"
    task_host = {"app_engine_http_request": {"app_engine_routing": {"service": "tasks"}}}
    assert client.create_task(parent=Q, task=task_host).app_engine_http_request.app_engine_routing.host == (
        "tasks.p.appspot.com"
    )
    fake.advance(0)
    assert len(target.got) == 1  # the configured App Engine takes both
    alone = host.start(CloudTasks(CloudTasksConfig(hosts={"queues.p.appspot.com": "127.0.0.1"})))
    with client_of(alone.grpc_address) as other:
        other.create_queue(parent=L, queue=override)
        other.create_task(parent=Q, task=task_host)
    sent = alone.journal.wait_for(lambda each: each.kind == "attempt.sent", 5)
    assert sent.fields["url"] == "https://queues.p.appspot.com/"
    host.stop(alone)


def test_app_engine_services_have_addresses_of_their_own(host: Host, target: Target) -> None:
    services = {"default": f"{target.url}/default", "worker": f"{target.url}/worker/"}
    config = CloudTasksConfig(
        clock="frozen", app_engine_services=services, app_engine_url=f"{target.url}/rest"
    )
    fake = host.start(CloudTasks(config))
    fake.create_queue(Q)
    with client_of(fake.grpc_address) as client:
        for routing in ({}, {"service": "worker"}, {"service": "other", "version": "v"}):
            request: Any = {"relative_uri": "/x", "app_engine_routing": routing}
            client.create_task(parent=Q, task={"app_engine_http_request": request})
    fake.advance(0)
    assert sorted(each.path for each in target.got) == ["/default/x", "/rest/x", "/worker/x"]
    host.stop(fake)


def test_a_late_call_takes_effect_although_its_caller_gave_up(
    fake: CloudTasks, queue: str, target: Target
) -> None:
    from fake_services.faults import Fault

    for transport in ("grpc", "rest"):
        fake.faults.add(
            Fault(name=transport, method="CreateTask", applied="yes", observed="success", delay_s=0.3)
        )
        if transport == "grpc":
            with client_of(fake.grpc_address) as client, pytest.raises(exceptions.DeadlineExceeded):
                client.create_task(parent=queue, task=task(target.url), timeout=0.1)
        else:
            with pytest.raises(httpx.ReadTimeout):
                httpx.post(
                    f"{fake.rest_url}/v2/{queue}/tasks",
                    json={"task": {"httpRequest": {"url": target.url}}},
                    timeout=0.1,
                )
        assert "held back" in fake.pending_summary()
        fake.journal.wait_for(lambda each, fault=transport: each.fields.get("fault") == fault, 5)  # type: ignore[misc]
    fake.journal.wait_for(lambda each: each.kind == "task.gone" and len(target.got) == 2, 5)
