"""What a full disk is about: an episode that does not fit, and nothing that stood there before."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing

from harness import faults
from harness.topologies.system import System

_BULK_BYTES = 3_000_000  # less than makes SQLite begin its log again from the start


def test_a_worker_can_still_append_to_what_earlier_jobs_have_left(systems: Callable[[], System]) -> None:
    """Else the same scenario meets another failure, by how many jobs its worker served before."""
    system = systems()
    with closing(sqlite3.connect(system.ground.storage / "jobs.db")) as database:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("CREATE TABLE bulk (data BLOB)")
        database.execute("INSERT INTO bulk VALUES (zeroblob(?))", [_BULK_BYTES])
        database.commit()
        log = system.ground.storage / "jobs.db-wal"
        assert log.stat().st_size > _BULK_BYTES

        system.inject(faults.WORKER_DISK_FULL)
        job = system.assemble()
        system.wait_for("worker.assemble.failed", by="worker")
        system.heal()
        job.settle().must_have_one_effect()

    failures = [o for o in system.journal.observations if o.fields.get("event") == "worker.assemble.failed"]
    assert {o.fields["data"]["reason"] for o in failures} == {faults.WORKER_DISK_FULL.reason}
