"""What Firebase's admin SDKs send when CLOUD_TASKS_EMULATOR_HOST names the REST address."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx

from fake_services.cloud_tasks import CloudTasks, CloudTasksConfig
from fake_services.tests.test_cloud_tasks_grpc import delivered

if TYPE_CHECKING:
    from fake_services.host import Host
    from fake_services.tests.targets import Target

TASKS = "projects/p/locations/us-central1/queues/resize/tasks"


def body(**http: Any) -> Any:
    """As both SDKs build it."""
    request = {
        "url": "",
        "oidcToken": {"serviceAccountEmail": "emulated-service-acct@email.com"},
        "body": "eyJkYXRhIjogMX0=",
        "headers": {"Content-Type": "application/json"},
        **http,
    }
    return {"task": {"httpRequest": request}}


def test_a_task_goes_to_its_function(host: Host, target: Target) -> None:
    config = CloudTasksConfig(auto_create_queues=True, firebase_functions_url=target.url + "/")
    fake = host.start(CloudTasks(config))
    reply = httpx.post(f"{fake.rest_url}/{TASKS}", json=body()).json()
    assert reply["task"]["name"].startswith(f"/{TASKS}/")
    httpx.post(f"{fake.rest_url}/{TASKS}", json=body(url=target.url + "/mine"))
    fake.journal.wait_for(delivered(2), 10)
    assert sorted(each.path for each in target.got) == ["/mine", "/p/us-central1/resize"]
    assert {each.body for each in target.got} == {b'{"data": 1}'}
    assert str(target.got[0].header("Authorization")).startswith("Bearer ")
    host.stop(fake)


def test_a_task_is_deleted_by_its_id(fake: CloudTasks) -> None:
    queue = TASKS.removesuffix("/tasks")
    fake.create_queue(queue, state="PAUSED")
    named = {"task": {"name": f"{TASKS}/mine", **body(url="http://127.0.0.1:1/")["task"]}}
    assert httpx.post(f"{fake.rest_url}/{TASKS}", json=named).json()["task"]["name"] == f"/{TASKS}/mine"
    assert httpx.delete(f"{fake.rest_url}/{TASKS}/mine").json() == {}
    again = httpx.post(f"{fake.rest_url}/{TASKS}", json=named)
    assert (again.status_code, again.json()["error"]["status"]) == (409, "ALREADY_EXISTS")


def test_without_an_address_of_functions_a_task_needs_a_url(fake: CloudTasks) -> None:
    fake.create_queue(TASKS.removesuffix("/tasks"))
    reply = httpx.post(f"{fake.rest_url}/{TASKS}", json=body())
    assert reply.json()["error"]["message"] == "HttpRequest.url is required."
