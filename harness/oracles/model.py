"""The decision table: which way a job must take, what must be logged, and how often it is assembled.

Written from the requirements, for dispatchers in general and independent of any: nothing here is imported from, or
copied out of, a system under test. The tables are the whole of it; ``decide`` only reads them from left to right, as a
person would.

A *cell* is one row of input: a class of each setting, what Cloud Tasks does, and what the worker does. Classes are
names, not values: what stands in the environment for ``worker_url=no-scheme``, and how ``worker=reset`` is brought
about, is the business of the topology that runs the cell.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Final

from harness.errors import UsageError
from harness.model import Mode, Route, Setting, Step

# -- the dimensions: every class, and what it means ------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Means:
    """What an answer of a dependency means.

    Attributes:
        served: the caller has its confirmation, and stops here.
        done: the operation took effect, whatever the caller was told.
        reason: what the log must give as the reason, in the words of the fault catalogue; "" for any reason.
        permanent: whether the log must call it a mistake that will not pass; None where nothing is prescribed.
    """

    served: bool
    done: bool
    reason: str = ""
    permanent: bool | None = None


_YES = Means(served=True, done=True)


def _no(reason: str, *, permanent: bool | None = None) -> Means:
    """Not done, and not confirmed."""
    return Means(served=False, done=False, reason=reason, permanent=permanent)


def _lost(reason: str) -> Means:
    """Done, and the caller cannot know."""
    return Means(served=False, done=True, reason=reason)


APP_ENV: Final[Mapping[str, Mode | None]] = {  # DEV-01, CONF-07, CONF-08; None: the process refuses to start
    "production": Mode.PROD,
    "prod": Mode.PROD,
    "staging": Mode.PROD,
    "PRODUCTION": Mode.PROD,
    "unset-on-cloud-run": Mode.PROD,
    "development": Mode.DEV,
    "dev": Mode.DEV,
    "local": Mode.DEV,
    "Development": Mode.DEV,
    "empty": Mode.DEV,
    "unset": Mode.DEV,
    "misspelt": None,
}

_ON, _OFF, _ODD = True, False, None
WORKER_FLAG: Final[Mapping[str, bool | None]] = {  # CONF-03; an odd value counts as off, with a warning
    "unset": _OFF,
    "true": _ON,
    "1": _ON,
    "YES": _ON,
    "on-in-spaces": _ON,
    "true-in-quotes": _ON,
    "false": _OFF,
    "0": _OFF,
    "No": _OFF,
    "off-in-spaces": _OFF,
    "false-in-quotes": _OFF,
    "empty": _OFF,
    "maybe": _ODD,
}

WORKER_URL: Final[Mapping[str, str]] = {  # CONF-04; why it cannot be used
    "valid": "",
    "slashes": "",
    "path": "",
    "unset": "worker-url-not-set",
    "empty": "worker-url-not-set",
    "no-scheme": "worker-url-no-scheme",
    "host-and-port": "worker-url-no-scheme",
    "wrong-scheme": "worker-url-wrong-scheme",
    "no-host": "worker-url-no-host",
    "space-inside": "worker-url-whitespace",
    "space-after": "worker-url-whitespace",
}
_NOT_GIVEN = "worker-url-not-set"

SECRET: Final[Mapping[str, str | None]] = {  # DEV-05, PROD-06; why no request could carry it, None for any reason
    "set": "",
    "odd-characters": "",
    "unset": "tasks-auth-not-set",
    "empty": "tasks-auth-not-set",
    "blank": "tasks-auth-not-set",
    "unsendable": None,
}

QUEUE: Final[Mapping[str, str]] = {  # PROD-04; why there is no queue to use
    "complete": "",
    "no-project": "not-configured",
    "no-location": "not-configured",
    "no-queue": "not-configured",
    "empty-queue": "not-configured",
    "nothing": "not-configured",
}

CLIENT: Final[Mapping[str, Means]] = {  # PROD-04, PROD-12
    "installed": _YES,
    "library-missing": _no("library-missing"),
    "no-credentials": _no("client-unavailable"),
    "unreadable-credentials": _no("client-unavailable"),
}
_NOT_TRIED = frozenset({"library-missing"})  # known before there is a job

CLOUD_TASKS: Final[Mapping[str, Means]] = {  # PROD-03, PROD-08, PROD-09, ONCE-02
    "ok": _YES,
    "already-exists": _YES,  # the task is there, as the dispatcher wanted
    "not-found": _no("not-found", permanent=True),
    "permission-denied": _no("permission-denied", permanent=True),
    "unauthenticated": _no("unauthenticated", permanent=True),
    "invalid-argument": _no("invalid-argument", permanent=True),
    "failed-precondition": _no("failed-precondition"),
    "out-of-range": _no("out-of-range"),
    "unimplemented": _no("unimplemented"),
    "resource-exhausted": _no("resource-exhausted", permanent=False),
    "aborted": _no("aborted", permanent=False),
    "cancelled": _no("cancelled", permanent=False),
    "unknown": _no("unknown", permanent=False),
    "deadline-exceeded": _no("deadline-exceeded", permanent=False),
    "internal": _no("internal", permanent=False),
    "unavailable": _no("unavailable", permanent=False),
    "data-loss": _no("data-loss", permanent=False),
    "reset": _no("unavailable", permanent=False),
    "garbage": _no("internal", permanent=False),
    "connection-refused": _no("connection-refused", permanent=False),
    "no-such-host": _no("dns", permanent=False),
    "created-then-timeout": _lost("deadline-exceeded"),
    "created-then-unavailable": _lost("unavailable"),
    "created-then-reset": _lost("unavailable"),
    "created-then-garbage": _lost("internal"),
}

WORKER: Final[Mapping[str, Means]] = {  # PROD-05, DEV-07, LOG-03, ONCE-03
    "done": _YES,
    "foreign-page": _no("bad-reply"),
    "empty-200": _no("bad-reply"),
    "no-content": _no("bad-reply"),
    "another-job": _no("bad-reply"),
    "301": _no("http-301"),
    "307": _no("http-307"),
    "400": _no("http-400"),
    "401": _no("http-401"),
    "403": _no("http-403"),
    "404": _no("http-404"),
    "408": _no("http-408"),
    "413": _no("http-413"),
    "429": _no("http-429"),
    "500": _no("http-500"),
    "502": _no("http-502"),
    "503": _no("http-503"),
    "504": _no("http-504"),
    "connection-refused": _no("connection-refused"),
    "no-such-host": _no("dns"),
    "tls": _no("tls"),
    "connect-timeout": _no("connect-timeout"),
    "timeout": _no("timeout"),
    "reset": _no("connection-reset"),
    "garbage": _no("protocol-error"),
    "done-then-reset": _lost("connection-reset"),
    "done-then-timeout": _lost("timeout"),
    "done-then-502": _lost("http-502"),
    "done-then-garbage": _lost("protocol-error"),
}

REQUEST: Final[Mapping[str, None]] = {  # LOG-06; decides nothing, and must not break a header, a body or a line
    "plain": None,
    "titled": None,
    "hostile-title": None,
}


@dataclass(frozen=True, slots=True)
class Cell:
    """One combination: a class of every dimension."""

    app_env: str = "production"
    worker_flag: str = "unset"
    worker_url: str = "valid"
    secret: str = "set"  # noqa: S105 - the name of a class
    queue: str = "complete"
    client: str = "installed"
    cloud_tasks: str = "ok"
    worker: str = "done"
    request: str = "plain"

    def __str__(self) -> str:
        """For example ``app_env=dev,worker_flag=true,worker=reset``; what is not said is as in ``Cell()``."""
        said = [f for f in fields(self) if f.name == "app_env" or getattr(self, f.name) != f.default]
        return ",".join(f"{f.name}={getattr(self, f.name)}" for f in said)


DIMENSIONS: Final[Mapping[str, Mapping[str, object]]] = {
    "app_env": APP_ENV,
    "worker_flag": WORKER_FLAG,
    "worker_url": WORKER_URL,
    "secret": SECRET,
    "queue": QUEUE,
    "client": CLIENT,
    "cloud_tasks": CLOUD_TASKS,
    "worker": WORKER,
    "request": REQUEST,
}


def cell(name: str) -> Cell:
    """The cell of a name.

    Raises:
        UsageError: a dimension or a class is not in the tables; the message lists those that are.
    """
    classes: dict[str, str] = {}
    for part in name.split(","):
        dimension, _, value = part.strip().partition("=")
        if dimension not in DIMENSIONS:
            raise UsageError(
                f"the cell {name!r} has no dimension {dimension!r}; the dimensions are {', '.join(DIMENSIONS)}, "
                f"and a cell is written like {Cell(cloud_tasks='unavailable')}"
            )
        if value not in DIMENSIONS[dimension]:
            known = ", ".join(DIMENSIONS[dimension])
            raise UsageError(f"the cell {name!r} has no {dimension}={value}; the classes are {known}")
        if dimension in classes:
            raise UsageError(f"the cell {name!r} gives {dimension} twice")
        classes[dimension] = value
    return Cell(**classes)


# -- what must come of a cell ----------------------------------------------------------------------------------------

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
    if WORKER_FLAG[at.worker_flag] is not _ON or _worker_problems(at):
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
    way, said = (queue_step, worker_step), (*queue_said, *worker_said)
    doubtful = queue.done or (worker.done and not worker.served)
    if worker_step == Route.WORKER_DIRECT.served:
        return Decision(way, said, warned, "worker", doubtful)
    way, said = (*way, Route.INLINE.served), (*said, Said(FALLING_BACK))
    if worker.done:
        return Decision(way, said, warned, "worker", doubtful)
    return Decision(way, said, warned, "" if queue.done else "api", doubtful)


def _try_cloud_tasks(at: Cell) -> tuple[Means, Step, tuple[Said, ...]]:
    problems = _worker_problems(at)  # without a worker to be called there is no task to be made
    if QUEUE[at.queue]:
        problems |= {QUEUE[at.queue]}
    if at.client in _NOT_TRIED:
        problems |= {CLIENT[at.client].reason}
    if problems:
        return _no(""), Route.CLOUD_TASKS.skipped, (Said(CHECKING), Said(CHECKED, problems))
    answer = CLOUD_TASKS[at.cloud_tasks] if CLIENT[at.client].served else CLIENT[at.client]
    begun = (Said(CHECKING), Said(CHECKED))
    if answer.served:
        return answer, Route.CLOUD_TASKS.served, (*begun, Said(ENQUEUED))
    failed = Said(ENQUEUE_FAILED, frozenset({answer.reason}), answer.permanent)
    return answer, Route.CLOUD_TASKS.failed, (*begun, failed)


def _try_worker(at: Cell) -> tuple[Means, Step, tuple[Said, ...]]:
    problems = _worker_problems(at)
    if problems:
        return _no(""), Route.WORKER_DIRECT.skipped, (Said(A_SKIP, problems),)
    answer = WORKER[at.worker]
    if answer.served:
        return answer, Route.WORKER_DIRECT.served, (Said(TRYING), Said(DISPATCHED))
    failed = Said(DIRECT_FAILED, frozenset({answer.reason}))
    return answer, Route.WORKER_DIRECT.failed, (Said(TRYING), failed)


def _worker_problems(at: Cell) -> frozenset[str]:
    """Why the worker cannot be called; "" among them for a reason that may have any name."""
    problems = {WORKER_URL[at.worker_url] or None, "" if SECRET[at.secret] is None else SECRET[at.secret] or None}
    return frozenset(problem for problem in problems if problem is not None)


def _warnings(at: Cell) -> dict[Setting, frozenset[str]]:
    warned: dict[Setting, frozenset[str]] = {}
    if WORKER_FLAG[at.worker_flag] is _ODD:
        warned[Setting.WORKER_FLAG] = frozenset()
    problem = WORKER_URL[at.worker_url]
    if problem and problem != _NOT_GIVEN:
        warned[Setting.WORKER_URL] = frozenset({problem, problem.removeprefix("worker-url-")})
    if at.app_env == "unset-on-cloud-run":
        warned[Setting.APP_ENV] = frozenset()
    return warned
