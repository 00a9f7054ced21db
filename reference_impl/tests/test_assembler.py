"""Which route comes after which answer, and what is logged on the way."""

from __future__ import annotations

import json
import sys
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from reference_impl import events, tasks_client
from reference_impl.assembler import Assembler
from reference_impl.breaker import Breaker
from reference_impl.job import Job
from reference_impl.lanes import Lane
from reference_impl.log_format import LogSink
from reference_impl.routes import Attempt, Verdict
from reference_impl.store import Store
from reference_impl.tests.processes import parse_event

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from reference_impl.settings import Settings

YES = Attempt(Verdict.DELIVERED, "200")
REFUSED = Attempt(Verdict.REJECTED, "connection-refused", "nobody there")
LOST = Attempt(Verdict.AMBIGUOUS, "connection-reset", "after sending")
TIMED_OUT = Attempt(Verdict.AMBIGUOUS, "timeout", costly=True)
FORBIDDEN = Attempt(Verdict.REJECTED, "permission-denied", permanent=True)

PRODUCTION = {
    "APP_ENV": "production",
    "WORKER_URL_BASE": "https://w.example",
    "TASKS_AUTH": "hush-hush",
    "GOOGLE_CLOUD_PROJECT": "proj",
    "TASKS_LOCATION": "loc",
    "TASKS_QUEUE": "q",
}
DEVELOPMENT = {
    "USE_WORKER_IN_DEV": "true",
    "WORKER_URL_BASE": "https://assemble.example",
    "TASKS_AUTH": "hush-hush",
}
CHECKED = ["assemble.service.checking_cloud_tasks", "assemble.service.cloud_tasks_check"]
NOT_ENQUEUED = [*CHECKED, "tasks.cloud.enqueue_failed"]
DIRECT = ["assemble.service.trying_worker_direct", "assemble.service.worker_direct_dispatched"]
DIRECT_FAILED = ["assemble.service.trying_worker_direct", "assemble.service.worker_direct_failed"]
INLINE = ["assemble.service.falling_back_to_inline"]


class StandIn:
    """A route that gives scripted answers and remembers who asked, and with how much time."""

    def __init__(self, *answers: Attempt | Exception) -> None:
        self._answers = list(answers)
        self.asked: list[str] = []
        self.timeouts: list[float] = []

    def attempt(self, job: Job, timeout_s: float = 0.0) -> Attempt:
        self.asked.append(job.job_id)
        self.timeouts.append(timeout_s)
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def task_name(self, job: Job) -> str:
        return f"tasks/{job.task_id}"


class Bench:
    """An assembler between stand-ins, and the store it works on."""

    def __init__(
        self, settings: Settings, store: Store, capsys: pytest.CaptureFixture[str], **routes: Any
    ) -> None:
        self.cloud_tasks: StandIn = routes.get("cloud_tasks") or StandIn(YES)
        self.worker: StandIn = routes.get("worker") or StandIn(YES)
        self.inline: StandIn = routes.get("inline") or StandIn(YES)
        self.lane = Lane("background", 1)
        self.store = store
        self._capsys = capsys
        self._assembler = Assembler(
            settings=settings,
            store=store,
            cloud_tasks=self.cloud_tasks,  # type: ignore[arg-type]
            worker=self.worker,  # type: ignore[arg-type]
            inline=self.inline,  # type: ignore[arg-type]
            breaker=Breaker(60),
            background=self.lane,
        )

    def run(self, job_id: str = "j1") -> list[str]:
        """Dispatch one job to the end; the lines that were logged."""
        self.store.add(Job(job_id, "ep1", "c1"))
        (record,) = self.store.take_due("me", 1, 60)
        self._assembler.dispatch(record)
        assert self.lane.drain(10)
        return self._capsys.readouterr().out.splitlines()

    def state(self, job_id: str = "j1") -> tuple[bool, tuple[str, ...]]:
        """Whether the job was handed over, and what had been tried in vain."""
        record = self.store.find(job_id)
        assert record is not None
        return record.handed_over, record.tried


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(f"sqlite:///{tmp_path / 'jobs.db'}", lease_s=5)
    yield store
    store.close()


