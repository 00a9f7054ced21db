"""Batch creates and deletes, and the long-running operations that report on them."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from fake_services.cloud_tasks import protos
from fake_services.cloud_tasks.errors import ApiError, entity_not_found, invalid
from fake_services.cloud_tasks.names import location_name

if TYPE_CHECKING:
    from collections.abc import Callable

    from fake_services.clock import Clock
    from fake_services.cloud_tasks.protos import Message
    from fake_services.cloud_tasks.state import State

__all__ = ["Batches"]

_CREATE_LIMIT = 100
_DELETE_LIMIT = 1000
# The two metadata messages number their states differently.
_CREATE_STATES = {"SUCCEEDED": 2, "FAILED": 3, "PARTIALLY_SUCCEEDED": 5}
_DELETE_STATES = {"SUCCEEDED": 2, "PARTIALLY_SUCCEEDED": 3, "FAILED": 4}


class Batches:
    """Operations of one fake. A batch is not atomic, and is done when its operation is returned.

    Args:
        state: Does the single creates and deletes.
        clock: Tells the time.
    """

    def __init__(self, state: State, clock: Clock) -> None:
        self._state = state
        self._clock = clock
        self._operations: dict[str, Message] = {}
        self._by_request_id: dict[tuple[str, str], str] = {}

    def reset(self) -> None:
        """Forget every operation."""
        self._operations.clear()
        self._by_request_id.clear()

    def create(self, request: Message) -> Message:
        """RPC reference, BatchCreateTasks: at most 100, all for the same queue."""
        if not request.requests:
            raise invalid("BatchCreateTasksRequest.requests is required.")
        if len(request.requests) > _CREATE_LIMIT:
            raise invalid(f"BatchCreateTasksRequest.requests must be at most {_CREATE_LIMIT}.")
        for each in request.requests:
            if each.parent not in {"", request.parent}:
                raise invalid(f"Every request's parent must be {request.parent}, not {each.parent}.")
            each.parent = request.parent
        self._state.queue_for_create(request.parent)
        response = protos.message_class("google.cloud.tasks.v2.BatchCreateTasksResponse")()

        def one(index: int) -> None:
            response.tasks.append(self._state.create_task(request.requests[index]))

        return self._run(
            request, "BatchCreateTasksMetadata", _CREATE_STATES, len(request.requests), one, response
        )

    def delete(self, request: Message) -> Message:
        """RPC reference, BatchDeleteTasks: at most 1000, all of the same queue."""
        if not request.names:
            raise invalid("BatchDeleteTasksRequest.names is required.")
        if len(request.names) > _DELETE_LIMIT:
            raise invalid(f"BatchDeleteTasksRequest.names must be at most {_DELETE_LIMIT}.")
        for name in request.names:
            if not name.startswith(f"{request.parent}/tasks/"):
                raise invalid(f"Every task must be in {request.parent}, which {name} is not.")
        self._state.queue(request.parent)

        def one(index: int) -> None:
            delete = protos.message_class("google.cloud.tasks.v2.DeleteTaskRequest")
            self._state.delete_task(delete(name=request.names[index]))

        return self._run(
            request, "BatchDeleteTasksMetadata", _DELETE_STATES, len(request.names), one, protos.Empty()
        )

    def _run(
        self,
        request: Message,
        metadata_name: str,
        states: dict[str, int],
        count: int,
        one: Callable[[int], None],
        response: Message,
    ) -> Message:
        seen = (request.parent, _checked_id(request.request_id))
        if seen[1] and seen in self._by_request_id:
            return self._operations[self._by_request_id[seen]]
        metadata = protos.message_class(f"google.cloud.tasks.v2.{metadata_name}")()
        metadata.start_time.FromMicroseconds(self._clock.now_us())
        for index in range(count):
            try:
                one(index)
            except ApiError as error:  # one failure does not stop the others
                metadata.failed_requests[index].code = error.number
                metadata.failed_requests[index].message = error.message
        metadata.end_time.FromMicroseconds(self._clock.now_us())
        failed = len(metadata.failed_requests)
        outcome = "SUCCEEDED" if not failed else "FAILED" if failed == count else "PARTIALLY_SUCCEEDED"
        metadata.state = states[outcome]
        location = request.parent.partition("/queues/")[0]
        operation = protos.message_class("google.longrunning.Operation")(
            name=f"{location}/operations/{uuid.UUID(int=self._state.random_bits(128), version=4)}", done=True
        )
        _pack(operation.metadata, metadata)
        if outcome == "FAILED":
            operation.error.code = 10  # ABORTED
            operation.error.message = "Every request of the batch failed; the metadata says why."
        else:
            _pack(operation.response, response)
        self._operations[operation.name] = operation
        if seen[1]:
            self._by_request_id[seen] = operation.name
        return operation

    def get(self, request: Message) -> Message:
        """Operations.GetOperation."""
        operation = self._operations.get(request.name)
        if operation is None:
            location_name(request.name.partition("/operations/")[0])
            raise entity_not_found()
        return operation


def _checked_id(request_id: str) -> str:
    if not request_id:
        return ""
    try:
        parsed = uuid.UUID(request_id)
    except ValueError:
        parsed = None
    if parsed is None or parsed.version != 4:
        raise invalid(f"request_id must be a UUID4, not {request_id!r}.")
    return str(parsed)


def _pack(packed: Message, message: Message) -> None:
    packed.type_url = f"type.googleapis.com/{message.DESCRIPTOR.full_name}"
    packed.value = message.SerializeToString()
