"""v2beta3, translated to v2 and back: the same calls with another layout of Queue."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from google.protobuf import json_format

from fake_services.cloud_tasks import protos
from fake_services.cloud_tasks.errors import invalid
from fake_services.cloud_tasks.rpc import Method

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fake_services.cloud_tasks.protos import Message
    from fake_services.cloud_tasks.state import State

__all__ = ["BETA", "beta_methods"]

BETA = "google.cloud.tasks.v2beta3."
_V2 = "google.cloud.tasks.v2."

Json = dict[str, Any]

# Queue settings that v2 does not have, with their defaults. Source: RPC reference v2beta3, Queue.
_ONLY_IN_BETA: Json = {"taskTtl": "2678400s", "tombstoneTtl": "3600s", "type": "PUSH"}
_REPLIES = {
    "ListQueues": "ListQueuesResponse",
    "ListTasks": "ListTasksResponse",
    "GetTask": "Task",
    "CreateTask": "Task",
    "RunTask": "Task",
    "BufferTask": "Task",
    "GetCmekConfig": "CmekConfig",
    "UpdateCmekConfig": "CmekConfig",
    **{f"{verb}Queue": "Queue" for verb in ("Get", "Create", "Update", "Purge", "Pause", "Resume")},
}


def beta_methods(methods: Mapping[str, Method], state: State) -> dict[str, Method]:
    """The v2beta3 form of v2's calls."""
    return {name: _translated(method, state) for name, method in methods.items()}


def _translated(method: Method, state: State) -> Method:
    full_name = method.request_class.DESCRIPTOR.full_name
    if not full_name.startswith(_V2):
        return method  # IAM, locations and operations are the same messages

    def effect(request: Message) -> Message:
        try:
            given = _as_json(request)
        except (json_format.Error, ValueError) as error:  # a timestamp, duration or mask that JSON cannot say
            raise invalid(f"The request has an invalid value: {error}") from error
        if "queue" in given:
            given["queue"] = _queue_to_v2(given["queue"])
        if "updateMask" in given:
            given["updateMask"] = _mask_to_v2(given["updateMask"])
        read_mask = given.pop("readMask", "")
        reply = method.effect(_from_json(given, method))
        if "queue" in request.DESCRIPTOR.fields_by_name and request.HasField("queue"):
            _remember(state, reply.name, request.queue)
        reply_name = _REPLIES.get(method.name)
        if reply_name is None:
            return reply
        found = _as_json(reply)
        if reply_name == "Queue":
            found = _queue_to_beta(state, found, read_mask)
        elif reply_name == "ListQueuesResponse":
            found["queues"] = [_queue_to_beta(state, each, read_mask) for each in found.get("queues", [])]
        answer = protos.message_class(BETA + reply_name)()
        return json_format.ParseDict(found, answer, descriptor_pool=protos.POOL)

    return Method(method.name, protos.message_class(full_name.replace(_V2, BETA)), effect)


def _as_json(message: Message) -> Json:
    found: Json = json_format.MessageToDict(message, descriptor_pool=protos.POOL)
    return found


def _from_json(given: Json, method: Method) -> Message:
    try:
        return json_format.ParseDict(given, method.request_class(), descriptor_pool=protos.POOL)
    except (json_format.Error, ValueError) as error:
        raise invalid(f"The request has an invalid value: {error}") from error


def _queue_to_v2(queue: Json) -> Json:
    kept = {
        key: value
        for key, value in queue.items()
        if key not in {*_ONLY_IN_BETA, "appEngineHttpQueue", "stats"}
    }
    if queue.get("type") == "PULL":
        raise invalid("Pull queues are not supported.")
    if "appEngineHttpQueue" in queue:
        override = queue["appEngineHttpQueue"].get("appEngineRoutingOverride")
        if override is not None:
            kept["appEngineRoutingOverride"] = override
    return kept


def _queue_to_beta(state: State, queue: Json, read_mask: str) -> Json:
    found = dict(queue)
    override = found.pop("appEngineRoutingOverride", None)
    if override is not None:
        found["appEngineHttpQueue"] = {"appEngineRoutingOverride": override}
    found.update(_ONLY_IN_BETA)
    kept = state.queues.get(queue["name"])
    if kept is not None:
        found.update(kept.beta_settings)
        if "stats" in read_mask.replace("*", "stats"):
            found["stats"] = {
                "tasksCount": str(len(kept.tasks)),
                "concurrentDispatchesCount": str(kept.cap.in_flight),
                "effectiveExecutionRate": kept.bucket.rate_per_s,
            }
    return found


def _remember(state: State, name: str, queue: Message) -> None:
    kept = state.queues.get(name)
    if kept is not None:
        given = _as_json(queue)
        kept.beta_settings.update({key: given[key] for key in ("taskTtl", "tombstoneTtl") if key in given})


def _mask_to_v2(mask: str) -> str:
    paths = []
    for path in mask.split(","):
        if path.split(".")[0] in {*_ONLY_IN_BETA, "stats"}:
            continue
        moved = path.replace("appEngineHttpQueue.appEngineRoutingOverride", "appEngineRoutingOverride")
        paths.append("appEngineRoutingOverride" if moved == "appEngineHttpQueue" else moved)
    # A mask that names only settings which v2 lacks must not become the empty one, which means everything.
    return ",".join(paths) or "name"
