"""The dialect of Firebase's admin SDKs, which read CLOUD_TASKS_EMULATOR_HOST themselves and then speak REST.

Source: firebase-admin for Node (functions-api-client-internal) and for Python (functions.py): with the variable set,
paths have no version, tasks have no URL unless the caller gives one, and the reply is {"task": …} with a slash
before the name.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fake_services.cloud_tasks.protos import Message

__all__ = ["VERSION", "complete_request", "is_firebase", "reply_text"]

#: The version of the API that is meant.
VERSION = "v2"


def is_firebase(path: str) -> bool:
    """Whether a request's path is of this dialect."""
    return path.startswith("/projects/")


def complete_request(request: Message, functions_url: str) -> None:
    """Give a task without a URL the one of its function, which has the queue's name.

    Args:
        request: A CreateTaskRequest; changed in place.
        functions_url: Base URL of the functions, such as the functions emulator's; "" for none.
    """
    task = request.task
    if functions_url and task.WhichOneof("message_type") == "http_request" and not task.http_request.url:
        _, project, _, location, _, queue = request.parent.split("/")
        task.http_request.url = f"{functions_url.rstrip('/')}/{project}/{location}/{queue}"


def reply_text(text: str) -> str:
    """The reply to a created task in the form that the SDKs expect."""
    task = json.loads(text)
    return json.dumps({"task": {**task, "name": "/" + task["name"]}}) + "\n"
