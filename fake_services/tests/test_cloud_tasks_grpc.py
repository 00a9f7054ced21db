from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import grpc
import pytest
import trustme
from google.api_core import exceptions
from google.cloud import tasks_v2
from google.cloud.tasks_v2.services.cloud_tasks.transports import CloudTasksGrpcTransport

from fake_services.cloud_tasks import CloudTasks, CloudTasksConfig, TlsIdentity
from fake_services.faults import Fault
from fake_services.tests.conftest import client_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from fake_services.exchange import Exchange
    from fake_services.host import Host
    from fake_services.tests.targets import Target

Client = Any  # the official client takes dictionaries, which its annotations do not say


def delivered(count: int) -> Callable[[Exchange], bool]:
    seen: list[int] = []

    def enough(each: Exchange) -> bool:
        if each.kind == "task.gone":
            seen.append(each.seq)
        return len(seen) >= count

    return enough


def is_idle(fake: CloudTasks) -> bool:
    return fake.idle


def http_task(url: str, **more: object) -> Any:
    return {
        "http_request": {"url": url, "body": b'{"a": 1}', "headers": {"Content-Type": "application/json"}},
        **more,
    }


def test_a_created_task_is_delivered_once_and_is_gone(
    fake: CloudTasks, client: Client, queue: str, target: Target
) -> None:
    task = client.create_task(parent=queue, task=http_task(target.url + "/work?x=1"))
    gone = fake.journal.wait_for(lambda each: each.kind == "task.gone", 10)
    assert gone.fields == {"task": task.name, "why": "completed"}
    [got] = target.got
    assert (got.method, got.path, got.body) == ("POST", "/work?x=1", b'{"a": 1}')
    assert got.header("X-CloudTasks-TaskRetryCount") == "0"
    assert got.header("User-Agent") == "Google-Cloud-Tasks"
    assert fake.idle
    with pytest.raises(exceptions.NotFound, match="existed recently"):
        client.get_task(name=task.name)


def test_the_journal_tells_the_whole_story_in_order(
    fake: CloudTasks, client: Client, queue: str, target: Target
) -> None:
    target.answers = [503]
    client.create_task(parent=queue, task=http_task(target.url))
    fake.journal.wait_for(lambda each: each.kind == "task.gone", 10)
    kinds = [each.kind for each in fake.journal.snapshot()]
    assert kinds == [
        "queue",
        "rpc",
        "attempt.sent",
        "attempt.ended",
        "attempt.sent",
        "attempt.ended",
        "task.gone",
    ]
    rpc = fake.journal.snapshot()[1].fields
    assert rpc["request"]["task"]["httpRequest"]["body_text"] == '{"a": 1}'  # type: ignore[index]
    assert (rpc["method"], rpc["code"], rpc["applied"], rpc["observed"]) == (
        "CreateTask",
        "OK",
        True,
        "reply",
    )
    ended = [each.fields for each in fake.journal.snapshot() if each.kind == "attempt.ended"]
    assert [(each["status"], each["outcome"], each["reason"]) for each in ended] == [
        (503, "failed", "status"),
        (200, "success", ""),
    ]
    assert ended[0]["retry_in_s"] == pytest.approx(0.01)


def test_get_list_and_delete(client: Client, queue: str) -> None:
    client.pause_queue(name=queue)
    task = client.create_task(parent=queue, task=http_task("http://127.0.0.1:1/", name=f"{queue}/tasks/mine"))
    assert client.get_task(name=task.name).name == f"{queue}/tasks/mine"
    assert [each.name for each in client.list_tasks(parent=queue)] == [task.name]
    client.delete_task(name=task.name)
    assert list(client.list_tasks(parent=queue)) == []
    with pytest.raises(exceptions.AlreadyExists, match=r"Requested entity already exists$"):
        client.create_task(parent=queue, task=http_task("http://127.0.0.1:1/", name=task.name))


def test_a_scripted_error_creates_nothing(fake: CloudTasks, client: Client, queue: str) -> None:
    fake.faults.add(Fault(name="denied", method="CreateTask", grpc_code="PERMISSION_DENIED", message="no"))
    with pytest.raises(exceptions.PermissionDenied, match="no"):
        client.create_task(parent=queue, task=http_task("http://127.0.0.1:1/"))
    assert list(client.list_tasks(parent=queue)) == []
    entry = next(each.fields for each in fake.journal.snapshot() if each.fields.get("method") == "CreateTask")
    assert (entry["applied"], entry["observed"], entry["fault"]) == (False, "error", "denied")
    assert fake.faults.unfired() == []


def test_created_but_the_reply_is_lost(fake: CloudTasks, client: Client, queue: str, target: Target) -> None:
    fake.faults.add(Fault(name="lost", method="CreateTask", applied="yes", observed="timeout"))
    with pytest.raises(exceptions.DeadlineExceeded):
        client.create_task(parent=queue, task=http_task(target.url), timeout=0.2)
    fake.journal.wait_for(lambda each: each.kind == "task.gone", 10)
    assert len(target.got) == 1


