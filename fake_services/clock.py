"""The system's clock, and a virtual one that is frozen, advanced by hand, or jumps when nothing moves."""

from __future__ import annotations

import asyncio
import heapq
import time
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Clock", "SystemClock", "Timer", "VirtualClock"]


class Timer(Protocol):
    """A call that is due later."""

    def cancel(self) -> None:
        """Do not make the call."""


class Clock(Protocol):
    """What a fake knows about time, in microseconds since the epoch. Used inside one event loop."""

    def now_us(self) -> int:
        """The time now."""

    def call_at(self, when_us: int, call: Callable[[], None], *, background: bool = False) -> Timer:
        """Call `call` once, in the event loop, as soon as the time is `when_us` or later.

        A background call is made when its time comes; a virtual clock does not jump for its sake.
        """


class SystemClock:
    """The machine's clock; timers are the event loop's."""

    def now_us(self) -> int:
        """Source: CLOCK_REALTIME, cut to microseconds."""
        return time.time_ns() // 1000

    def call_at(self, when_us: int, call: Callable[[], None], *, background: bool = False) -> Timer:
        """See Clock. A timer may fire a little early by this clock; callers look at the time again."""
        del background
        delay_s = max(0.0, (when_us - self.now_us()) / 1e6)
        return asyncio.get_running_loop().call_later(delay_s, call)


class _VirtualTimer:
    __slots__ = ("background", "call")

    def __init__(self, call: Callable[[], None] | None, *, background: bool) -> None:
        self.call = call
        self.background = background

    def cancel(self) -> None:
        self.call = None


class VirtualClock:
    """A clock that stands still unless it is told otherwise.

    Args:
        start_us: The first time it shows; the same each run (2030-01-01T00:00:00Z), so that runs repeat.
    """

    def __init__(self, start_us: int = 1_893_456_000_000_000) -> None:
        self._now_us = start_us
        self._timers: list[tuple[int, int, _VirtualTimer]] = []
        self._last = 0
        #: Called when something is due later than now.
        self.on_event: Callable[[], None] | None = None

    def now_us(self) -> int:
        """The time to which it was last moved."""
        return self._now_us

    def call_at(self, when_us: int, call: Callable[[], None], *, background: bool = False) -> Timer:
        """See Clock. A call that is already due is made on the next turn of the event loop."""
        timer = _VirtualTimer(call, background=background)
        self._last += 1
        if when_us <= self._now_us:
            asyncio.get_running_loop().call_soon(self._fire, timer)
        else:
            heapq.heappush(self._timers, (when_us, self._last, timer))
            if self.on_event is not None and not background:
                self.on_event()
        return timer

    @staticmethod
    def _fire(timer: _VirtualTimer) -> None:
        call, timer.call = timer.call, None
        if call is not None:
            call()

    def next_event_us(self) -> int | None:
        """When the next timer that is not a background one is due; None when there is none."""
        self._drop_cancelled()
        return min(
            (due for due, _, timer in self._timers if timer.call and not timer.background), default=None
        )

    def _drop_cancelled(self) -> None:
        while self._timers and self._timers[0][2].call is None:
            heapq.heappop(self._timers)

    def step(self, until_us: int) -> bool:
        """Move to the next timer that is due by `until_us` and fire it, or else move to `until_us`.

        Returns:
            True when a timer fired.

        Raises:
            ValueError: `until_us` lies in the past.
        """
        if until_us < self._now_us:
            raise ValueError(f"time cannot go back by {(self._now_us - until_us) / 1e6} s")
        self._drop_cancelled()
        if not self._timers or self._timers[0][0] > until_us:
            self._now_us = until_us
            return False
        due_us, _, timer = heapq.heappop(self._timers)
        self._now_us = max(self._now_us, due_us)
        self._fire(timer)
        return True
