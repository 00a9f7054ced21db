"""Two topologies tell the same story, or the difference is named: each test changes one fact in one of two runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness import context, evidence
from harness.cli import main
from harness.context import SystemRecord
from harness.errors import UsageError
from harness.evidence import ScenarioResult
from harness.model import Mode, Verdict
from harness.tests.build import (
    CHECKED,
    CHECKING,
    DISPATCHED,
    ENQUEUE_FAILED,
    ENQUEUED,
    JOB,
    SECRET,
    TRYING,
    WORKER_START,
    Fact,
    delivered,
    effect,
    ended,
    event,
    journal,
    reply,
    request,
    rpc,
    starts,
    stimulus,
)
from reports import parity

RESULT = ScenarioResult(
    scenario="PROD-X-01",
    node="scenarios/prod/test_x.py::test_x",
    title="It works.",
    requires=("PROD-01",),
    level="core",
    verdict=Verdict.PASS,
    duration_s=1.0,
    folder="PROD-X-01",
)
STORY = (
    starts(),
    stimulus(),
    event(CHECKING),
    rpc("UNAVAILABLE"),
    event(ENQUEUE_FAILED, reason="unavailable"),
    event(TRYING),
    request(),
    event(WORKER_START, by="worker"),
    effect(),
    reply(200),
    event(DISPATCHED),
)


def run(
    folder: Path,
    facts: Sequence[Fact] = STORY,
    *,
    verdict: Verdict = Verdict.PASS,
    jobs: int = 1,
    in_crowd: bool = False,
    others: Sequence[ScenarioResult] = (),
) -> Path:
    """A run folder with one scenario, and the verdicts of others."""
    observations = journal(*facts)
    asked = next(o.seq for o in observations if o.kind == "stimulus")
    system = SystemRecord(
        mode=Mode.PROD,
        observations=observations,
        jobs=(replace(JOB, seq=asked, in_crowd=in_crowd),) * jobs,
        given=frozenset(),
        hidden=(),
        unfired=(),
        settled_at=len(observations),
        secret=SECRET,
        environment={},
    )
    context.write(folder / "evidence" / RESULT.folder, [system], [])
    for result in (replace(RESULT, verdict=verdict), *others):
        evidence.write_result(folder, result)
    return folder


SAME = parity.Comparison(1, [], [])


def differences(one: Path, other: Path) -> Sequence[str]:
    return parity.compare(one, other).differences


def without(fact: Fact) -> list[Fact]:
    return [each for each in STORY if each is not fact]


def test_the_same_story_is_the_same(tmp_path: Path) -> None:
    assert parity.compare(run(tmp_path / "a"), run(tmp_path / "b")) == SAME


def test_order_between_sources_and_repeats_are_luck(tmp_path: Path) -> None:
    other = [*STORY[:6], STORY[7], STORY[6], *STORY[8:9], STORY[10], STORY[9]]
    again = [*other[:6], other[6], *other[6:]]  # the worker starts once more
    assert parity.compare(run(tmp_path / "a"), run(tmp_path / "b", again)) == SAME


TWICE = (
    starts(),
    stimulus(),
    event(CHECKING),
    rpc("UNAVAILABLE"),
    event(ENQUEUE_FAILED, reason="unavailable"),
)
WORKER_DONE = "worker.assemble.done"
FIRST, SECOND = request(1, by_cloud_tasks=True), request(2)
START, DONE = event(WORKER_START, by="worker"), event(WORKER_DONE, by="worker")
AT_ONCE = (FIRST, START, SECOND, START, DONE, reply(200, id_=1), effect(), DONE, reply(200, id_=2))
IN_TURN = (FIRST, START, DONE, reply(200, id_=1), effect(), SECOND, START, DONE, reply(200, id_=2))


def test_what_a_worker_does_at_once_is_done_in_any_order(tmp_path: Path) -> None:
    one, other = run(tmp_path / "a", [*TWICE, *AT_ONCE]), run(tmp_path / "b", [*TWICE, *IN_TURN])
    assert parity.compare(one, other) == SAME
    silent = [fact for fact in IN_TURN if fact is not DONE]
    assert differences(one, run(tmp_path / "c", [*TWICE, *silent])) == [
        f"PROD-X-01: job 1: worker: {WORKER_DONE} → {WORKER_START} and {WORKER_START}"
    ]


def test_what_a_worker_does_in_turn_has_an_order(tmp_path: Path) -> None:
    one = run(tmp_path / "a", [*TWICE, *IN_TURN])
    found = differences(one, run(tmp_path / "b", [*TWICE, FIRST, DONE, START, *IN_TURN[3:]]))
    assert [line.partition(": ")[2].split(" ")[:3] for line in found] == [["job", "1:", "worker:"]]


def test_an_answer_is_compared_with_its_request(tmp_path: Path) -> None:
    one = run(tmp_path / "a", [*TWICE, *AT_ONCE])
    refused = [*AT_ONCE[:5], reply(500, id_=1), *AT_ONCE[6:]]
    assert any(
        line.startswith("PROD-X-01: job 1: worker_gateway: ")
        for line in differences(one, run(tmp_path / "b", [*TWICE, *refused]))
    )


KILLED = (starts(), stimulus(), event(CHECKING), ended())
AGAIN = (starts(), event(CHECKING), rpc("OK"), event(ENQUEUED))


def test_how_far_a_process_comes_before_it_is_killed_is_luck(tmp_path: Path) -> None:
    one = run(tmp_path / "a", [*KILLED, *AGAIN])
    further = [*KILLED[:3], event(CHECKED), event(CHECKED), KILLED[3], *AGAIN]
    assert parity.compare(one, run(tmp_path / "b", further)) == SAME
    nowhere = [*KILLED[:2], KILLED[3], *AGAIN]
    assert parity.compare(one, run(tmp_path / "c", nowhere)) == SAME


@pytest.mark.parametrize(
    "facts",
    [
        [*KILLED[:2], event(TRYING), KILLED[3], *AGAIN],
        [*KILLED[:2], event(TRYING), KILLED[2], KILLED[3], *AGAIN],
        [*KILLED[:3], event(CHECKED), ended(status=-15), *AGAIN],
        [*KILLED[:3], event(CHECKED), ended(status=1), *AGAIN],
        [*KILLED, *AGAIN[:2], event(CHECKED), *AGAIN[2:]],
        [*KILLED, starts(), ended(), *AGAIN[:1], event(TRYING), *AGAIN[1:]],
        [*KILLED[:3], event(CHECKED), starts(), KILLED[3], *AGAIN[1:]],
    ],
    ids=[
        "something-else",
        "another-beginning",
        "ended-in-order",
        "ended-by-itself",
        "after-the-kill",
        "in-another-life",
        "two-at-once",
    ],
)
def test_what_a_kill_does_not_explain_is_named(tmp_path: Path, facts: list[Fact]) -> None:
    found = differences(run(tmp_path / "a", [*KILLED, *AGAIN]), run(tmp_path / "b", facts))
    assert any(line.startswith("PROD-X-01: job 1: api: ") for line in found), found


def test_of_a_life_that_began_in_another_way_all_is_shown(tmp_path: Path) -> None:
    one = run(tmp_path / "a", [*KILLED, *AGAIN])
    other = run(tmp_path / "b", [*KILLED[:2], event(TRYING), event(CHECKED), KILLED[3], *AGAIN])
    (line,) = (line for line in differences(one, other) if ": api: " in line)
    assert TRYING in line
    assert CHECKED in line


REFUSED = "ConnectionRefusedError: [Errno 111] Connect call failed ('127.0.0.1', 8080)"
GAVE_BACK = (request(1, by_cloud_tasks=True), START, reply(503, id_=1))
DONE_THEN = (
    delivered(),
    request(9, by_cloud_tasks=True, retries=3),
    START,
    DONE,
    reply(200, id_=9),
    effect(),
)
DELIVERED = (starts(), stimulus(), event(CHECKING), rpc("OK"), event(ENQUEUED), delivered(), *GAVE_BACK)


def in_vain(*, retries: int = 1, by_cloud_tasks: bool = True, why: str = REFUSED, **said: Any) -> list[Fact]:
    """A delivery that no worker got."""
    sent = request(2, by_cloud_tasks=by_cloud_tasks, retries=retries)
    answered = reply(502, id_=2, observed="error", upstream_error=why, **said)
    return [delivered(), sent, answered]


def test_whether_cloud_tasks_tries_while_no_worker_listens_is_luck(tmp_path: Path) -> None:
    one = run(tmp_path / "a", [*DELIVERED, *DONE_THEN])
    assert parity.compare(one, run(tmp_path / "b", [*DELIVERED, *in_vain(), *DONE_THEN])) == SAME
    slow = in_vain(why="no connection within 1 s")
    assert parity.compare(one, run(tmp_path / "c", [*DELIVERED, *slow, *DONE_THEN])) == SAME


@pytest.mark.parametrize(
    "more",
    [
        in_vain(retries=0),
        in_vain(by_cloud_tasks=False),
        in_vain(fault="worker-unavailable"),
        in_vain(why="the connection was closed before an answer"),
    ],
    ids=["the-first", "a-direct-call", "a-fault", "it-was-reached"],
)
def test_what_reaches_nobody_for_another_reason_is_named(tmp_path: Path, more: list[Fact]) -> None:
    one = run(tmp_path / "a", [*DELIVERED, *DONE_THEN])
    found = differences(one, run(tmp_path / "b", [*DELIVERED, *more, *DONE_THEN]))
    assert any(line.startswith("PROD-X-01: job 1: worker_gateway: ") for line in found), found


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        (
            without(STORY[5]),
            f"api: {CHECKING} → {ENQUEUE_FAILED} → {TRYING} → {DISPATCHED} and {CHECKING} → ",
        ),
        ([*STORY[:2], STORY[5], *STORY[2:5], *STORY[6:]], "api: "),
        (without(STORY[7]), f"worker: {WORKER_START} and nothing"),
        ([*STORY[:3], rpc("INTERNAL"), *STORY[4:]], "cloud_tasks: rpc CreateTask UNAVAILABLE"),
        ([*STORY[:9], reply(500), *STORY[10:]], "route by the wire: "),
        ([*STORY[:8], effect(role="api"), *STORY[9:]], "storage: effect worker and effect api"),
    ],
    ids=["event-missing", "event-order", "worker-silent", "other-code", "other-route", "other-effect"],
)
def test_what_differs_is_named(tmp_path: Path, facts: list[Fact], said: str) -> None:
    found = parity.compare(run(tmp_path / "a"), run(tmp_path / "b", facts))
    assert found.count == 1
    assert any(line.startswith(f"PROD-X-01: job 1: {said}") for line in found.differences), found


def test_another_verdict_and_another_number_of_jobs_are_named(tmp_path: Path) -> None:
    one = run(tmp_path / "a")
    assert differences(one, run(tmp_path / "b", verdict=Verdict.FAIL)) == ["PROD-X-01: verdict PASS and FAIL"]
    assert differences(one, run(tmp_path / "c", jobs=2)) == ["PROD-X-01: 1 and 2 jobs"]


def test_of_a_crowd_the_verdict_is_compared(tmp_path: Path) -> None:
    """Its size is a matter of how long a run may take, and which of its jobs meets which trouble one of luck."""
    one = run(tmp_path / "a", jobs=2, in_crowd=True)
    other = run(tmp_path / "b", without(STORY[7]), jobs=3, in_crowd=True)
    assert parity.compare(one, other) == SAME
    failed = run(tmp_path / "c", jobs=2, in_crowd=True, verdict=Verdict.FAIL)
    assert differences(one, failed) == ["PROD-X-01: verdict PASS and FAIL"]


def test_what_applies_in_one_topology_only_is_not_compared(tmp_path: Path) -> None:
    one, other = run(tmp_path / "a"), run(tmp_path / "b", verdict=Verdict.NOT_APPLICABLE)
    with pytest.raises(UsageError, match="no scenario in common"):
        parity.compare(one, other)


def test_what_is_left_out_is_said_with_its_reason(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    more = replace(RESULT, scenario="PROD-X-02", node="scenarios/prod/test_x.py::test_y", folder="PROD-X-02")
    lacking = replace(more, verdict=Verdict.NOT_APPLICABLE, message="names-fail: it needs containers")
    one, other = run(tmp_path / "a", others=[lacking]), run(tmp_path / "b", others=[more])
    expected = [
        "PROD-X-02: applies in b only: names-fail: it needs containers",
        "1 scenarios compared, 0 differences",
    ]
    for pair in ((one, other), (other, one)):
        assert main(["report", "parity", *map(str, pair)]) == 0
        assert capsys.readouterr().out.splitlines() == expected


def test_the_command_says_it_and_its_exit_code_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, same = run(tmp_path / "a"), run(tmp_path / "b")
    other = run(tmp_path / "c", without(STORY[7]))
    assert main(["report", "parity", str(one), str(same)]) == 0
    assert main(["report", "parity", str(one), str(other)]) == 1
    assert capsys.readouterr().out.splitlines()[-1] == "1 scenarios compared, 1 differences"
