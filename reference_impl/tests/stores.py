"""What the tests of the store share: a clock that is told the time, and a look at the table itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import text

from reference_impl.job import Job

if TYPE_CHECKING:
    from collections.abc import Callable

    from reference_impl.store import Claim, Record, Store

JOB = Job("j1", "e1", "c1", title='A "title"\n', trace="t" * 32)


class Clock:
    """Unix seconds that move when told to."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


class Table:
    """What the table says of a job, for whoever asks it in SQL."""

    def __init__(self, store: Store, job_id: str = "j1") -> None:
        self._store = store
        self._job_id = job_id
        self.last = self._now()

    def changes(self) -> dict[str, Any]:
        """The columns that have changed since the last look, and how they are now."""
        before, self.last = self.last, self._now()
        return {column: value for column, value in self.last.items() if value != before[column]}

    def _now(self) -> dict[str, Any]:
        with self._store._engine.connect() as connection:
            found = connection.execute(text("SELECT * FROM jobs WHERE job_id = :it"), {"it": self._job_id})
            return dict(found.mappings().one())


def publish(store: Store, claim: Claim, move: Callable[[], None] = lambda: None) -> bool:
    return store.publish(claim, checksum="c" * 64, output="out.wav", route="inline", move=move)


def found(store: Store, job_id: str = "j1") -> Record:
    record = store.find(job_id)
    assert record is not None
    return record


def finish(store: Store, job_id: str = "j1") -> None:
    claim = store.claim(job_id, "inline")
    assert claim
    assert publish(store, claim)
