"""Who looks after a job until it is done, and who says that it is, on both databases."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy.exc import OperationalError

from reference_impl.job import Job
from reference_impl.store import Record, Store
from reference_impl.tests.stores import JOB, Clock, Table, finish, found, publish

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Connection


@pytest.fixture
def store(make_store: Callable[..., Store], clock: Clock) -> Store:
    store = make_store(clock=clock)
    store.add(JOB)
    return store


def test_due_jobs_are_taken_once_oldest_first(store: Store, clock: Clock) -> None:
    for number in (2, 3):
        clock.now += 1
        store.add(Job(f"j{number}", "e1", "c"))
    assert [r.job.job_id for r in store.take_due("a", 2, 60)] == ["j1", "j2"]
    assert [r.job.job_id for r in store.take_due("b", 2, 60)] == ["j3"]
    assert store.take_due("c", 2, 60) == []


def test_the_oldest_is_who_was_accepted_first_and_not_who_was_stored_first(
    store: Store, clock: Clock
) -> None:
    clock.now -= 10  # the clock was set back
    store.add(Job("j2", "e1", "c"))
    finish(store, "j1")
    finish(store, "j2")
    assert store.take_due("a", 9, 60) == [], "they have ended, and wait for nothing but their announcement"
    clock.now += 10
    announced: list[str] = []
    store.settle(lambda record: announced.append(record.job.job_id))
    assert announced == ["j2", "j1"]
    clock.now -= 10
    store.add(Job("late", "e1", "c"))
    clock.now -= 10
    store.add(Job("early", "e1", "c"))
    clock.now += 20
    assert [r.job.job_id for r in store.take_due("a", 9, 60)] == ["early", "late"]


def test_the_table_says_who_looks_after_a_job(store: Store, clock: Clock) -> None:
    clock.now += 1
    store.add(Job("another", "e1", "c1"))
    table = Table(store)
    (taken,) = store.take_due("a", 1, 60)
    another = Table(store, "another")
    assert table.changes() == {"dispatcher": "a", "dispatch_until": clock.now + 5, "dispatches": 1}
    assert len(store.take_due("b", 1, 60)) == 1
    assert another.changes() == {"dispatcher": "b", "dispatch_until": clock.now + 5, "dispatches": 1}
    clock.now += 1
    store.keep_dispatches("a")
    assert table.changes() == {"dispatch_until": clock.now + 5}
    assert store.give_back(taken, 3)
    assert table.changes() == {"dispatcher": "", "dispatch_until": 0.0, "due_at": clock.now + 3}
    clock.now += 3
    (taken,) = store.take_due("a", 1, 60)
    table.changes()
    store.give_back_all("a")
    assert table.changes() == {"dispatcher": "", "dispatch_until": 0.0}
    (taken,) = store.take_due("a", 1, 60)
    table.changes()
    clock.now += 4
    assert store.hand_over(taken, ("cloud_tasks",))
    over = {"dispatch": "handed_over", "dispatcher": "", "dispatch_until": 0.0, "tried": "cloud_tasks"}
    assert table.changes() == over | {"due_at": clock.now}
    assert another.changes() == {}
    clock.now += 1
    assert [r.job.job_id for r in store.take_due("a", 1, 1)] == ["j1"]
    assert table.changes() == {
        "dispatch": "pending",
        "dispatcher": "a",
        "dispatch_until": clock.now + 5,
        "dispatches": 4,
    }


def test_a_dispatcher_keeps_and_gives_back_its_own_jobs_only(store: Store, clock: Clock) -> None:
    clock.now += 1
    store.add(Job("j2", "e1", "c"))
    for dispatcher in ("a", "b"):
        assert len(store.take_due(dispatcher, 1, 60)) == 1
    store.give_back_all("b")
    assert [r.job.job_id for r in store.take_due("b", 9, 60)] == ["j2"]
    clock.now += 4
    store.keep_dispatches("a")
    clock.now += 1  # b's term ends with this second
    assert [r.job.job_id for r in store.take_due("c", 9, 60)] == ["j2"]


def test_nobody_keeps_a_job_that_was_announced(store: Store, clock: Clock) -> None:
    store.take_due("a", 1, 60)
    finish(store)
    clock.now += 5
    assert store.settle(lambda _: None) == 1
    table = Table(store)
    store.keep_dispatches("a")
    assert table.changes() == {}


@pytest.mark.parametrize("meanwhile", ["it has ended", "another had it", "another has it"])
def test_a_job_is_not_taken_when_something_became_of_it_since_the_look(
    make_store: Callable[..., Store],
    store: Store,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
    meanwhile: str,
) -> None:
    other, real = make_store(clock=clock), store._writing

    def overtaken(**options: bool) -> object:
        if meanwhile == "it has ended":
            finish(other)
        else:
            (taken,) = other.take_due("b", 1, 60)
            if meanwhile == "another had it":
                other.give_back(taken, 0)
        return real(**options)

    with monkeypatch.context() as slow:
        slow.setattr(store, "_writing", overtaken)
        assert store.take_due("a", 1, 60) == []
    assert Table(store).last["dispatcher"] == ("b" if meanwhile == "another has it" else "")


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

    store.add(Job("j2", "e2", "c"))

    assert [record.job.job_id for record in store.take_due("a", 2, 60)] == ["j2"]
    store.keep_dispatches("a")
    assert store.take_due("b", 2, 60) == []
    assert store.give_back(taken, 0.0)
    assert len(store.take_due("a", 2, 60)) == 1


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

    def unconfirmed(*where: Any, **values: Any) -> bool:
        changed = real(*where, **values)
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
    clock.now += 5  # the lease ends with this second
    assert len(store.take_due("a", 1, 60)) == 1


def test_an_external_job_is_guarded_and_not_dispatched(store: Store) -> None:
    store.add(Job("ext", "e1", "c"), external=True)
    (taken,) = store.take_due("a", 9, 60)
    assert taken.job == JOB
    claim = store.claim("ext", "worker_direct")
    assert claim
    assert publish(store, claim)
    assert store.settle(lambda _: None) == 0
    finish(store)
    assert store.hand_over(taken, ())
    assert store.settle(lambda _: None) == 1
    assert not store.unsettled(), "whoever sent the external one asks nobody here what has become of it"


def test_adding_an_external_job_twice_keeps_the_first(store: Store) -> None:
    assert store.add(Job("j1", "another", "c"), external=True).job == JOB


def test_a_heartbeat_that_comes_a_moment_late_keeps_nothing_that_was_given_back(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    (taken,) = store.take_due("a", 1, 60)
    mine = store._titles_of("a")
    monkeypatch.setattr(store, "_titles_of", lambda _: mine)
    store.give_back(taken, 0)
    store.keep_dispatches("a")
    assert len(store.take_due("b", 1, 60)) == 1


def test_a_heartbeat_for_no_job_writes_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """It comes every third of a lease, and the database has one writer."""
    monkeypatch.setattr(Store, "_writing", None)
    store.keep_dispatches("a")


def test_an_external_job_is_looked_for_first_and_one_of_ours_is_not(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker sees the same job again and again; a job of the API has a key that nobody has had before."""
    did: list[str] = []

    def watch(name: str) -> None:
        real = getattr(store, name)

        def watched(*about: Any, **options: Any) -> Any:
            did.append(name)
            return real(*about, **options)

        monkeypatch.setattr(store, name, watched)

    watch("find")
    watch("_writing")
    store.add(Job("j2", "e1", "c"))
    assert did == ["_writing", "find"]
    did.clear()
    store.add(Job("j1", "e1", "c"), external=True)
    assert did == ["find"]


