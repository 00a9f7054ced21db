"""Whether what a dispatcher did with many cells is what the decision table says: every cell, and none left out."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.errors import Finding, Inconclusive
from harness.model import Observation, Setting
from harness.oracles import conduct
from harness.oracles.cells import Cell, cell
from harness.oracles.conduct import Conduct
from harness.oracles.model import decide

_SHOWN = 3
_NAMED = 12


@dataclass(frozen=True, slots=True)
class _Asked:
    """One request for cells, and what came of each; None where nothing did."""

    cells: Sequence[Cell]
    answers: Sequence[Conduct | None]
    again: str


@dataclass(frozen=True, slots=True)
class Disagreement:
    """One cell in which the dispatcher and the table differ, and what says so."""

    cell: Cell
    conduct: Conduct
    differences: Sequence[str]
    again: str

    def __str__(self) -> str:
        """The cell, both answers, and the command that runs it alone."""
        table = textwrap.indent(conduct.expected(decide(self.cell)), "    ")
        seen = textwrap.indent(str(self.conduct), "    ")
        alone = f"  alone: {self.again.replace('{cell}', str(self.cell))}" if self.again else ""
        differs = "; ".join(self.differences)
        return f"{self.cell}\n  {differs}\n  the table:\n{table}\n  the dispatcher:\n{seen}\n{alone}".rstrip()


def count(observations: Sequence[Observation]) -> int:
    """How many cells were asked for."""
    return sum(len(asked.cells) for asked in _asked(observations))


def judge(
    observations: Sequence[Observation], *, variables: Mapping[Setting, str], reasons: Mapping[str, str]
) -> Finding | None:
    """Compare every cell that was asked for with the decision table.

    Args:
        observations: of a run in which cells were asked for, and conducts recorded.
        variables: the environment variable that carries each setting.
        reasons: the dispatcher's own words for reasons, by those of the fault catalogue, where they differ.

    Raises:
        Inconclusive: no cell was asked for, or nothing is known of one and all others agree.
    """
    requests = list(_asked(observations))
    total = sum(len(asked.cells) for asked in requests)
    if not total:
        raise Inconclusive("no cell was run: nothing is known of the dispatcher")
    found, silent = [], []
    for asked in requests:
        for at, seen in zip(asked.cells, asked.answers, strict=True):
            if seen is None:
                silent.append(at)
                continue
            differences = seen.disagrees(decide(at), variables=variables, reasons=reasons)
            if differences:
                found.append(Disagreement(at, seen, differences, asked.again))
    if found:
        return _finding(found, total, len(silent))
    if silent:
        raise Inconclusive(
            f"{len(silent)} of {total} cells were never judged; the first is {silent[0]}. "
            "A cell before it hung, or the process that runs them ended."
        )
    return None


def judge_one(
    at: Cell, seen: Conduct, *, variables: Mapping[Setting, str], reasons: Mapping[str, str]
) -> Finding | None:
    """Compare what a dispatcher did with one cell with the decision table."""
    differences = seen.disagrees(decide(at), variables=variables, reasons=reasons)
    if not differences:
        return None
    return Finding(
        expected=f"in the cell {at}:\n{conduct.expected(decide(at))}",
        observed=f"{'; '.join(differences)}\n{seen}",
        oracle="table",
    )


def _asked(observations: Sequence[Observation]) -> Iterator[_Asked]:
    asked: _Asked | None = None
    for o in observations:
        if o.kind == "stimulus" and "cells" in o.fields:
            if asked is not None:
                yield asked
            cells = [cell(name) for name in o.fields["cells"]]
            asked = _Asked(cells, [None] * len(cells), str(o.fields.get("again", "")))
        elif o.kind == "conduct" and asked is not None:
            _enter(asked, o.fields)
    if asked is not None:
        yield asked


def _enter(asked: _Asked, fields: Mapping[str, Any]) -> None:
    seen = conduct.from_json(fields["conduct"])
    answers = asked.answers
    assert isinstance(answers, list), "it was made above"
    for position in fields["cells"]:
        if not 0 <= position < len(answers) or answers[position] is not None:
            raise Inconclusive(
                f"there is an answer for the cell number {position}, which was not asked for, or not again"
            )
        answers[position] = seen


def _finding(found: Sequence[Disagreement], total: int, silent: int) -> Finding:
    shown = "\n\n".join(map(str, found[:_SHOWN]))
    more = [str(each.cell) for each in found[_SHOWN : _SHOWN + _NAMED]]
    if more:
        left = len(found) - _SHOWN - len(more)
        shown += (
            "\n\nalso:\n" + "\n".join(f"  {name}" for name in more) + (f"\n  and {left} more" if left else "")
        )
    if silent:
        shown += f"\n\n{silent} cells were not tried after that"
    return Finding(
        expected=f"what the decision table says, in {total} cells",
        observed=f"{len(found)} of them disagree\n\n{shown}",
        oracle="table",
    )
