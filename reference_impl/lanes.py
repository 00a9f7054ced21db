"""Bounded background work: a lane runs at most so many things at once and refuses the rest at once."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Lane:
    """Up to `threads` things at a time, in daemon threads: a stuck one cannot keep the process alive.

    There is no queue: what waits, waits in the store, where a crash cannot lose it.
    """

    def __init__(self, name: str, threads: int) -> None:
        self._name = name
        self._lock = threading.Condition()
        self._threads = threads
        self._busy = 0

    @property
    def free(self) -> int:
        """How many more things could start now."""
        with self._lock:
            return self._threads - self._busy

    def submit(self, work: Callable[[], None]) -> bool:
        """Start `work`, which must not raise; False when the lane is full, or the process has no thread left."""
        with self._lock:
            if self._busy >= self._threads:
                return False
            self._busy += 1
        try:
            threading.Thread(target=self._run, args=(work,), name=self._name, daemon=True).start()
        except RuntimeError:  # "can't start new thread"
            self._left()
            return False
        return True

    def drain(self, timeout_s: float) -> bool:
        """Wait until nothing runs; False when something still does."""
        with self._lock:
            return self._lock.wait_for(lambda: self._busy == 0, timeout_s)

    def _run(self, work: Callable[[], None]) -> None:
        try:
            work()
        finally:
            self._left()

    def _left(self) -> None:
        with self._lock:
            self._busy -= 1
            self._lock.notify_all()
