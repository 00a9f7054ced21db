"""The decision table: which way a job must take, what must be logged, and how often it is assembled.

Written from the requirements, for dispatchers in general and independent of any: nothing here is imported from, or
copied out of, a system under test. What a class of input means stands in the tables of ``cells``; ``decide`` reads them
in the order in which the requirements put the routes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from harness.model import Mode, Route, Setting, Step
from harness.oracles.cells import (
    APP_ENV,
    CLIENT,
    CLOUD_TASKS,
    NOT_GIVEN,
    NOT_TRIED,
    ODD,
    ON,
    QUEUE,
    SECRET,
    WORKER,
    WORKER_FLAG,
    WORKER_URL,
    Cell,
    Means,
)

CHECKING = "assemble.service.checking_cloud_tasks"
CHECKED = "assemble.service.cloud_tasks_check"
ENQUEUED = "tasks.cloud.enqueued"
ENQUEUE_FAILED = "tasks.cloud.enqueue_failed"
TRYING = "assemble.service.trying_worker_direct"
DISPATCHED = "assemble.service.worker_direct_dispatched"
DIRECT_FAILED = "assemble.service.worker_direct_failed"
FALLING_BACK = "assemble.service.falling_back_to_inline"
BANNER = "dev.worker_check"
SENDING = "dev.sending_to_worker"
NOT_USED = "dev.worker_not_used"
LOCAL = "dev.local_start"
A_FAILURE = "(an event that tells of a failed route)"
"""Stands for any event whose name ends in ``failed``, where the requirements give it no name."""
A_SKIP = "(an event that tells of a skipped route)"
"""The same for ``skipped``."""

VOCABULARY: Final = frozenset(
    {
        *(CHECKING, CHECKED, ENQUEUED, ENQUEUE_FAILED, TRYING, DISPATCHED, DIRECT_FAILED, FALLING_BACK),
        *(BANNER, SENDING, NOT_USED, LOCAL, A_FAILURE, A_SKIP),
    }
)
"""The events that tell a job's way. Each is logged where the table says so, once, and nowhere else."""


@dataclass(frozen=True, slots=True)
class Said:
    """An event that must be logged.

    Attributes:
        reasons: one of these must be its reason, in the words of the fault catalogue; none for no such demand, and ""
            among them for any reason.
        permanent: what its field of that name must say; None for no such demand.
    """

    event: str
    reasons: frozenset[str] = frozenset()
    permanent: bool | None = None

    def __str__(self) -> str:
        """The event as it would be logged."""
        reason = f" reason={' or '.join(sorted(r or '(any)' for r in self.reasons))}" if self.reasons else ""
        permanent = f" permanent={str(self.permanent).lower()}" if self.permanent is not None else ""
        return f"{self.event}{reason}{permanent}"


@dataclass(frozen=True, slots=True)
class Decision:
    """What the requirements make of a cell.

    Attributes:
        way: the job's way; empty where the process must refuse to start.
        said: the events of the vocabulary, in order.
        warned: settings of which the log must say that they are odd, with the reasons that may stand for it; none
            where the variable's name says enough.
        done_by: who assembles, ``api`` or ``worker``; "" where that is left to a race, or nobody does.
        doubtful: an answer was lost on the way, so that only an idempotent dispatcher can promise one effect.
    """

    way: tuple[Step, ...] = ()
    said: tuple[Said, ...] = ()
    warned: Mapping[Setting, frozenset[str]] = field(default_factory=dict)
    done_by: str = ""
    doubtful: bool = False

    @property
    def starts(self) -> bool:
        """Whether the process starts at all."""
        return bool(self.way)


_NOTHING = Means(served=False, done=False)


def decide(at: Cell) -> Decision:
    """Read the tables for one cell."""
    match APP_ENV[at.app_env]:
        case Mode.DEV:
            return _in_development(at)
        case Mode.PROD:
            return _in_production(at)
        case None:
            return Decision()


