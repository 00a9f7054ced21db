"""Moves a virtual clock: by hand, or to the next event whenever nothing else happens."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Literal, get_args

from fake_services.clock import Clock, SystemClock, VirtualClock

if TYPE_CHECKING:
    from collections.abc import Callable

    from fake_services.cloud_tasks.dispatcher import Dispatcher

__all__ = ["ClockMode", "TimeKeeper", "clock_for"]

ClockMode = Literal["system", "frozen", "jump"]

# How long, by the machine's clock, no call may come before a virtual clock jumps by itself.
_GRACE_S = 0.02


def clock_for(mode: ClockMode, start_us: int | None) -> Clock:
    """The clock of a fake that is configured so.

    Raises:
        ValueError: There is no such mode.
    """
    if mode not in get_args(ClockMode):
        raise ValueError(f"the clock is one of {', '.join(get_args(ClockMode))}, not {mode!r}")
    if mode == "system":
        return SystemClock()
    return VirtualClock() if start_us is None else VirtualClock(start_us)


class TimeKeeper:
    """Moves the clock of one fake. Everything runs in one event loop.

    Args:
        clock: Only a VirtualClock can be moved.
        mode: "jump" moves it to the next event by itself.
        dispatcher: Tells when no attempt is in flight.
        last_call: When the last call came, by the event loop's clock.
        patience_s: How long, by the machine's clock, an attempt may stay unanswered before virtual time
            goes on without it.
    """

    def __init__(
        self,
        clock: Clock,
        mode: ClockMode,
        dispatcher: Dispatcher,
        last_call: Callable[[], float],
        patience_s: float,
    ) -> None:
        self.patience_s = patience_s
        self._clock = clock
        self._dispatcher = dispatcher
        self._last_call = last_call
        self._jumping: asyncio.Task[None] | None = None
        # Whoever moves the clock moves it alone: two at once would each find it ahead of where they left it.
        self._moving = asyncio.Lock()
        self._landed: asyncio.Future[None] | None = None
        self.mode: ClockMode = mode
        dispatcher.on_landed = self._on_landed

    def start(self) -> None:
        """Begin to jump, when the mode says so."""
        if self.mode == "jump" and self._jumping is None:
            self._jumping = asyncio.get_running_loop().create_task(self._jump_forever())

    async def stop(self) -> None:
        """Stop jumping."""
        task, self._jumping = self._jumping, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def set_mode(self, mode: str) -> None:
        """Change between "frozen" and "jump".

        Raises:
            ValueError: The clock is the system's, or there is no such mode.
        """
        self._virtual()
        if mode not in {"frozen", "jump"}:
            raise ValueError(f"a virtual clock is frozen or jumps (mode 'frozen' or 'jump'), not {mode!r}")
        await self.stop()
        self.mode = "jump" if mode == "jump" else "frozen"
        self.start()

    async def advance(self, seconds: float) -> int:
        """Move time forward, making every event on the way happen at its time and in order.

        Returns:
            How many events there were.

        Raises:
            ValueError: The clock is the system's, or `seconds` is negative.
        """
        clock = self._virtual()
        if not seconds >= 0:
            raise ValueError(f"time only goes forward, not by {seconds!r} s")
        events = 0
        async with self._moving:
            until_us = clock.now_us() + round(seconds * 1e6)
            await self._settle()
            while clock.step(until_us):
                events += 1
                await self._settle()
        return events

    async def run_until_idle(self, limit_s: float = 40 * 86400.0) -> int:
        """Jump from event to event until none is left, or `limit_s` of virtual time have passed.

        Returns:
            How many events there were.

        Raises:
            ValueError: The clock is the system's.
        """
        clock = self._virtual()
        events = 0
        async with self._moving:
            until_us = clock.now_us() + round(limit_s * 1e6)
            await self._settle()
            while (due_us := clock.next_event_us()) is not None and due_us <= until_us:
                clock.step(due_us)
                events += 1
                await self._settle()
        return events

    def _virtual(self) -> VirtualClock:
        if not isinstance(self._clock, VirtualClock):
            raise ValueError("the clock is the system's: start the fake with a frozen or jumping clock")  # noqa: TRY004
        return self._clock

    async def _settle(self) -> None:
        """Let everything that is due happen. An attempt without an answer is waited for only so long."""
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        loop = asyncio.get_running_loop()
        patience_ends = loop.time() + self.patience_s
        while not self._dispatcher.settled:
            left_s = patience_ends - loop.time()
            if left_s <= 0:
                return
            if self._dispatcher.expected:
                landed = self._landed = loop.create_future()
                handle = loop.call_later(left_s, _wake, landed)
                await landed
                handle.cancel()
            await asyncio.sleep(0)

    def _on_landed(self) -> None:
        landed, self._landed = self._landed, None
        if landed is not None:
            _wake(landed)

    async def _jump_forever(self) -> None:
        clock = self._virtual()
        loop = asyncio.get_running_loop()
        scheduled = asyncio.Event()
        clock.on_event = scheduled.set
        while True:
            async with self._moving:
                await self._settle()
                due_us = clock.next_event_us()
                quiet_s = loop.time() - self._last_call()
                if due_us is not None and quiet_s >= _GRACE_S:
                    clock.step(due_us)
            if due_us is None:
                scheduled.clear()
                await scheduled.wait()
            elif quiet_s < _GRACE_S:
                await asyncio.sleep(_GRACE_S - quiet_s)


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
