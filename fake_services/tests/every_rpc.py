"""A program that makes every call of the official client, over one transport, and prints what it saw as JSON.

Arguments: transport (grpc, grpc_asyncio, rest), its address, URL of a target, name of the queue.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import sys
from typing import Any

import grpc
from google.auth.credentials import AnonymousCredentials
from google.cloud import tasks_v2
from google.cloud.tasks_v2.services.cloud_tasks import transports

L = "projects/p/locations/us-west1"


def client_for(
    transport: str, address: str
) -> Any:  # the clients take dictionaries, which their annotations do not say
    if transport == "rest":
        options: Any = {"api_endpoint": address}
        anonymous = AnonymousCredentials()  # type: ignore[no-untyped-call]
        return tasks_v2.CloudTasksClient(transport="rest", credentials=anonymous, client_options=options)
    if transport == "grpc":
        channel = grpc.insecure_channel(address)
        return tasks_v2.CloudTasksClient(transport=transports.CloudTasksGrpcTransport(channel=channel))
    aio = grpc.aio.insecure_channel(address)
    return tasks_v2.CloudTasksAsyncClient(transport=transports.CloudTasksGrpcAsyncIOTransport(channel=aio))


async def got(value: Any) -> Any:
    return await value if inspect.isawaitable(value) else value


async def all_of(pager: Any) -> list[Any]:
    pager = await got(pager)
    return [each async for each in pager] if hasattr(pager, "__aiter__") else list(pager)


async def every_rpc(client: Any, url: str, queue: str) -> dict[str, Any]:
    seen: dict[str, Any] = {}
    retry = {"max_attempts": 7, "min_backoff": {"seconds": 1}}
    created = await got(client.create_queue(parent=L, queue={"name": queue, "retry_config": retry}))
    seen["created"] = tasks_v2.Queue.to_dict(created)
    seen["got"] = tasks_v2.Queue.to_dict(await got(client.get_queue(name=queue))) == seen["created"]
    listed = await all_of(
        client.list_queues(request={"parent": L, "page_size": 1, "filter": f"name:{queue}"})
    )
    seen["listed"] = [each.name for each in listed]
    limits = {"max_dispatches_per_second": 0.5}
    updated = await got(
        client.update_queue(
            queue={"name": queue, "rate_limits": limits, "http_target": {"http_method": "PUT"}},
            update_mask={"paths": ["rate_limits.max_dispatches_per_second", "http_target"]},
        )
    )
    seen["updated"] = tasks_v2.Queue.to_dict(updated)
    seen["paused"] = (await got(client.pause_queue(name=queue))).state.name
    body = {
        "http_request": {"url": url, "headers": {"X-A": "b"}, "body": b"\xff\x00", "http_method": "PATCH"}
    }
    name = f"{queue}/tasks/mine"
    task = await got(client.create_task(parent=queue, task={"name": name, **body}))
    seen["task"] = {**tasks_v2.Task.to_dict(task), "schedule_time": "", "create_time": ""}
    full = await got(client.get_task(request={"name": name, "response_view": "FULL"}))
    seen["full"] = [full.view.name, full.http_request.body.hex()]
    app_engine = {"app_engine_http_request": {"app_engine_routing": {"service": "s"}, "http_method": "GET"}}
    await got(client.create_task(parent=queue, task={"name": f"{queue}/tasks/other", **app_engine}))
    tasks = await all_of(
        client.list_tasks(request={"parent": queue, "page_size": 1, "response_view": "FULL"})
    )
    seen["tasks"] = [(each.name, each.view.name) for each in tasks]
    ran = await got(client.run_task(name=name))
    seen["ran"] = [ran.dispatch_count, ran.response_count, "response_time" in ran.last_attempt]
    await got(client.delete_task(name=f"{queue}/tasks/other"))
    requests = [
        {"parent": queue, "task": {"name": f"{queue}/tasks/{each}", **body}} for each in ("a", "b!", "c")
    ]
    batch = await got(client.batch_create_tasks(request={"parent": queue, "requests": requests}))
    seen["batch"] = [each.name for each in (await got(batch.result())).tasks]
    seen["failed"] = {index: each.code for index, each in batch.metadata.failed_requests.items()}
    names = [f"{queue}/tasks/{each}" for each in ("a", "c")]
    gone = await got(client.batch_delete_tasks(request={"parent": queue, "names": names}))
    await got(gone.result())
    seen["deleted"] = gone.metadata.state.name
    operation = await got(client.get_operation(request={"name": gone.operation.name}))
    seen["operation"] = operation.done
    seen["purged"] = "purge_time" in await got(client.purge_queue(name=queue))
    seen["resumed"] = (await got(client.resume_queue(name=queue))).state.name
    policy = await got(client.get_iam_policy(request={"resource": queue}))
    binding = {"role": "roles/cloudtasks.viewer", "members": ["user:a@example.com"]}
    given = {"resource": queue, "policy": {"bindings": [binding], "etag": policy.etag}}
    seen["policy"] = [each.role for each in (await got(client.set_iam_policy(request=given))).bindings]
    asked = {"resource": queue, "permissions": ["cloudtasks.tasks.run"]}
    seen["granted"] = list((await got(client.test_iam_permissions(request=asked))).permissions)
    locations = await got(client.list_locations(request={"name": "projects/p"}))
    seen["locations"] = [each.location_id for each in locations.locations]
    seen["location"] = (await got(client.get_location(request={"name": L}))).name
    cmek = f"{L}/cmekConfig"
    changed = await got(client.update_cmek_config(cmek_config={"name": cmek, "kms_key": "k"}))
    seen["cmek"] = [changed.kms_key, (await got(client.get_cmek_config(name=cmek))).kms_key]
    await got(client.update_cmek_config(cmek_config={"name": cmek}))
    await got(client.delete_queue(name=queue))
    try:
        await got(client.get_queue(name=queue))
    except Exception as error:  # noqa: BLE001  # any error is part of what is seen
        seen["error"] = [type(error).__name__, str(error).rpartition(": ")[2]]
    return seen


async def main() -> None:
    transport, address, url, queue = sys.argv[1:]
    client = client_for(transport, address)
    seen = await every_rpc(client, url, queue)
    await got(client.transport.close())
    print(json.dumps(seen, default=str))


if __name__ == "__main__":
    asyncio.run(main())
