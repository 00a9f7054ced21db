"""What is read of a dispatcher's conduct in a cell, on hand-written journals, and what of it disagrees."""

from __future__ import annotations

import pytest

from harness.errors import Finding
from harness.model import Route, Setting
from harness.oracles import conduct
from harness.oracles.cells import Cell
from harness.oracles.conduct import Conduct
from harness.oracles.model import decide
from harness.tests.build import (
    CHECKED,
    CHECKING,
    DIRECT_FAILED,
    DISPATCHED,
    ENQUEUE_FAILED,
    ENQUEUED,
    FALLING_BACK,
    TRYING,
    Fact,
    effect,
    event,
    journal,
    log,
    reply,
    request,
    rpc,
    stimulus,
    unexpected,
)

VARIABLES = {
    Setting.WORKER_FLAG: "USE_WORKER_IN_DEV",
    Setting.WORKER_URL: "WORKER_URL_BASE",
    Setting.APP_ENV: "APP_ENV",
}
HEALTHY = (stimulus(), event(CHECKING), event(CHECKED, enabled="true"), rpc(), event(ENQUEUED), effect())
REFUSED = (
    stimulus(),
    event(CHECKING),
    event(CHECKED, enabled="true"),
    rpc("UNAVAILABLE"),
    event(ENQUEUE_FAILED, reason="unavailable", permanent="false"),
)
DIRECT = (event(TRYING), request(), reply(), effect(), event(DISPATCHED))
INLINE = (
    event(TRYING),
    request(),
    reply(503, fault="f"),
    event(DIRECT_FAILED, reason="http-503"),
    event(FALLING_BACK),
    effect(role="api"),
)


def seen(*facts: Fact, **more: object) -> Conduct:
    return conduct.of(journal(*facts), **more)  # type: ignore[arg-type]  # a test's own


def disagrees(seen: Conduct, reasons: dict[str, str] | None = None, **classes: str) -> list[str]:
    at = Cell(**{"app_env": "prod", **classes})
    return seen.disagrees(decide(at), variables=VARIABLES, reasons=reasons or {})


def test_a_dispatcher_that_does_what_the_table_says_agrees() -> None:
    assert disagrees(seen(*HEALTHY)) == []
    assert disagrees(seen(*REFUSED, *DIRECT), cloud_tasks="unavailable") == []
    assert disagrees(seen(*REFUSED, *INLINE), cloud_tasks="unavailable", worker="503") == []


def test_another_way_disagrees() -> None:
    found = disagrees(seen(*REFUSED, event(FALLING_BACK), effect(role="api")), cloud_tasks="unavailable")

    assert found == [
        "the way is another one",
        "the events that tell the way are others",
        "the effect must be in the worker",
    ]


def test_logs_that_tell_another_way_than_the_wire_disagree() -> None:
    found = disagrees(
        seen(*REFUSED, request(), reply(503, fault="f"), event(TRYING), event(DISPATCHED), effect()),
        cloud_tasks="unavailable",
    )

    assert "the way is another one" in found


def test_a_lost_and_a_doubled_job_disagree() -> None:
    assert disagrees(seen(*HEALTHY[:-1])) == ["the job is lost"]
    assert disagrees(seen(*HEALTHY, effect())) == ["the job has more than one effect"]


def test_an_event_too_many_or_too_few_disagrees() -> None:
    others = ["the events that tell the way are others"]

    assert disagrees(seen(*HEALTHY, event("tasks.dev.worker_failed", reason="x"))) == others
    assert disagrees(seen(HEALTHY[0], *HEALTHY[2:])) == others
    assert disagrees(seen(*HEALTHY[:5], event(CHECKED, enabled="true"), effect())) == others


@pytest.mark.parametrize(
    ("fields", "differences"),
    [
        ("reason=permission-denied permanent=true", 0),
        ("reason=permission-denied permanent=false", 1),
        ("reason=permission-denied", 1),
        ("reason=unavailable permanent=true", 1),
        ("permanent=true", 1),
    ],
)
def test_a_reason_and_permanence_are_as_prescribed(fields: str, differences: int) -> None:
    failed = log(f"event={ENQUEUE_FAILED} episode_id=ep-1 {fields}")
    facts = [*REFUSED[:3], rpc("PERMISSION_DENIED"), failed, *DIRECT]

    assert len(disagrees(seen(*facts), cloud_tasks="permission-denied")) == differences


