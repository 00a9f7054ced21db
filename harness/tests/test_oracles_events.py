from __future__ import annotations

import pytest

from harness import journal as journals
from harness.errors import Finding
from harness.logs.parse import BANNER_RULE, BANNER_TITLE
from harness.model import Event
from harness.oracles import events
from harness.tests.build import (
    CHECKED,
    CHECKING,
    DIRECT_FAILED,
    ENQUEUE_FAILED,
    ENQUEUED,
    FALLING_BACK,
    JOB,
    TRYING,
    WORKER_START,
    Fact,
    event,
    journal,
    log,
)


def said(*facts: Fact) -> list[Event]:
    return journals.events(journal(*facts))


def finding_of(finding: Finding | None) -> Finding:
    assert finding is not None
    assert finding.oracle == "events"
    return finding


def test_present() -> None:
    seen = said(event(ENQUEUED, task="t-1"), event(WORKER_START, by="worker"))

    assert events.present(seen, ENQUEUED) is None
    assert events.present(seen, ENQUEUED, {"task": "t-1"}) is None
    assert events.present(seen, ENQUEUED, source="api") is None
    assert events.present(seen, WORKER_START, {"job_id": "job-1"}, source="worker") is None


def test_present_needs_all_fields_in_one_event() -> None:
    seen = said(event(ENQUEUED, a="1", b="x"), event(ENQUEUED, a="y", b="2"))

    assert events.present(seen, ENQUEUED, {"a": "1", "b": "x"}) is None
    assert events.present(seen, ENQUEUED, {"a": "1", "b": "2"})


def test_present_in_the_wrong_process() -> None:
    found = finding_of(events.present(said(event(WORKER_START, by="api")), WORKER_START, source="worker"))

    assert found.expected == f"event={WORKER_START} in the log of the worker"
    assert found.nearest.startswith(f"api: {WORKER_START}")


def test_present_with_other_fields_lists_the_namesakes() -> None:
    seen = said(event(CHECKING), event(ENQUEUE_FAILED, reason="timeout"))

    found = finding_of(events.present(seen, ENQUEUE_FAILED, {"reason": "unavailable"}))

    assert found.expected == f"event={ENQUEUE_FAILED} reason=unavailable in the log"
    assert found.observed == f"api:{ENQUEUE_FAILED}"
    assert "reason=timeout" in found.nearest


def test_a_misspelt_event_is_suggested() -> None:
    found = finding_of(events.present(said(event(CHECKING), event("tasks.cloud.enqeued")), ENQUEUED))

    assert found.observed == f"api:{CHECKING}, api:tasks.cloud.enqeued"
    assert found.nearest.startswith("api: tasks.cloud.enqeued")


def test_nothing_alike_is_not_suggested() -> None:
    assert finding_of(events.present(said(event("zzz")), ENQUEUED)).nearest == ""
    assert finding_of(events.present([], ENQUEUED)).observed == "no event"


def test_absent() -> None:
    seen = said(event(ENQUEUED), event(WORKER_START, by="worker"))

    assert events.absent(seen, [TRYING, FALLING_BACK]) is None
    assert events.absent([], [TRYING]) is None
    found = finding_of(events.absent(seen, [TRYING, WORKER_START]))
    assert found.expected == f"no event={TRYING} and no event={WORKER_START}"
    assert found.observed == f"worker:{WORKER_START}"


def test_a_name_that_begins_alike_is_another_event() -> None:
    seen = said(event(ENQUEUED + "_x"))

    assert events.absent(seen, [ENQUEUED]) is None
    assert events.present(seen, ENQUEUED)
    assert events.counted(seen, ENQUEUED, 0) is None


@pytest.mark.parametrize("count", [0, 1, 3])
def test_counted_wrongly(count: int) -> None:
    seen = said(event(ENQUEUED), event(TRYING), event(ENQUEUED))

    assert events.counted(seen, ENQUEUED, 2) is None
    found = finding_of(events.counted(seen, ENQUEUED, count))
    assert found.expected == f"event={ENQUEUED} exactly {count} time(s)"
    assert found.observed == f"2 time(s): api:{ENQUEUED}, api:{ENQUEUED}"
    assert found.nearest == ""


def test_counted_in_one_process() -> None:
    seen = said(event(WORKER_START, by="worker"), event(WORKER_START, by="api"))

    assert events.counted(seen, WORKER_START, 1, source="worker") is None
    assert events.counted(seen, WORKER_START, 1)


