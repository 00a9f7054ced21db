from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import pytest
from google.api_core import exceptions
from google.cloud import tasks_v2

from fake_services.faults import Fault

if TYPE_CHECKING:
    from fake_services.cloud_tasks import CloudTasks

Client = Any  # the official client takes dictionaries, which its annotations do not say


def requests(queue: str, *ids: str) -> Any:
    return [
        {
            "parent": queue,
            "task": {"name": f"{queue}/tasks/{each}", "http_request": {"url": "http://127.0.0.1:1/"}},
        }
        for each in ids
    ]


@pytest.fixture
def paused(client: Client, queue: str) -> str:
    client.pause_queue(name=queue)
    return queue


def test_a_batch_create_is_not_atomic_and_says_which_failed(client: Client, paused: str) -> None:
    given = tasks_v2.BatchCreateTasksRequest(parent=paused, requests=requests(paused, "a", "b!", "c"))
    operation = client.batch_create_tasks(request=given)
    assert operation.done()
    assert [each.name.rpartition("/")[2] for each in operation.result().tasks] == ["a", "c"]
    assert operation.metadata.state.name == "PARTIALLY_SUCCEEDED"
    assert {index: each.code for index, each in operation.metadata.failed_requests.items()} == {1: 3}
    assert len(list(client.list_tasks(parent=paused))) == 2


def test_a_batch_delete(client: Client, paused: str) -> None:
    client.batch_create_tasks(request={"parent": paused, "requests": requests(paused, "a", "b")})
    names = [f"{paused}/tasks/{each}" for each in ("a", "b")]
    operation = client.batch_delete_tasks(request={"parent": paused, "names": names})
    operation.result()
    assert operation.metadata.state.name == "SUCCEEDED"
    assert list(client.list_tasks(parent=paused)) == []
    failed = client.batch_delete_tasks(request={"parent": paused, "names": names})
    with pytest.raises(exceptions.Aborted):
        failed.result()
    assert failed.metadata.state.name == "FAILED"


def test_the_same_request_id_is_the_same_operation(client: Client, paused: str) -> None:
    given = {
        "parent": paused,
        "requests": requests(paused, "a"),
        "request_id": str(uuid.UUID(int=5, version=4)),
    }
    first, second = (client.batch_create_tasks(request=given) for _ in range(2))
    assert first.operation.name == second.operation.name
    assert second.metadata.state.name == "SUCCEEDED"
    assert client.get_operation(request={"name": first.operation.name}).done
    with pytest.raises(exceptions.NotFound):
        client.get_operation(request={"name": paused.partition("/queues/")[0] + "/operations/none"})


@pytest.mark.parametrize(
    "wrong",
    [
        {"requests": []},
        {"requests": 101},
        {"request_id": "not-a-uuid"},
        {"foreign": True},
    ],
)
def test_a_wrong_batch_is_refused_whole(client: Client, paused: str, wrong: dict[str, Any]) -> None:
    given: dict[str, Any] = {
        "parent": paused,
        "requests": requests(paused, "a"),
        "request_id": wrong.get("request_id", ""),
    }
    if wrong.get("requests") == []:
        given["requests"] = []
    if wrong.get("requests") == 101:
        given["requests"] = requests(paused, *(f"t{number}" for number in range(101)))
    if wrong.get("foreign"):
        given["requests"] = [{**given["requests"][0], "parent": paused + "-other"}]
    with pytest.raises(exceptions.InvalidArgument):
        client.batch_create_tasks(request=given)
    assert list(client.list_tasks(parent=paused)) == []


def test_a_partly_applied_batch_does_its_first_half(fake: CloudTasks, client: Client, paused: str) -> None:
    fake.faults.add(Fault(name="half", method="BatchCreateTasks", applied="partly", grpc_code="UNAVAILABLE"))
    with pytest.raises(exceptions.ServiceUnavailable):
        client.batch_create_tasks(
            request={"parent": paused, "requests": requests(paused, "a", "b", "c", "d")}
        )
    assert [each.name.rpartition("/")[2] for each in client.list_tasks(parent=paused)] == ["a", "b"]
