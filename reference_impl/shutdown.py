"""SIGTERM: work in progress may finish within a bound, then it is given back."""

from __future__ import annotations

import signal
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType


class Shutdown:
    """Knows whether this process was asked to stop, and when work in progress must be given back."""

    def __init__(self, grace_s: float) -> None:
        self._grace_s = grace_s
        self._give_back_at = float("inf")

    def begin(self) -> None:
        """The process was asked to stop: the grace period starts (once)."""
        self._give_back_at = min(self._give_back_at, time.monotonic() + self._grace_s)

    def begun(self) -> bool:
        """True when no new work should start."""
        return self._give_back_at != float("inf")

    def now(self) -> bool:
        """True when the grace period is over."""
        return time.monotonic() >= self._give_back_at

    def listen(self) -> None:
        """Notice SIGTERM and SIGINT before the server does, which then waits for its open requests."""
        if threading.current_thread() is not threading.main_thread():
            return  # an embedded server; whoever embeds it calls begin()
        for number in (signal.SIGTERM, signal.SIGINT):
            self._chain(number)

    def _chain(self, number: signal.Signals) -> None:
        server = signal.getsignal(number)

        def noticed(signum: int, frame: FrameType | None) -> None:
            self.begin()
            if callable(server):
                server(signum, frame)

        signal.signal(number, noticed)
