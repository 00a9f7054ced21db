"""The errors of the harness, each with the blame it carries.

Three blames are kept apart, because each sends another person to work:

    Violation        the system under test is wrong            verdict FAIL           exit 1
    Inconclusive     evidence is missing or contradicts itself verdict INCONCLUSIVE   exit 2
    NotApplicable    it was asked for what it never claimed    NOT_APPLICABLE         -
    HarnessError     the harness is broken                     no verdict             exit 70
      UsageError     it was asked for something it cannot do   no verdict             exit 64
"""

from __future__ import annotations

from dataclasses import dataclass, field


class HarnessError(Exception):
    """The harness itself failed: nothing is known about the system under test."""

    exit_code = 70


class UsageError(HarnessError):
    """A profile, an option or a name is wrong; the message names it and lists what is valid."""

    exit_code = 64


class Inconclusive(Exception):  # noqa: N818 - named for the verdict it leads to, as Violation is
    """The evidence does not support a verdict: neither pass nor fail may be claimed."""

    exit_code = 2


class NotApplicable(Exception):  # noqa: N818 - named for the verdict it leads to, as Violation is
    """The scenario asks for what the profile does not claim or the topology does not have; the message says what."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What an oracle found wrong: what should be so, what was seen instead, and what came nearest.

    Attributes:
        expected: one sentence or list that says what the requirement asks for.
        observed: what was seen instead; several lines where several things were seen.
        nearest: the observation most like the expected one, or "" where nothing is alike.
        oracle: which judge says so, e.g. ``route`` or ``effects``.
    """

    expected: str
    observed: str
    nearest: str = ""
    oracle: str = ""


class Violation(AssertionError):  # noqa: N818 - the field's word for what an oracle reports
    """The system under test did something that a requirement forbids, or not what it demands.

    An ``AssertionError``, so that pytest counts it as a failed test and not as an error in a fixture.
    """

    exit_code = 1

    def __init__(self, finding: Finding) -> None:
        super().__init__(f"expected {finding.expected}; observed {finding.observed}")
        self.finding = finding


@dataclass(frozen=True, slots=True)
class LastWords:
    """The end of a process's log, for the message that says it failed."""

    source: str
    lines: tuple[str, ...] = field(default=())

    def __str__(self) -> str:
        """The lines, indented, or a sentence that says there were none."""
        if not self.lines:
            return f"the {self.source} wrote nothing"
        return f"last lines of the {self.source}:\n" + "\n".join(f"    {line}" for line in self.lines)


class SutFailed(Violation):
    """A process of the system under test exited by itself, or never became ready.

    Attributes:
        last_words: what it wrote last.
        status: its exit status; None when it is running, or was until the harness ended it.
    """

    def __init__(self, finding: Finding, last_words: LastWords, *, status: int | None = None) -> None:
        super().__init__(finding)
        self.last_words = last_words
        self.status = status

    def __str__(self) -> str:
        """The finding, followed by what the process said last."""
        return f"expected {self.finding.expected}; observed {self.finding.observed}\n{self.last_words}"
