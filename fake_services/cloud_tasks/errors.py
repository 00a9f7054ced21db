"""The errors of the API: code, text and details, as the real service words them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fake_services.faults import GRPC_CODES

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "HTTP_STATUS",
    "ApiError",
    "Detail",
    "already_exists",
    "entity_not_found",
    "invalid",
    "permission_denied_on_project",
    "queue_not_found",
    "task_gone",
]

#: HTTP status of each code. Source: google.rpc.Code.
HTTP_STATUS: dict[str, int] = {
    "OK": 200,
    "CANCELLED": 499,
    "UNKNOWN": 500,
    "INVALID_ARGUMENT": 400,
    "DEADLINE_EXCEEDED": 504,
    "NOT_FOUND": 404,
    "ALREADY_EXISTS": 409,
    "PERMISSION_DENIED": 403,
    "RESOURCE_EXHAUSTED": 429,
    "FAILED_PRECONDITION": 400,
    "ABORTED": 409,
    "OUT_OF_RANGE": 400,
    "UNIMPLEMENTED": 501,
    "INTERNAL": 500,
    "UNAVAILABLE": 503,
    "DATA_LOSS": 500,
    "UNAUTHENTICATED": 401,
}

#: A detail of an error: the full name of its message (of google.rpc) and its JSON form.
Detail = tuple[str, dict[str, object]]

_HELP: Detail = (
    "google.rpc.Help",
    {
        "links": [
            {
                "description": "Cloud Tasks API reference",
                "url": "https://cloud.google.com/tasks/docs/reference/rpc/google.cloud.tasks.v2",
            }
        ]
    },
)


class ApiError(Exception):
    """A call that the API refuses.

    Attributes:
        code: Name of the google.rpc.Code.
        message: What the caller reads.
        details: Structured details, such as google.rpc.Help.
    """

    def __init__(self, code: str, message: str, details: Sequence[Detail] = ()) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.details = tuple(details)

    @property
    def number(self) -> int:
        """The code's number."""
        return GRPC_CODES[self.code]

    @property
    def http_status(self) -> int:
        """The HTTP status with which REST answers."""
        return HTTP_STATUS[self.code]


def invalid(message: str, *, with_help: bool = False) -> ApiError:
    """INVALID_ARGUMENT; with a google.rpc.Help detail where the service sends one."""
    return ApiError("INVALID_ARGUMENT", message, [_HELP] if with_help else [])


def queue_not_found() -> ApiError:
    """What every call but DeleteQueue says of a queue that is missing or was deleted recently."""
    return ApiError(
        "NOT_FOUND",
        "Queue does not exist. If you just created the queue, wait at least a minute for the queue to "
        "initialize.",
    )


def entity_not_found() -> ApiError:
    """What DeleteQueue, and every call on a task that never existed, says."""
    return ApiError("NOT_FOUND", "Requested entity was not found.")


def task_gone() -> ApiError:
    """What GetTask says of a task that was deleted or completed recently."""
    return ApiError(
        "NOT_FOUND",
        "The task no longer exists, though a task with this name existed recently. "
        "The task either successfully completed or was deleted.",
    )


def already_exists() -> ApiError:
    """What CreateTask says of an id that is live or was used recently."""
    return ApiError("ALREADY_EXISTS", "Requested entity already exists")


def permission_denied_on_project(project: str) -> ApiError:
    """What any call says of an unknown project, or of a parent from which no project can be read."""
    info: Detail = (
        "google.rpc.ErrorInfo",
        {
            "reason": "CONSUMER_INVALID",
            "domain": "googleapis.com",
            "metadata": {"service": "cloudtasks.googleapis.com", "consumer": f"projects/{project}"},
        },
    )
    return ApiError("PERMISSION_DENIED", f"Permission denied on resource project {project}.", [info])