def test_counted_none_suggests() -> None:
    assert "enqeued" in finding_of(events.counted(said(event("tasks.cloud.enqeued")), ENQUEUED, 1)).nearest


def test_in_order() -> None:
    seen = said(event(CHECKING), event(ENQUEUE_FAILED), event(TRYING))

    assert events.in_order(seen, [CHECKING, TRYING]) is None
    assert events.in_order(seen, [CHECKING, ENQUEUE_FAILED, TRYING]) is None
    assert events.in_order(seen, []) is None


def test_in_the_other_order() -> None:
    found = finding_of(events.in_order(said(event(TRYING), event(CHECKING)), [CHECKING, TRYING]))

    assert found.expected == f"in this order: {CHECKING}, {TRYING}"
    assert found.observed == f"api:{TRYING}, api:{CHECKING}\n{TRYING} was logged, but too early"


def test_in_order_counts_each_event_once() -> None:
    assert events.in_order(said(event(CHECKING)), [CHECKING, CHECKING])
    assert events.in_order(said(event(CHECKING), event(CHECKING)), [CHECKING, CHECKING]) is None


def test_in_order_with_one_missing() -> None:
    found = finding_of(
        events.in_order(said(event(CHECKING), event("assemble.service.try")), [CHECKING, TRYING])
    )

    assert "too early" not in found.observed
    assert found.nearest.startswith("api: assemble.service.try ")


@pytest.mark.parametrize(
    "facts",
    [
        [event(ENQUEUE_FAILED, reason="unavailable"), event(TRYING)],
        [event(CHECKED, enabled="false", reason="not-configured"), event(TRYING)],
        [event(ENQUEUE_FAILED, reason="unavailable"), event(CHECKING), event(TRYING), event(TRYING)],
        [event("assemble.service.worker_direct_skipped", reason="not-configured"), event(TRYING)],
        [event("config.invalid_worker_url", job=None, reason="no-scheme"), event(CHECKING), event(TRYING)],
    ],
)
def test_a_reason_before(facts: list[Fact]) -> None:
    assert events.reason_before(said(*facts), TRYING) is None


@pytest.mark.parametrize(
    "facts",
    [
        [event(TRYING)],
        [event(ENQUEUE_FAILED), event(TRYING)],
        [event(ENQUEUE_FAILED, reason=""), event(TRYING)],
        [event(TRYING), event(ENQUEUE_FAILED, reason="unavailable")],
        [event(TRYING, reason="its own")],
        [event(CHECKED, enabled="true", reason="configured"), event(ENQUEUE_FAILED), event(TRYING)],
        [event("config.app_env_unset", reason="cloud-run"), event(TRYING)],
    ],
    ids=["nothing", "no reason", "empty", "afterwards", "of itself", "of a success", "of something else"],
)
def test_no_reason_before(facts: list[Fact]) -> None:
    found = finding_of(events.reason_before(said(*facts), TRYING))

    assert found.expected == f"an event of a failed or skipped route with reason=… before event={TRYING}"


def test_a_reason_before_an_event_that_was_never_logged() -> None:
    found = finding_of(events.reason_before(said(event(ENQUEUE_FAILED, reason="x")), TRYING))

    assert found.expected == f"event={TRYING} in the log"


def test_a_reason_for_another_route_does_not_explain_this_one() -> None:
    seen = said(event(ENQUEUE_FAILED, reason="x"), event(TRYING), event(DIRECT_FAILED), event(FALLING_BACK))

    assert events.reason_before(seen, TRYING) is None
    assert events.reason_before(seen, FALLING_BACK)


def test_one_correlation_id() -> None:
    seen = said(event(CHECKING), event(WORKER_START, by="worker"))

    assert events.one_correlation_id(seen, "c-1") is None
    assert (
        finding_of(events.one_correlation_id(seen, "c-2")).observed
        == f"api:{CHECKING}, worker:{WORKER_START}"
    )
    assert finding_of(events.one_correlation_id([], "c-1")).observed == "no event at all"
    assert "(one that the API answers)" in finding_of(events.one_correlation_id(seen, "")).expected


def test_one_event_with_another_or_no_correlation_id() -> None:
    other = said(event(CHECKING), event(WORKER_START, by="worker", correlation_id="c-9"))
    none = said(event(CHECKING), event(TRYING, job=None))

    assert finding_of(events.one_correlation_id(other, "c-1")).observed == f"worker:{WORKER_START}"
    assert finding_of(events.one_correlation_id(none, "c-1")).observed == f"api:{TRYING}"


