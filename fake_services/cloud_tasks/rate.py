"""How fast a queue may dispatch: a token bucket. Pure; times are microseconds."""

from __future__ import annotations

import math

__all__ = ["TokenBucket", "burst_size"]

_NS_PER_US = 1_000
_NS_PER_S = 1_000_000_000


def burst_size(rate_per_s: float, formula: str = "observed") -> int:
    """The max_burst_size that the service picks for a rate.

    Args:
        rate_per_s: max_dispatches_per_second.
        formula: "observed": a fifth of the rate, at least 10, which fits every published pair (500 → 100,
            1 → 10); "at_least_rate": what newer reference text says.
    """
    if formula == "at_least_rate":
        return max(10, math.ceil(rate_per_s))
    return max(10, int(rate_per_s / 5))


class TokenBucket:
    """A bucket of `burst` tokens that refills continuously at `rate_per_s`; it starts full.

    Kept as the one moment at which it will be full again, in whole nanoseconds: no drift, and nothing to
    update while time passes.

    Raises:
        ValueError: The rate is not positive or the burst is below 1.
    """

    __slots__ = ("_burst_ns", "_full_at_ns", "_interval_ns", "burst", "rate_per_s")

    def __init__(self, rate_per_s: float, burst: int) -> None:
        self._full_at_ns = 0
        self.configure(rate_per_s, burst)

    def configure(self, rate_per_s: float, burst: int) -> None:
        """Change the rate and size; the tokens that are missing now stay missing until they refill."""
        if not rate_per_s > 0:
            raise ValueError(f"a rate is positive, not {rate_per_s!r}")
        if burst < 1:
            raise ValueError(f"a burst is at least 1, not {burst!r}")
        self.rate_per_s = rate_per_s
        self.burst = burst
        self._interval_ns = max(1, round(_NS_PER_S / rate_per_s))
        self._burst_ns = burst * self._interval_ns

    def ready_at_us(self, now_us: int) -> int:
        """The first moment, now or later, at which there is a token."""
        ready_ns = self._full_at_ns - self._burst_ns + self._interval_ns
        return max(now_us, -(-ready_ns // _NS_PER_US))

    def take(self, now_us: int) -> bool:
        """Take one token; False, and nothing taken, when there is none."""
        now_ns = now_us * _NS_PER_US
        full_at_ns = max(self._full_at_ns, now_ns) + self._interval_ns
        if full_at_ns - now_ns > self._burst_ns:
            return False
        self._full_at_ns = full_at_ns
        return True

    def tokens(self, now_us: int) -> float:
        """How many tokens there are, as a fraction too."""
        missing_ns = max(0, self._full_at_ns - now_us * _NS_PER_US)
        return max(0.0, self.burst - missing_ns / self._interval_ns)
