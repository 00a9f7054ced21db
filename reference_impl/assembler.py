"""Tries the routes in order; the only place with fallback logic.

Production: Cloud Tasks, then the worker directly, then inline. Development: the worker when it is
configured for that, then inline. A route answers DELIVERED, REJECTED or AMBIGUOUS, and anything but
DELIVERED leads to the next one. Going on after AMBIGUOUS is safe because the effect itself is guarded (see
`effect`): whoever comes second waits for the first and returns its result. Every failure is logged with its
reason before the next route's first event.

Bounds: each route has its deadline, and `handover_max_s` bounds the time until the job is handed over or
runs inline, which is bounded in turn. What may take long runs in the background lane; when that is full the
job goes back to the store. Nothing is retried here: a job that found no end goes back to the store too, and
the dispatcher takes it up again later, from the first route on.
"""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, Protocol

from reference_impl import events, tasks_client
from reference_impl.job import Route
from reference_impl.values import WORKER_TASK_PATH

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from reference_impl.breaker import Breaker
    from reference_impl.job import Job
    from reference_impl.lanes import Lane
    from reference_impl.routes import Attempt
    from reference_impl.routes.cloud_tasks import CloudTasksRoute
    from reference_impl.routes.direct_worker import WorkerRoute
    from reference_impl.routes.inline import InlineRoute
    from reference_impl.settings import Settings
    from reference_impl.store import Record

_RETRY_MAX_S = 60.0


class Keeper(Protocol):
    """Who remembers what has become of a job: the store."""

    def hand_over(self, taken: Record, tried: Sequence[str]) -> bool:
        """Somebody confirmed the job; `tried` failed before. False when it is another dispatcher's by now."""

    def give_back(self, taken: Record, delay_s: float) -> bool:
        """Nobody looks after the job any more; it is due again after `delay_s`. False as for `hand_over`."""


class _Run:
    """One pass through the routes: what was tried in vain so far, and why the worker does not do it."""

    def __init__(self, record: Record, deadline: float) -> None:
        self.record = record
        self.deadline = deadline
        self.tried: list[str] = []
        self.reason = ""

    @property
    def job(self) -> Job:
        return self.record.job


