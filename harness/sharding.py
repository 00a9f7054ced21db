"""Splits tests over machines: ``--shard 2/4`` is the second of four parts, alike on every machine."""

from __future__ import annotations

import hashlib
import json
import re
import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.errors import UsageError

_UNKNOWN_S = 1.0


@dataclass(frozen=True, slots=True)
class Shard:
    """One part of many: ``index`` from 1 to ``of``."""

    index: int
    of: int

    def __str__(self) -> str:
        """As it is written on the command line."""
        return f"{self.index}/{self.of}"


@dataclass(frozen=True, slots=True)
class Plan:
    """Which tests belong to which shard.

    Attributes:
        parts: the tests of each shard, sorted.
        digest: names tests, durations and number of shards; machines with the same digest made the same plan.
    """

    parts: tuple[tuple[str, ...], ...]
    digest: str

    @property
    def total(self) -> int:
        """How many tests there are in all shards together."""
        return sum(map(len, self.parts))


def parse(text: str) -> Shard:
    """Read ``i/n``.

    Raises:
        UsageError: not two numbers, or i is not between 1 and n.
    """
    match = re.fullmatch(r"(\d{1,4})/(\d{1,4})", text)
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        raise UsageError(f"--shard {text!r}: write i/n, with i from 1 to n, e.g. 2/4")
    return Shard(int(match[1]), int(match[2]))


def plan(tests: Iterable[str], durations_s: Mapping[str, float], shards: int) -> Plan:
    """Deal the tests out so that the shards take about equally long: the longest first, each to the emptiest shard.

    The result depends on the arguments alone, not on their order. A test that was never measured counts as the
    median of those that were.
    """
    tests = set(tests)
    known = [durations_s[test] for test in tests if test in durations_s]
    unknown_s = statistics.median(known) if known else _UNKNOWN_S
    lengths = {test: durations_s.get(test, unknown_s) for test in tests}
    parts: list[list[str]] = [[] for _ in range(shards)]
    loads = [0.0] * shards
    for test in sorted(lengths, key=lambda test: (-lengths[test], test)):
        emptiest = min(range(shards), key=lambda number: (loads[number], len(parts[number]), number))
        parts[emptiest].append(test)
        loads[emptiest] += lengths[test]
    canonical = json.dumps([shards, sorted(lengths.items())])
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    return Plan(tuple(tuple(sorted(part)) for part in parts), f"sha256:{digest}")


def read_durations(path: Path) -> dict[str, float]:
    """Seconds per test, from the ``results.json`` of an earlier run.

    Raises:
        UsageError: no such file, or it is something else.
    """
    try:
        scenarios = json.loads(path.read_text("utf-8"))["scenarios"]
        return {str(scenario["node"]): float(scenario["duration_s"]) for scenario in scenarios}
    except (OSError, ValueError, KeyError, TypeError) as problem:
        raise UsageError(
            f"cannot read durations from {str(path)!r}: {problem!r}; name the results.json of an earlier run"
        ) from None
