"""Counts what happened during the last minute, to the second. Pure; times are microseconds."""

from __future__ import annotations

__all__ = ["LastMinute"]

_SECONDS = 60


class LastMinute:
    """A counter that forgets."""

    __slots__ = ("_by_second",)

    def __init__(self) -> None:
        self._by_second: dict[int, int] = {}

    def add(self, now_us: int) -> None:
        """It happened once, now."""
        second = now_us // 1_000_000
        self._by_second[second] = self._by_second.get(second, 0) + 1
        if len(self._by_second) > 2 * _SECONDS:
            self._forget(second)

    def count(self, now_us: int) -> int:
        """How often it happened."""
        self._forget(now_us // 1_000_000)
        return sum(self._by_second.values())

    def _forget(self, second: int) -> None:
        for old in [each for each in self._by_second if each <= second - _SECONDS]:
            del self._by_second[old]
