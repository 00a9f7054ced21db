"""Which headers a caller may set, on a task and for a whole queue. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fake_services.cloud_tasks.errors import invalid

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["check_headers", "is_the_services"]

_LIMIT_BYTES = 80 * 1024
_NOT_IN_A_NAME = frozenset(':\x7f"(),/;<=>?@[\\]{}')
# Headers that a caller cannot set; the service's own never appear on the stored task.
_NOT_THE_CALLERS = ("x-google-", "x-appengine-", "x-cloudtasks-")
_NOT_THE_CALLERS_NAMES = frozenset({"host", "content-length", "user-agent"})


def check_headers(headers: Iterable[tuple[str, str]], where: str) -> None:
    """Raise INVALID_ARGUMENT for headers that are too large together or would break a request.

    Args:
        headers: Names and values.
        where: The field that has them, for the message.
    """
    size = 0
    for name, value in headers:
        size += len(name.encode()) + len(value.encode())
        if not name or any(char <= " " or char > "~" or char in _NOT_IN_A_NAME for char in name):
            raise invalid(f"{where} contains an invalid header name: {name!r}.")
        if any(char in "\r\n\0" for char in value):
            raise invalid(f"{where} contains an invalid value for header {name!r}.")
    if size >= _LIMIT_BYTES:
        raise invalid(f"{where} must be less than 80 KB in total.")


def is_the_services(name: str) -> bool:
    """Whether the service ignores or replaces this header. Source: RPC reference, HttpRequest.headers."""
    lower = name.lower()
    return lower in _NOT_THE_CALLERS_NAMES or lower.startswith(_NOT_THE_CALLERS)
