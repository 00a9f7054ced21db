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
    from fake_services.cloud_tasks.queue import TaskQueue
    from fake_services.cloud_tasks.state import State

__all__ = ["BETA", "beta_methods"]

BETA = "google.cloud.tasks.v2beta3."
_V2 = "google.cloud.tasks.v2."

Json = dict[str, Any]

# Queue settings that v2 does not have. Source: RPC reference v2beta3, Queue.
_ONLY_IN_BETA = frozenset({"taskTtl", "tombstoneTtl", "type"})
_DAY_S = 86_400
_TASK_TTL_S = (10 * _DAY_S, 3650 * _DAY_S)
_TOMBSTONE_TTL_S = (3600, 9 * _DAY_S)
_BURST_LIMIT = 500
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
        change = _Change(state, request) if "queue" in request.DESCRIPTOR.fields_by_name else None
        reply = method.effect(_from_json(given, method))
        if change is not None:
            change.apply()
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
    if queue.get("type", "PUSH") != "PUSH":
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
    kept = state.queues[queue["name"]]
    found["type"] = "PUSH"
    found["taskTtl"] = f"{kept.retention_s:.9f}".rstrip("0").rstrip(".") + "s"
    found["tombstoneTtl"] = f"{kept.dedup_window_s:.9f}".rstrip("0").rstrip(".") + "s"
    if not read_mask:
        return found
    wanted = {path.split(".")[0] for path in read_mask.split(",")}
    if wanted & {"stats", "*"}:
        found["stats"] = _stats(kept, state.now_us)
    return {key: value for key, value in found.items() if key in wanted or "*" in wanted}


def _stats(queue: TaskQueue, now_us: int) -> Json:
    stats = protos.message_class(BETA + "QueueStats")(
        tasks_count=len(queue.tasks),
        executed_last_minute_count=queue.answered.count(now_us),
        concurrent_dispatches_count=queue.cap.in_flight,
        effective_execution_rate=queue.bucket.rate_per_s,
    )
    due_us = queue.next_due_us()
    if due_us is not None:
        stats.oldest_estimated_arrival_time.FromMicroseconds(due_us)
    return _as_json(stats)


class _Change:
    """What a CreateQueue or UpdateQueue does to the settings that only v2beta3 has.

    Raises:
        ApiError: INVALID_ARGUMENT for a value beyond its limits, before anything has changed.
    """

    def __init__(self, state: State, request: Message) -> None:
        self._state = state
        self._given = given = request.queue
        before = state.queues.get(given.name)
        paths = (
            set(request.update_mask.paths)
            if before is not None and hasattr(request, "update_mask")
            else set()
        )
        self._own_burst = before.own_burst if before is not None else None
        whole = not paths or "*" in paths
        self._task_ttl = whole or "task_ttl" in paths
        self._tombstone_ttl = whole or "tombstone_ttl" in paths
        # A burst size that nobody names is kept until the rate changes.
        self._burst = whole or bool(
            paths & {f"rate_limits{part}" for part in ("", ".max_burst_size", ".max_dispatches_per_second")}
        )
        if self._task_ttl:
            _check_ttl(given.task_ttl, "taskTtl", _TASK_TTL_S, "10 days and 10 years")
        if self._tombstone_ttl:
            _check_ttl(given.tombstone_ttl, "tombstoneTtl", _TOMBSTONE_TTL_S, "1 hour and 9 days")
        if self._burst and not 0 <= given.rate_limits.max_burst_size <= _BURST_LIMIT:
            raise invalid(f"RateLimits.maxBurstSize must be between 0 and {_BURST_LIMIT}.")

    def apply(self) -> None:
        """Called after v2's part of the change."""
        given = self._given
        kept = self._state.queues[given.name]
        self._state.set_only_in_beta(
            kept,
            task_s=_seconds(given.task_ttl) or None if self._task_ttl else kept.retention_s,
            name_s=_seconds(given.tombstone_ttl) or None if self._tombstone_ttl else kept.dedup_window_s,
            burst=given.rate_limits.max_burst_size or None if self._burst else self._own_burst,
        )


def _check_ttl(given: Message, name: str, limits_s: tuple[int, int], words: str) -> None:
    least_s, most_s = limits_s
    if _seconds(given) and not least_s <= _seconds(given) <= most_s:
        raise invalid(f"Queue.{name} must be between {words}.")


def _seconds(duration: Message) -> float:
    return float(duration.seconds + duration.nanos / 1e9)


def _mask_to_v2(mask: str) -> str:
    paths = []
    for path in mask.split(","):
        if path.split(".")[0] in {*_ONLY_IN_BETA, "stats"}:
            continue
        moved = path.replace("appEngineHttpQueue.appEngineRoutingOverride", "appEngineRoutingOverride")
        paths.append("appEngineRoutingOverride" if moved == "appEngineHttpQueue" else moved)
    # A mask that names only settings which v2 lacks must not become the empty one, which means everything.
    return ",".join(paths) or "name"