@pytest.fixture
def bench(
    settings: Callable[..., Settings], store: Store, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Bench]:
    def make(variables: dict[str, str] | None = None, **routes: Any) -> Bench:
        return Bench(settings(**(variables or PRODUCTION)), store, capsys, **routes)

    return make


def names(lines: list[str]) -> list[str]:
    return [parse_event(line)["event"] for line in lines]


def test_healthy_production_takes_the_first_route_only(bench: Callable[..., Bench]) -> None:
    it = bench()
    lines = it.run()
    assert names(lines) == [*CHECKED, "tasks.cloud.enqueued"]
    assert parse_event(lines[1])["enabled"] == "true"
    assert parse_event(lines[2])["task"] == "tasks/assemble-j1"
    assert it.worker.asked == it.inline.asked == []
    assert it.state() == (True, ())
    assert it.cloud_tasks.timeouts == [5.0]


@pytest.mark.parametrize("failure", [REFUSED, LOST, TIMED_OUT, FORBIDDEN])
def test_the_worker_is_called_when_cloud_tasks_did_not_confirm(
    bench: Callable[..., Bench], failure: Attempt
) -> None:
    it = bench(cloud_tasks=StandIn(failure))
    lines = it.run()
    assert names(lines) == [*NOT_ENQUEUED, *DIRECT]
    assert parse_event(lines[2])["reason"] == failure.reason
    assert parse_event(lines[2])["verdict"] == failure.verdict
    assert parse_event(lines[2])["permanent"] == ("true" if failure.permanent else "false")
    assert it.inline.asked == []
    assert it.state() == (True, ("cloud_tasks",))


@pytest.mark.parametrize("failure", [REFUSED, LOST, TIMED_OUT])
def test_inline_runs_only_after_the_worker_failed_too(bench: Callable[..., Bench], failure: Attempt) -> None:
    it = bench(cloud_tasks=StandIn(REFUSED), worker=StandIn(failure))
    lines = it.run()
    assert names(lines) == [*NOT_ENQUEUED, *DIRECT_FAILED, *INLINE]
    assert parse_event(lines[-1])["reason"] == failure.reason
    assert (it.worker.asked, it.inline.asked) == (["j1"], ["j1"])
    assert it.state() == (True, ("cloud_tasks", "worker_direct"))


@pytest.mark.parametrize("missing", ["GOOGLE_CLOUD_PROJECT", "TASKS_LOCATION", "TASKS_QUEUE"])
def test_cloud_tasks_not_configured(bench: Callable[..., Bench], missing: str) -> None:
    it = bench(PRODUCTION | {missing: ""})
    lines = it.run()
    check = parse_event(lines[1])
    assert (check["enabled"], check["reason"], check["detail"]) == (
        "false",
        "not-configured",
        f"{missing} not set",
    )
    assert names(lines) == [*CHECKED, *DIRECT]
    assert it.cloud_tasks.asked == []
    assert it.state() == (True, ())


def test_cloud_tasks_library_missing(bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "google.cloud.tasks_v2", None)
    lines = bench().run()
    assert parse_event(lines[1])["reason"] == "library-missing"
    assert names(lines) == [*CHECKED, *DIRECT]


@pytest.mark.parametrize(
    ("missing", "reason"), [("WORKER_URL_BASE", "worker-url-not-set"), ("TASKS_AUTH", "tasks-auth-not-set")]
)
def test_no_worker_configured_is_inline_and_says_why(
    bench: Callable[..., Bench], missing: str, reason: str
) -> None:
    it = bench(PRODUCTION | {missing: ""})
    lines = it.run()
    assert names(lines) == [*CHECKED, "assemble.service.worker_direct_skipped", *INLINE]
    assert [parse_event(line)["reason"] for line in lines[1:]] == [reason] * 3
    assert (it.worker.asked, it.inline.asked) == ([], ["j1"])


