from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from harness import evidence
from harness.evidence import ScenarioResult
from harness.model import Level, Verdict
from harness.requirements import Requirement, Requirements
from reports import write_all
from reports.results import results

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

REQUIREMENTS = Requirements(
    [
        Requirement("PROD-01", Level.CORE, "first"),
        Requirement("PROD-02", Level.EXTENDED, "second", capability="durable"),
        Requirement("LIVE-01", Level.CORE, "third", excluded="needs a deployment"),
    ]
)
RUN: dict[str, Any] = {
    "version": 1,
    "name": "r",
    "profile": "reference",
    "python": "3.11.7",
    "platform": "Linux",
    "began_at": 1_700_000_000.0,
    "ended_at": 1_700_000_012.5,
    "pytest_exit": 0,
    "interrupted": False,
    "selected": ["t::a"],
}
PASSED = ScenarioResult(
    scenario="X-01",
    node="t::a",
    title="It works.",
    requires=("PROD-01",),
    level="core",
    verdict=Verdict.PASS,
    duration_s=1.0,
    folder="X-01",
)


def result(letter: str, verdict: Verdict, *requires: str, blame: str = "") -> ScenarioResult:
    return replace(
        PASSED,
        scenario=f"X-{letter}",
        node=f"t::{letter}",
        folder=f"X-{letter}",
        verdict=verdict,
        requires=requires or ("PROD-01",),
        blame=blame,
    )


def account(scenarios: Sequence[ScenarioResult], **changes: Any) -> dict[str, Any]:
    run = {**RUN, "selected": [s.node for s in scenarios], **changes}
    return results(run, scenarios, REQUIREMENTS)


def verdicts(document: dict[str, Any]) -> dict[str, str]:
    return {row["id"]: row["verdict"] for row in document["requirements"]}


def test_one_pass_is_a_pass() -> None:
    document = account([PASSED])

    assert (document["verdict"], document["reasons"]) == ("PASS", [])
    assert document["summary"] == "1 scenarios, 1 pass; 1 of 3 requirements verified"
    assert document["run"]["name"] == "r"
    assert document["scenarios"][0]["verdict"] == "PASS"


def test_no_scenario_is_no_pass() -> None:
    document = account([])

    assert document["verdict"] == "INCONCLUSIVE"
    assert document["reasons"] == ["no scenario left a verdict"]
    assert verdicts(document) == {"PROD-01": "NOT VERIFIED", "PROD-02": "NOT VERIFIED", "LIVE-01": "EXCLUDED"}


def test_nothing_but_inapplicable_scenarios_is_no_pass() -> None:
    document = account([result(letter, Verdict.NOT_APPLICABLE) for letter in "ab"])

    assert document["verdict"] == "INCONCLUSIVE"
    assert document["reasons"] == ["no scenario was applicable"]


def test_a_selected_scenario_without_a_verdict_is_no_pass() -> None:
    document = account([PASSED], selected=["t::a", "t::z", "t::y"])

    assert document["verdict"] == "INCONCLUSIVE"
    assert document["reasons"] == ["2 selected scenario(s) left no verdict, e.g. t::y"]
    assert "2 without a verdict" in document["summary"]


def test_an_interrupted_run_is_no_pass() -> None:
    document = account([PASSED], interrupted=True)

    assert document["verdict"] == "INCONCLUSIVE"
    assert document["reasons"] == ["the run was interrupted"]


def test_a_failure_stays_one_whatever_is_missing() -> None:
    document = account(
        [result("a", Verdict.FAIL, blame="sut"), result("b", Verdict.PASS)],
        interrupted=True,
        selected=["t::q"],
    )

    assert document["verdict"] == "FAIL"
    assert len(document["reasons"]) == 3
    assert document["reasons"][-1] == "FAIL: X-a"


def test_every_scenario_that_did_not_pass_is_a_reason() -> None:
    document = account(
        [
            result("a", Verdict.PASS),
            result("b", Verdict.INCONCLUSIVE, blame="harness"),
            result("c", Verdict.INCONCLUSIVE, blame="evidence"),
            result("d", Verdict.NOT_APPLICABLE),
        ]
    )

    assert document["verdict"] == "INCONCLUSIVE"
    assert document["reasons"] == ["INCONCLUSIVE: X-b (the harness is broken)", "INCONCLUSIVE: X-c"]
    assert document["summary"].startswith("4 scenarios, 1 pass, 2 inconclusive, 1 not applicable;")


def test_a_requirement_is_as_bad_as_its_worst_scenario() -> None:
    for worst in (Verdict.PASS, Verdict.INCONCLUSIVE, Verdict.FAIL):
        document = account(
            [result("a", Verdict.PASS), result("b", worst), result("c", Verdict.NOT_APPLICABLE)]
        )
        row = document["requirements"][0]

        assert (row["id"], row["verdict"]) == ("PROD-01", worst.value)
        assert row["passed"] == (2 if worst is Verdict.PASS else 1)
        assert row["scenarios"] == ["X-a", "X-b", "X-c"]


def test_a_requirement_of_inapplicable_scenarios_is_not_applicable() -> None:
    document = account([result("a", Verdict.NOT_APPLICABLE, "PROD-02"), result("b", Verdict.PASS)])

    assert verdicts(document) == {"PROD-01": "PASS", "PROD-02": "NOT_APPLICABLE", "LIVE-01": "EXCLUDED"}
    assert document["verdict"] == "PASS"


def test_every_requirement_has_a_row_in_the_order_of_the_list() -> None:
    rows = account([result("a", Verdict.PASS, "PROD-02")])["requirements"]

    assert [row["id"] for row in rows] == ["PROD-01", "PROD-02", "LIVE-01"]
    assert [row["verdict"] for row in rows] == ["NOT VERIFIED", "PASS", "EXCLUDED"]
    assert [row["level"] for row in rows] == ["core", "extended", "core"]
    assert rows[1]["capability"] == "durable"
    assert rows[2]["excluded"] == "needs a deployment"


def test_one_scenario_may_show_several_requirements() -> None:
    document = account([result("a", Verdict.PASS, "PROD-01", "PROD-02")])

    assert verdicts(document) == {"PROD-01": "PASS", "PROD-02": "PASS", "LIVE-01": "EXCLUDED"}
    assert "2 of 3 requirements verified" in document["summary"]


def test_the_account_is_json() -> None:
    document = account([PASSED, result("b", Verdict.FAIL)])

    assert json.loads(json.dumps(document))["verdict"] == "FAIL"


def test_a_run_folder_becomes_a_report(tmp_path: Path) -> None:
    evidence.write_run(tmp_path, **{k: v for k, v in RUN.items() if k != "version"})
    evidence.write_result(tmp_path, PASSED)

    document = write_all(tmp_path, REQUIREMENTS)

    assert json.loads((tmp_path / "results.json").read_text("utf-8")) == json.loads(json.dumps(document))
    assert document["verdict"] == "PASS"
    assert (tmp_path / "checklist.md").read_text("utf-8").startswith("# Release checklist: reference\n")


def test_a_lost_verdict_file_turns_the_report_inconclusive(tmp_path: Path) -> None:
    evidence.write_run(tmp_path, **{k: v for k, v in RUN.items() if k != "version"})

    assert write_all(tmp_path, REQUIREMENTS)["verdict"] == "INCONCLUSIVE"
