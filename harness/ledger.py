"""What a scenario expected and what came of it: kept for the evidence, and to know that it expected anything."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from harness.errors import Finding, Violation

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Check:
    """One expectation of a scenario; ``finding`` is None where it was met."""

    what: str
    finding: Finding | None = None


@dataclass(frozen=True, slots=True)
class Figure:
    """A number that a scenario measured. It is shown and never judged: an expectation judges.

    Attributes:
        name: what was measured, in plain words; unique within its scenario.
        unit: "s", "jobs/s", "%"; "" for a count.
        at_least: the bound that an expectation sets from below, where one does: a reader sees how near it was.
        at_most: the same from above.
    """

    name: str
    value: int | float
    unit: str = ""
    at_least: int | float | None = None
    at_most: int | float | None = None

    def as_json(self) -> dict[str, Any]:
        """As it stands in ``results.json``: a bound only where there is one."""
        document: dict[str, Any] = {"name": self.name, "value": self.value, "unit": self.unit}
        bounds = {"at_least": self.at_least, "at_most": self.at_most}
        return document | {name: bound for name, bound in bounds.items() if bound is not None}


@dataclass(frozen=True, slots=True)
class Call:
    """One ``must_…`` method as it was called: with it, old evidence can be judged again.

    Attributes:
        receiver: the outcome or the answer that was judged.
    """

    receiver: object
    method: str
    arguments: tuple[Any, ...]
    named: Mapping[str, Any]


@dataclass(slots=True)
class Ledger:
    """The checks of one scenario, in order. A scenario without a check has shown nothing."""

    checks: list[Check] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    figures: list[Figure] = field(default_factory=list)
    on_check: Callable[[Check], None] | None = None

    def judge(self, what: str, finding: Finding | None) -> None:
        """Enter one expectation and its outcome.

        Raises:
            Violation: it was not met.
        """
        check = Check(what, finding)
        self.checks.append(check)
        if self.on_check is not None:
            self.on_check(check)
        if finding is not None:
            raise Violation(finding)

    def figure(
        self,
        name: str,
        value: float,
        unit: str = "",
        *,
        at_least: float | None = None,
        at_most: float | None = None,
    ) -> None:
        """Enter a number that was measured, to be shown beside the verdict; see ``Figure``.

        Raises:
            ValueError: it has no name, there is one of that name already, or a number is not finite.
        """
        if not name.strip():
            raise ValueError("a figure needs a name")
        if any(figure.name == name for figure in self.figures):
            raise ValueError(f"there is a figure {name!r} already: each needs a name of its own")
        for number in (value, at_least, at_most):
            if number is not None and (isinstance(number, bool) or not math.isfinite(number)):
                raise ValueError(f"the figure {name!r} needs finite numbers, got {number!r}")
        self.figures.append(Figure(name, value, unit, at_least, at_most))


def recorded(cls: type[T]) -> type[T]:
    """Make every ``must_…`` method of a class enter itself into its instance's ledger before it judges."""
    for name, method in list(vars(cls).items()):
        if name.startswith("must_"):
            setattr(cls, name, _recording(method))
    return cls


def _recording(method: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(method)
    def judge(self: Any, *arguments: Any, **named: Any) -> None:
        __tracebackhide__ = True  # a debugger begins at the scenario's own line
        self.ledger.calls.append(Call(self, method.__name__, arguments, named))
        try:
            method(self, *arguments, **named)
        except Violation as violation:
            raise violation.with_traceback(None) from None

    return judge
