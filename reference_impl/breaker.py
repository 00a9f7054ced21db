"""A small circuit breaker: a worker that does not answer costs one time-out per window, not one per job."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from reference_impl.routes import Attempt


class Breaker:
    """Closed until an attempt is costly; then one trial per window until one is not.

    Only time-outs open it: a refused connection costs nothing, so there is nothing to save by not trying.
    """

    def __init__(self, window_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._window_s = window_s
        self._clock = clock
        self._lock = threading.Lock()
        self._open = False
        self._next_trial_at = 0.0

    def allows(self) -> bool:
        """True when an attempt may be made now; claims the window's one trial when the breaker is open."""
        with self._lock:
            if not self._open:
                return True
            if self._clock() < self._next_trial_at:
                return False
            self._next_trial_at = self._clock() + self._window_s
            return True

    def learn(self, attempt: Attempt) -> None:
        """Take an attempt's answer into account."""
        with self._lock:
            self._open = attempt.costly
            if attempt.costly:
                self._next_trial_at = self._clock() + self._window_s
