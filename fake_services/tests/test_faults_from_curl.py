"""Every kind of fault, scripted by curl over the control plane, and what it does."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from google.api_core import exceptions

from fake_services.cloud_tasks import CloudTasks, CloudTasksConfig
from fake_services.tests.conftest import client_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fake_services.host import Host
    from fake_services.tests.targets import Target

Client = Any  # the official client takes dictionaries, which its annotations do not say
Q = "projects/p/locations/us-west1/queues/q"


def curl(url: str, body: object) -> Any:
    command = ["curl", "-sS", "-d", json.dumps(body), url]
    return json.loads(subprocess.run(command, capture_output=True, check=True, timeout=20).stdout)


@pytest.fixture
def frozen(host: Host) -> Iterator[CloudTasks]:
    fake = host.start(CloudTasks(CloudTasksConfig(clock="frozen")))
    fake.create_queue(Q, retry_config={"max_attempts": 2, "min_backoff": 10})
    yield fake
    host.stop(fake)


@pytest.fixture
def client(frozen: CloudTasks) -> Iterator[Client]:
    with client_of(frozen.grpc_address) as client:
        yield client


def script(fake: CloudTasks, **fault: object) -> None:
    assert list(curl(fake.control_url + "/control/faults", fault)) == ["ids"]


def create(client: Client, target: Target, name: str = "") -> Any:
    named = {"name": f"{Q}/tasks/{name}"} if name else {}
    return client.create_task(
        parent=Q, task={"http_request": {"url": f"{target.url}/{name}"}, **named}, timeout=0.5
    )


def ends(fake: CloudTasks) -> list[tuple[object, object]]:
    return [
        (e.fields["status"], e.fields["reason"]) for e in fake.journal.snapshot() if e.kind == "attempt.ended"
    ]


# --- calls -------------------------------------------------------------------------------------------------


def test_an_error_for_the_next_calls(frozen: CloudTasks, client: Client) -> None:
    script(frozen, method="GetQueue", grpc_code="PERMISSION_DENIED", message="no", times=2)
    for _ in range(2):
        with pytest.raises(exceptions.PermissionDenied, match=r"^403 no$"):
            client.get_queue(name=Q)
    assert client.get_queue(name=Q).name == Q


def test_an_error_for_matching_calls(frozen: CloudTasks, client: Client, target: Target) -> None:
    script(
        frozen, method="Create*", match="/tasks/second", skip=0, grpc_code="RESOURCE_EXHAUSTED", times=None
    )
    create(client, target, "first")
    for _ in range(3):
        with pytest.raises(exceptions.ResourceExhausted):
            create(client, target, "second")


@pytest.mark.parametrize(
    ("applied", "observed", "error"),
    [
        ("no", "timeout", exceptions.DeadlineExceeded),
        ("yes", "timeout", exceptions.DeadlineExceeded),
        ("no", "reset", exceptions.ServiceUnavailable),
        ("yes", "reset", exceptions.ServiceUnavailable),
        ("yes", "garbage", exceptions.InternalServerError),
        ("yes", "error", exceptions.ServiceUnavailable),
    ],
)
def test_applied_and_observed(
    frozen: CloudTasks, client: Client, target: Target, applied: str, observed: str, error: type[Exception]
) -> None:
    script(frozen, method="CreateTask", applied=applied, observed=observed)
    with pytest.raises(error):
        create(client, target, "mine")
    frozen.advance(0)
    assert len(target.got) == (applied == "yes")


def test_an_http_error_of_something_on_the_way(frozen: CloudTasks, client: Client) -> None:
    script(
        frozen, method="GetQueue", http_status=502, body="<html>bad gateway</html>", retry_after_s=7, times=2
    )
    reply = httpx.get(f"{frozen.rest_url}/v2/{Q}")
    assert (reply.status_code, reply.text) == (502, "<html>bad gateway</html>")
    assert (reply.headers["Retry-After"], reply.headers["Content-Type"]) == ("7", "text/html; charset=utf-8")
    with pytest.raises(exceptions.ServiceUnavailable) as caught:  # what a gRPC client makes of a 502
        client.get_queue(name=Q, retry=None)
    assert "retry_delay" in str(caught.value.details)


def test_a_quota_error_says_when_to_come_again(frozen: CloudTasks) -> None:
    script(frozen, grpc_code="RESOURCE_EXHAUSTED", retry_after_s=1.5)
    reply = httpx.get(f"{frozen.rest_url}/v2/{Q}")
    assert (reply.status_code, reply.headers["Retry-After"]) == (429, "1.5")
    [detail] = reply.json()["error"]["details"]
    assert detail == {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "1.5s"}


def test_refused_connections(frozen: CloudTasks, client: Client) -> None:
    connections = frozen.control_url + "/control/connections"
    assert curl(connections, {"refuse": True}) == {"refuse": True}
    with pytest.raises(exceptions.ServiceUnavailable):
        client.get_queue(name=Q, retry=None)
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{frozen.rest_url}/v2/{Q}")
    curl(connections, {"refuse": False})
    assert httpx.get(f"{frozen.rest_url}/v2/{Q}").status_code == 200


def test_a_fault_for_every_method_is_not_used_up_by_deliveries(
    frozen: CloudTasks, client: Client, target: Target
) -> None:
    create(client, target)
    script(frozen, grpc_code="ABORTED")
    frozen.advance(0)
    assert len(target.got) == 1
    with pytest.raises(exceptions.Aborted):
        client.get_queue(name=Q)


# --- deliveries --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("delivery", ["twice", "twice_at_once"])
def test_delivered_twice(frozen: CloudTasks, client: Client, target: Target, delivery: str) -> None:
    script(frozen, method="deliver", delivery=delivery)
    create(client, target)
    frozen.advance(0)
    assert len(target.got) == 2
    assert ends(frozen) == [(200, ""), (200, "")]


def test_delayed(frozen: CloudTasks, client: Client, target: Target) -> None:
    script(frozen, method="deliver", delivery="delayed", delay_s=60)
    create(client, target)
    frozen.advance(59)
    assert target.got == []
    frozen.advance(1)
    assert len(target.got) == 1


def test_in_another_order(frozen: CloudTasks, client: Client, target: Target) -> None:
    limit = {"max_concurrent_dispatches": 1}
    client.update_queue(queue={"name": Q, "rate_limits": limit}, update_mask={"paths": ["rate_limits"]})
    client.pause_queue(name=Q)
    for name in "abc":
        create(client, target, name)
    script(frozen, method="deliver", delivery="newest_first", times=3)
    client.resume_queue(name=Q)
    frozen.advance(0)
    assert [each.path for each in target.got] == ["/c", "/b", "/a"]


def test_before_create_returns(frozen: CloudTasks, client: Client, target: Target) -> None:
    script(frozen, method="CreateTask", applied="yes", observed="success", delivery="before_reply")
    create(client, target)
    assert len(target.got) == 1


@pytest.mark.parametrize(("action", "change"), [("pause", "paused"), ("delete", "deleted")])
def test_a_queue_is_lost_in_the_middle_of_a_run(
    frozen: CloudTasks, client: Client, target: Target, action: str, change: str
) -> None:
    script(frozen, method="deliver", queue=action, skip=1)
    target.default = 500
    create(client, target)
    frozen.advance(3600)
    assert len(target.got) == 1
    assert [each.fields["change"] for each in frozen.journal.snapshot() if each.kind == "queue"][-1] == change


@pytest.mark.parametrize("applied", ["no", "yes"])
@pytest.mark.parametrize(
    ("observed", "first"),
    [
        ("error", (503, "status")),
        ("timeout", (None, "timeout")),
        ("reset", (None, "reset")),
        ("garbage", (None, "reset")),
    ],
)
def test_what_becomes_of_a_delivery(
    frozen: CloudTasks, client: Client, target: Target, applied: str, observed: str, first: object
) -> None:
    script(frozen, method="deliver", match="/tasks/mine", applied=applied, observed=observed)
    create(client, target, "other")
    frozen.advance(0)
    create(client, target, "mine")
    frozen.run_until_idle()
    assert ends(frozen) == [(200, ""), first, (200, "")]
    paths = [each.path for each in target.got]
    assert paths == ["/other", "/mine", "/mine"] if applied == "yes" else ["/other", "/mine"]
    kinds = [each.kind for each in frozen.journal.snapshot() if each.fields.get("fault")]
    assert kinds == ["attempt.sent" if applied == "yes" else "attempt.withheld"]


@pytest.mark.parametrize("applied", ["no", "yes"])
def test_a_delivery_that_is_believed_to_have_succeeded(
    frozen: CloudTasks, client: Client, target: Target, applied: str
) -> None:
    target.default = 500
    script(frozen, method="deliver", applied=applied, observed="success")
    create(client, target)
    frozen.run_until_idle()
    assert (ends(frozen), len(target.got)) == ([(200, "")], applied == "yes")


def test_a_worker_that_asks_for_time(frozen: CloudTasks, client: Client, target: Target) -> None:
    script(frozen, method="deliver", http_status=429, retry_after_s=77)
    create(client, target)
    frozen.advance(76)
    assert target.got == []
    frozen.advance(1)
    assert len(target.got) == 1


def test_a_forced_attempt_is_hit_too(frozen: CloudTasks, client: Client, target: Target) -> None:
    client.pause_queue(name=Q)
    name = create(client, target).name
    script(frozen, method="deliver", delivery="delayed", delay_s=9)
    script(frozen, method="deliver", observed="reset")
    client.run_task(name=name)
    frozen.advance(0)
    assert (ends(frozen), target.got) == ([(None, "reset")], [])


# --- what cannot be ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ({"observed": "reset", "midway": True}, "for the worker gateway"),
        ({"applied": "yes", "observed": "success", "late": "reply"}, "for the worker gateway"),
        ({"method": "deliver", "applied": "yes", "late": "request"}, "late is for calls"),
        ({"method": "deliver", "delivery": "before_reply"}, "'before_reply' is for calls"),
        ({"method": "deliver", "applied": "partly"}, "'partly' is for calls"),
        ({"method": "deliver", "grpc_code": "ABORTED"}, "are for calls"),
        ({"method": "deliver", "delay_s": 3}, "with delivery 'delayed'"),
        ({"method": "CreateTask", "delivery": "twice"}, "needs method 'deliver'"),
        ({"body": "x"}, "with an http_status, which is missing"),
        ({"http_status": 200}, "from 300 on"),
        ({"http_status": 503, "observed": "reset"}, "need observed 'error'"),
        ({"retry_after_s": 3, "observed": "success"}, "need observed 'error'"),
    ],
)
def test_a_fault_that_would_do_nothing_is_refused(
    frozen: CloudTasks, fault: dict[str, Any], message: str
) -> None:
    assert message in curl(frozen.control_url + "/control/faults", fault)["error"]


def test_a_fault_is_taken_back(frozen: CloudTasks) -> None:
    script(frozen, grpc_code="ABORTED", times=None)
    faults = frozen.control_url + "/control/faults"
    [fault] = httpx.get(faults).json()["faults"]
    command = ["curl", "-sS", "-X", "DELETE", f"{faults}?id={fault['id']}"]
    assert subprocess.run(command, capture_output=True, check=True, timeout=20).stdout == b"{}\n"
    assert httpx.get(f"{frozen.rest_url}/v2/{Q}").status_code == 200
