"""A small circuit breaker: a worker that does not answer costs one time-out per window, not one per job."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from reference_impl.routes import Attempt


class Breaker:
    """Closed until an attempt is costly; then one attempt at a time, and one per window, until one is not.

    Only time-outs open it: a refused connection costs nothing, so there is nothing to save by not trying.
    """

    def __init__(self, window_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._window_s = window_s
        self._clock = clock
        self._lock = threading.Lock()
        self._open = False
        self._under_way = 0
        self._next_trial_at = 0.0

    def call(self, make: Callable[[], Attempt]) -> Attempt | None:
        """Make the attempt and learn from its answer; None, and no attempt is made, while the breaker is open.

        An attempt may last longer than the window: then none follows before it has ended. Raises what `make`
        raises, which proves nothing about the worker.
        """
        with self._lock:
            if self._open and (self._under_way or self._clock() < self._next_trial_at):
                return None
            self._under_way += 1
        try:
            attempt = make()
        finally:
            with self._lock:
                self._under_way -= 1
        with self._lock:
            self._open = attempt.costly
            self._next_trial_at = self._clock() + self._window_s
        return attempt