def test_the_dev_flag_has_no_effect_in_production(bench: Callable[..., Bench]) -> None:
    assert names(bench(PRODUCTION | {"USE_WORKER_IN_DEV": "true"}).run()) == [
        *CHECKED,
        "tasks.cloud.enqueued",
    ]


def test_recovery_to_the_first_route_by_itself(bench: Callable[..., Bench]) -> None:
    it = bench(cloud_tasks=StandIn(REFUSED, YES))
    assert names(it.run("j1")) == [*NOT_ENQUEUED, *DIRECT]
    assert names(it.run("j2")) == [*CHECKED, "tasks.cloud.enqueued"]


def test_a_worker_that_does_not_answer_costs_one_time_out_per_window(bench: Callable[..., Bench]) -> None:
    it = bench(cloud_tasks=StandIn(REFUSED), worker=StandIn(TIMED_OUT))
    it.run("j1")
    lines = it.run("j2")
    assert names(lines) == [*NOT_ENQUEUED, "assemble.service.worker_direct_skipped", *INLINE]
    assert parse_event(lines[-2])["reason"] == "circuit-open"
    assert it.worker.asked == ["j1"]
    assert it.state("j2") == (True, ("cloud_tasks",))


def test_the_handover_is_bounded_as_a_whole(bench: Callable[..., Bench]) -> None:
    it = bench(PRODUCTION | {"HANDOVER_MAX_S": "7", "WORKER_TIMEOUT_S": "60"}, cloud_tasks=StandIn(REFUSED))
    it.run()
    assert 6 < it.worker.timeouts[0] <= 7


