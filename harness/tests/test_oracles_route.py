"""The route oracle on hand-written journals; longer than other modules, as its tables are read beside each other."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from harness.model import Effect, Observation, Route, Step
from harness.oracles import route
from harness.tests.build import (
    CHECKED,
    CHECKING,
    DIRECT_FAILED,
    DISPATCHED,
    ENQUEUE_FAILED,
    ENQUEUED,
    FALLING_BACK,
    INLINE_FAILED,
    JOB,
    TRYING,
    WORKER_START,
    Fact,
    delivered,
    effect,
    event,
    journal,
    log,
    reply,
    request,
    rpc,
    starts,
    stimulus,
)

CLOUD, DIRECT, INLINE = Route.CLOUD_TASKS, Route.WORKER_DIRECT, Route.INLINE
SENDING = f"DEV MODE: Sending /api/tasks/assemble to worker server at {'http://w:1'}"
NOT_USED = "DEV MODE: Worker config invalid or not a worker task"
LOCAL = f"DEV MODE assemble start for episode {JOB.episode_id}"


def on_the_wire(*facts: Fact) -> tuple[Step, ...]:
    seen = journal(*facts)
    return route.from_wire(seen, [e for e in map(as_effect, seen) if e is not None])


def as_effect(o: Observation) -> Effect | None:
    return Effect(**o.fields, seq=o.seq) if o.kind == "effect" else None


def in_the_log(*facts: Fact) -> tuple[Step, ...]:
    return route.from_logs(journal(*facts))


@pytest.mark.parametrize(
    ("facts", "way"),
    [
        ([], ()),
        ([rpc()], (CLOUD.served,)),
        ([rpc("UNAVAILABLE")], (CLOUD.failed,)),
        ([rpc("OK", observed="hang")], (CLOUD.failed,)),
        ([rpc("OK", observed="reset")], (CLOUD.failed,)),
        ([rpc("OK", observed="garbage")], (CLOUD.failed,)),
        ([rpc("OK", method="GetTask")], ()),
        ([rpc("NOT_FOUND", method="GetQueue")], ()),
        ([rpc("UNAVAILABLE"), rpc()], (CLOUD.failed, CLOUD.served)),
        ([rpc("OK", observed="hang"), rpc("ALREADY_EXISTS")], (CLOUD.failed, CLOUD.served)),
        ([rpc("ALREADY_EXISTS", observed="hang")], (CLOUD.failed,)),
        ([rpc(), delivered(), request(by_cloud_tasks=True), reply(), effect()], (CLOUD.served,)),
        ([rpc(), delivered(), request(by_cloud_tasks=True), reply(500)], (CLOUD.served,)),
        ([request(), reply()], (DIRECT.served,)),
        ([request(), reply(204)], (DIRECT.served,)),
        ([request(), reply(302)], (DIRECT.failed,)),
        ([request(), reply(199)], (DIRECT.failed,)),
        ([request(), reply(500)], (DIRECT.failed,)),
        ([request(), reply(None, observed="reset")], (DIRECT.failed,)),
        ([request(), reply(200, observed="reset")], (DIRECT.failed,)),
        ([request(), reply(200, observed="hang")], (DIRECT.failed,)),
        ([request()], (DIRECT.failed,)),
        ([request(1), request(2), reply(500, id_=1), reply(200, id_=2)], (DIRECT.failed, DIRECT.served)),
        ([request(1), request(2), reply(200, id_=2), reply(500, id_=1)], (DIRECT.failed, DIRECT.served)),
        ([effect(role="api")], (INLINE.served,)),
        ([effect(role="worker")], ()),
        ([effect(role="api"), effect(role="api")], (INLINE.served, INLINE.served)),
        (
            [rpc("UNAVAILABLE"), request(), reply(500), effect(role="api")],
            (CLOUD.failed, DIRECT.failed, INLINE.served),
        ),
        ([effect(role="api"), request(), reply()], (INLINE.served, DIRECT.served)),
    ],
)
def test_the_way_on_the_wire(facts: list[Fact], way: tuple[Step, ...]) -> None:
    assert on_the_wire(*facts) == way


def seen(wire: Sequence[Step], logs: Sequence[Step], unwitnessed: Sequence[Route] = ()) -> route.Witnesses:
    """What both witnesses say."""
    return route.Witnesses(tuple(wire), tuple(logs), frozenset(unwitnessed))


def test_a_delivery_is_known_by_the_name_of_a_task_that_was_sent() -> None:
    named = request(headers=[["x-cLOUDtasks-taskNAME", "t"]])
    other = request(headers=[["x-cloudtasks-queuename", "t"]])
    forged = request(headers=[["X-CloudTasks-TaskName", "never-sent"]])

    found = [route.delivered_by_cloud_tasks(o, {"t"}) for o in journal(named, other, forged)]

    assert found == [True, False, False]


def test_a_direct_call_that_poses_as_a_delivery_is_a_direct_call() -> None:
    assert on_the_wire(rpc(), request(by_cloud_tasks=True), reply()) == (CLOUD.served, DIRECT.served)


def test_a_route_that_is_said_to_have_failed_and_then_to_have_served_is_two_attempts() -> None:
    told = in_the_log(event(TRYING), event(DIRECT_FAILED), event(DISPATCHED))

    assert told == (DIRECT.failed, DIRECT.served)


@pytest.mark.parametrize(
    ("facts", "way"),
    [
        ([], ()),
        ([event(CHECKING), event(CHECKED, enabled="true"), event(ENQUEUED)], (CLOUD.served,)),
        ([event(CHECKING), event(CHECKED)], (CLOUD.failed,)),
        ([event(ENQUEUED)], (CLOUD.served,)),
        ([event(CHECKING), event(ENQUEUE_FAILED)], (CLOUD.failed,)),
        ([event(CHECKING), event(CHECKED, enabled="false")], (CLOUD.skipped,)),
        ([event(CHECKING), event(CHECKED, enabled="False")], (CLOUD.skipped,)),
        ([event(CHECKING), event(CHECKED, enabled="0")], (CLOUD.skipped,)),
        (
            [event(CHECKING), event(ENQUEUE_FAILED), event(CHECKING), event(ENQUEUED)],
            (CLOUD.failed, CLOUD.served),
        ),
        ([event(ENQUEUED), event(ENQUEUED)], (CLOUD.served, CLOUD.served)),
        ([event(CHECKING), event(TRYING), event(DISPATCHED)], (CLOUD.failed, DIRECT.served)),
        ([event(CHECKING), event(TRYING), event(DIRECT_FAILED)], (CLOUD.failed, DIRECT.failed)),
        (
            [event(TRYING), event(DIRECT_FAILED), event(TRYING), event(DISPATCHED)],
            (DIRECT.failed, DIRECT.served),
        ),
        ([event(DISPATCHED)], (DIRECT.served,)),
        (
            [event(CHECKING), event(TRYING), event(DIRECT_FAILED), event(FALLING_BACK)],
            (CLOUD.failed, DIRECT.failed, INLINE.served),
        ),
        ([event(CHECKING), event(FALLING_BACK)], (CLOUD.failed, DIRECT.skipped, INLINE.served)),
        (
            [event(CHECKING), event(CHECKED, enabled="no"), event(FALLING_BACK)],
            (CLOUD.skipped, DIRECT.skipped, INLINE.served),
        ),
        ([event(FALLING_BACK), event(INLINE_FAILED, reason="x")], (DIRECT.skipped, INLINE.failed)),
        ([event(INLINE_FAILED, reason="x")], (INLINE.failed,)),
        (
            [event(CHECKING), event(ENQUEUED), event(FALLING_BACK)],
            (CLOUD.served, DIRECT.skipped, INLINE.served),
        ),
        ([log(SENDING)], (DIRECT.served,)),
        ([log(SENDING), log(LOCAL)], (DIRECT.failed, INLINE.served)),
        ([log(NOT_USED), log(LOCAL)], (DIRECT.skipped, INLINE.served)),
        ([log(LOCAL)], (DIRECT.skipped, INLINE.served)),
        ([event(ENQUEUED, by="worker"), event(FALLING_BACK, by="worker")], ()),
        ([event(WORKER_START), event("assemble.job.settled", route="inline")], ()),
    ],
)
def test_the_way_in_the_log(facts: list[Fact], way: tuple[Step, ...]) -> None:
    assert in_the_log(*facts) == way


def test_two_passes_of_one_job_are_told_in_turns() -> None:
    queue = [event(CHECKING), event(CHECKED), event(ENQUEUE_FAILED, reason="unavailable")]
    failed, inline = event(DIRECT_FAILED, reason="timeout"), event(FALLING_BACK)
    passes = (Route.CLOUD_TASKS.failed, Route.WORKER_DIRECT.failed) * 2
    inlines = (Route.INLINE.served,) * 2

    later = [*queue, event(TRYING), *queue, event(TRYING), failed, inline, failed, inline]
    at_once = [*queue, event(TRYING), *queue, event(TRYING), failed, failed, inline, inline]
    served = [*queue, event(TRYING), *queue, event(TRYING), failed, event(DISPATCHED)]

    assert in_the_log(*later) == passes + inlines
    assert in_the_log(*at_once) == passes + inlines
    assert in_the_log(*served) == (*passes[:1], Route.WORKER_DIRECT.served, *passes[2:])


def test_what_is_told_late_belongs_to_the_attempt_that_nothing_was_told_of() -> None:
    facts = [event(CHECKING), event(TRYING), event(DIRECT_FAILED, reason="x"), event(ENQUEUED)]

    assert in_the_log(*facts) == (Route.CLOUD_TASKS.served, Route.WORKER_DIRECT.failed)


def test_two_witnesses_that_agree_with_the_requirement() -> None:
    way = [CLOUD.failed, DIRECT.served]

    assert route.judge(way, seen(wire=way, logs=way)) is None


def test_a_skipped_route_is_asked_of_the_log_only() -> None:
    expected = [CLOUD.skipped, DIRECT.served]

    assert route.judge(expected, seen(wire=[DIRECT.served], logs=expected)) is None
    assert route.judge(expected, seen(wire=[DIRECT.served], logs=[DIRECT.served]))
    assert route.judge([DIRECT.served], seen(wire=[DIRECT.served], logs=expected))


@pytest.mark.parametrize(
    ("wire", "logs", "says"),
    [
        ((INLINE.served,), (INLINE.served,), "the wire and the logs agree"),
        ((CLOUD.failed, INLINE.served), (CLOUD.failed, DIRECT.served), "disagree"),
        ((CLOUD.failed, DIRECT.served), (CLOUD.served,), "disagree"),
        ((DIRECT.served, CLOUD.failed), (DIRECT.served, CLOUD.failed), "the wire and the logs agree"),
        ((CLOUD.failed, DIRECT.served, DIRECT.served), (CLOUD.failed, DIRECT.served), "disagree"),
        ((CLOUD.failed, DIRECT.failed), (CLOUD.failed, DIRECT.failed), "the wire and the logs agree"),
        ((), (), "the wire and the logs agree"),
    ],
)
def test_another_way_is_told_from_both_witnesses(
    wire: tuple[Step, ...], logs: tuple[Step, ...], says: str
) -> None:
    finding = route.judge([CLOUD.failed, DIRECT.served], seen(wire=wire, logs=logs))

    assert finding is not None
    assert finding.oracle == "route"
    assert finding.expected == "the way cloud_tasks failed → worker_direct served"
    assert finding.observed.splitlines() == [
        f"from the wire: {' → '.join(map(str, wire)) or '(no route)'}",
        f"from the logs: {' → '.join(map(str, logs)) or '(no route)'}",
    ]
    assert says in finding.nearest


def test_a_route_that_a_fault_hides_may_be_missing_from_the_wire_but_not_from_the_log() -> None:
    way = [CLOUD.failed, DIRECT.served]

    assert route.judge(way, seen(wire=[DIRECT.served], logs=way))
    assert route.judge(way, seen(wire=[DIRECT.served], logs=way, unwitnessed=[CLOUD])) is None
    assert (
        route.judge(way, seen(wire=way, logs=way, unwitnessed=[CLOUD])) is None
    )  # hidden for a part of the run only
    assert route.judge(way, seen(wire=[DIRECT.served], logs=[DIRECT.served], unwitnessed=[CLOUD]))


def test_a_hidden_route_that_served_is_seen_all_the_same() -> None:
    way = [CLOUD.failed, DIRECT.served]

    assert route.judge(way, seen(wire=[CLOUD.served, DIRECT.served], logs=way, unwitnessed=[CLOUD]))
    assert route.disagreement(
        seen(wire=[DIRECT.served], logs=[CLOUD.served, DIRECT.served], unwitnessed=[CLOUD])
    )


def test_a_fault_hides_its_own_route_only() -> None:
    way = [CLOUD.failed, DIRECT.failed, INLINE.served]

    assert route.judge(way, seen(wire=[INLINE.served], logs=way, unwitnessed=[CLOUD]))
    assert route.judge(way, seen(wire=[INLINE.served], logs=way, unwitnessed=[CLOUD, DIRECT])) is None


@pytest.mark.parametrize(
    ("wire", "logs", "agree"),
    [
        ((), (), True),
        ((CLOUD.served,), (CLOUD.served,), True),
        ((DIRECT.served,), (CLOUD.skipped, DIRECT.served), True),
        ((CLOUD.served,), (CLOUD.failed,), False),
        ((CLOUD.served,), (), False),
        ((), (CLOUD.served,), False),
        ((CLOUD.served,), (CLOUD.skipped,), False),
        ((CLOUD.served, CLOUD.served), (CLOUD.served,), False),
        ((DIRECT.failed, CLOUD.failed), (CLOUD.failed, DIRECT.failed), False),
        ((INLINE.served,), (DIRECT.served,), False),
    ],
)
def test_disagreement_is_a_finding_whatever_was_expected(
    wire: tuple[Step, ...], logs: tuple[Step, ...], *, agree: bool
) -> None:
    finding = route.disagreement(seen(wire=wire, logs=logs))

    assert (finding is None) == agree
    if finding is not None:
        assert (finding.expected, finding.oracle) == ("logs that agree with the wire", "route")


def test_an_inline_run_that_failed_leaves_nothing_on_the_wire() -> None:
    told = (CLOUD.failed, DIRECT.failed, INLINE.failed)

    assert route.disagreement(seen(wire=(CLOUD.failed, DIRECT.failed), logs=told)) is None
    assert route.judge(told, seen(wire=(CLOUD.failed, DIRECT.failed), logs=told)) is None
    assert route.judge(told, seen(wire=(CLOUD.failed, DIRECT.failed, INLINE.served), logs=told))


@pytest.mark.parametrize(
    "facts",
    [
        [],
        [rpc(), event(ENQUEUED)],
        [rpc("OK", observed="hang"), rpc("ALREADY_EXISTS"), event(ENQUEUED)],
        [request(), reply(), event(DISPATCHED)],
        [request(), event(DISPATCHED), reply()],
        [event(TRYING), event(DIRECT_FAILED)],
    ],
)
def test_a_claim_after_the_call(facts: list[Fact]) -> None:
    assert route.claimed_too_early(journal(*facts)) is None


@pytest.mark.parametrize(
    ("facts", "observed"),
    [
        ([event(ENQUEUED), rpc()], "the event was logged first"),
        ([event(ENQUEUED)], "nobody saw such a call"),
        ([request(), event(ENQUEUED)], "nobody saw such a call"),
        ([rpc(method="GetTask"), event(ENQUEUED)], "nobody saw such a call"),
        ([event(DISPATCHED), request()], "the event was logged first"),
        ([rpc(), event(DISPATCHED)], "nobody saw such a call"),
        ([delivered(), request(by_cloud_tasks=True), event(DISPATCHED)], "nobody saw such a call"),
    ],
)
def test_a_claim_before_the_call(facts: list[Fact], observed: str) -> None:
    finding = route.claimed_too_early(journal(*facts))

    assert finding is not None
    assert finding.observed == observed
    assert finding.oracle == "route"


def test_after_a_restart_the_witnesses_are_heard_anew() -> None:
    killed = [starts(), stimulus(), event(CHECKING), rpc("UNAVAILABLE"), event(TRYING), request()]
    after = [starts(), event(CHECKING), rpc(), event(ENQUEUED)]

    heard = route.witnesses(journal(*killed, *after))

    assert (heard.wire, heard.logs) == ((CLOUD.served,), (CLOUD.served,))


def test_the_start_before_the_request_and_a_worker_that_starts_again_change_nothing() -> None:
    heard = route.witnesses(
        journal(starts(), stimulus(), event(CHECKING), rpc(), starts("worker"), event(ENQUEUED))
    )

    assert (heard.wire, heard.logs) == ((CLOUD.served,), (CLOUD.served,))


def test_a_task_that_was_sent_just_before_a_restart_is_not_taken_for_a_direct_call() -> None:
    killed = [starts(), stimulus(), event(CHECKING), rpc(), delivered()]
    after = [starts(), request(by_cloud_tasks=True), reply(), effect()]

    heard = route.witnesses(journal(*killed, *after))

    assert (heard.wire, heard.logs, heard.agree) == ((), (), True)


def test_a_200_that_is_not_the_workers_serves_nothing() -> None:
    lie = [request(), reply(200, forwarded=False, fault="captive-portal")]
    half = [request(id_=2), reply(200, id_=2, fault="half-asked")]

    assert on_the_wire(stimulus(), *lie, *half) == (DIRECT.failed, DIRECT.failed)


def test_a_log_that_was_cut_off_contradicts_nothing_and_confirms_nothing() -> None:
    cut = Fact("api", "process", "its log is cut off", {"log_cut_off": "api"})

    heard = route.witnesses(journal(starts(), cut, stimulus(), rpc()))

    assert heard.agree
    assert route.judge([CLOUD.served], heard)
    other = Fact("worker", "process", "its log is cut off", {"log_cut_off": "worker"})
    assert not route.witnesses(journal(starts(), other, stimulus(), rpc())).agree


LAST_RESORT = [event(CHECKING), event(TRYING), event(DIRECT_FAILED), event(FALLING_BACK)]


@pytest.mark.parametrize(
    ("facts", "agree"),
    [
        ([rpc("ABORTED"), request(), reply(None, observed="reset"), effect()], True),
        ([rpc("OK", observed="hang"), request(), reply(500, forwarded=False), effect()], True),
        ([rpc("ABORTED"), request(), reply(500), effect()], True),
        ([rpc("ABORTED"), request(), reply(500, forwarded=False), effect()], False),
        ([rpc("ABORTED"), request(), reply(None, observed="reset")], False),
        ([rpc("ABORTED"), request(), reply(None, observed="reset"), effect(), effect(role="api")], True),
        ([rpc("ABORTED"), request(), reply(None, observed="reset"), effect(role="api")], True),
    ],
    ids=[
        "reset",
        "task exists",
        "failed after work",
        "never forwarded",
        "no effect",
        "done twice",
        "done inline",
    ],
)
def test_inline_may_find_the_job_done_only_after_an_answer_was_lost(
    facts: list[Fact], *, agree: bool
) -> None:
    heard = route.witnesses(journal(stimulus(), *facts, *LAST_RESORT))

    assert heard.agree == agree
    assert heard.logs == (CLOUD.failed, DIRECT.failed, INLINE.served)


def test_a_call_that_was_held_back_belongs_where_it_came() -> None:
    """It is recorded with its effect, and by then the caller that gave up may have called the worker."""
    late = rpc("DEADLINE_EXCEEDED", observed="hang")
    held_back = Fact(late.source, late.kind, late.text, {**late.fields, "waited_s": 0.25})

    assert on_the_wire(stimulus(), request(), reply(), held_back) == (CLOUD.failed, DIRECT.served)
    assert on_the_wire(stimulus(), request(), reply(), late) == (DIRECT.served, CLOUD.failed)
