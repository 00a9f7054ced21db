"""BufferTask: makes a task from any HTTP request, sent where the queue's own target says. REST only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fake_services.cloud_tasks import protos
from fake_services.cloud_tasks.errors import ApiError
from fake_services.cloud_tasks.task_rules import METHODS

if TYPE_CHECKING:
    from fake_services.cloud_tasks.config import Semantics
    from fake_services.cloud_tasks.protos import Message
    from fake_services.cloud_tasks.state import State

__all__ = ["Buffer", "buffer_request"]

_METHOD_NUMBERS = {name: number for number, name in METHODS.items()}
_OWN_BODY = frozenset({"POST", "PUT", "PATCH"})
# Belong to the call itself and not to the task that it makes.
_NOT_PASSED_ON = frozenset(
    {
        "host",
        "content-length",
        "connection",
        "accept-encoding",
        "transfer-encoding",
        "authorization",
        "user-agent",
    }
)


class Buffer:
    """Adds buffered tasks to a `State`."""

    def __init__(self, state: State, semantics: Semantics) -> None:
        self._state = state
        self._semantics = semantics

    def buffer_task(self, request: Message) -> Message:
        """REST reference, projects.locations.queues.tasks.buffer.

        Raises:
            ApiError: FAILED_PRECONDITION when the queue has no target of its own; else as CreateTask.
        """
        queue = self._state.queue(request.parent)
        override = queue.settings.http_target.uri_override
        if not queue.settings.HasField("http_target") or not override.host:
            raise ApiError(
                "FAILED_PRECONDITION",
                "BufferTask needs a queue with an HTTP target: set httpTarget.uriOverride.host on the queue.",
            )
        http = request.task.http_request
        scheme = "http" if override.scheme == 1 else "https"
        http.url = f"{scheme}://{override.host}"
        if queue.settings.http_target.http_method:
            http.http_method = queue.settings.http_target.http_method
        if METHODS.get(http.http_method) not in _OWN_BODY:
            http.ClearField("body")
        has_type = any(name.lower() == "content-type" for name in http.headers)
        if http.body and not has_type and self._semantics.buffered_content_type:
            http.headers["Content-Type"] = self._semantics.buffered_content_type
        return self._state.create_task(request)


def buffer_request(
    parent: str, task_id: str, verb: str, headers: list[tuple[str, str]], body: bytes
) -> Message:
    """The CreateTaskRequest that stands for a call of BufferTask."""
    request = protos.message_class("google.cloud.tasks.v2.CreateTaskRequest")(parent=parent)
    if task_id:
        request.task.name = f"{parent}/tasks/{task_id}"
    http = request.task.http_request
    http.http_method = _METHOD_NUMBERS.get(verb, 1)
    http.body = body
    for name, value in headers:
        if name.lower() not in _NOT_PASSED_ON:
            http.headers[name] = value
    return request