@pytest.mark.parametrize("applied", ["no", "yes"])
def test_the_connection_is_reset_before_or_after_the_commit(
    fake: CloudTasks, client: Client, queue: str, target: Target, applied: str
) -> None:
    fake.faults.add(Fault(name="reset", method="CreateTask", applied=applied, observed="reset"))  # type: ignore[arg-type]
    with pytest.raises(exceptions.ServiceUnavailable):
        client.create_task(parent=queue, task=http_task(target.url), timeout=5)
    if applied == "yes":
        fake.journal.wait_for(lambda each: each.kind == "task.gone", 10)
    assert len(target.got) == (applied == "yes")


@pytest.mark.parametrize("address", ["::1", "localhost"])
def test_connections_are_reset_on_other_hosts_too(host: Host, address: str) -> None:
    fake = host.start(CloudTasks(CloudTasksConfig(host=address)))
    fake.faults.add(Fault(name="reset", observed="reset"))
    with client_of(fake.grpc_address) as client, pytest.raises(exceptions.ServiceUnavailable):
        client.create_queue(parent="projects/p/locations/l", queue={"name": "x"}, timeout=5)
    host.stop(fake)


def test_a_garbage_reply_cannot_be_read(fake: CloudTasks, client: Client, queue: str, target: Target) -> None:
    fake.faults.add(Fault(name="garbage", method="CreateTask", applied="yes", observed="garbage"))
    with pytest.raises(exceptions.InternalServerError):
        client.create_task(parent=queue, task=http_task(target.url))


def test_refused_connections_reach_a_connected_client_and_end(
    fake: CloudTasks, client: Client, queue: str
) -> None:
    client.get_queue(name=queue)
    port = fake.grpc_port
    fake.refuse_connections(True)
    started = time.monotonic()
    with pytest.raises(exceptions.ServiceUnavailable):
        client.create_task(parent=queue, task=http_task("http://127.0.0.1:1/"), timeout=10)
    assert time.monotonic() - started < 5
    fake.refuse_connections(False)
    assert fake.grpc_port == port
    with client_of(fake.grpc_address) as other:
        assert other.get_queue(name=queue).name == queue


def test_over_tls(host: Host, new_queue: Callable[[], str]) -> None:
    authority = trustme.CA()
    issued = authority.issue_cert("cloudtasks.localhost")
    identity = TlsIdentity(
        cert_pem=b"".join(blob.bytes() for blob in issued.cert_chain_pems),
        key_pem=issued.private_key_pem.bytes(),
    )
    fake = host.start(CloudTasks(CloudTasksConfig(tls=identity)))
    name = new_queue()
    fake.create_queue(name)
    credentials = grpc.ssl_channel_credentials(authority.cert_pem.bytes())
    channel = grpc.secure_channel(f"cloudtasks.localhost:{fake.grpc_port}", credentials)
    with tasks_v2.CloudTasksClient(transport=CloudTasksGrpcTransport(channel=channel)) as client:
        assert client.get_queue(name=name).name == name
    host.stop(fake)


def test_idle_is_false_while_a_retry_waits(
    fake: CloudTasks, client: Client, new_queue: Callable[[], str]
) -> None:
    name = new_queue()
    fake.create_queue(name, retry_config={"min_backoff": 30})
    client.create_task(parent=name, task=http_task("http://127.0.0.1:1/"))
    fake.journal.wait_for(lambda each: each.kind == "attempt.ended", 10)
    assert not is_idle(fake)
    assert "waiting for a retry" in fake.pending_summary()
    client.pause_queue(name=name)
    assert fake.pending_summary() == "nothing"
    assert is_idle(fake)


def test_never_idle_between_the_reply_and_the_delivery(
    fake: CloudTasks, client: Client, queue: str, target: Target
) -> None:
    for number in range(50):
        client.create_task(parent=queue, task=http_task(target.url))
        assert not fake.idle or len(target.got) == number + 1
        fake.journal.wait_for(delivered(number + 1), 10)


def test_reset_forgets_everything(fake: CloudTasks, client: Client, queue: str) -> None:
    fake.faults.add(Fault(name="f"))
    fake.reset()
    assert fake.faults.unfired() == []
    assert fake.journal.snapshot() == []
    with pytest.raises(exceptions.NotFound, match="Queue does not exist"):
        client.get_queue(name=queue)


def test_an_unknown_queue_setting_names_the_valid_ones(
    fake: CloudTasks, new_queue: Callable[[], str]
) -> None:
    with pytest.raises(ValueError, match=r"has no field 'max_attemts'; it has .*max_attempts"):
        fake.create_queue(new_queue(), retry_config={"max_attemts": 3})
