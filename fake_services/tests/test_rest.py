"""The REST API: both dialects of JSON, its errors, BufferTask, v2beta3, and what proxies send."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import httpx
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fake_services.cloud_tasks import CloudTasks
    from fake_services.tests.targets import Target

L = "projects/p/locations/us-west1"


@pytest.fixture
def http(fake: CloudTasks) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=fake.rest_url) as client:
        yield client


@pytest.fixture
def paused(http: httpx.Client, queue: str) -> str:
    http.post(f"/v2/{queue}:pause")
    return queue


def task(**fields: Any) -> Any:
    return {"task": {"httpRequest": {"url": "http://127.0.0.1:1/", **fields}}}


def test_enums_as_names_and_as_numbers(http: httpx.Client, paused: str) -> None:
    for method in ("PUT", 4, "4"):
        created = http.post(f"/v2/{paused}/tasks", json=task(httpMethod=method)).json()
        assert created["httpRequest"]["httpMethod"] == "PUT"
    numbers = {"$alt": "json;enum-encoding=int"}
    created = http.post(f"/v2/{paused}/tasks", params=numbers, json=task()).json()
    assert (created["httpRequest"]["httpMethod"], created["view"]) == (1, 1)
    for view in ("FULL", "2"):
        found = http.get(f"/v2/{created['name']}", params={"responseView": view}).json()
        assert found["view"] == "FULL"


def test_json_forms_of_a_task(http: httpx.Client, paused: str) -> None:
    body = {
        "task": {**task(body=base64.b64encode(b"\xff\x00").decode())["task"], "dispatchDeadline": "20.5s"}
    }
    created = http.post(f"/v2/{paused}/tasks", json={**body, "responseView": "FULL"}).json()
    assert (created["dispatchDeadline"], created["httpRequest"]["body"]) == ("20.500s", "/wA=")
    assert created["createTime"].endswith("Z")
    assert http.get(f"/v2/{paused}/tasks").json()["tasks"][0]["name"] == created["name"]
    assert http.delete(f"/v2/{created['name']}").json() == {}


def test_a_patch_takes_its_name_from_the_path(http: httpx.Client, queue: str) -> None:
    mask = {"updateMask": "retryConfig.maxAttempts,rateLimits.maxDispatchesPerSecond"}
    patched = http.patch(f"/v2/{queue}", params=mask, json={"retryConfig": {"maxAttempts": 4}}).json()
    assert (patched["name"], patched["retryConfig"]["maxAttempts"]) == (queue, 4)
    assert patched["rateLimits"]["maxDispatchesPerSecond"] == 500


def test_int64_is_a_string_and_defaults_are_left_out(http: httpx.Client, queue: str) -> None:
    body = {"httpTarget": {"uriOverride": {"host": "h", "port": "8080"}}}
    patched = http.patch(f"/v2/{queue}", params={"updateMask": "httpTarget"}, json=body).json()
    assert patched["httpTarget"] == {"uriOverride": {"host": "h", "port": "8080"}}
    assert "purgeTime" not in patched
    assert http.get(f"/v2/{L}/queues?pageSize=1&filter=state:PAUSED").json() == {}


HTTP = "type.googleapis.com/google.cloud.tasks.v2"
TIME = "(type.googleapis.com/google.protobuf.Timestamp), Field 'scheduleTime', "


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"{", "Invalid JSON payload received."),
        (b"[]", "Root element must be a message"),
        (b"\xff", "Invalid JSON payload received."),
        (b'{"tsk": {}}', 'Unknown name "tsk": Cannot find field.'),
        (
            b'{"task": {"httpRequest": {"uri": 1}}}',
            "Unknown name \"uri\" at 'task.http_request': Cannot find field.",
        ),
        (b'{"task": 3}', f"Invalid value at 'task' ({HTTP}.Task), 3"),
        (
            b'{"task": {"httpRequest": {"url": 3}}}',
            "Invalid value at 'task.http_request.url' (TYPE_STRING), 3",
        ),
        (
            b'{"task": {"httpRequest": {"body": "plain text"}}}',
            "Invalid value at 'task.http_request.body' (TYPE_BYTES), Base64 decoding failed for \"plain text\"",
        ),
        (b'{"task": {"httpRequest": {"body": "abcde"}}}', 'Base64 decoding failed for "abcde"'),
        (
            b'{"task": {"httpRequest": {"body": 3}}}',
            "Invalid value at 'task.http_request.body' (TYPE_BYTES), 3",
        ),
        (
            b'{"task": {"httpRequest": {"httpMethod": "FETCH"}}}',
            f"Invalid value at 'task.http_request.http_method' ({HTTP}.HttpMethod), \"FETCH\"",
        ),
        (b'{"task": {"httpRequest": {"headers": [1]}}}', "Invalid value at 'task.http_request.headers' ("),
        (
            b'{"task": {"httpRequest": {"headers": {"a": 1}}}}',
            "Invalid value at 'task.http_request.headers[a]' (TYPE_STRING), 1",
        ),
        (
            b'{"task": {"scheduleTime": "soon"}}',
            f"Invalid value at 'task.schedule_time' {TIME}Invalid time format: Failed to parse input",
        ),
        (b'{"task": {"scheduleTime": 3}}', "(type.googleapis.com/google.protobuf.Timestamp), 3"),
        (
            b'{"task": {"dispatchDeadline": "1h"}}',
            "Field 'dispatchDeadline', Illegal duration format; duration must end with 's'",
        ),
        (b'{"task": {"dispatchDeadline": "xs"}}', "Illegal duration: xs"),
        (
            b'{"task": {"retryConfig": {"maxAttempts": "x"}}}',
            "'task.retry_config.max_attempts' (TYPE_INT32), \"x\"",
        ),
        (
            b'{"task": {"retryConfig": {"maxAttempts": 1.5}}}',
            "'task.retry_config.max_attempts' (TYPE_INT32), 1.5",
        ),
        (b'{"task": {"retryConfig": {"maxAttempts": 9999999999}}}', "out of range"),
        (
            b'{"task": {"httpRequest": {}, "appEngineHttpRequest": {}}}',
            "'task' (oneof), oneof field 'message_type' is already set. Cannot set 'appEngineHttpRequest'",
        ),
        (b'{"task": {"httpRequest": {"url": "http://\\ud800"}}}', "Invalid JSON payload received."),
        (b'{"\\ud800": 1}', "Invalid JSON payload received."),
        (b"[" * 100_000, "Invalid JSON payload received."),
    ],
)
def test_a_wrong_body_is_a_400_that_says_where(
    http: httpx.Client, queue: str, body: bytes, message: str
) -> None:
    reply = http.post(f"/v2/{queue}/tasks", content=body)
    error = reply.json()["error"]
    assert (reply.status_code, error["code"], error["status"]) == (400, 400, "INVALID_ARGUMENT")
    assert message in error["message"]
    [detail] = error["details"]
    [violation] = detail["fieldViolations"]
    assert violation["description"] == error["message"]
    assert violation.get("field", "") in error["message"]


def test_other_forms_of_json_that_are_right(http: httpx.Client, paused: str) -> None:
    body = {"http_request": {"url": "http://127.0.0.1:1/", "body": "_-8", "http_method": "PUT"}}
    full = http.post(f"/v2/{paused}/tasks", json={"task": body, "response_view": "FULL"}).json()
    assert (full["httpRequest"]["body"], full["httpRequest"]["httpMethod"]) == ("/+8=", "PUT")
    given = {"retryConfig": {"maxAttempts": "7", "maxDoublings": 3.0, "minBackoff": None}, "rateLimits": None}
    snake = {"updateMask": "retry_config.max_attempts,retryConfig.maxDoublings"}
    patched = http.patch(f"/v2/{paused}", params=snake, json=given).json()
    assert (patched["retryConfig"]["maxAttempts"], patched["retryConfig"]["maxDoublings"]) == (7, 3)
    odd = {"update_mask": "rate_limits.maxDispatchesPerSecond"}
    number = {"rateLimits": {"maxDispatchesPerSecond": "2.5"}}
    assert (
        http.patch(f"/v2/{paused}", params=odd, json=number).json()["rateLimits"]["maxDispatchesPerSecond"]
        == 2.5
    )


def test_unknown_parameters_and_paths(http: httpx.Client, queue: str) -> None:
    reply = http.get(f"/v2/{queue}?nonsense=1")
    assert "Cannot bind query parameter. Field 'nonsense'" in reply.json()["error"]["message"]
    assert http.get(f"/v2/{queue}?alt=json&key=k&prettyPrint=false").status_code == 200
    for path in (
        "/",
        "/v1/x",
        "/v2/",
        "/v2/projects",
        f"/v2/{queue}:explode",
        "/v2/%00",
        "/v2/" + "a/" * 5000,
    ):
        reply = http.get(path)
        assert (reply.status_code, reply.json()["error"]["status"]) == (404, "NOT_FOUND")
    assert http.put(f"/v2/{queue}").status_code == 404


def test_the_absolute_form_of_a_proxied_request(fake: CloudTasks, queue: str) -> None:
    with httpx.Client(proxy=fake.rest_url) as through:
        reply = through.get(f"http://cloudtasks.googleapis.com/v2/{queue}")
    assert reply.json()["name"] == queue


@pytest.fixture
def buffering(http: httpx.Client, queue: str, target: Target) -> str:
    host, port = target.url.removeprefix("http://").split(":")
    override = {"scheme": "HTTP", "host": host, "port": port, "pathOverride": {"path": "/b"}}
    http.patch(f"/v2/{queue}?updateMask=httpTarget", json={"httpTarget": {"uriOverride": override}})
    return queue


@pytest.mark.parametrize("path", ["tasks:buffer", "tasks/:buffer", "tasks/mine:buffer"])
@pytest.mark.parametrize("version", ["v2", "v2beta3"])
def test_buffered_tasks(
    fake: CloudTasks, http: httpx.Client, buffering: str, target: Target, version: str, path: str
) -> None:
    reply = http.post(
        f"/{version}/{buffering}/{path}", content=b"raw", headers={"X-Mine": "1", "Content-Type": "a/b"}
    )
    name = reply.json()["task"]["name"]
    assert name.startswith(f"{buffering}/tasks/")
    assert ("mine" in path) == name.endswith("/mine")
    fake.journal.wait_for(lambda each: each.kind == "task.gone", 10)
    [got] = target.got
    assert (got.method, got.path, got.body) == ("POST", "/b", b"raw")
    assert (got.header("X-Mine"), got.header("Content-Type")) == ("1", "a/b")


def test_a_buffered_get_and_a_wrapped_body(
    fake: CloudTasks, http: httpx.Client, buffering: str, target: Target
) -> None:
    http.get(f"/v2/{buffering}/tasks/a:buffer")
    http.post(f"/v2/{buffering}/tasks/b:buffer", json={"body": {"contentType": "x/y", "data": "aGk="}})
    fake.journal.wait_for(
        lambda each: each.kind == "task.gone" and str(each.fields["task"]).endswith("/b"), 10
    )
    assert {(each.method, each.body) for each in target.got} == {("GET", b""), ("POST", b"hi")}


def test_buffering_needs_a_queue_with_a_target(http: httpx.Client, queue: str) -> None:
    reply = http.post(f"/v2/{queue}/tasks:buffer", content=b"x")
    assert (reply.status_code, reply.json()["error"]["status"]) == (400, "FAILED_PRECONDITION")
    assert http.post(f"/v2/{L}/queues/none/tasks:buffer").status_code == 404


def test_beta_queues(http: httpx.Client) -> None:
    name = f"{L}/queues/beta"
    body = {
        "name": name,
        "appEngineHttpQueue": {"appEngineRoutingOverride": {"service": "s"}},
        "tombstoneTtl": "7200s",
        "rateLimits": {"maxDispatchesPerSecond": 5},
    }
    created = http.post(f"/v2beta3/{L}/queues", json=body).json()
    assert created["appEngineHttpQueue"]["appEngineRoutingOverride"]["service"] == "s"
    assert (created["tombstoneTtl"], created["taskTtl"], created["type"]) == ("7200s", "2678400s", "PUSH")
    assert "stats" not in created
    assert http.get(f"/v2/{name}").json()["appEngineRoutingOverride"]["service"] == "s"
    assert "stats" in http.get(f"/v2beta3/{name}?readMask=name,stats").json()
    masked = http.patch(f"/v2beta3/{name}?updateMask=taskTtl", json={"taskTtl": "864000s"}).json()
    assert (masked["taskTtl"], masked["rateLimits"]["maxDispatchesPerSecond"]) == ("864000s", 5)
    pull = http.post(f"/v2beta3/{L}/queues", json={"name": f"{L}/queues/pull", "type": "PULL"})
    assert pull.status_code == 400
    made = http.post(f"/v2beta3/{name}/tasks", json=task()).json()
    assert http.get(f"/v2beta3/{name}/tasks").json()["tasks"][0]["name"] == made["name"]


def test_the_beta_client_over_grpc(fake: CloudTasks, queue: str) -> None:
    import grpc
    from google.cloud import tasks_v2beta3
    from google.cloud.tasks_v2beta3.services.cloud_tasks.transports import CloudTasksGrpcTransport

    channel = grpc.insecure_channel(fake.grpc_address)
    with tasks_v2beta3.CloudTasksClient(transport=CloudTasksGrpcTransport(channel=channel)) as client:
        found = client.get_queue(name=queue)
        assert (found.name, found.type_.name) == (queue, "PUSH")


def test_the_python_client_over_asyncio_grpc(fake: CloudTasks, queue: str, target: Target) -> None:
    """In a process of its own, as a program with the asyncio client is."""
    import subprocess
    import sys

    program = f"""
import asyncio
from fake_services.cloud_tasks.client import async_emulator_client

async def main():
    client = async_emulator_client({fake.grpc_address!r})
    task = await client.create_task(parent={queue!r}, task={{"http_request": {{"url": {target.url!r}}}}})
    print(task.name)
    async for each in await client.list_queues(parent={L!r}):
        print(each.name)
    await client.transport.close()

asyncio.run(main())
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True
    )
    first, *queues = done.stdout.split()
    assert first.startswith(f"{queue}/tasks/")
    assert queue in queues
    fake.journal.wait_for(lambda each: each.kind == "task.gone", 10)
    assert len(target.got) == 1
