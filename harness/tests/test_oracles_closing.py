from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from harness.errors import Inconclusive, Violation
from harness.model import Hidden, Observation, Route
from harness.oracles import closing
from harness.tests.build import (
    CHECKING,
    ENQUEUED,
    JOB,
    SECRET,
    WORKER_START,
    Fact,
    answer,
    delivered,
    effect,
    event,
    journal,
    log,
    new_job,
    reply,
    request,
    rpc,
    stimulus,
    unexpected,
)

GOOD = [
    stimulus(),
    answer(),
    event(CHECKING),
    rpc(),
    event(ENQUEUED),
    delivered(),
    request(by_cloud_tasks=True),
    event(WORKER_START, by="worker"),
    effect(),
    reply(),
]


def judge(observations: Sequence[Observation], **changes: Any) -> None:
    arguments: dict[str, Any] = {
        "jobs": [JOB],
        "given": set(),
        "hidden": set(),
        "planted": [SECRET],
        "expectations": 1,
        "unfired": [],
        "settled_at": len(observations),
    }
    closing.judge(observations, **{**arguments, **changes})


def test_a_good_run_passes() -> None:
    judge(journal(*GOOD))


def test_without_a_job_there_is_nothing_to_disagree_about() -> None:
    judge(journal(request(), reply()), jobs=[])


@pytest.mark.parametrize(
    ("facts", "oracle", "says"),
    [
        ([f for f in GOOD if f.kind != "rpc"], "route", "from the wire: worker_direct served"),
        ([*GOOD, event("assemble.service.falling_back_to_inline")], "route", "logs that agree with the wire"),
        ([stimulus(), event(CHECKING), event(ENQUEUED), rpc()], "route", "the event was logged first"),
        ([*GOOD, effect(new_job(2))], "effects", "effect\\(s\\) of unknown jobs: job job-2 in the worker"),
        ([*GOOD, log(f"calling with {SECRET}")], "secrets", "plain in a log line of the api"),
        ([*GOOD, log(f"got {SECRET}", by="worker", stream="stderr")], "secrets", "a log line of the worker"),
        ([*GOOD, answer(body=SECRET)], "secrets", "plain in an answer of the api"),
        ([*GOOD[:-1], reply(body=SECRET)], "secrets", "plain in an answer of the worker"),
        ([*GOOD, request(2, path=f"/x?auth={SECRET}", by_cloud_tasks=True)], "secrets", "plain in a URL"),
        (
            [
                *GOOD,
                Fact("cloud_tasks", "attempt.sent", "delivers", {"task": "t", "url": f"http://w/{SECRET}"}),
            ],
            "secrets",
            "plain in a URL",
        ),
        ([*GOOD, unexpected("GET /favicon.ico")], "closing", "worker_gateway: GET /favicon.ico"),
    ],
)
def test_what_is_wrong_in_every_scenario(facts: list[Fact], oracle: str, says: str) -> None:
    with pytest.raises(Violation, match=says) as raised:
        judge(journal(*facts))

    assert raised.value.finding.oracle == oracle


def test_what_a_fault_answers_is_not_the_workers_word() -> None:
    judge(journal(*GOOD[:-1], reply(body=SECRET, forwarded=False, fault="worker-500")))
    judge(journal(*GOOD[:-1], reply(body=SECRET, fault="worker-500")))


def test_the_secret_in_its_header_is_where_it_belongs() -> None:
    assert any(SECRET in str(fact.fields) for fact in GOOD)
    judge(journal(*GOOD), planted=[SECRET])


