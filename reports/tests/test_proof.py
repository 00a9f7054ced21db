"""What is said of the kill matrix and of the canary, and that neither says more than it knows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from harness import cli, sealed
from harness.errors import UsageError
from harness.model import Verdict
from reports import proof
from reports.checklist import checklist
from reports.github import summary
from reports.merge import merge
from reports.page import page
from reports.policy import Policy, decide
from reports.release import release
from reports.results import as_json, results
from reports.schema import json_schema, read_results
from reports.tests import made

OPEN = Policy.model_validate({"version": 1, "excuse": [{"requirements": ["LIVE-*"], "because": "later"}]})
DEMANDING = OPEN.model_copy(update={"require_prove": True, "require_canary": True})
GOOD = made.kill_matrix(made.mutant("m1"), made.mutant("m2"), equivalent=[made.variant("e1")])


def going(
    prove: dict[str, Any] | None = GOOD, canary: dict[str, Any] | None = None, **run: Any
) -> dict[str, Any]:
    document = made.going(**run)
    shown = [made.scenario("PROD-HEALTHY-01"), made.scenario("PROD-FALLBACK-01", requires=("PROD-03",))]
    return results(
        document["run"], shown, made.REQUIREMENTS, prove=prove, canary=canary or made.mutant("canary")
    )


def test_a_good_kill_matrix_is_a_proof_and_satisfies_the_schema() -> None:
    document = json.loads(as_json(going()))
    jsonschema.validate(document, json_schema(), cls=jsonschema.Draft202012Validator)
    assert list(proof.problems(GOOD, made.run_facts()["identity"])) == []
    assert proof.in_words(GOOD) == (
        "2 of 2 known-bad dispatchers were found for the stated reason; 0 false alarm(s) on 1 harmless variants."
    )
    assert decide(document, DEMANDING).go


@pytest.mark.parametrize(
    ("prove", "said"),
    [
        (
            made.kill_matrix(made.mutant("m1"), made.mutant("m2", "survived")),
            "1 known-bad dispatcher(s) survived, e.g. m2",
        ),
        (
            made.kill_matrix(made.mutant("m1", "killed for another reason")),
            "1 known-bad dispatcher(s) were found for another reason than stated, e.g. m1",
        ),
        (made.kill_matrix(made.mutant("m1", "not judged")), "1 known-bad dispatcher(s) were not judged, e.g. m1"),
        (
            made.kill_matrix(made.mutant("m1"), equivalent=[made.variant("e1", "false alarm")]),
            "1 false alarm(s) on harmless variants, e.g. e1",
        ),
        (
            made.kill_matrix(made.mutant("m1"), equivalent=[made.variant("e1", "not judged")]),
            "1 harmless variant(s) were not judged, e.g. e1",
        ),
        (made.kill_matrix(), "the kill matrix has no known-bad dispatcher"),
        (
            made.kill_matrix(made.mutant("m1"), complete=False),
            "the kill matrix is incomplete: it was cut off, or only a part was run",
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_kill_matrix_is_said_and_keeps_the_gate_shut(
    prove: dict[str, Any], said: str
) -> None:
    assert list(proof.problems(prove, made.run_facts()["identity"])) == [said]
    decision = decide(going(prove), DEMANDING)
    assert (decision.exit_code, decision.unknowns) == (2, (said,))
    assert decide(going(prove), OPEN).go


def test_the_checklist_and_the_summary_name_what_became_of_each() -> None:
    prove = made.kill_matrix(
        made.mutant("m1"), made.mutant("m2", "survived"), equivalent=[made.variant("e1", "false alarm")]
    )
    lines = checklist(going(prove)).splitlines()
    assert "| [x] | m1: What is wrong with m1 | PROD-03 route | killed | PROD-FALLBACK-01 |" in lines
    assert "| [ ] | m2: What is wrong with m2 | PROD-03 route | survived | - |" in lines
    assert "- harmless variant e1: false alarm" in lines
    assert "- only PROD-FALLBACK-01 kills m1" in lines
    assert "- PROD-HEALTHY-01 kills nothing" in lines
    assert "- 1 known-bad dispatcher(s) survived, e.g. m2" in lines
    assert "- 1 known-bad dispatcher(s) survived, e.g. m2" in summary(going(prove)).splitlines()
    document = release(going(prove))["proof"]
    assert (document["unique_kills"], document["kill_nothing"]) == (
        {"PROD-FALLBACK-01": ["m1"]},
        ["PROD-HEALTHY-01"],
    )


@pytest.mark.parametrize(
    ("part", "said"), [("suites", "other suites"), ("harness", "another version of dispatchcheck")]
)
@pytest.mark.parametrize("digest", ["sha256:" + "b" * 64, ""])
def test_a_kill_matrix_of_other_suites_proves_nothing_here(part: str, digest: str, said: str) -> None:
    identity = {**GOOD["identity"], part: {"digest": digest}}
    document = going({**GOOD, "identity": identity})
    words = f"the kill matrix was made with {said} than this run"
    assert decide(document, DEMANDING).unknowns == (words,)
    for text in (checklist(document), summary(document)):
        assert f"- {words}" in text.splitlines()
    assert release(document)["proof"]["problems"] == [words]
    assert f'<li class="INCONCLUSIVE">{words}</li>' in page(document)
    assert '<li class="INCONCLUSIVE"><b>2/2</b> known-bad dispatchers found</li>' in page(document)
    assert '<li class="PASS"><b>2/2</b> known-bad dispatchers found</li>' in page(going())


def test_another_dispatcher_may_be_judged_than_the_mutants_were_made_of() -> None:
    identity = {**GOOD["identity"], "sut": {"name": "reference", "digest": "sha256:" + "b" * 64}}
    assert decide(going({**GOOD, "identity": identity}), DEMANDING).go


def test_what_was_not_run_is_said_and_can_be_demanded() -> None:
    document = made.going()
    assert "not run" in proof.in_words(None)
    assert proof.canary_in_words(None) == "The canary: not run."
    assert decide(document, DEMANDING).unknowns == ("the canary was not run", "the kill matrix was not run")


@pytest.mark.parametrize(
    ("verdict", "words"),
    [
        ("survived", "The canary c was NOT found"),
        ("killed for another reason", "The canary c was found for another reason than stated"),
        ("not judged", "The canary c was not judged (the patch is stale)"),
    ],
)
@pytest.mark.parametrize("scenario", [Verdict.PASS, Verdict.FAIL])
def test_a_canary_that_is_not_found_breaks_the_harness(verdict: str, words: str, scenario: Verdict) -> None:
    canary = made.mutant("c", verdict)
    shown = [
        made.scenario("PROD-HEALTHY-01", scenario),
        made.scenario("PROD-FALLBACK-01", requires=("PROD-03",)),
    ]
    document = results(made.going()["run"], shown, made.REQUIREMENTS, canary=canary)
    assert document["verdict"] != "PASS"
    assert any(
        reason.startswith("the harness is broken: the canary c was ") for reason in document["reasons"]
    )
    assert decide(document, OPEN).unknowns == (f"{words}: the harness is broken",)
    assert proof.canary_in_words(canary) == f"{words}: the harness is broken."


def test_each_scenarios_own_kills_are_known_only_after_a_full_run() -> None:
    both = made.mutant("m2", scenarios={"PROD-HEALTHY-01": "killed", "PROD-FALLBACK-01": "killed"})
    prove = made.kill_matrix(made.mutant("m1"), both, made.mutant("m3", "survived"))
    assert proof.unique_kills(prove) == {"PROD-FALLBACK-01": ["m1"]}
    assert proof.kill_nothing(prove) == []
    assert proof.kill_nothing(made.kill_matrix(made.mutant("m1"))) == ["PROD-HEALTHY-01"]
    assert proof.unique_kills({**prove, "full": False}) is None
    assert proof.kill_nothing({**prove, "full": False}) is None


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("prove.json", "{", "cannot read prove.json"),
        ("prove.json", "[]", "is not what it should be"),
        ("prove.json", json.dumps({**GOOD, "mutants": [{"id": "m"}]}), r"mutants\.0\.requirement"),
        ("canary.json", json.dumps({**made.mutant("c"), "verdict": "red"}), "verdict"),
    ],
)
def test_what_is_no_kill_matrix_is_a_usage_error(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match=message):
        proof.read(tmp_path / name)


def test_none_is_none(tmp_path: Path) -> None:
    assert proof.read(tmp_path / "prove.json") is None


def put(path: Path, document: dict[str, Any]) -> Path:
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


def test_a_kill_matrix_is_taken_into_a_run_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = made.run_folder(tmp_path / "run", {"A-01": (made.scenario("A-01"), made.record(), [])})
    matrix = put(tmp_path / "nightly.json", GOOD)
    assert cli.main(["report", "build", str(run), "--prove", str(matrix)]) == 0
    assert read_results(run / "results.json")["prove"] == GOOD
    assert sealed.alterations(run) == []
    put(run / "prove.json", {**GOOD, "full": False})
    assert sealed.alterations(run) == ["changed: prove.json"]
    assert cli.main(["report", "build", str(run)]) == 64
    assert "changed: prove.json" in capsys.readouterr().err
    assert cli.main(["report", "build", str(run), "--prove", str(tmp_path / "none.json")]) == 64


def test_shards_share_one_kill_matrix_and_every_canary_counts() -> None:
    def shards(*given: tuple[dict[str, Any] | None, dict[str, Any] | None]) -> list[dict[str, Any]]:
        found = []
        for index, (prove, canary) in enumerate(given, 1):
            shard = {"index": index, "of": len(given), "plan": "", "total": len(given)}
            shown = made.scenario(f"A-{index:02}")
            facts = made.run_facts(name=f"run-{index}", shard=shard, selected=[shown.node])
            found.append(results(facts, [shown], made.REQUIREMENTS, prove=prove, canary=canary))
        return found

    merged = merge(shards((GOOD, made.mutant("c")), (GOOD, None)))
    assert (merged["prove"], merged["verdict"]) == (GOOD, "PASS")
    assert (
        merge(shards((None, made.mutant("c")), (None, made.mutant("c", "survived"))))["verdict"]
        == "INCONCLUSIVE"
    )
    with pytest.raises(UsageError, match="different kill matrices"):
        merge(shards((GOOD, None), ({**GOOD, "full": False}, None)))
