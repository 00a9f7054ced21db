"""A task as the fake keeps it: the stored message as bytes, and beside it what changes while it lives."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fake_services.cloud_tasks import protos
from fake_services.cloud_tasks.errors import HTTP_STATUS
from fake_services.faults import GRPC_CODES

if TYPE_CHECKING:
    from fake_services.cloud_tasks.protos import Message
    from fake_services.cloud_tasks.queue import TaskQueue

__all__ = ["BASIC", "FULL", "Attempt", "StoredTask", "code_of_status", "response_message"]

BASIC, FULL = 1, 2

_CODE_OF_STATUS = {status: code for code, status in HTTP_STATUS.items() if code != "OK"}
_CODE_OF_STATUS |= {
    400: "INVALID_ARGUMENT",
    409: "ABORTED",
    500: "INTERNAL",
}
_NAME_OF_NUMBER = {number: name for name, number in GRPC_CODES.items()}


def code_of_status(status: int) -> str:
    """The code that stands for a target's HTTP status in an attempt's response_status (0: no response)."""
    return "OK" if 200 <= status <= 299 else _CODE_OF_STATUS.get(status, "UNKNOWN")


def response_message(code: str, status: int) -> str:
    """Text of an attempt's response_status, such as "INTERNAL(13): HTTP status code 500"."""
    return f"{code}({GRPC_CODES[code]}): HTTP status code {status}"


class Attempt:
    """One dispatch of a task that is in flight.

    Attributes:
        number: 1 for the task's first attempt.
        scheduled_us: The schedule time that it serves.
        sent_us: When it was dispatched.
        forced_us: When RunTask asked for it; None for an ordinary attempt.
    """

    __slots__ = ("forced_us", "number", "scheduled_us", "sent_us")

    def __init__(self, number: int, scheduled_us: int, sent_us: int, forced_us: int | None) -> None:
        self.number = number
        self.scheduled_us = scheduled_us
        self.sent_us = sent_us
        self.forced_us = forced_us


class StoredTask:
    """One live task. Slots and bytes keep a waiting task well under a kilobyte beyond its payload."""

    __slots__ = (
        "create_us",
        "dispatch_count",
        "entry",
        "first_dispatch_us",
        "gone",
        "in_flight",
        "last_code",
        "last_dispatch_us",
        "last_response_us",
        "last_schedule_us",
        "last_status",
        "non_5xx_count",
        "number",
        "queue",
        "response_count",
        "schedule_us",
        "stored",
        "task_id",
    )

    def __init__(
        self, queue: TaskQueue, task_id: str, stored: bytes, schedule_us: int, create_us: int, number: int
    ) -> None:
        self.queue = queue
        self.task_id = task_id
        self.stored = stored
        self.schedule_us = schedule_us
        self.create_us = create_us
        self.number = number  # grows with each task: lists page by it
        self.entry = 0  # which heap entry is valid for it; 0: none
        self.gone = ""
        self.in_flight = 0
        self.dispatch_count = 0
        self.response_count = 0
        self.non_5xx_count = 0
        self.first_dispatch_us = 0
        self.last_schedule_us = 0
        self.last_dispatch_us = 0
        self.last_response_us = 0
        self.last_code = ""
        self.last_status = 0

    @property
    def name(self) -> str:
        """The full resource name."""
        return f"{self.queue.name}/tasks/{self.task_id}"

    def message(self, view: int = BASIC) -> Message:
        """The task as a v2 Task, with counters and attempts; without the body in the BASIC view."""
        task = protos.Task.FromString(self.stored)
        if self.dispatch_count:
            task.schedule_time.FromMicroseconds(self.schedule_us)
            task.dispatch_count = self.dispatch_count
            task.response_count = self.response_count
            task.first_attempt.dispatch_time.FromMicroseconds(self.first_dispatch_us)
            last = task.last_attempt
            last.schedule_time.FromMicroseconds(self.last_schedule_us)
            last.dispatch_time.FromMicroseconds(self.last_dispatch_us)
            if self.last_response_us:
                last.response_time.FromMicroseconds(self.last_response_us)
                last.response_status.code = GRPC_CODES[self.last_code]
                last.response_status.message = response_message(self.last_code, self.last_status)
        return shown(task, view)


def shown(task: Message, view: int) -> Message:
    """`task` with its view set and, in the BASIC view, without its body; changed in place."""
    if view == FULL:
        task.view = FULL
    else:
        task.view = BASIC
        kind = task.WhichOneof("message_type")
        if kind is not None:
            getattr(task, kind).ClearField("body")
    return task
