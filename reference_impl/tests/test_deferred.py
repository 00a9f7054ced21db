"""Jobs that found no end at once: they go back to the store, or are taken up again."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest

from reference_impl.job import Job
from reference_impl.routes import Attempt, Verdict
from reference_impl.tests.bench import (
    DEVELOPMENT,
    DIRECT,
    PRODUCTION,
    REFUSED,
    Bench,
    StandIn,
    names,
)
from reference_impl.tests.processes import parse_event

if TYPE_CHECKING:
    from collections.abc import Callable

    from reference_impl.store import Store


def test_a_job_without_an_end_goes_back_to_the_store(bench: Callable[..., Bench]) -> None:
    failed = Attempt(Verdict.REJECTED, "os-error", "disk full")
    it = bench(cloud_tasks=StandIn(REFUSED), worker=StandIn(REFUSED), inline=StandIn(failed))
    lines = it.run()
    assert names(lines)[-1] == "assemble.service.deferred"
    assert parse_event(lines[-1])["reason"] == "os-error"
    assert it.state()[0] is False
    assert it.store.unsettled()


def test_a_job_that_cannot_be_given_back_is_given_back_later(
    bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    it = bench(cloud_tasks=StandIn(ZeroDivisionError("bug")))

    def unreachable(*_: object) -> bool:
        raise OSError("no database")

    with monkeypatch.context() as without_store:
        without_store.setattr(it.store, "give_back", unreachable)
        for job_id in ("j1", "j2"):
            said = parse_event(it.run(job_id)[-1])
            assert (said["event"], said["job_id"]) == ("store.failed", job_id)
            assert (said["reason"], said["detail"]) == ("OSError", "no database")
        with pytest.raises(OSError, match="no database"):
            it.assembler.give_back_again()
    assert it.store.take_due("me", 2, 60) == [], "they still count as looked after"

    it.assembler.give_back_again()
    it.assembler.give_back_again()  # there is nothing left to tell
    assert {record.job.job_id for record in it.store.take_due("me", 2, 60)} == {"j1", "j2"}
    assert capsys.readouterr().out == ""


def test_a_job_that_could_not_even_begin_is_due_again(
    bench: Callable[..., Bench], store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    it = bench()
    store.add(Job("j1", "ep1", "c1"))
    (record,) = store.take_due("me", 1, 60)
    it.assembler.not_begun(record, "no-thread-left")
    assert parse_event(capsys.readouterr().out.strip()) == {
        "event": "assemble.service.deferred",
        "episode_id": "ep1",
        "job_id": "j1",
        "correlation_id": "c1",
        "reason": "no-thread-left",
        "delay_s": "1.0",
    }
    store._clock = lambda: time.time() + 1
    assert [again.job.job_id for again in store.take_due("another", 1, 60)] == ["j1"]
    assert it.cloud_tasks.asked == []


@pytest.mark.parametrize("where", ["cloud_tasks", "worker", "inline"])
def test_not_even_a_bug_loses_a_job(bench: Callable[..., Bench], where: str) -> None:
    it = bench(
        **{
            "cloud_tasks": StandIn(REFUSED),
            "worker": StandIn(REFUSED),
            where: StandIn(ZeroDivisionError("bug")),
        }
    )
    assert parse_event(it.run()[-1]) == {
        "event": "assemble.service.deferred",
        "episode_id": "ep1",
        "job_id": "j1",
        "correlation_id": "c1",
        "reason": "ZeroDivisionError",
        "detail": "bug",
        "delay_s": "1.0",
    }


def test_when_no_thread_is_free_the_job_stays_stored_longer_each_time(
    bench: Callable[..., Bench], store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    it = bench(cloud_tasks=StandIn(REFUSED))
    release = threading.Event()
    it.lane.submit(lambda: (release.wait(20), None)[1])
    store.add(Job("j1", "ep1", "c1"))
    delays, ahead_s = [], [0.0]
    store._clock = lambda: time.time() + ahead_s[0]
    for _ in range(3):
        (record,) = store.take_due("me", 1, 60)
        it.assembler.dispatch(record)
        delays.append(parse_event(capsys.readouterr().out.splitlines()[-1])["delay_s"])
        ahead_s[0] += 60
    assert delays == ["1.0", "2.0", "4.0"]
    release.set()
    assert it.lane.drain(10)
    assert it.worker.asked == it.inline.asked == []
    assert it.state()[0] is False


@pytest.mark.parametrize("way", ["production", "confirmed long ago", "development"])
def test_a_job_for_which_no_thread_is_free_says_so(
    bench: Callable[..., Bench], store: Store, capsys: pytest.CaptureFixture[str], way: str
) -> None:
    it = bench(DEVELOPMENT if way == "development" else PRODUCTION, cloud_tasks=StandIn(REFUSED))
    if way == "confirmed long ago":
        it.run()
    release = threading.Event()
    it.lane.submit(lambda: (release.wait(20), None)[1])
    store.add(Job("j1", "ep1", "c1"))
    (record,) = store.take_due("me", 1, -1)
    it.assembler.dispatch(record)
    assert parse_event(capsys.readouterr().out.splitlines()[-1]) == {
        "event": "assemble.service.deferred",
        "episode_id": "ep1",
        "job_id": "j1",
        "correlation_id": "c1",
        "reason": "background-full",
        "delay_s": f"{2.0 ** (record.dispatches - 1)}",
    }
    release.set()
    assert it.lane.drain(10)


def test_a_job_confirmed_long_ago_without_effect_goes_on_with_the_worker(
    bench: Callable[..., Bench], store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    it = bench()
    it.run()
    (record,) = store.take_due("me", 1, -1)
    it.assembler.dispatch(record)
    assert it.lane.drain(10)
    lines = capsys.readouterr().out.splitlines()
    assert names(lines) == ["assemble.service.overdue", *DIRECT]
    assert parse_event(lines[0])["job_id"] == "j1"
    assert parse_event(lines[0])["reason"] == "no-effect-after-handover"
    assert it.cloud_tasks.asked == ["j1"]


def test_what_was_tried_before_a_job_was_confirmed_is_not_forgotten(
    bench: Callable[..., Bench], store: Store
) -> None:
    it = bench(cloud_tasks=StandIn(REFUSED))
    it.run()
    (record,) = store.take_due("me", 1, -1)
    it.assembler.dispatch(record)
    assert it.lane.drain(10)
    assert it.state() == (True, ("cloud_tasks",))


@pytest.mark.parametrize(("dispatches", "delay_s"), [(1, 1.0), (6, 32.0), (7, 60.0), (5_000, 60.0)])
def test_the_wait_of_a_deferred_job_is_bounded(
    bench: Callable[..., Bench],
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
    dispatches: int,
    delay_s: float,
) -> None:
    it = bench(cloud_tasks=StandIn(ZeroDivisionError("bug")))
    asked: list[float] = []
    monkeypatch.setattr(store, "give_back", lambda _, delay_s: asked.append(delay_s))
    store.add(Job("j1", "ep1", "c1"))
    (record,) = store.take_due("me", 1, 60)
    it.assembler.dispatch(record._replace(dispatches=dispatches))
    assert asked == [delay_s]