class Assembler:
    """Gets one job done, by whichever route works."""

    def __init__(
        self,
        *,
        settings: Settings,
        store: Keeper,
        cloud_tasks: CloudTasksRoute,
        worker: WorkerRoute,
        inline: InlineRoute,
        breaker: Breaker,
        background: Lane,
    ) -> None:
        self._settings = settings
        self._not_given_back: deque[Record] = deque()
        self._store = store
        self._cloud_tasks = cloud_tasks
        self._worker = worker
        self._inline = inline
        self._breaker = breaker
        self._background = background

    def dispatch(self, record: Record) -> None:
        """Take a stored job through the routes; returns soon, the rest goes on in the background."""
        run = _Run(record, deadline=time.monotonic() + self._settings.handover_max_s)
        self._guarded(run, lambda: self._first_step(run))

    def not_begun(self, record: Record, reason: str) -> None:
        """Put a job back for which there was no room: nobody looks after it, and it is due again later."""
        self._give_back(_Run(record, deadline=0.0), reason, "")

    def give_back_again(self) -> None:
        """Tell the store whom nobody looks after, where it could not be told before. Raises what the store raises.

        Until it knows, it keeps this process's claim on such a job alive with all the others.
        """
        while self._not_given_back:
            self._store.give_back(self._not_given_back[0], 0.0)
            self._not_given_back.popleft()

    def _first_step(self, run: _Run) -> None:
        if self._settings.development:
            self._in_background(run, lambda: self._development(run))
        elif run.record.handed_over:
            # It was confirmed long ago and has no effect yet. Cloud Tasks would say that its task exists.
            events.emit(events.OVERDUE, run.job, reason="no-effect-after-handover")
            run.tried = list(run.record.tried)
            self._in_background(run, lambda: self._production_without_cloud_tasks(run))
        elif self._cloud_tasks_accepts(run):
            self._hand_over(run)
        else:
            self._in_background(run, lambda: self._production_without_cloud_tasks(run))

    def _production_without_cloud_tasks(self, run: _Run) -> None:
        if self._worker_confirms(run):
            self._hand_over(run)
            return
        events.emit(events.FALLING_BACK, run.job, reason=run.reason)
        self._run_inline(run)

    def _development(self, run: _Run) -> None:
        attempt = tasks_client._dispatch_local_task(  # noqa: SLF001 — the name that people know it by
            WORKER_TASK_PATH, run.job, self._settings, self._worker
        )
        if attempt is not None and attempt.delivered:
            self._hand_over(run)
            return
        if attempt is not None:
            run.tried.append(Route.WORKER_DIRECT)
        events.say(f"DEV MODE assemble start for episode {run.job.episode_id}")
        self._run_inline(run)

    def _cloud_tasks_accepts(self, run: _Run) -> bool:
        events.emit(events.CHECKING, run.job)
        check = tasks_client.check_cloud_tasks(self._settings)
        events.emit(events.CHECKED, run.job, enabled=check.enabled, reason=check.reason, detail=check.detail)
        if not check.enabled:
            return False
        attempt = self._cloud_tasks.attempt(run.job, self._settings.enqueue_timeout_s)
        if attempt.delivered:
            exists = attempt.reason == "already-exists"
            name = self._cloud_tasks.task_name(run.job)
            events.emit(events.ENQUEUED, run.job, task=name, already_exists=exists)
            return True
        events.emit(
            events.ENQUEUE_FAILED,
            run.job,
            severity="ERROR" if attempt.permanent else "",
            reason=attempt.reason,
            detail=attempt.detail,
            permanent=attempt.permanent,
            verdict=attempt.verdict,
        )
        run.tried.append(Route.CLOUD_TASKS)
        return False

    def _worker_confirms(self, run: _Run) -> bool:
        left_s = run.deadline - time.monotonic()
        skip = self._settings.worker_problem or ("out-of-time" if left_s <= 0 else "")
        attempt = None if skip else self._breaker.call(lambda: self._call_worker(run, left_s))
        if attempt is None:
            run.reason = skip or "circuit-open"
            events.emit(events.WORKER_SKIPPED, run.job, reason=run.reason)
            return False
        if attempt.delivered:
            events.emit(events.WORKER_DISPATCHED, run.job, status=attempt.reason)
            return True
        events.emit(
            events.WORKER_FAILED,
            run.job,
            reason=attempt.reason,
            detail=attempt.detail,
            verdict=attempt.verdict,
        )
        run.reason = attempt.reason
        run.tried.append(Route.WORKER_DIRECT)
        return False

    def _call_worker(self, run: _Run, left_s: float) -> Attempt:
        events.emit(events.TRYING_WORKER, run.job, url=self._settings.worker.assemble)
        return self._worker.attempt(run.job, min(self._settings.worker_timeout_s, left_s))

    def _run_inline(self, run: _Run) -> None:
        attempt = self._inline.attempt(run.job)
        if attempt.delivered:
            self._hand_over(run)
        else:
            self._give_back(run, attempt.reason, attempt.detail)

    def _hand_over(self, run: _Run) -> None:
        self._store.hand_over(run.record, run.tried)

    def _in_background(self, run: _Run, step: Callable[[], None]) -> None:
        if not self._background.submit(lambda: self._guarded(run, step)):
            self._give_back(run, "background-full", "")

    def _guarded(self, run: _Run, step: Callable[[], None]) -> None:
        """Run a step so that not even a bug loses the job."""
        try:
            step()
        except Exception as error:  # noqa: BLE001 — the job is stored and will be taken up again
            self._give_back(run, type(error).__name__, str(error))

    def _give_back(self, run: _Run, reason: str, detail: str) -> None:
        # Longer each time: many jobs that wait for a place must not ask Cloud Tasks many times a second.
        delay_s = min(_RETRY_MAX_S, 2.0 ** min(run.record.dispatches - 1, 10))
        events.emit(events.DEFERRED, run.job, reason=reason, detail=detail, delay_s=delay_s)
        try:
            self._store.give_back(run.record, delay_s)
        except Exception as error:  # noqa: BLE001 — see `give_back_again`
            events.emit(events.STORE_FAILED, run.job, reason=type(error).__name__, detail=str(error))
            self._not_given_back.append(run.record)
