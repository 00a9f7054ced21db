"""Time budgets: what must be done within a bound."""

from __future__ import annotations

from collections.abc import Sequence

from harness.errors import Finding
from harness.model import Job, Observation


def answered_within(job: Job, limit_s: float) -> Finding | None:
    """The API answered the request within its bound."""
    if job.answer_s <= limit_s:
        return None
    return Finding(
        expected=f"an answer within {limit_s:g} s",
        observed=f"it took {job.answer_s:.2f} s",
        oracle="budget",
    )


def all_answered_within(jobs: Sequence[Job], limit_s: float) -> Finding | None:
    """The API answered each of the requests within its bound; the slowest answer is named."""
    slowest = max(jobs, key=lambda job: job.answer_s, default=None)
    if slowest is None:
        return Finding("answers", "nothing was asked", oracle="budget")
    return answered_within(slowest, limit_s)


def answered_before(answers: Sequence[Observation], ends: Sequence[Observation]) -> Finding | None:
    """The first answer was there before the first of the ends, which must have come at some time."""
    if answers and ends and answers[0].seq < ends[0].seq:
        return None
    seen = sorted([*answers, *ends], key=lambda o: o.seq)
    return Finding(
        expected="the API's answer before the end of the call to the worker",
        observed=", then ".join(f"{o.source}: {o.text}" for o in seen) or "neither",
        oracle="budget",
    )
