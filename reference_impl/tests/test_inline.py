"""The last route: what the guard of the effect says, in the log and for the assembler."""

from __future__ import annotations

import pytest

from reference_impl.effect import End, Outcome
from reference_impl.job import Job, Route
from reference_impl.routes import Attempt, Verdict
from reference_impl.routes.inline import InlineRoute
from reference_impl.tests.processes import parse_event

JOB = Job("j1", "e1", "c1", title="A title")


class Guard:
    """Says what it was told to say, and remembers what it was asked."""

    def __init__(self, outcome: Outcome) -> None:
        self._outcome = outcome
        self.asked: list[tuple[Job, Route, float]] = []

    def perform(self, job: Job, route: Route, *, wait_s: float) -> Outcome:
        self.asked.append((job, route, wait_s))
        return self._outcome


@pytest.mark.parametrize(
    ("outcome", "expected", "event"),
    [
        (
            Outcome(End.DONE, "abc"),
            Attempt(Verdict.DELIVERED, "done"),
            {"event": "assemble.inline.done", "checksum": "abc", "repeated": "false"},
        ),
        (
            Outcome(End.DONE, "abc", repeated=True),
            Attempt(Verdict.DELIVERED, "done"),
            {"event": "assemble.inline.done", "checksum": "abc", "repeated": "true"},
        ),
        (
            Outcome(End.FAILED, reason="unusable-input", detail="no segments"),
            Attempt(Verdict.DELIVERED, "unusable-input", "no segments"),
            {"event": "assemble.inline.failed", "reason": "unusable-input", "detail": "no segments"},
        ),
        (
            Outcome(End.BUSY, reason="claimed-elsewhere", detail="by the worker"),
            Attempt(Verdict.AMBIGUOUS, "claimed-elsewhere", "by the worker"),
            {"event": "assemble.inline.failed", "reason": "claimed-elsewhere", "detail": "by the worker"},
        ),
        (
            Outcome(End.NOT_DONE, reason="os-error", detail="disk full"),
            Attempt(Verdict.REJECTED, "os-error", "disk full"),
            {"event": "assemble.inline.failed", "reason": "os-error", "detail": "disk full"},
        ),
    ],
    ids=["done", "done before", "cannot be done", "somebody is at it", "nothing done"],
)
def test_what_an_outcome_means(
    capsys: pytest.CaptureFixture[str], outcome: Outcome, expected: Attempt, event: dict[str, str]
) -> None:
    guard = Guard(outcome)
    assert InlineRoute(guard, wait_s=7.5).attempt(JOB) == expected
    assert guard.asked == [(JOB, Route.INLINE, 7.5)]
    about = {"episode_id": "e1", "job_id": "j1", "correlation_id": "c1"}
    lines = capsys.readouterr().out.splitlines()
    assert [parse_event(line) for line in lines] == [
        {"event": "assemble.inline.start"} | about,
        event | about,
    ]
