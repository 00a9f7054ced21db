"""Jobs, claims and leases: who may do a job's effect, who looks after getting it done, and what became of it.

Guarantee: at most one attempt at a time holds a job's effect lease, a finished job is never claimed again,
and an attempt that lost its lease cannot publish (`publish` moves the files inside the transaction that
checks the lease).

Limits: all claimants must share this store; their clocks may differ by less than the lease; and on
PostgreSQL an attempt whose connection breaks exactly while it moves its files is only caught by the look
for published files that every take-over begins with (see `effect`).

Every method is one short transaction of conditional updates, which both databases execute atomically. All
raise sqlalchemy.exc.SQLAlchemyError when the database cannot be used.
"""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.exc import TimeoutError as WaitedTooLong

from reference_impl.database import BUSY_TIMEOUT_S, open_database
from reference_impl.job import Job

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from sqlalchemy import Connection, Row

_ANNOUNCED_AT_ONCE = 100

# The statements; `database` says why they are written out. A condition has a name where several statements share it.
# ruff: noqa: S608 - every part of a statement stands in this module, and every value is bound
_SELECT = """
    SELECT job_id, episode_id, correlation_id, title, trace, state, attempt, route, checksum, output, error,
        dispatches, tried, dispatch
    FROM jobs WHERE """
_INSERT = """
    INSERT INTO jobs (
        job_id, episode_id, correlation_id, title, trace, created_at,
        state, attempt, lease_until, route, checksum, output, error,
        dispatch, dispatcher, dispatch_until, due_at, dispatches, tried, settled
    ) VALUES (
        :job_id, :episode_id, :correlation_id, :title, :trace, :created_at,
        'accepted', 0, 0, '', '', '', '',
        :dispatch, '', 0, 0, 0, '', FALSE
    )"""
_THE_JOB = "job_id = :the_job"
_OPEN = "state IN ('accepted', 'running')"
_ENDED = "state IN ('done', 'failed')"
_FREE = f"{_THE_JOB} AND {_OPEN} AND lease_until <= :now"
# The attempt number decides and not the time: a lease that has run out still belongs to its holder until somebody
# else takes it.
_HELD = f"{_THE_JOB} AND attempt = :the_attempt AND state = 'running'"
_LAPSED = "(dispatch = 'pending' AND dispatch_until <= :now AND due_at <= :now)"
_OVERDUE = "(dispatch = 'handed_over' AND due_at <= :overdue AND lease_until <= :now)"
_WAITING = f"settled = FALSE AND {_OPEN} AND ({_LAPSED} OR {_OVERDUE})"
# As with the attempt: the number of dispatches tells this one from every earlier and later one.
_RESPONSIBLE = f"{_THE_JOB} AND dispatches = :the_dispatch"
_NOBODY_DISPATCHES = "(dispatch = 'handed_over' OR (dispatch = 'pending' AND dispatch_until <= :now))"
_READY = f"settled = FALSE AND {_ENDED} AND {_NOBODY_DISPATCHES}"


class Record(NamedTuple):
    """What the store knows about one job."""

    job: Job
    state: str
    attempt: int
    route: str
    checksum: str
    output: str
    error: str
    dispatches: int
    tried: tuple[str, ...]
    handed_over: bool

    @property
    def ended(self) -> bool:
        """True when nothing will change any more."""
        return self.state in ("done", "failed")


class Claim(NamedTuple):
    """The right to do one job's effect; `attempt` tells it from every earlier and later one."""

    job_id: str
    attempt: int


