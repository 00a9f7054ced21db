"""How many attempts of a queue may be in flight at once. Pure."""

from __future__ import annotations

__all__ = ["ConcurrencyCap"]


class ConcurrencyCap:
    """Counts what is in flight against max_concurrent_dispatches.

    Source: RPC reference, RateLimits.max_concurrent_dispatches; RunTask ignores it, so there can be more in
    flight than the limit, and then nothing else starts until enough have ended.

    Attributes:
        limit: May change at any time; attempts in flight are not recalled.
        in_flight: How many there are now.
    """

    __slots__ = ("in_flight", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.in_flight = 0

    @property
    def free(self) -> bool:
        """Whether another ordinary attempt may start."""
        return self.in_flight < self.limit

    def started(self) -> None:
        """An attempt started, ordinary or forced."""
        self.in_flight += 1

    def ended(self) -> None:
        """An attempt ended.

        Raises:
            ValueError: None was in flight.
        """
        if self.in_flight == 0:
            raise ValueError("no attempt is in flight")
        self.in_flight -= 1
