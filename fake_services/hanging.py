"""Counts the callers that a fault leaves without an answer, until they give up."""

from __future__ import annotations

import threading

__all__ = ["Hanging"]


class Hanging:
    """A count that each `with` raises by one while it lasts. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._count = 0

    def __enter__(self) -> None:
        with self._lock:
            self._count += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._count -= 1

    @property
    def count(self) -> int:
        """How many callers hang now."""
        return self._count