def _in_development(at: Cell) -> Decision:
    warned = _warnings(at)
    if WORKER_FLAG[at.worker_flag] is not ON or _worker_problems(at):
        way = (Route.WORKER_DIRECT.skipped, Route.INLINE.served)
        return Decision(way, (Said(BANNER), Said(NOT_USED), Said(LOCAL)), warned, done_by="api")
    worker = WORKER[at.worker]
    begun = (Said(BANNER), Said(SENDING))
    if worker.served:
        return Decision((Route.WORKER_DIRECT.served,), begun, warned, done_by="worker")
    way = (Route.WORKER_DIRECT.failed, Route.INLINE.served)
    said = (*begun, Said(A_FAILURE, frozenset({worker.reason})), Said(LOCAL))
    return Decision(way, said, warned, "worker" if worker.done else "api", doubtful=worker.done)


def _in_production(at: Cell) -> Decision:
    warned = _warnings(at)
    queue, queue_step, queue_said = _try_cloud_tasks(at)
    if queue_step == Route.CLOUD_TASKS.served:
        return Decision((queue_step,), queue_said, warned, done_by="worker")
    worker, worker_step, worker_said = _try_worker(at)
    said = (*queue_said, *worker_said)
    doubtful = queue.done or (worker.done and not worker.served)
    if worker_step == Route.WORKER_DIRECT.served:
        return Decision((queue_step, worker_step), said, warned, "worker", doubtful)
    way = (queue_step, worker_step, Route.INLINE.served)
    done_by = "worker" if worker.done else "" if queue.done else "api"
    return Decision(way, (*said, Said(FALLING_BACK)), warned, done_by, doubtful)


def _try_cloud_tasks(at: Cell) -> tuple[Means, Step, tuple[Said, ...]]:
    problems = _worker_problems(at)  # without a worker to be called there is no task to be made
    if QUEUE[at.queue]:
        problems |= {QUEUE[at.queue]}
    if at.client in NOT_TRIED:
        problems |= {CLIENT[at.client].reason}
    if problems:
        return _NOTHING, Route.CLOUD_TASKS.skipped, (Said(CHECKING), Said(CHECKED, problems))
    answer = CLOUD_TASKS[at.cloud_tasks] if CLIENT[at.client].served else CLIENT[at.client]
    begun = (Said(CHECKING), Said(CHECKED))
    if answer.served:
        return answer, Route.CLOUD_TASKS.served, (*begun, Said(ENQUEUED))
    failed = Said(ENQUEUE_FAILED, frozenset({answer.reason}), answer.permanent)
    return answer, Route.CLOUD_TASKS.failed, (*begun, failed)


def _try_worker(at: Cell) -> tuple[Means, Step, tuple[Said, ...]]:
    problems = _worker_problems(at)
    if problems:
        return _NOTHING, Route.WORKER_DIRECT.skipped, (Said(A_SKIP, problems),)
    answer = WORKER[at.worker]
    if answer.served:
        return answer, Route.WORKER_DIRECT.served, (Said(TRYING), Said(DISPATCHED))
    failed = Said(DIRECT_FAILED, frozenset({answer.reason}))
    return answer, Route.WORKER_DIRECT.failed, (Said(TRYING), failed)


def _worker_problems(at: Cell) -> frozenset[str]:
    """Why the worker cannot be called; "" among them for a reason that may have any name."""
    problems = {
        WORKER_URL[at.worker_url] or None,
        "" if SECRET[at.secret] is None else SECRET[at.secret] or None,
    }
    return frozenset(problem for problem in problems if problem is not None)


def _warnings(at: Cell) -> dict[Setting, frozenset[str]]:
    warned: dict[Setting, frozenset[str]] = {}
    if WORKER_FLAG[at.worker_flag] is ODD:
        warned[Setting.WORKER_FLAG] = frozenset()
    problem = WORKER_URL[at.worker_url]
    if problem and problem != NOT_GIVEN:
        warned[Setting.WORKER_URL] = frozenset({problem, problem.removeprefix("worker-url-")})
    if at.app_env == "unset-on-cloud-run":
        warned[Setting.APP_ENV] = frozenset()
    return warned