@pytest.mark.parametrize(
    ("facts", "changes", "says"),
    [
        (GOOD, {"unfired": ["cloud-tasks-aborted", "x"]}, r"cloud-tasks-aborted, x never struck"),
        (GOOD, {"expectations": 0}, "the scenario expected nothing: call a must_"),
        (
            [*GOOD, log("event=a b")],
            {},
            r"1 log line\(s\) look like events.*of the api: 'event=a b' \(column 8",
        ),
        (
            [*GOOD, log("event=", by="worker"), log("{", by="api")],
            {},
            r"2 log line\(s\) .* the first is of the worker",
        ),
        (
            [*GOOD, effect()],
            {"settled_at": len(GOOD)},
            "after the run was judged as settled, there came: job job-1 assembled in the worker",
        ),
        (
            [*GOOD, event("worker.assemble.done", by="worker")],
            {"settled_at": len(GOOD)},
            "after the run was judged as settled, there came: event=worker.assemble.done",
        ),
    ],
    ids=[
        "a fault that never struck",
        "no expectation",
        "an unparsed line",
        "two unparsed lines",
        "a late effect",
        "a late event",
    ],
)
def test_what_makes_a_pass_worthless(facts: list[Fact], changes: dict[str, Any], says: str) -> None:
    with pytest.raises(Inconclusive, match=says):
        judge(journal(*facts), **changes)


def test_a_run_that_was_never_settled_has_no_late_effects() -> None:
    judge(journal(*GOOD), settled_at=0)


def test_a_violation_is_told_before_missing_evidence() -> None:
    with pytest.raises(Violation):
        judge(journal(*GOOD, unexpected(), log("event=")), unfired=["x"], expectations=0)


def test_each_job_is_judged_by_itself() -> None:
    second = new_job(2, seq=len(GOOD) + 1)
    lies = [
        stimulus(second),
        event(CHECKING, job=second),
        rpc("ABORTED", job=second),
        event(ENQUEUED, job=second),
    ]

    with pytest.raises(
        Violation, match="from the wire: cloud_tasks failed\nfrom the logs: cloud_tasks served"
    ):
        judge(journal(*GOOD, *lies), jobs=[JOB, second])


def test_what_the_worker_was_given_without_the_api_is_not_unknown() -> None:
    other = new_job(2)

    judge(journal(*GOOD, request(2, job=other), effect(other)), given={(other.episode_id, other.job_id)})


def test_the_workers_effect_without_a_request_at_the_worker_is_a_violation() -> None:
    silent = [fact for fact in GOOD if fact.kind not in {"request", "reply", "attempt.sent"}]

    with pytest.raises(Violation, match="a request at the worker before an effect"):
        judge(journal(*silent))


def test_an_effect_of_a_rejected_job_is_a_violation() -> None:
    rejected = replace(JOB, job_id="", status=503)

    with pytest.raises(Violation, match="unknown jobs"):
        judge(journal(stimulus(), effect()), jobs=[rejected])


def test_a_hidden_route_is_believed_when_it_fails_and_not_when_it_serves() -> None:
    seen = journal(stimulus(), event(CHECKING), event("tasks.cloud.enqueue_failed", reason="x"))
    claims = journal(stimulus(), event(CHECKING), event(ENQUEUED))

    judge(seen, hidden=[Hidden(Route.CLOUD_TASKS, since=1)])
    judge(seen, hidden=[Hidden(Route.CLOUD_TASKS, since=0, until=1)])
    with pytest.raises(Violation):
        judge(seen)
    with pytest.raises(Violation):
        judge(claims, hidden=[Hidden(Route.CLOUD_TASKS, since=1)])


def test_a_route_is_hidden_only_while_the_fault_is_in_force() -> None:
    seen = journal(stimulus(), event(CHECKING), event("tasks.cloud.enqueue_failed", reason="x"))

    with pytest.raises(Violation, match="agree with the wire"):
        judge(seen, hidden=[Hidden(Route.CLOUD_TASKS, since=0, until=0)])
    with pytest.raises(Violation, match="agree with the wire"):
        judge(seen, hidden=[Hidden(Route.CLOUD_TASKS, since=4)])


FORGED = log("event=tasks.cloud.enqueued episode_id=ep-forged job_id=j correlation_id=c")


def test_an_event_about_an_episode_that_nobody_asked_for() -> None:
    with pytest.raises(Violation, match="episodes that somebody asked for") as violation:
        judge(journal(*GOOD, FORGED))

    assert violation.value.finding.oracle == "events"


def test_whoever_asks_for_an_episode_may_read_of_it() -> None:
    asked = Fact("harness", "stimulus", "asks for another task about ep-forged", {})

    judge(journal(*GOOD, asked, FORGED))
    judge(journal(*GOOD, FORGED), given={("ep-forged", "j")})
