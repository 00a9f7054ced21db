"""``dispatchcheck replay``: judges old evidence again with today's oracles, and shows what changed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness import context, evidence, sealed
from harness.errors import UsageError
from harness.evidence import ScenarioResult
from harness.model import Verdict


@dataclass(frozen=True, slots=True)
class Judged:
    """One scenario, judged then and now.

    Attributes:
        now: the verdict of today's oracles; the old one where the evidence does not carry a verdict of its own.
        note: why it was not judged again, or what today's oracles object to.
    """

    folder: str
    then: str
    now: str
    note: str = ""

    @property
    def changed(self) -> bool:
        """Whether the verdict is another one."""
        return self.then != self.now


def replay(run: Path) -> list[Judged]:
    """Judge every scenario of a run again.

    Raises:
        UsageError: the folder was altered since it was written, was never sealed, or cannot be read.
    """
    altered = sealed.alterations(run)
    if altered:
        more = f" and {len(altered) - 3} more" if len(altered) > 3 else ""
        raise UsageError(f"{run.name} was altered since it was written: {'; '.join(altered[:3])}{more}")
    return [_again(run, result) for result in evidence.read_results(run)]


def _again(run: Path, result: ScenarioResult) -> Judged:
    then, by = result.verdict.value, result.account.get("judged_by", "")
    if result.verdict is Verdict.NOT_APPLICABLE or (result.verdict is not Verdict.PASS and not by):
        return Judged(result.folder, then, then, "not judged again: no oracle gave this verdict")
    try:
        now, why = context.read(run / "evidence" / result.folder).verdict()
    except UsageError as problem:
        return Judged(result.folder, then, Verdict.INCONCLUSIVE.value, str(problem))
    if now == then:
        return Judged(result.folder, then, now)
    if now == Verdict.PASS and by == "expectation":
        # What the scenario would have expected after the one that failed was never recorded.
        note = "today's oracles do not object to what failed then; run it again to judge the rest"
        return Judged(result.folder, then, Verdict.INCONCLUSIVE.value, note)
    return Judged(result.folder, then, now, why.splitlines()[0] if why else "today's oracles are satisfied")


def in_words(judged: list[Judged]) -> Iterator[str]:
    """What changed, a line for each scenario, and one that counts."""
    for one in judged:
        if one.changed:
            yield f"{one.folder}: {one.then} → {one.now}: {one.note}"
        elif one.note:
            yield f"{one.folder}: {one.then}, {one.note}"
    changed = sum(one.changed for one in judged)
    yield f"{len(judged)} scenarios judged again, {changed} changed"


def verdict(judged: list[Judged]) -> Verdict:
    """The gravest verdict of today."""
    return Verdict.worst(Verdict(one.now) for one in judged)