def test_no_time_left_is_a_reason_not_to_call_the_worker(
    bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    it = bench(PRODUCTION | {"HANDOVER_MAX_S": "0.1"}, cloud_tasks=StandIn(TIMED_OUT))
    monkeypatch.setattr(it.cloud_tasks, "attempt", lambda *_: (threading.Event().wait(0.15), REFUSED)[1])
    assert parse_event(it.run()[-1])["reason"] == "out-of-time"


def test_a_job_without_an_end_goes_back_to_the_store(bench: Callable[..., Bench]) -> None:
    failed = Attempt(Verdict.REJECTED, "os-error", "disk full")
    it = bench(cloud_tasks=StandIn(REFUSED), worker=StandIn(REFUSED), inline=StandIn(failed))
    lines = it.run()
    assert names(lines)[-1] == "assemble.service.deferred"
    assert parse_event(lines[-1])["reason"] == "os-error"
    assert it.state()[0] is False
    assert it.store.unsettled()


def test_each_failure_is_logged_with_all_that_is_known_of_it(bench: Callable[..., Bench]) -> None:
    forbidden = Attempt(Verdict.REJECTED, "permission-denied", "no role", permanent=True)
    failed = Attempt(Verdict.REJECTED, "os-error", "disk full")
    it = bench(cloud_tasks=StandIn(forbidden), worker=StandIn(LOST), inline=StandIn(failed))
    job = {"episode_id": "ep1", "job_id": "j1", "correlation_id": "c1"}
    assert [parse_event(line) for line in it.run()] == [
        {"event": "assemble.service.checking_cloud_tasks"} | job,
        {"event": "assemble.service.cloud_tasks_check"} | job | {"enabled": "true", "reason": "configured"},
        {"event": "tasks.cloud.enqueue_failed"}
        | job
        | {"reason": "permission-denied", "detail": "no role", "permanent": "true", "verdict": "rejected"},
        {"event": "assemble.service.trying_worker_direct"}
        | job
        | {"url": "https://w.example/api/tasks/assemble"},
        {"event": "assemble.service.worker_direct_failed"}
        | job
        | {"reason": "connection-reset", "detail": "after sending", "verdict": "ambiguous"},
        {"event": "assemble.service.falling_back_to_inline"} | job | {"reason": "connection-reset"},
        {"event": "assemble.service.deferred"}
        | job
        | {"reason": "os-error", "detail": "disk full", "delay_s": "1.0"},
    ]


def test_success_is_logged_with_what_proves_it(bench: Callable[..., Bench]) -> None:
    enqueued = parse_event(bench().run("j1")[-1])
    assert (enqueued["job_id"], enqueued["already_exists"]) == ("j1", "false")
    again = parse_event(
        bench(cloud_tasks=StandIn(Attempt(Verdict.DELIVERED, "already-exists"))).run("j2")[-1]
    )
    assert (again["event"], again["already_exists"]) == ("tasks.cloud.enqueued", "true")
    called = parse_event(bench(cloud_tasks=StandIn(REFUSED)).run("j3")[-1])
    assert (called["job_id"], called["status"]) == ("j3", "200")


@pytest.mark.parametrize(("failure", "severity"), [(FORBIDDEN, "ERROR"), (REFUSED, "WARNING")])
def test_what_only_a_person_can_mend_is_an_error(
    bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch, failure: Attempt, severity: str
) -> None:
    monkeypatch.setattr(events, "_sink", LogSink(json_lines=True))
    entries = [json.loads(line) for line in bench(cloud_tasks=StandIn(failure)).run()]
    assert [e["severity"] for e in entries if e["event"] == "tasks.cloud.enqueue_failed"] == [severity]


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
            it._assembler.give_back_again()
    assert it.store.take_due("me", 2, 60) == [], "they still count as looked after"

    it._assembler.give_back_again()
    it._assembler.give_back_again()  # there is nothing left to tell
    assert {record.job.job_id for record in it.store.take_due("me", 2, 60)} == {"j1", "j2"}
    assert capsys.readouterr().out == ""


def test_not_even_a_bug_loses_a_job(bench: Callable[..., Bench]) -> None:
    it = bench(cloud_tasks=StandIn(ZeroDivisionError("bug")))
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
        it._assembler.dispatch(record)
        delays.append(parse_event(capsys.readouterr().out.splitlines()[-1])["delay_s"])
        ahead_s[0] += 60
    assert delays == ["1.0", "2.0", "4.0"]
    release.set()
    assert it.lane.drain(10)
    assert it.worker.asked == it.inline.asked == []
    assert it.state()[0] is False


def test_a_job_confirmed_long_ago_without_effect_goes_on_with_the_worker(
    bench: Callable[..., Bench], store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    it = bench()
    it.run()
    (record,) = store.take_due("me", 1, -1)
    it._assembler.dispatch(record)
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
    it._assembler.dispatch(record)
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
    it._assembler.dispatch(replace(record, dispatches=dispatches))
    assert asked == [delay_s]


class TestDevelopment:
    """The console, letter for letter."""

    def test_the_worker_is_used_when_configured(self, bench: Callable[..., Bench]) -> None:
        it = bench(DEVELOPMENT)
        *plain, event = it.run()
        assert "\n".join(plain) == (
            "================================================================================\n"
            "DEV MODE WORKER CHECK:\n"
            "  path=/api/tasks/assemble\n"
            "  USE_WORKER_IN_DEV=true (parsed=True)\n"
            "  WORKER_URL_BASE=https://assemble.example\n"
            "  is_worker_task=True\n"
            "  Will use worker: True\n"
            "================================================================================\n"
            "DEV MODE: Sending /api/tasks/assemble to worker server at "
            "https://assemble.example/api/tasks/assemble"
        )
        assert parse_event(event) == {
            "event": "tasks.dev.worker_dispatched",
            "episode_id": "ep1",
            "job_id": "j1",
            "correlation_id": "c1",
            "url": "https://assemble.example/api/tasks/assemble",
            "status": "200",
        }
        assert (it.cloud_tasks.asked, it.worker.asked, it.inline.asked) == ([], ["j1"], [])

    @pytest.mark.parametrize(
        "wrong",
        [
            {"USE_WORKER_IN_DEV": "false"},
            {"USE_WORKER_IN_DEV": "perhaps"},
            {"WORKER_URL_BASE": ""},
            {"WORKER_URL_BASE": "assemble.example"},
            {"TASKS_AUTH": ""},
        ],
    )
    def test_otherwise_the_job_runs_locally(self, bench: Callable[..., Bench], wrong: dict[str, str]) -> None:
        it = bench(DEVELOPMENT | wrong)
        lines = it.run()
        assert lines[-4:] == [
            "  Will use worker: False",
            "=" * 80,
            "DEV MODE: Worker config invalid or not a worker task",
            "DEV MODE assemble start for episode ep1",
        ]
        assert (it.cloud_tasks.asked, it.worker.asked, it.inline.asked) == ([], [], ["j1"])
        assert it.state() == (True, ())

    @pytest.mark.parametrize("failure", [REFUSED, LOST, TIMED_OUT])
    def test_a_worker_that_fails_is_logged_and_the_job_runs_locally(
        self, bench: Callable[..., Bench], failure: Attempt
    ) -> None:
        it = bench(DEVELOPMENT, worker=StandIn(failure))
        *_, event, start = it.run()
        said = parse_event(event)
        assert (said["event"], said["job_id"]) == ("tasks.dev.worker_failed", "j1")
        assert (said["reason"], said["verdict"]) == (failure.reason, failure.verdict)
        assert said.get("detail", "") == failure.detail
        assert start == "DEV MODE assemble start for episode ep1"
        assert (it.worker.asked, it.inline.asked) == (["j1"], ["j1"])
        assert it.state() == (True, ("worker_direct",))

    def test_another_task_never_goes_to_the_worker(
        self, settings: Callable[..., Settings], capsys: pytest.CaptureFixture[str]
    ) -> None:
        worker = StandIn(YES)
        attempt = tasks_client._dispatch_local_task(
            "/api/tasks/transcribe",
            Job("j1", "ep1", "c1"),
            settings(**DEVELOPMENT),
            worker,  # type: ignore[arg-type]
        )
        assert attempt is None
        assert worker.asked == []
        out = capsys.readouterr().out
        assert "  is_worker_task=False\n  Will use worker: False\n" in out
        assert out.endswith("DEV MODE: Worker config invalid or not a worker task\n")

    def test_a_raw_value_cannot_break_the_banner(
        self, settings: Callable[..., Settings], capsys: pytest.CaptureFixture[str]
    ) -> None:
        odd = settings(
            USE_WORKER_IN_DEV="true\nevent=forged", WORKER_URL_BASE="http://u:pw@h\n", TASKS_AUTH="x"
        )
        tasks_client._dispatch_local_task("/api/tasks/assemble", Job("j", "e", "c"), odd, StandIn(YES))  # type: ignore[arg-type]
        out = capsys.readouterr().out
        assert len(out.splitlines()) == 9
        assert r"USE_WORKER_IN_DEV='true\nevent=forged' (parsed=False)" in out
        assert "pw" not in out


@pytest.mark.parametrize(
    ("variables", "expected"),
    [(PRODUCTION, True), (PRODUCTION | {"TASKS_QUEUE": ""}, False), (PRODUCTION | {"APP_ENV": "dev"}, False)],
)
def test_should_use_cloud_tasks(
    settings: Callable[..., Settings],
    variables: dict[str, str],
    expected: bool,  # noqa: FBT001
) -> None:
    assert tasks_client.should_use_cloud_tasks(settings(**variables)) is expected
