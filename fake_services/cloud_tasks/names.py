"""Resource names: projects/P/locations/L/queues/Q/tasks/T."""

from __future__ import annotations

import re
from dataclasses import dataclass

from fake_services.cloud_tasks.errors import ApiError, invalid, permission_denied_on_project

__all__ = ["QueueName", "bad_task_name", "check_task_id", "location_name", "queue_name", "task_name"]

_PROJECT = r"[A-Za-z0-9:.\-]+"
_LOCATION = re.compile(rf"projects/({_PROJECT})/locations/([A-Za-z0-9\-]+)")
_QUEUE_ID = re.compile(r"[A-Za-z0-9-]{1,100}")
_TASK_ID = re.compile(r"[A-Za-z0-9_-]{1,500}")
_QUEUE_FORMAT = '"projects/<PROJECT_ID>/locations/<LOCATION_ID>/queues/<QUEUE_ID>"'
_TASK_FORMAT = '"projects/<PROJECT_ID>/locations/<LOCATION_ID>/queues/<QUEUE_ID>/tasks/<TASK_ID>"'


@dataclass(frozen=True, slots=True)
class QueueName:
    """A well-formed queue name, in parts."""

    project: str
    location: str
    queue_id: str

    @property
    def parent(self) -> str:
        """projects/P/locations/L."""
        return f"projects/{self.project}/locations/{self.location}"

    def __str__(self) -> str:
        return f"{self.parent}/queues/{self.queue_id}"


def location_name(name: str) -> tuple[str, str]:
    """Project and location of "projects/P/locations/L".

    Raises:
        ApiError: PERMISSION_DENIED when it has another form: the service looks for the project first.
    """
    match = _LOCATION.fullmatch(name)
    if match is None:
        raise permission_denied_on_project(_project_of(name))
    return match[1], match[2]


def queue_name(name: str) -> QueueName:
    """A queue's name in parts.

    Raises:
        ApiError: PERMISSION_DENIED without a readable project and location, INVALID_ARGUMENT without an id
            that follows the rules (letters, digits and hyphens, at most 100).
    """
    parent, found, queue_id = name.partition("/queues/")
    project, location = location_name(parent)
    if not found or _QUEUE_ID.fullmatch(queue_id) is None:
        raise invalid(f"Queue name must be formatted: {_QUEUE_FORMAT}.", with_help=True)
    return QueueName(project, location, queue_id)


def task_name(name: str) -> tuple[str, str]:
    """The queue's full name and the task's id.

    Raises:
        ApiError: As `queue_name`, and INVALID_ARGUMENT for a name that is no task's.
    """
    queue, found, task_id = name.partition("/tasks/")
    if not found:
        location_name(name.partition("/queues/")[0])
        raise bad_task_name()
    queue_name(queue)
    check_task_id(task_id)
    return queue, task_id


def bad_task_name() -> ApiError:
    """INVALID_ARGUMENT for a name that is no task's."""
    return invalid(f"Task name must be formatted: {_TASK_FORMAT}.", with_help=True)


def check_task_id(task_id: str) -> None:
    """Raise the service's INVALID_ARGUMENT unless it is 1 to 500 letters, digits, hyphens or underscores."""
    if _TASK_ID.fullmatch(task_id) is None:
        raise invalid(
            f'Task ID "{task_id}" can contain only letters ([A-Za-z]), numbers ([0-9]), hyphens (-), '
            "or underscores (_). Task ID must between 1 and 500 characters.",
            with_help=True,
        )


def _project_of(name: str) -> str:
    parts = name.split("/")
    return parts[1] if len(parts) > 1 and parts[0] == "projects" else name
