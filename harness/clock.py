"""Deadlines and waiting: the only place of the harness that sleeps."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

_FIRST_PAUSE_S = 0.001
_LONGEST_PAUSE_S = 0.02


class Deadline:
    """A point in time by which something must have happened.

    Measured on the monotonic clock, so that a step of the system's clock neither hangs nor cuts a wait.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._at = time.monotonic() + seconds

    @property
    def left_s(self) -> float:
        """Seconds left; never negative."""
        return max(0.0, self._at - time.monotonic())

    @property
    def passed(self) -> bool:
        """Whether the deadline is over."""
        return time.monotonic() >= self._at


def wait(probe: Callable[[], T | None], deadline: Deadline, describe: Callable[[], str]) -> T:
    """Call ``probe`` until it answers something other than None, and return that.

    The pause between calls grows from 1 to 20 ms: a quick answer is seen at once, a slow one costs little.

    Args:
        probe: returns None while the awaited thing has not happened.
        deadline: when to give up.
        describe: says, for the error, what was waited for and what was seen last.

    Raises:
        TimeoutError: the deadline passed; the message is what ``describe`` says.
    """
    pause_s = _FIRST_PAUSE_S
    while True:
        answer = probe()
        if answer is not None:
            return answer
        if deadline.passed:
            raise TimeoutError(f"gave up after {deadline.seconds:g} s: {describe()}")
        pause(min(pause_s, deadline.left_s))
        pause_s = min(pause_s * 1.5, _LONGEST_PAUSE_S)


def pause(seconds: float) -> None:
    """Sleep between two looks at the same thing; callers hold a deadline."""
    time.sleep(seconds)
