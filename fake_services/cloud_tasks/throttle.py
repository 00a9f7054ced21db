"""How a target that answers 429 or 503 slows its queue down, and how the queue recovers. Pure."""

from __future__ import annotations

from email.utils import parsedate_to_datetime

__all__ = ["Throttle", "retry_after_us"]

# The reference says that the rate is lowered, and not by how much: these halve it per refusal, never below a
# sixty-fourth, and win it back by a tenth per success.
_LOWER = 0.5
_FLOOR = 1 / 64
_RAISE = 1.1
_RETRY_AFTER_LIMIT_S = 3600.0


class Throttle:
    """The share of its configured rate at which a queue dispatches now (`factor`, at most 1)."""

    __slots__ = ("factor",)

    def __init__(self) -> None:
        self.factor = 1.0

    def saw(self, status: int, *, http_target: bool) -> bool:
        """Take an attempt's status into account; True when the factor changed.

        App Engine targets throttle on 503 only. Source: RPC reference, HttpRequest and AppEngineHttpRequest.
        """
        before = self.factor
        if status == 503 or (status == 429 and http_target):
            self.factor = max(_FLOOR, self.factor * _LOWER)
        elif 200 <= status <= 299:
            self.factor = min(1.0, self.factor * _RAISE)
        return self.factor != before


def retry_after_us(value: str | None, now_us: int) -> int:
    """Microseconds that a Retry-After header asks for, at most an hour; 0 for none or one that cannot be read.

    Args:
        value: Seconds, or an HTTP date. Source: RFC 9110, 10.2.3.
        now_us: The time now, from which a date counts.
    """
    if value is None:
        return 0
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(value).timestamp() - now_us / 1e6
        except (ValueError, OverflowError):
            return 0
    # max() first: a NaN then becomes 0.
    return round(min(max(0.0, seconds), _RETRY_AFTER_LIMIT_S) * 1e6)
