"""What a scenario expected and what came of it: kept for the evidence, and to know that it expected anything."""

from __future__ import annotations

import functools
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
