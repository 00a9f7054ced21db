"""Faults of deliveries and of REST calls, and what happens to queues in the middle of a run."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from google.api_core.exceptions import DeadlineExceeded, NotFound

from fake_services.faults import Fault

if TYPE_CHECKING:
    from fake_services.cloud_tasks import CloudTasks
    from fake_services.tests.targets import Target

Client = Any  # the official client takes dictionaries, which its annotations do not say


def task(url: str, **fields: Any) -> Any:
    return {"http_request": {"url": url}, **fields}


def settled(fake: CloudTasks, gone: int = 1) -> None:
    seen = 0

    def enough(each: Any) -> bool:
        nonlocal seen
        seen += each.kind == "task.gone"
        return bool(seen >= gone)

    fake.journal.wait_for(enough, 10)
    deadline = time.monotonic() + 10
    while not fake.idle and time.monotonic() < deadline:
        pass


@pytest.mark.parametrize("delivery", ["twice", "twice_at_once"])
def test_delivered_twice(fake: CloudTasks, client: Client, queue: str, target: Target, delivery: Any) -> None:
    fake.faults.add(
        Fault(name="again", method="deliver", applied="yes", observed="success", delivery=delivery)
    )
    client.create_task(parent=queue, task=task(target.url))
    settled(fake)
    assert [each.header("X-CloudTasks-TaskRetryCount") for each in target.got] == ["0", "1"]
    assert [each.kind for each in fake.journal.snapshot()].count("task.gone") == 1


def test_delivered_later(fake: CloudTasks, client: Client, queue: str, target: Target) -> None:
    fake.faults.add(Fault(name="late", method="deliver", delivery="delayed", delay_s=0.3))
    started = time.monotonic()
    client.create_task(parent=queue, task=task(target.url))
    settled(fake)
    assert time.monotonic() - started >= 0.3
    assert len(target.got) == 1


def test_delivered_in_another_order(fake: CloudTasks, client: Client, queue: str, target: Target) -> None:
    fake.faults.add(Fault(name="order", method="deliver", delivery="newest_first", times=3))
    client.pause_queue(name=queue)
    client.update_queue(
        queue={"name": queue, "rate_limits": {"max_concurrent_dispatches": 1}},
        update_mask={"paths": ["rate_limits.max_concurrent_dispatches"]},
    )
    for number in range(3):
        client.create_task(parent=queue, task=task(f"{target.url}/{number}"))
    client.resume_queue(name=queue)
    settled(fake, 3)
    assert [each.path for each in target.got] == ["/2", "/1", "/0"]


def test_delivered_before_create_returns(
    fake: CloudTasks, client: Client, queue: str, target: Target
) -> None:
    fake.faults.add(
        Fault(name="early", method="CreateTask", applied="yes", observed="success", delivery="before_reply")
    )
    client.create_task(parent=queue, task=task(target.url))
    assert len(target.got) == 1


def test_created_only_when_the_caller_has_given_up(
    fake: CloudTasks, client: Client, queue: str, target: Target
) -> None:
    fake.faults.add(
        Fault(name="late", method="CreateTask", applied="yes", observed="success", late="request")
    )
    with ThreadPoolExecutor() as pool:
        created = pool.submit(client.create_task, parent=queue, task=task(target.url), timeout=0.5)
        while not fake.hanging:
            assert not created.done()
        assert (target.got, fake.idle) == ([], True)
        assert isinstance(created.exception(10), DeadlineExceeded)
    settled(fake)
    assert (len(target.got), fake.hanging) == (1, 0)


@pytest.mark.parametrize("queue_action", ["pause", "delete"])
def test_a_queue_paused_or_deleted_in_the_middle_of_a_run(
    fake: CloudTasks, client: Client, queue: str, target: Target, queue_action: Any
) -> None:
    target.default = 500
    fake.faults.add(Fault(name="mid-run", method="deliver", skip=2, queue=queue_action))
    client.create_task(parent=queue, task=task(target.url))
    change = {"pause": "paused", "delete": "deleted"}[queue_action]
    fake.journal.wait_for(lambda each: each.kind == "queue" and each.fields["change"] == change, 10)
    assert fake.idle
    assert len(target.got) == 2


def test_partly_applied_the_name_is_taken_and_the_task_never_runs(
    fake: CloudTasks, client: Client, queue: str, target: Target
) -> None:
    fake.faults.add(Fault(name="half", method="CreateTask", applied="partly", observed="success"))
    name = client.create_task(parent=queue, task=task(target.url)).name
    assert client.get_task(name=name).dispatch_count == 0
    assert fake.idle
    assert target.got == []


def test_success_that_is_a_lie(fake: CloudTasks, client: Client, queue: str) -> None:
    fake.faults.add(Fault(name="lie", method="CreateTask", applied="no", observed="success"))
    assert client.create_task(parent=queue, task=task("http://127.0.0.1:1/")).name.startswith(queue)
    assert list(client.list_tasks(parent=queue)) == []


def test_a_slow_call_is_not_idle(fake: CloudTasks, client: Client, queue: str, target: Target) -> None:
    fake.faults.add(Fault(name="slow", method="CreateTask", applied="yes", observed="success", delay_s=0.3))
    future = client.transport.create_task.future if hasattr(client.transport.create_task, "future") else None
    assert future is not None
    from google.cloud import tasks_v2

    call = future(tasks_v2.CreateTaskRequest(parent=queue, task=task(target.url)))
    deadline = time.monotonic() + 5
    while "held back" not in fake.pending_summary():
        assert time.monotonic() < deadline
    assert call.result(5).name.startswith(queue)


@pytest.mark.parametrize(
    ("observed", "error"),
    [("reset", httpx.ReadError), ("garbage", httpx.RemoteProtocolError), ("timeout", httpx.ReadTimeout)],
)
@pytest.mark.parametrize("applied", ["no", "yes"])
def test_faults_over_rest(
    fake: CloudTasks, queue: str, target: Target, applied: Any, observed: Any, error: type[Exception]
) -> None:
    fake.faults.add(Fault(name="f", method="CreateTask", applied=applied, observed=observed))
    body = {"task": {"httpRequest": {"url": target.url}}}
    with pytest.raises(error):
        httpx.post(f"{fake.rest_url}/v2/{queue}/tasks", json=body, timeout=0.3)
    if applied == "yes":
        settled(fake)
    assert len(target.got) == (applied == "yes")


def test_an_error_over_rest(fake: CloudTasks, queue: str) -> None:
    fake.faults.add(Fault(name="f", grpc_code="RESOURCE_EXHAUSTED", message="slow down"))
    reply = httpx.get(f"{fake.rest_url}/v2/{queue}")
    assert reply.status_code == 429
    assert reply.json() == {"error": {"code": 429, "message": "slow down", "status": "RESOURCE_EXHAUSTED"}}


def test_connections_are_refused_over_the_control_plane(fake: CloudTasks, queue: str) -> None:
    control = fake.control_url + "/control/connections"
    httpx.post(control, json={"refuse": True})
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{fake.rest_url}/v2/{queue}")
    httpx.post(control, json={"refuse": False})
    assert httpx.get(f"{fake.rest_url}/v2/{queue}").status_code == 200
    assert httpx.post(control, json={"refuse": 1}).status_code == 400


def test_connections_are_refused_by_several_at_once(fake: CloudTasks, queue: str) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(fake.refuse_connections, [True, False] * 20))
    fake.refuse_connections(False)
    assert httpx.get(f"{fake.rest_url}/v2/{queue}").status_code == 200


@pytest.mark.parametrize("by", ["method", "control plane"])
def test_a_reset_serves_again(fake: CloudTasks, queue: str, by: str) -> None:
    fake.refuse_connections(True)
    if by == "method":
        fake.reset()
    else:
        assert httpx.post(fake.control_url + "/control/reset").status_code == 200
    assert httpx.get(f"{fake.rest_url}/v2/{queue}").status_code == 404


def test_resets_in_the_middle_of_creates(
    fake: CloudTasks, client: Client, queue: str, target: Target
) -> None:
    parent = queue.partition("/queues/")[0]

    def work(number: int) -> None:
        for each in range(20):
            name = f"{parent}/queues/r{number}-{each}"
            client.update_queue(queue={"name": name})
            try:
                client.create_task(parent=name, task=task(target.url))
            except NotFound:
                continue  # it was reset in between

    with ThreadPoolExecutor(4) as pool:
        working = [pool.submit(work, number) for number in range(4)]
        while not all(each.done() for each in working):
            assert httpx.post(fake.control_url + "/control/reset").status_code == 200
    for each in working:
        each.result()
    fake.reset()
    assert fake.idle