class Store:
    """The one place where jobs live. `clock` gives unix seconds."""

    def __init__(self, url: str, *, lease_s: float, clock: Callable[[], float] = time.time) -> None:
        self._engine = open_database(url)
        self._reader = self._engine.execution_options(isolation_level="AUTOCOMMIT")
        self._turn = threading.Lock() if self._engine.dialect.name == "sqlite" else None
        self._clock = clock
        # What this process knows to have taken, and has not said the last word about: which dispatcher has it.
        self._looked_after: dict[tuple[str, int], str] = {}
        self.lease_s = lease_s

    def close(self) -> None:
        """Let go of the database."""
        self._engine.dispose()

    # The jobs.

    def add(self, job: Job, *, external: bool = False) -> Record:
        """Store a job unless it is stored already, and return what is stored.

        `external` marks a job that came to a worker without passing an API of this store: it is guarded
        like any other, but nobody dispatches it.
        """
        known = self.find(job.job_id) if external else None
        if known is None:
            row = {
                **job._asdict(),
                "created_at": self._clock(),
                "dispatch": "external" if external else "pending",
            }
            try:
                with self._writing(durable=True) as connection:
                    connection.execute(text(_INSERT), row)
            except IntegrityError:
                pass  # another delivery of the same job stored it between the look and the insert
            known = self.find(job.job_id)
            assert known is not None  # a stored job is never deleted
        return known

    def find(self, job_id: str) -> Record | None:
        """One job, or None."""
        with self._reader.connect() as connection:
            row = connection.execute(text(_SELECT + _THE_JOB), {"the_job": job_id}).first()
        return None if row is None else _record(row)

    def of_episode(self, episode_id: str) -> list[Record]:
        """An episode's jobs, oldest first."""
        query = text(f"{_SELECT} episode_id = :episode_id ORDER BY created_at, job_id")
        with self._reader.connect() as connection:
            return [_record(row) for row in connection.execute(query, {"episode_id": episode_id})]

    # The effect.

    def claim(self, job_id: str, route: str) -> Claim | None:
        """Take the effect lease; None when the job has ended or somebody else holds it."""
        free = {"the_job": job_id, "now": self._clock()}
        # Who waits for a lease asks often, so asking must lock nothing.
        with self._reader.connect() as connection:
            if not connection.scalar(text(f"SELECT EXISTS (SELECT 1 FROM jobs WHERE {_FREE})"), free):
                return None
        take = text(
            f"UPDATE jobs SET state = 'running', attempt = attempt + 1, lease_until = :until, route = :route"
            f" WHERE {_FREE}"
        )
        with self._writing() as connection:
            until = self._clock() + self.lease_s  # begins now: the wait for the database may have been long
            if connection.execute(take, {**free, "until": until, "route": route}).rowcount != 1:
                return None
            attempt = connection.execute(
                text(f"SELECT attempt FROM jobs WHERE {_THE_JOB}"), free
            ).scalar_one()
        return Claim(job_id, attempt)

    def extend(self, claim: Claim) -> bool:
        """The heartbeat: hold the lease for another term; False when it belongs to somebody else by now."""
        with self._writing() as connection:
            until = self._clock() + self.lease_s  # begins now, as in `claim`
            return _update(connection, _HELD, _holder(claim), lease_until=until) == 1

    def release(self, claim: Claim, error: str) -> bool:
        """Give the lease back with nothing done, so that the next attempt need not wait for it to expire."""
        return self._change(_HELD, _holder(claim), state="accepted", lease_until=0.0, error=error)

    def fail(self, claim: Claim, error: str) -> bool:
        """End the job without an effect: no attempt can ever do it."""
        return self._change(_HELD, _holder(claim), state="failed", lease_until=0.0, error=error)

    def publish(
        self, claim: Claim, *, checksum: str, output: str, route: str, move: Callable[[], None]
    ) -> bool:
        """End the job with its effect: `move` makes the files visible while nobody else can take the lease.

        False, and `move` is not called, when the lease was lost. An exception of `move` leaves the job as
        it was.
        """
        done = {"state": "done", "checksum": checksum, "output": output, "route": route, "error": ""}
        with self._writing() as connection:
            if _update(connection, _HELD, _holder(claim), **done, lease_until=0.0) != 1:
                return False
            move()
        return True

    # The dispatch.

    def take_due(self, dispatcher: str, limit: int, overdue_s: float) -> list[Record]:
        """Make this dispatcher responsible for up to `limit` jobs that nobody looks after, oldest first.

        What it gets says whether each was handed over before, and is its title to `hand_over` and `give_back`.
        These are: accepted and never dispatched, given back and due again, left behind by a process that
        died, and handed over more than `overdue_s` ago without anybody working on them now. What the dispatcher
        itself still looks after is none of them, however late its heartbeat was: a machine that stands still for
        a while makes nobody do the same thing twice.
        """
        now = self._clock()
        waiting = {"now": now, "overdue": now - overdue_s}
        query = text(f"{_SELECT} {_WAITING} ORDER BY created_at LIMIT :limit")
        with self._reader.connect() as connection:
            rows = connection.execute(query, {**waiting, "limit": limit}).all()
        taken = []
        for row in rows:
            as_it_was = _record(row)
            if self._looked_after.get(_title(as_it_was)) == dispatcher:
                continue
            mine = as_it_was._replace(dispatches=as_it_was.dispatches + 1)
            if self._change(
                f"{_RESPONSIBLE} AND {_WAITING}",
                {**_responsible(as_it_was), **waiting},
                dispatch="pending",
                dispatcher=dispatcher,
                dispatch_until=now + self.lease_s,
                dispatches=mine.dispatches,
            ):
                taken.append(mine)
        self._looked_after.update(dict.fromkeys(map(_title, taken), dispatcher))
        return taken

    def keep_dispatches(self, dispatcher: str) -> None:
        """The dispatcher's heartbeat for everything that it got from `take_due` and still looks after.

        And for nothing else: when the database broke off while jobs were taken, some may be the dispatcher's
        without its knowing. Those must run out, or they would wait for as long as this process lives.
        """
        titles = self._titles_of(dispatcher)
        if not titles:
            return
        keep = text(
            f"UPDATE jobs SET dispatch_until = :until"
            f" WHERE {_RESPONSIBLE} AND dispatcher = :dispatcher AND settled = FALSE"
        )
        with self._writing() as connection:
            until = self._clock() + self.lease_s  # begins now, as in `claim`
            connection.execute(
                keep,
                [
                    {"until": until, "the_job": job_id, "the_dispatch": dispatch, "dispatcher": dispatcher}
                    for job_id, dispatch in titles
                ],
            )

    def hand_over(self, taken: Record, tried: Sequence[str]) -> bool:
        """Somebody confirmed the job: the dispatcher's part is done. `tried` failed before.

        False, and nothing changes, when another dispatcher took the job up meanwhile: it decides now.
        """
        return self._let_go(
            taken,
            dispatch="handed_over",
            due_at=self._clock(),
            tried=",".join(tried),
        )

    def give_back(self, taken: Record, delay_s: float) -> bool:
        """Nobody looks after the job any more; it is due again after `delay_s`. False as for `hand_over`."""
        return self._let_go(taken, due_at=self._clock() + delay_s)

    def give_back_all(self, dispatcher: str) -> None:
        """At shut-down: let the next process take up at once what this one still looks after."""
        self._change(
            "dispatcher = :the_dispatcher", {"the_dispatcher": dispatcher}, dispatcher="", dispatch_until=0.0
        )
        for title in self._titles_of(dispatcher):
            self._looked_after.pop(title, None)

    def settle(self, announce: Callable[[Record], None], limit: int = _ANNOUNCED_AT_ONCE) -> int:
        """Announce each ended job once, and return how many were announced.

        The mark and the announcement are one transaction: when the process dies before the announcement,
        the mark is gone too and another process announces. Dying in the instant between the two repeats the
        announcement.
        """
        query = text(f"{_SELECT} {_READY} ORDER BY created_at LIMIT :limit")
        with self._reader.connect() as connection:
            rows = connection.execute(query, {"now": self._clock(), "limit": limit}).all()
        for row in rows:
            the_job = {"the_job": row.job_id}
            with self._writing() as connection:
                if _update(connection, f"{_THE_JOB} AND settled = FALSE", the_job, settled=True) == 1:
                    announce(_record(row))
        return len(rows)

    def unsettled(self) -> bool:
        """True while any accepted job has not come to its end."""
        query = "SELECT EXISTS (SELECT 1 FROM jobs WHERE settled = FALSE AND dispatch <> 'external')"
        with self._reader.connect() as connection:
            return bool(connection.scalar(text(query)))

    @contextmanager
    def _writing(self, *, durable: bool = False) -> Iterator[Connection]:
        """One transaction.

        On SQLite, which has one writer, this process's threads queue up here: SQLite's own way of waiting
        is to try again now and then, and under load somebody never gets a turn.
        """
        if self._turn is not None and not self._turn.acquire(timeout=BUSY_TIMEOUT_S):
            raise WaitedTooLong("the database has been busy for too long")
        try:
            with self._engine.execution_options(durable=durable).begin() as connection:
                yield connection
        finally:
            if self._turn is not None:
                self._turn.release()

    def _titles_of(self, dispatcher: str) -> list[tuple[str, int]]:
        return [title for title, whose in self._looked_after.copy().items() if whose == dispatcher]

    def _let_go(self, taken: Record, **values: Any) -> bool:
        mine = self._change(_RESPONSIBLE, _responsible(taken), dispatcher="", dispatch_until=0.0, **values)
        self._looked_after.pop(_title(taken), None)
        return mine

    def _change(self, where: str, parameters: Mapping[str, Any], **values: Any) -> bool:
        with self._writing() as connection:
            return _update(connection, where, parameters, **values) == 1


def _update(connection: Connection, where: str, parameters: Mapping[str, Any], **values: Any) -> int:
    """Set columns of the rows that a condition selects; none of its parameters is called like a column."""
    columns = ", ".join(f"{name} = :{name}" for name in values)
    return connection.execute(
        text(f"UPDATE jobs SET {columns} WHERE {where}"), {**values, **parameters}
    ).rowcount


def _holder(claim: Claim) -> dict[str, Any]:
    return {"the_job": claim.job_id, "the_attempt": claim.attempt}


def _title(taken: Record) -> tuple[str, int]:
    return taken.job.job_id, taken.dispatches


def _responsible(taken: Record) -> dict[str, Any]:
    return {"the_job": taken.job.job_id, "the_dispatch": taken.dispatches}


def _record(row: Row[Any]) -> Record:
    return Record(
        job=Job(row.job_id, row.episode_id, row.correlation_id, row.title, row.trace),
        state=row.state,
        attempt=row.attempt,
        route=row.route,
        checksum=row.checksum,
        output=row.output,
        error=row.error,
        dispatches=row.dispatches,
        tried=tuple(part for part in row.tried.split(",") if part),
        handed_over=row.dispatch == "handed_over",
    )
