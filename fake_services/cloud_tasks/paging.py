"""Pages and page tokens: opaque, valid for two hours, and only for the query that they came from. Pure."""

from __future__ import annotations

import base64
import binascii
import json
from typing import TYPE_CHECKING, TypeVar

from fake_services.cloud_tasks.errors import invalid

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["LIST_QUEUES_MAX", "LIST_TASKS_MAX", "page"]

T = TypeVar("T")

LIST_TASKS_MAX = 1000
LIST_QUEUES_MAX = 9800

_VALID_US = 2 * 3600 * 1_000_000


def page(
    items: Iterable[T],
    key: Callable[[T], str | int],
    *,
    size: int,
    token: str,
    largest: int,
    query: str,
    now_us: int,
) -> tuple[list[T], str]:
    """The items of one page, and the token of the next ("" at the end).

    Args:
        items: In the order of their keys.
        key: What a token remembers of the last item; items that come and go do not shift the pages.
        size: As requested; 0 means the largest.
        token: As requested; "" for the first page.
        largest: No page is larger.
        query: Everything else that was asked; it must not change from page to page.
        now_us: The time now.

    Raises:
        ApiError: INVALID_ARGUMENT for a negative size, or a foreign or expired token.
    """
    if size < 0:
        raise invalid("The page size cannot be negative.")
    after = _read(token, query, now_us) if token else None
    wanted = min(size or largest, largest)
    found: list[T] = []
    for item in items:
        item_key = key(item)
        if after is not None and item_key <= after:  # type: ignore[operator]  # _read returns the same kind
            continue
        if len(found) == wanted:
            return found, _write(key(found[-1]), query, now_us)
        found.append(item)
    return found, ""


def _write(after: str | int, query: str, now_us: int) -> str:
    return base64.urlsafe_b64encode(json.dumps([after, query, now_us]).encode()).decode()


def _read(token: str, query: str, now_us: int) -> str | int:
    try:
        after, made_for, made_us = json.loads(base64.urlsafe_b64decode(token.encode()))
    except (ValueError, TypeError, binascii.Error):
        raise invalid("The page token is invalid.") from None
    if not isinstance(after, str | int) or not isinstance(made_us, int):
        raise invalid("The page token is invalid.")
    if made_for != query:
        raise invalid("The page token is invalid: the request changed since the page before.")
    if not 0 <= now_us - made_us <= _VALID_US:
        raise invalid("The page token has expired.")
    return after
