"""Jobs, claims and leases, on both databases."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import event
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.exc import TimeoutError as WaitedTooLong

from reference_impl import store as store_module
from reference_impl.job import Job
from reference_impl.store import Claim, Record, Store
from reference_impl.tests.stores import JOB, Clock, Table, finish, found, publish

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from sqlalchemy import Connection

MANY = 8


@pytest.fixture
def store(make_store: Callable[..., Store], clock: Clock) -> Store:
    store = make_store(clock=clock)
    store.add(JOB)
    return store


ACCEPTED = {
    "job_id": "j1",
    "episode_id": "e1",
    "correlation_id": "c1",
    "title": 'A "title"\n',
    "trace": "t" * 32,
    "created_at": 1_000_000.0,
    "state": "accepted",
    "attempt": 0,
    "lease_until": 0.0,
    "route": "",
    "checksum": "",
    "output": "",
    "error": "",
    "dispatch": "pending",
    "dispatcher": "",
    "dispatch_until": 0.0,
    "due_at": 0.0,
    "dispatches": 0,
    "tried": "",
    "settled": False,
}


def test_what_is_stored_comes_back(store: Store) -> None:
    assert found(store).job == JOB
    assert store.of_episode("e1") == [found(store)]
    assert store.find("j2") is None
    assert store.of_episode("e2") == []
    assert Table(store).last == ACCEPTED


def test_everything_that_is_known_of_a_job_comes_back(store: Store, clock: Clock) -> None:
    clock.now += 1
    store.add(Job("another", "e1", "c1"))
    (taken,) = store.take_due("a", 1, 60)
    finish(store)
    assert store.hand_over(taken, ("cloud_tasks", "worker_direct"))
    assert found(store) == Record(
        job=JOB,
        state="done",
        attempt=1,
        route="inline",
        checksum="c" * 64,
        output="out.wav",
        error="",
        dispatches=1,
        tried=("cloud_tasks", "worker_direct"),
        handed_over=True,
    )


def test_an_episodes_jobs_come_oldest_first_and_then_by_their_key(store: Store, clock: Clock) -> None:
    store.add(Job("b", "e1", "c"))
    store.add(Job("a", "e1", "c"))
    clock.now -= 1  # the clock was set back
    store.add(Job("z", "e1", "c"))
    assert [record.job.job_id for record in store.of_episode("e1")] == ["z", "a", "b", "j1"]


def test_the_table_says_how_the_effect_came_about(store: Store, clock: Clock) -> None:
    store.add(Job("another", "e1", "c1"))
    table, another = Table(store), Table(store, "another")
    assert store.claim("another", "cloud_tasks")
    first = store.claim("j1", "cloud_tasks")
    assert first == Claim("j1", 1)
    running = {"state": "running", "attempt": 1, "lease_until": clock.now + 5, "route": "cloud_tasks"}
    assert table.changes() == another.changes() == running
    clock.now += 2
    assert store.extend(first)
    assert table.changes() == {"lease_until": clock.now + 5}
    assert store.release(first, "shutting-down")
    assert table.changes() == {"state": "accepted", "lease_until": 0.0, "error": "shutting-down"}
    second = store.claim("j1", "inline")
    assert second == Claim("j1", 2)
    table.changes()
    assert publish(store, second)
    assert table.changes() == {
        "state": "done",
        "lease_until": 0.0,
        "checksum": "c" * 64,
        "output": "out.wav",
        "error": "",
    }
    third = store.claim("another", "inline")
    assert third is None
    assert another.changes() == {}


def test_the_table_says_why_a_job_has_failed(store: Store) -> None:
    claim = store.claim("j1", "inline")
    assert claim
    table = Table(store)
    assert store.fail(claim, "not a WAV file")
    assert table.changes() == {"state": "failed", "lease_until": 0.0, "error": "not a WAV file"}


def test_who_gave_a_lease_back_holds_it_no_more(store: Store) -> None:
    claim = store.claim("j1", "inline")
    assert claim
    assert store.release(claim, "shutting-down")
    assert not store.extend(claim)
    assert not publish(store, claim)
    assert not store.release(claim, "again")


def test_a_lease_ends_with_its_last_second(store: Store, clock: Clock) -> None:
    assert store.claim("j1", "inline")
    clock.now += 4.9
    assert store.claim("j1", "inline") is None
    clock.now = 1_000_005.0
    assert store.claim("j1", "inline") == Claim("j1", 2)


def test_who_is_overtaken_between_the_look_and_the_claim_has_none(
    make_store: Callable[..., Store], store: Store, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    other, real = make_store(clock=clock), store._writing
    claims: list[Claim | None] = []

    def overtaken(**options: bool) -> object:
        claims.append(other.claim("j1", "worker_direct"))
        return real(**options)

    monkeypatch.setattr(store, "_writing", overtaken)
    assert store.claim("j1", "inline") is None
    assert claims == [Claim("j1", 1)]
    assert found(store).route == "worker_direct"


def test_one_claimant_at_a_time(store: Store) -> None:
    claim = store.claim("j1", "inline")
    assert claim == Claim("j1", 1)
    assert store.claim("j1", "worker_direct") is None
    assert store.claim("unknown", "inline") is None


def test_many_at_once_get_one_claim(store: Store) -> None:
    start = threading.Barrier(MANY)
    claims: list[Claim | None] = []

    def contend() -> None:
        start.wait()
        claims.append(store.claim("j1", "inline"))

    threads = [threading.Thread(target=contend) for _ in range(MANY)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(claims, key=str) == [Claim("j1", 1), *[None] * (MANY - 1)]


def test_a_lease_runs_out_unless_it_is_extended(store: Store, clock: Clock) -> None:
    first = store.claim("j1", "inline")
    assert first
    clock.now += 4
    assert store.extend(first)
    clock.now += 4
    assert store.claim("j1", "inline") is None
    clock.now += 2
    second = store.claim("j1", "inline")
    assert second == Claim("j1", 2)
    assert not store.extend(first)


def test_who_lost_the_lease_can_do_nothing(store: Store, clock: Clock) -> None:
    first = store.claim("j1", "inline")
    assert first
    clock.now += 6
    second = store.claim("j1", "worker_direct")
    assert second
    moved: list[str] = []
    assert not publish(store, first, lambda: moved.append("first"))
    assert not store.release(first, "late")
    assert not store.fail(first, "late")
    assert publish(store, second, lambda: moved.append("second"))
    assert moved == ["second"]


def test_a_lease_that_ran_out_unnoticed_still_counts_until_somebody_takes_it(
    store: Store, clock: Clock
) -> None:
    claim = store.claim("j1", "inline")
    assert claim
    clock.now += 60
    assert publish(store, claim)


def test_a_finished_job_is_never_claimed_again(store: Store, clock: Clock) -> None:
    claim = store.claim("j1", "inline")
    assert claim
    assert publish(store, claim)
    clock.now += 1000
    assert store.claim("j1", "inline") is None
    assert not publish(store, claim)
    record = found(store)
    assert (record.state, record.checksum, record.output, record.route) == (
        "done",
        "c" * 64,
        "out.wav",
        "inline",
    )


def test_a_failed_move_leaves_the_job_as_it_was(store: Store) -> None:
    claim = store.claim("j1", "inline")
    assert claim

    def fail() -> None:
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        publish(store, claim, fail)
    assert found(store).state == "running"
    assert store.release(claim, "disk full")
    assert store.claim("j1", "inline") == Claim("j1", 2)


def test_a_job_that_can_never_be_done_ends_failed(store: Store) -> None:
    claim = store.claim("j1", "inline")
    assert claim
    assert store.fail(claim, "not a WAV file")
    assert (found(store).ended, found(store).error) == (True, "not a WAV file")
    assert store.claim("j1", "inline") is None


def test_who_only_looks_waits_for_nobody(store: Store) -> None:
    """A look during a slow publication, such as the status of an episode or who waits for its lease."""
    store.add(Job("j2", "e2", "c"))
    claim = store.claim("j1", "inline")
    assert claim
    seen: list[object] = []

    def look() -> None:
        seen.extend(
            [found(store).state, store.of_episode("e2"), store.unsettled(), store.claim("j1", "inline")]
        )

    looking = threading.Thread(target=look)

    def publish_slowly() -> None:
        looking.start()
        looking.join(timeout=4)  # shorter than a writer would wait for the database

    assert publish(store, claim, publish_slowly)
    assert seen == ["running", [found(store, "j2")], True, None]


@pytest.mark.parametrize("change", ["claim", "extend"])
def test_a_term_begins_when_the_database_is_there_and_not_before_the_wait_for_it(
    store: Store, clock: Clock, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    claim = store.claim("j1", "inline") if change == "extend" else None
    real = store._writing

    @contextmanager
    def waited_for(**options: bool) -> Iterator[Connection]:
        clock.now += 4
        with real(**options) as connection:
            yield connection

    with monkeypatch.context() as busy:
        busy.setattr(store, "_writing", waited_for)
        assert store.extend(claim) if claim else store.claim("j1", "inline")
    clock.now += 4
    assert store.claim("j1", "inline") is None


def test_two_processes_open_one_new_database_at_once(make_store: Callable[..., Store]) -> None:
    errors: list[Exception] = []

    def open_it() -> None:
        try:
            make_store()
        except Exception as error:  # noqa: BLE001 — reported below
            errors.append(error)

    threads = [threading.Thread(target=open_it) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []


def test_what_is_stored_is_there_after_reopening(make_store: Callable[..., Store], store: Store) -> None:
    store.close()
    assert found(make_store()).job == JOB


def test_a_database_that_cannot_be_opened_is_an_error() -> None:
    with pytest.raises((SQLAlchemyError, OSError)):
        Store("sqlite:////proc/nowhere/jobs.db", lease_s=5)


class TestSqlite:
    @pytest.fixture
    def own(self, tmp_path: Path) -> Iterator[Store]:
        store = Store(f"sqlite:///{tmp_path / 'own.db'}", lease_s=5)
        yield store
        store.close()

    def test_accepting_a_job_waits_for_the_disk_and_nothing_else_does(self, own: Store) -> None:
        said: list[str] = []
        event.listen(own._engine, "before_cursor_execute", lambda *about: said.append(about[2]))
        own.add(JOB)
        finish(own)
        levels = [each for each in said if each.startswith("PRAGMA")]
        assert levels == ["PRAGMA synchronous=FULL", *["PRAGMA synchronous=NORMAL"] * 2]

    def test_what_is_asked_all_the_time_looks_through_no_ended_jobs(self, own: Store) -> None:
        """There are more of them every day."""
        asked: list[tuple[str, Any]] = []
        event.listen(own._engine, "before_cursor_execute", lambda *about: asked.append(about[2:4]))
        own.unsettled()
        own.settle(lambda _: None)
        own.take_due("a", 1, 60)
        own.of_episode("e1")
        with own._engine.connect() as connection:
            plans = [
                str(connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values).all())
                for statement, values in tuple(asked)
                if "SELECT" in statement
            ]
        assert len(plans) == 4
        assert [plan for plan in plans if "INDEX ix_jobs_" not in plan or "SCAN jobs" in plan] == []

    def test_a_process_that_writes_has_its_other_threads_wait_and_not_for_ever(
        self, own: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        own.add(JOB)
        claim = own.claim("j1", "inline")
        assert claim
        monkeypatch.setattr(store_module, "BUSY_TIMEOUT_S", 0.05)
        told: list[BaseException] = []

        def another() -> None:
            try:
                own.extend(claim)
            except WaitedTooLong as error:
                told.append(error)

        def slow() -> None:
            thread = threading.Thread(target=another)
            thread.start()
            thread.join(timeout=4)

        assert publish(own, claim, slow)
        assert [str(error) for error in told] == ["the database has been busy for too long"]

    def test_the_time_is_the_machines_own(self, own: Store) -> None:
        before = time.time()
        own.add(JOB)
        assert before <= Table(own).last["created_at"] <= time.time()
