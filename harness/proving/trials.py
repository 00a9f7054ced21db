"""One trial for each dispatcher of the zoo: which scenario comes next, when it is over, and what it has shown. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from harness.model import Verdict
from harness.proving.judges import Collected, Said
from harness.proving.zoo import Mutant, Variant

Cost = Callable[[Collected], float]
_LONGEST_REASON = 400


class Cell(StrEnum):
    """What one scenario said of one mutant."""

    KILLED = "killed"
    OTHER = "killed for another reason"
    PASSED = "passed"
    INCONCLUSIVE = "inconclusive"


class Trial(Protocol):
    """What the prover needs to know of a trial."""

    duration_s: float
    problem: str

    @property
    def animal(self) -> Mutant | Variant:
        """Whom it is about."""

    @property
    def over(self) -> bool:
        """Whether nothing is left to be run, and nothing is running."""

    def next(self, cost: Cost) -> Collected | None:
        """A scenario that may run now, from now on as running; None where there is none at the moment."""

    def learn(self, test: Collected, said: Said) -> None:
        """A scenario has ended."""

    def give_up(self, problem: str) -> None:
        """Nothing more will be run: it cannot be judged."""

    def row(self) -> dict[str, Any]:
        """What the kill matrix shows of it."""


@dataclass(slots=True)
class MutantTrial:
    """The trial of a known-bad dispatcher.

    First come the scenarios that its file names, then those of its requirement, and only if all of these are green the
    rest, which can still show that somebody else notices; each group cheapest first. It ends with the first kill for
    the stated reason, unless everything is asked for.
    """

    animal: Mutant
    tests: Sequence[Collected]
    full: bool
    cells: dict[str, Cell] = field(default_factory=dict)
    killed_by: dict[str, str] | None = None
    problem: str = ""
    duration_s: float = 0.0
    _asked: set[str] = field(default_factory=set)
    _running: int = 0
    _given_up: bool = False

    @property
    def over(self) -> bool:
        """See ``Trial``."""
        return not self._running and (self._decided or self._left() == [])

    def next(self, cost: Cost) -> Collected | None:
        """See ``Trial``."""
        if self._decided or (self._running and not self.full):
            return None
        left = self._left()
        if not left:
            return None
        test = min(left, key=lambda test: (self._group(test), cost(test), test.node))
        self._asked.add(test.node)
        self._running += 1
        return test

    def learn(self, test: Collected, said: Said) -> None:
        """See ``Trial``."""
        self._running -= 1
        self.duration_s += said.duration_s
        if said.verdict == Verdict.NOT_APPLICABLE:
            return
        before, cell = set(self.cells.values()), self._judged(test, said)
        self.cells[test.folder] = cell
        if (cell is Cell.KILLED and Cell.KILLED not in before) or (
            cell is Cell.OTHER and self.killed_by is None
        ):
            requirement = self.animal.head.requirement
            self.killed_by = {
                "scenario": test.folder,
                "requirement": requirement if requirement in test.requires else test.requires[0],
                "oracle": said.oracle,
                "reason": " ".join(said.reason.split())[:_LONGEST_REASON],
            }

    def give_up(self, problem: str) -> None:
        """See ``Trial``."""
        self._running -= 1
        self._given_up, self.problem = True, problem

    @property
    def verdict(self) -> str:
        """As the kill matrix words it."""
        if self.problem:
            return "not judged"
        outcomes = set(self.cells.values())
        if Cell.KILLED in outcomes:
            return Cell.KILLED
        if Cell.OTHER in outcomes:
            return Cell.OTHER
        return "survived" if self._left() == [] else "not judged"

    def row(self) -> dict[str, Any]:
        """See ``Trial``."""
        head, verdict = self.animal.head, self.verdict
        cut_off = verdict == "not judged" and not self.problem
        return {
            "id": head.id,
            "title": head.title,
            "incident": head.incident,
            "requirement": head.requirement,
            "oracle": head.oracle,
            "verdict": str(verdict),
            "killed_by": self.killed_by,
            "scenarios": {folder: str(cell) for folder, cell in self.cells.items()},
            "problem": "the proof was cut off" if cut_off else self.problem,
            "duration_s": round(self.duration_s, 3),
        }

    @property
    def _decided(self) -> bool:
        return self._given_up or (not self.full and Cell.KILLED in self.cells.values())

    def _left(self) -> list[Collected]:
        seen_elsewhere = not self.full and Cell.OTHER in self.cells.values()
        return [
            test
            for test in self.tests
            if test.node not in self._asked and not (seen_elsewhere and not self._states(test))
        ]

    def _group(self, test: Collected) -> int:
        if {test.scenario, test.folder} & set(self.animal.head.scenarios):
            return 0
        return 1 if self._states(test) else 2

    def _states(self, test: Collected) -> bool:
        return self.animal.head.requirement in test.requires

    def _judged(self, test: Collected, said: Said) -> Cell:
        if said.verdict == Verdict.PASS:
            return Cell.PASSED
        if said.verdict != Verdict.FAIL or said.blame != "sut":
            return Cell.INCONCLUSIVE
        stated = self._states(test) and said.oracle == self.animal.head.oracle
        return Cell.KILLED if stated else Cell.OTHER


def in_turn(tests: Sequence[Collected], number: int, of: int) -> list[Collected]:
    """Every scenario, with its parameters dealt out: each comes to one of ``of`` variants, or to some of them.

    So that a proof takes minutes: on each variant every scenario runs, and each parameter of it on at least one.

    Args:
        tests: all of them.
        number: the variant's, from 0.
        of: how many variants there are.
    """
    by_scenario: dict[str, list[Collected]] = {}
    for test in tests:
        by_scenario.setdefault(test.scenario, []).append(test)
    return [
        test
        for mine in by_scenario.values()
        for place, test in enumerate(mine)
        if place % of == number or (len(mine) < of and place == number % len(mine))
    ]


@dataclass(slots=True)
class VariantTrial:
    """The trial of an equivalent dispatcher: all its scenarios run, the longest first, and none may object."""

    animal: Variant
    tests: Sequence[Collected]
    ran: int = 0
    alarms: list[dict[str, str]] = field(default_factory=list)
    problem: str = ""
    duration_s: float = 0.0
    _asked: set[str] = field(default_factory=set)
    _running: int = 0
    _given_up: bool = False

    @property
    def over(self) -> bool:
        """See ``Trial``."""
        return not self._running and (self._given_up or len(self._asked) == len(self.tests))

    def next(self, cost: Cost) -> Collected | None:
        """See ``Trial``."""
        left = [test for test in self.tests if test.node not in self._asked]
        if self._given_up or not left:
            return None
        test = max(left, key=lambda test: (cost(test), test.node))
        self._asked.add(test.node)
        self._running += 1
        return test

    def learn(self, test: Collected, said: Said) -> None:
        """See ``Trial``."""
        self._running -= 1
        self.ran += 1
        self.duration_s += said.duration_s
        if said.verdict not in (Verdict.PASS, Verdict.NOT_APPLICABLE):
            reason = said.reason or said.message
            self.alarms.append(
                {
                    "scenario": test.folder,
                    "requirement": test.requires[0],
                    "oracle": said.oracle,
                    "reason": " ".join(reason.split())[:_LONGEST_REASON],
                }
            )

    def give_up(self, problem: str) -> None:
        """See ``Trial``."""
        self._running -= 1
        self._given_up, self.problem = True, problem

    @property
    def verdict(self) -> str:
        """As the kill matrix words it."""
        if self.alarms:
            return "false alarm"
        return "green" if self.over and not self.problem else "not judged"

    def row(self) -> dict[str, Any]:
        """See ``Trial``."""
        cut_off = self.verdict == "not judged" and not self.problem
        return {
            "id": self.animal.head.id,
            "title": self.animal.head.title,
            "verdict": self.verdict,
            "ran": self.ran,
            "alarms": self.alarms,
            "problem": "the proof was cut off" if cut_off else self.problem,
            "duration_s": round(self.duration_s, 3),
        }


def columns(tests: Iterable[Collected]) -> list[dict[str, Any]]:
    """The scenarios as the kill matrix lists them."""
    return [
        {
            "folder": test.folder,
            "scenario": test.scenario,
            "suite": test.node.split("/")[1] if test.node.count("/") > 1 else "",
            "title": test.title,
            "requires": list(test.requires),
        }
        for test in tests
    ]


def scenarios_that_do_not_exist(
    mutants: Iterable[Mutant], tests: Iterable[Collected]
) -> Mapping[str, list[str]]:
    """By mutant, the scenarios that its file names and that there are none of; empty where all is well."""
    known = {name for test in tests for name in (test.scenario, test.folder)}
    missing = {m.head.id: [name for name in m.head.scenarios if name not in known] for m in mutants}
    return {id_: names for id_, names in missing.items() if names}
