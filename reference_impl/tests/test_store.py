"""Jobs, claims and leases, on both databases."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from reference_impl.job import Job
from reference_impl.store import Claim, Record, Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import ColumnElement, Connection

JOB = Job("j1", "e1", "c1", title='A "title"\n', trace="t" * 32)
MANY = 8


class Clock:
    """Unix seconds that move when told to."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(make_store: Callable[..., Store], clock: Clock) -> Store:
    store = make_store(clock=clock)
    store.add(JOB)
    return store


def publish(store: Store, claim: Claim, move: Callable[[], None] = lambda: None) -> bool:
    return store.publish(claim, checksum="c" * 64, output="out.wav", route="inline", move=move)


def found(store: Store, job_id: str = "j1") -> Record:
    record = store.find(job_id)
    assert record is not None
    return record


def test_what_is_stored_comes_back(store: Store) -> None:
    assert found(store).job == JOB
    assert store.of_episode("e1") == [found(store)]
    assert store.find("j2") is None
    assert store.of_episode("e2") == []


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


def test_due_jobs_are_taken_once_oldest_first(store: Store, clock: Clock) -> None:
    for number in (2, 3):
        clock.now += 1
        store.add(Job(f"j{number}", "e1", "c"))
    assert [r.job.job_id for r in store.take_due("a", 2, 60)] == ["j1", "j2"]
    assert [r.job.job_id for r in store.take_due("b", 2, 60)] == ["j3"]
    assert store.take_due("c", 2, 60) == []


def test_a_dispatch_is_kept_by_its_heartbeat_and_lost_without(store: Store, clock: Clock) -> None:
    store.take_due("a", 1, 60)
    clock.now += 4
    store.keep_dispatches("a")
    clock.now += 4
    assert store.take_due("b", 1, 60) == []
    clock.now += 2
    assert len(store.take_due("b", 1, 60)) == 1


def test_a_dispatcher_takes_nothing_up_again_that_it_still_looks_after(store: Store, clock: Clock) -> None:
    """On a machine that stood still its heartbeat is late: somebody else may take the job up, but not itself."""
    (taken,) = store.take_due("a", 1, 60)
    clock.now += 10

    assert store.take_due("a", 1, 60) == []
    store.keep_dispatches("a")
    assert store.take_due("b", 1, 60) == []
    assert store.give_back(taken, 0.0)
    assert len(store.take_due("a", 1, 60)) == 1


def test_a_heartbeat_counts_from_when_the_database_was_free(
    store: Store, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.take_due("a", 1, 60)
    real = store._writing

    @contextmanager
    def after_a_while() -> Iterator[Connection]:
        clock.now += 10
        with real() as connection:
            yield connection

    with monkeypatch.context() as busy:
        busy.setattr(store, "_writing", after_a_while)
        store.keep_dispatches("a")
    assert store.take_due("b", 1, 60) == []


@pytest.mark.parametrize("loses", ["the first", "the second"])
def test_jobs_that_nobody_knows_to_have_been_taken_are_not_kept(
    store: Store, clock: Clock, monkeypatch: pytest.MonkeyPatch, loses: str
) -> None:
    """The database had it and could not say so, or could not be written when the next one was to be taken."""
    store.add(Job("j2", "e2", "c"))
    real, left = store._change, ["the first", "the second"]

    def unconfirmed(where: ColumnElement[bool], **values: object) -> bool:
        changed = real(where, **values)
        if left.pop(0) == loses:
            raise OperationalError("COMMIT", {}, Exception("the connection is gone"))
        return changed

    with monkeypatch.context() as gone:
        gone.setattr(store, "_change", unconfirmed)
        with pytest.raises(OperationalError):
            store.take_due("a", 2, 60)
    for _ in range(3):
        clock.now += 2
        store.keep_dispatches("a")
    assert {record.job.job_id for record in store.take_due("a", 2, 60)} == {"j1", "j2"}


def test_what_is_given_back_is_due_later(store: Store, clock: Clock) -> None:
    (first,) = store.take_due("a", 1, 60)
    assert store.give_back(first, 3)
    assert store.take_due("b", 1, 60) == []
    clock.now += 3
    (second,) = store.take_due("b", 1, 60)
    assert (first.dispatches, second.dispatches) == (1, 2)


def test_who_lost_the_dispatch_decides_nothing(store: Store, clock: Clock) -> None:
    (late,) = store.take_due("a", 1, 60)
    clock.now += 6
    (now,) = store.take_due("b", 1, 60)
    assert not store.hand_over(late, ("worker_direct",))
    assert not store.give_back(late, 0)
    assert not found(store).handed_over
    assert store.take_due("c", 1, 60) == []
    assert store.hand_over(now, ())
    assert (found(store).handed_over, found(store).tried) == (True, ())


def test_at_shut_down_everything_is_due_at_once(store: Store) -> None:
    store.take_due("a", 1, 60)
    store.give_back_all("a")
    assert len(store.take_due("b", 1, 60)) == 1


def test_what_was_handed_over_and_never_done_is_due_again(store: Store, clock: Clock) -> None:
    (taken,) = store.take_due("a", 1, 60)
    store.hand_over(taken, ("cloud_tasks",))
    clock.now += 59
    assert store.take_due("a", 1, 60) == []
    clock.now += 1
    (record,) = store.take_due("a", 1, 60)
    assert (record.handed_over, record.tried) == (True, ("cloud_tasks",))


def test_an_overdue_job_that_somebody_works_on_is_left_alone(store: Store, clock: Clock) -> None:
    (taken,) = store.take_due("a", 1, 60)
    store.hand_over(taken, ())
    clock.now += 100
    assert store.claim("j1", "cloud_tasks")
    assert store.take_due("a", 1, 60) == []


def test_an_external_job_is_guarded_and_not_dispatched(store: Store) -> None:
    store.add(Job("ext", "e1", "c"), external=True)
    assert [r.job.job_id for r in store.take_due("a", 9, 60)] == ["j1"]
    claim = store.claim("ext", "worker_direct")
    assert claim
    assert publish(store, claim)
    assert store.settle(lambda _: None) == 0


def test_adding_an_external_job_twice_keeps_the_first(store: Store) -> None:
    assert store.add(Job("j1", "another", "c"), external=True).job == JOB


def finish(store: Store) -> None:
    claim = store.claim("j1", "inline")
    assert claim
    assert publish(store, claim)


def test_a_job_is_announced_once_when_done_and_handed_over(store: Store) -> None:
    announced: list[Record] = []
    (taken,) = store.take_due("a", 1, 60)
    assert store.unsettled()
    finish(store)
    assert store.settle(announced.append) == 0  # the dispatcher has more to say about it
    store.hand_over(taken, ("cloud_tasks", "worker_direct"))
    store.settle(announced.append)
    store.settle(announced.append)
    assert [(r.job.job_id, r.tried) for r in announced] == [("j1", ("cloud_tasks", "worker_direct"))]
    assert not store.unsettled()


def test_a_finished_job_of_a_dead_dispatcher_is_announced_by_another(store: Store, clock: Clock) -> None:
    announced: list[Record] = []
    store.take_due("a", 1, 60)
    finish(store)
    clock.now += 6
    store.settle(announced.append)
    assert len(announced) == 1


def test_an_announcement_that_failed_is_made_again(store: Store) -> None:
    (taken,) = store.take_due("a", 1, 60)
    finish(store)
    store.hand_over(taken, ())

    def fail(_: Record) -> None:
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        store.settle(fail)
    announced: list[Record] = []
    store.settle(announced.append)
    assert len(announced) == 1


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