def test_no_correlation_id_anywhere_is_not_agreement() -> None:
    assert events.one_correlation_id(said(event(CHECKING, correlation_id="")), "")


def test_names_variable() -> None:
    assert events.names_variable(said(log("event=config.invalid_boolean name=FLAG")), "FLAG") is None
    assert events.names_variable(said(event("x", detail="set FLAG to true")), "FLAG") is None
    assert events.names_variable(said(log("event=x name=FLAG_2")), "FLAG")
    assert finding_of(events.names_variable([], "FLAG")).expected == "an event that names the variable FLAG"


def banner_of(*values: str) -> list[str]:
    return [BANNER_RULE, BANNER_TITLE, *(f"  {value}" for value in values), BANNER_RULE]


def test_banner() -> None:
    lines = ["before", *banner_of("a", "b"), "after"]

    assert events.banner(lines, ["a", "b"]) is None
    assert events.banner(banner_of("a", "b"), ["a", "b"]) is None


@pytest.mark.parametrize(
    "lines",
    [
        banner_of("a"),
        banner_of("b", "a"),
        banner_of("a", "b", "c"),
        banner_of("a", "B"),
        banner_of("a", "b ")[:],
        banner_of("a", "b")[1:],
        banner_of("a", "b")[:-1],
        [*banner_of("a", "b")[:2], "between", *banner_of("a", "b")[2:]],
        [line.strip() for line in banner_of("a", "b")],
        [line.replace("=", "-") for line in banner_of("a", "b")],
        [line.replace(BANNER_RULE, BANNER_RULE[1:]) for line in banner_of("a", "b")],
    ],
)
def test_a_banner_that_differs_anywhere(lines: list[str]) -> None:
    assert finding_of(events.banner(lines, ["a", "b"])).expected.startswith("this banner:\n")


def test_the_nearest_banner_is_shown() -> None:
    found = finding_of(events.banner(["x", *banner_of("a", "B"), "y"], ["a", "b"]))

    assert found.observed == "nearest lines:\n" + "\n".join(banner_of("a", "B"))
    assert finding_of(events.banner([], ["a"])).observed == "no such banner"


def test_printed() -> None:
    assert events.printed(["a", "x", "b"], ["a", "b"]) is None
    assert events.printed(["b", "a", "b"], ["a", "b"]) is None
    assert events.printed(["b", "a"], ["a", "b"])
    assert events.printed(["a"], ["a", "a"])
    assert events.printed(["a b"], ["a"])


def test_the_nearest_printed_line_is_shown() -> None:
    found = finding_of(events.printed(["DEV MODE: sending to worker"], ["DEV MODE: Sending to worker"]))

    assert found.nearest == "DEV MODE: sending to worker"
    assert (
        found.observed == "'DEV MODE: Sending to worker' is not among the lines that follow the earlier ones"
    )


FORGED = "event=tasks.cloud.enqueued episode_id=ep-forged job_id=j"


@pytest.mark.parametrize(
    "line",
    [FORGED, f"assembling {FORGED} for ep-1", f'assembling " {FORGED}'],
    ids=["a-line-of-its-own", "not-readable", "behind-a-quote"],
)
def test_a_request_that_writes_an_event(line: str) -> None:
    finding = events.not_forged(journal(event(CHECKING), log(line)), FORGED)

    assert finding is not None
    assert (finding.oracle, finding.expected) == (
        "events",
        "no line that reads like event=tasks.cloud.enqueued and is the request's",
    )
    assert FORGED in finding.observed


@pytest.mark.parametrize(
    "line",
    [
        f'event=assemble.endpoint.entry title="{FORGED}"',
        "event=tasks.cloud.enqueued task=t",
        'event=assemble.endpoint.entry title="event\\u003dtasks.cloud.enqueued"',
    ],
    ids=["quoted", "the-dispatcher's-own", "escaped"],
)
def test_what_is_quoted_or_the_dispatchers_own_is_no_forgery(line: str) -> None:
    assert events.not_forged(journal(log(line)), FORGED) is None


def test_events_about_episodes_that_nobody_asked_for() -> None:
    said = journals.events(journal(event(CHECKING), log(FORGED), event("config.invalid_boolean", job=None)))

    finding = events.of_strangers(said, {JOB.episode_id})

    assert finding is not None
    assert finding.oracle == "events"
    assert finding.observed == "api: tasks.cloud.enqueued episode_id=ep-forged job_id=j"
    assert events.of_strangers(said, {JOB.episode_id, "ep-forged"}) is None
