"""The real Cloud Tasks client over a channel in memory: what it sends, and what it makes of each answer."""

from __future__ import annotations

import grpc
import pytest
from google.api_core import exceptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import tasks_v2
from google.cloud.tasks_v2.services.cloud_tasks.transports import CloudTasksGrpcTransport

from harness.topologies.memory_channel import Answer, CallFailed, MemoryChannel

QUEUE = "projects/p/locations/l/queues/q"
TASK = tasks_v2.Task(name=f"{QUEUE}/tasks/t")


def client(answer: Answer) -> tasks_v2.CloudTasksClient:
    credentials = AnonymousCredentials()  # type: ignore[no-untyped-call]  # google-auth has no types
    return tasks_v2.CloudTasksClient(
        transport=CloudTasksGrpcTransport(channel=MemoryChannel(answer), credentials=credentials)
    )


def test_a_call_comes_as_bytes_and_its_answer_as_a_task() -> None:
    calls: list[tuple[str, float | None]] = []

    def answer(path: str, data: bytes, timeout_s: float | None) -> bytes:
        calls.append((path, timeout_s))
        return bytes(tasks_v2.Task.serialize(tasks_v2.CreateTaskRequest.deserialize(data).task))

    task = client(answer).create_task(parent=QUEUE, task=TASK, timeout=1.5)

    assert task == TASK
    [(path, timeout_s)] = calls
    assert path == "/google.cloud.tasks.v2.CloudTasks/CreateTask"
    # The client takes from the time-out what has passed since the call began.
    assert timeout_s is not None
    assert 0 < timeout_s <= 1.5


@pytest.mark.parametrize(
    "code", [code for code in grpc.StatusCode if code is not grpc.StatusCode.OK], ids=str
)
def test_an_error_is_the_clients_own_exception(code: grpc.StatusCode) -> None:
    def answer(*_: object) -> bytes:
        raise CallFailed(code, "told to fail")

    with pytest.raises(exceptions.GoogleAPICallError, match="told to fail") as raised:
        client(answer).create_task(parent=QUEUE, task=TASK, retry=None)

    assert raised.value.grpc_status_code is code
    assert type(raised.value).grpc_status_code in (
        code,
        None,
    )  # its own class, where there is one for the code


def test_garbage_is_an_internal_error_as_in_grpc() -> None:
    with pytest.raises(exceptions.InternalServerError, match="Exception deserializing response!"):
        client(lambda *_: b"\xff\xff<html>").create_task(parent=QUEUE, task=TASK)