def test_a_job_is_announced_once_when_done_and_handed_over(store: Store) -> None:
    announced: list[Record] = []
    (taken,) = store.take_due("a", 1, 60)
    assert store.unsettled()
    finish(store)
    assert store.settle(announced.append) == 0  # the dispatcher has more to say about it
    store.hand_over(taken, ("cloud_tasks", "worker_direct"))
    assert store.settle(announced.append) == 1
    assert store.settle(announced.append) == 0
    assert [(r.job.job_id, r.tried) for r in announced] == [("j1", ("cloud_tasks", "worker_direct"))]
    assert not store.unsettled()


def test_a_job_that_has_not_ended_is_not_announced(store: Store, clock: Clock) -> None:
    (taken,) = store.take_due("a", 1, 60)
    store.hand_over(taken, ())
    assert store.claim("j1", "cloud_tasks")
    clock.now += 100
    assert store.settle(lambda _: None) == 0
    assert store.unsettled()


def test_no_more_are_announced_at_once_than_asked_for(store: Store, clock: Clock) -> None:
    for number in (2, 3):
        clock.now += 1
        store.add(Job(f"j{number}", "e1", "c"))
    for number in (1, 2, 3):
        finish(store, f"j{number}")
    announced: list[str] = []
    assert [store.settle(lambda r: announced.append(r.job.job_id), limit=2) for _ in range(3)] == [2, 1, 0]
    assert announced == ["j1", "j2", "j3"]


def test_of_two_processes_that_announce_at_once_one_does(
    make_store: Callable[..., Store], store: Store, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish(store)
    announced: list[str] = []
    other, real = make_store(clock=clock), store._writing

    def overtaken(**options: bool) -> object:
        other.settle(lambda _: announced.append("by the other"))
        return real(**options)

    monkeypatch.setattr(store, "_writing", overtaken)
    store.settle(lambda _: announced.append("by this one"))
    assert announced == ["by the other"]


def test_a_finished_job_of_a_dead_dispatcher_is_announced_by_another(store: Store, clock: Clock) -> None:
    announced: list[Record] = []
    store.take_due("a", 1, 60)
    finish(store)
    assert store.settle(announced.append) == 0
    clock.now += 5  # its term ends with this second
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
