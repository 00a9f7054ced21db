"""Which route comes after which answer in production, and what is logged on the way."""

from __future__ import annotations

import json
import sys
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from reference_impl import assembler, events
from reference_impl.log_format import LogSink
from reference_impl.routes import Attempt, Verdict
from reference_impl.tests.bench import (
    CHECKED,
    DIRECT,
    DIRECT_FAILED,
    FORBIDDEN,
    INLINE,
    LOST,
    NOT_ENQUEUED,
    PRODUCTION,
    REFUSED,
    TIMED_OUT,
    YES,
    Bench,
    StandIn,
    names,
)
from reference_impl.tests.processes import parse_event

if TYPE_CHECKING:
    from collections.abc import Callable


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


@pytest.mark.parametrize(
    "modules",
    [
        {"google.cloud.tasks_v2": None},
        {"google.cloud.tasks_v2": ModuleType("google.cloud.tasks_v2")},
        {"google.cloud": None},
    ],
    ids=["missing", "something else of its name", "nothing of Google at all"],
)
def test_cloud_tasks_library_missing(
    bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch, modules: dict[str, ModuleType | None]
) -> None:
    monkeypatch.delitem(sys.modules, "google.cloud.tasks_v2", raising=False)
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    lines = bench().run()
    check = parse_event(lines[1])
    assert (check["reason"], check["detail"]) == ("library-missing", "google-cloud-tasks")
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
    assert {parse_event(line)["job_id"] for line in lines} == {"j1"}
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


@pytest.mark.parametrize(
    ("spent_s", "timeouts", "events_after"),
    [
        (6.5, [0.5], DIRECT),
        (7.0, [], ["assemble.service.worker_direct_skipped", *INLINE]),
        (9.0, [], ["assemble.service.worker_direct_skipped", *INLINE]),
    ],
)
def test_no_time_left_is_a_reason_not_to_call_the_worker(
    bench: Callable[..., Bench],
    monkeypatch: pytest.MonkeyPatch,
    spent_s: float,
    timeouts: list[float],
    events_after: list[str],
) -> None:
    it, now = bench(PRODUCTION | {"HANDOVER_MAX_S": "7"}), [100.0]
    monkeypatch.setattr(assembler, "time", SimpleNamespace(monotonic=lambda: now[0]))

    def slow(*_: object) -> Attempt:
        now[0] += spent_s
        return REFUSED

    monkeypatch.setattr(it.cloud_tasks, "attempt", slow)
    lines = it.run()
    assert names(lines) == [*NOT_ENQUEUED, *events_after]
    assert it.worker.timeouts == timeouts
    if not timeouts:
        assert parse_event(lines[-1])["reason"] == parse_event(lines[-2])["reason"] == "out-of-time"


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
