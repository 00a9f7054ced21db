"""The last route: do the job in this process; one attempt."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from reference_impl import events
from reference_impl.effect import End, Outcome
from reference_impl.job import Route
from reference_impl.routes import Attempt, Verdict

if TYPE_CHECKING:
    from reference_impl.job import Job


class Performer(Protocol):
    """Who does jobs, once each: `effect.Effects`."""

    def perform(self, job: Job, route: Route, *, wait_s: float) -> Outcome:
        """Do the job, or wait up to `wait_s` for whoever does it."""


class InlineRoute:
    """Does jobs through the same guard as the worker, so that a worker that goes on unseen is waited for."""

    def __init__(self, effects: Performer, *, wait_s: float) -> None:
        self._effects = effects
        self._wait_s = wait_s

    def attempt(self, job: Job) -> Attempt:
        """Do the job, or return the result of whoever did. Raises SQLAlchemyError when the store is gone.

        DELIVERED means that the job has ended, REJECTED that nothing was done, AMBIGUOUS that somebody else
        holds the job and was not finished in time.
        """
        events.emit(events.INLINE_START, job)
        outcome = self._effects.perform(job, Route.INLINE, wait_s=self._wait_s)
        if outcome.end is End.DONE:
            events.emit(events.INLINE_DONE, job, checksum=outcome.checksum, repeated=outcome.repeated)
            return Attempt(Verdict.DELIVERED, "done")
        events.emit(events.INLINE_FAILED, job, reason=outcome.reason, detail=outcome.detail)
        if outcome.end is End.FAILED:
            return Attempt(Verdict.DELIVERED, outcome.reason, outcome.detail)
        verdict = Verdict.AMBIGUOUS if outcome.end is End.BUSY else Verdict.REJECTED
        return Attempt(verdict, outcome.reason, outcome.detail)