def test_a_reason_may_be_in_the_dispatchers_own_words() -> None:
    facts = [*REFUSED[:4], event(ENQUEUE_FAILED, reason="BUSY", permanent="false"), *DIRECT]

    assert disagrees(seen(*facts), cloud_tasks="unavailable") != []
    assert disagrees(seen(*facts), {"unavailable": "BUSY"}, cloud_tasks="unavailable") == []


def test_a_route_that_a_fault_hides_is_not_missed_on_the_wire() -> None:
    facts = [*REFUSED[:3], event(ENQUEUE_FAILED, reason="client-unavailable"), *DIRECT]

    assert disagrees(seen(*facts, hidden=[Route.CLOUD_TASKS]), client="no-credentials") == []
    assert disagrees(seen(*facts), client="no-credentials") == ["the way is another one"]


def test_an_odd_flag_is_warned_about_by_its_variable() -> None:
    warning = log("event=config.invalid_boolean name=USE_WORKER_IN_DEV value=maybe")

    assert disagrees(seen(warning, *HEALTHY), worker_flag="maybe") == []
    assert disagrees(seen(*HEALTHY), worker_flag="maybe") == [
        "no event says what is wrong with USE_WORKER_IN_DEV"
    ]


def test_a_bad_url_is_warned_about_with_its_reason() -> None:
    skipped = event("assemble.service.worker_direct_skipped", reason="worker-url-no-host")
    facts = (
        stimulus(),
        event(CHECKING),
        event(CHECKED, enabled="false", reason="worker-url-no-host"),
        skipped,
        event(FALLING_BACK),
        effect(role="api"),
    )
    why, other = (
        event("config.invalid_worker_url", job=None, reason=reason) for reason in ("no-host", "no-scheme")
    )

    assert disagrees(seen(why, *facts), worker_url="no-host") == []
    assert disagrees(seen(other, *facts), worker_url="no-host") == [
        "no event says what is wrong with WORKER_URL_BASE"
    ]


def test_what_is_wrong_in_any_cell_disagrees() -> None:
    assert disagrees(seen(*HEALTHY, log("event=x y"))) == [
        "expected log lines that can be read; observed 'event=x y'"
    ]
    assert disagrees(seen(*HEALTHY, unexpected("GET /"))) == [
        "expected calls that the world around it knows; observed GET /"
    ]
    assert disagrees(seen(*HEALTHY, flaws=[Finding("a", "b"), None])) == ["expected a; observed b"]
    early = (*HEALTHY[:3], event(ENQUEUED), rpc(), effect())
    assert any("only after the other side" in flaw for flaw in disagrees(seen(*early)))


def test_to_start_and_to_refuse_are_told_apart() -> None:
    refused = Conduct(refused="ConfigError: no")

    assert disagrees(refused, app_env="misspelt") == []
    assert disagrees(refused) == ["it must start, and it refused: ConfigError: no"]
    assert disagrees(seen(*HEALTHY), app_env="misspelt") == ["it must refuse to start, and it started"]


def test_cells_that_were_treated_alike_have_equal_conducts() -> None:
    other = [Fact(f.source, f.kind, f.text.replace("ep-1", "ep-2"), f.fields) for f in HEALTHY]

    assert seen(*HEALTHY) == seen(*other)
    assert seen(*HEALTHY) != seen(*REFUSED, *DIRECT)


def test_a_conduct_survives_as_evidence() -> None:
    warning = log("event=config.invalid_boolean name=X")
    whole = seen(warning, *REFUSED, *INLINE, log("event=x y"), hidden=[Route.CLOUD_TASKS])

    assert conduct.from_json(conduct.to_json(whole)) == whole
    assert conduct.to_json(Conduct()) == {}
    assert conduct.from_json({"refused": "no"}) == Conduct(refused="no")
