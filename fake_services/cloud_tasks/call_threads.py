"""The threads in which gRPC runs calls: what its server uses of concurrent.futures, at a third of the cost.

A ThreadPoolExecutor makes a lock and a condition for each call and takes five locks on its way. With many
callers each of these is a place where Python changes threads, and that was most of what a CreateTask cost.
"""

from __future__ import annotations

import queue
import threading
import traceback
from collections import deque
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["CallThreads"]


class _Call:
    """One call that waits or runs; of a Future, gRPC's server uses `add_done_callback` only."""

    __slots__ = ("_arguments", "_callbacks", "_done", "_function")

    def __init__(self, function: Callable[..., object], arguments: tuple[Any, ...]) -> None:
        self._function = function
        self._arguments = arguments
        self._callbacks: deque[Callable[[object], object]] = deque()
        self._done = False

    def add_done_callback(self, callback: Callable[[object], object]) -> None:
        """Have `callback` called once, when the call has ended."""
        self._callbacks.append(callback)
        if self._done:
            self._tell()

    def run(self) -> None:
        """Make the call."""
        try:
            self._function(*self._arguments)
        except Exception:  # noqa: BLE001  # gRPC's own code; its pool would keep the error and never show it
            traceback.print_exc()
        finally:
            self._done = True
            self._tell()

    def _tell(self) -> None:
        # Both threads may be here: a deque gives each callback to one of them.
        while self._callbacks:
            try:
                callback = self._callbacks.popleft()
            except IndexError:
                return
            callback(self)


class CallThreads:
    """Runs calls in threads that are made when needed and kept. `submit` is called by one thread only.

    Args:
        most: More calls than this at once wait for each other.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._calls: queue.SimpleQueue[_Call | None] = queue.SimpleQueue()
        # One entry for each thread that waits for a call and is not promised to one.
        self._free: deque[None] = deque()
        self._threads: list[threading.Thread] = []

    def submit(self, function: Callable[..., object], *arguments: Any) -> _Call:
        """Run `function` in a thread, soon."""
        call = _Call(function, arguments)
        try:
            self._free.pop()
        except IndexError:
            if len(self._threads) < self._most:
                self._start_one()
        self._calls.put(call)
        return call

    def _start_one(self) -> None:
        thread = threading.Thread(target=self._work, name=f"fake-grpc-{len(self._threads)}", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            call.run()
            del call  # what it holds is not kept until the next one comes
            self._free.append(None)

    def close(self, limit_s: float) -> None:
        """End every thread, after the calls that it still runs; those that hang for longer are left alone."""
        for _ in self._threads:
            self._calls.put(None)
        for thread in self._threads:
            thread.join(limit_s)
