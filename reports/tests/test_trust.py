"""The gate believes a ``results.json`` only as far as it follows from its own scenarios and from its evidence."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import cli, evidence, sealed
from harness.evidence import ScenarioResult
from harness.model import Verdict
from reports import write_all
from reports.from_evidence import contradictions
from reports.policy import Policy, default_policy
from reports.results import as_json
from reports.tests import made

POLICY = """
version = 1
[[excuse]]
requirements = ["LIVE-*"]
because = "later"
"""


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A sealed run folder of a run that may be released, with every report."""
    results = (made.scenario("PROD-HEALTHY-01"), made.scenario("PROD-FALLBACK-01", requires=("PROD-03",)))
    folder = tmp_path / "run"
    evidence.write_text(tmp_path / "policy.toml", POLICY)
    made.run_folder(folder, {result.folder: (result, made.record(), []) for result in results})
    evidence.write_text(folder / evidence.REQUIREMENTS, made.REQUIREMENTS.as_json())
    sealed.seal(folder)
    write_all(folder)
    return folder


def ask(run: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    capsys.readouterr()
    code = cli.main(["gate", str(run / "results.json"), "--policy", str(run.parent / "policy.toml")])
    said = capsys.readouterr().out
    assert said.count("\n") == 1
    return code, said


def edit(run: Path, change: Callable[[dict[str, Any]], None]) -> None:
    document = json.loads((run / "results.json").read_text("utf-8"))
    change(document)
    (run / "results.json").write_text(as_json(document), encoding="utf-8")


def test_what_is_true_goes(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ask(run, capsys) == (0, "go\n")


def fail(document: dict[str, Any]) -> None:
    document["scenarios"][0]["verdict"] = "FAIL"


def drop_a_scenario(document: dict[str, Any]) -> None:
    document["scenarios"].pop()


def call_it_verified(document: dict[str, Any]) -> None:
    document["requirements"][3] |= {"verdict": "PASS"}


def hide_what_is_missing(document: dict[str, Any]) -> None:
    document["run"]["selected"].append("scenarios/lost.py::test")


def say_fail(document: dict[str, Any]) -> None:
    document["verdict"] = "FAIL"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (fail, "verdict ('PASS', and 'FAIL' follows)"),
        (drop_a_scenario, "complete (True, and False follows)"),
        (call_it_verified, "requirements, LIVE-01: verdict"),
        (hide_what_is_missing, "complete (True, and False follows)"),
        (say_fail, "verdict ('FAIL', and 'PASS' follows)"),
    ],
)
def test_what_contradicts_itself_is_refused_also_without_its_evidence(
    run: Path, capsys: pytest.CaptureFixture[str], change: Callable[[dict[str, Any]], None], said: str
) -> None:
    edit(run, change)
    (run / "SHA256SUMS").unlink()
    code, line = ask(run, capsys)
    assert code == 2
    assert line.startswith("no-go: results.json contradicts itself: ")
    assert said in line


def other_digest(document: dict[str, Any]) -> None:
    document["run"]["identity"]["sut"]["digest"] = "sha256:" + "b" * 64


def younger(document: dict[str, Any]) -> None:
    document["run"]["began_at"] += 5
    document["run"]["ended_at"] += 5


def other_way(document: dict[str, Any]) -> None:
    document["scenarios"][0]["account"]["jobs"][0]["wire"] = ["cloud_tasks served"] * 2


def less_to_prove(document: dict[str, Any]) -> None:
    document["requirements"][0]["level"] = "extended"


def other_seal(document: dict[str, Any]) -> None:
    document["evidence"]["digest"] = "sha256:" + "b" * 64


def with_a_canary(document: dict[str, Any]) -> None:
    document["canary"] = made.mutant("c")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (other_digest, "run: identity"),
        (younger, "run: began_at, ended_at"),
        (other_way, "scenarios, PROD-FALLBACK-01: account"),
        (less_to_prove, "requirements, PROD-01: level"),
        (other_seal, "evidence: digest"),
        (with_a_canary, "canary"),
    ],
)
def test_what_its_evidence_does_not_say_is_refused(
    run: Path, capsys: pytest.CaptureFixture[str], change: Callable[[dict[str, Any]], None], said: str
) -> None:
    edit(run, change)
    code, line = ask(run, capsys)
    assert code == 2
    assert line.startswith(f"no-go: results.json is not what its evidence says: {said}")


@pytest.mark.parametrize(
    "name",
    [
        "run.json",
        "requirements.json",
        "evidence/PROD-HEALTHY-01/verdict.json",
        "evidence/PROD-HEALTHY-01/api.log",
    ],
)
def test_altered_evidence_is_refused(run: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    (run / name).write_text((run / name).read_text("utf-8") + " ", encoding="utf-8")
    assert ask(run, capsys) == (2, f"no-go: the evidence was altered since it was written: changed: {name}\n")


def test_corrupt_evidence_with_new_hashes_is_refused(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (run / "evidence" / "PROD-HEALTHY-01" / "verdict.json").write_text("{}", encoding="utf-8")
    sealed.seal(run)
    code, line = ask(run, capsys)
    assert code == 2
    assert "the evidence cannot be read" in line


def test_results_alone_are_believed_only_where_the_policy_says_so(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    edit(run, other_digest)  # with care: nothing in it contradicts anything else
    (run / "SHA256SUMS").unlink()
    code, line = ask(run, capsys)
    assert code == 2
    assert line == (
        "no-go: there is no SHA256SUMS beside results.json, so no evidence shows that it is true: "
        "hand over the whole run folder, or set require_evidence = false in the policy\n"
    )
    (run.parent / "policy.toml").write_text("require_evidence = false\n" + POLICY, encoding="utf-8")
    assert ask(run, capsys) == (0, "go\n")


def test_the_policy_that_is_shipped_asks_for_evidence() -> None:
    assert default_policy().require_evidence
    assert Policy(version=1).require_evidence


VERDICTS = st.lists(st.sampled_from(list(Verdict)), min_size=1, max_size=4)


@given(VERDICTS, st.booleans(), st.booleans())
def test_no_account_of_ours_contradicts_itself(verdicts: list[Verdict], lost: bool, cut_off: bool) -> None:  # noqa: FBT001
    shown: list[ScenarioResult] = [made.scenario(f"A-{n:02}", verdict) for n, verdict in enumerate(verdicts)]
    selected = [s.node for s in shown] + (["gone.py::t"] if lost else [])
    ended_at = None if cut_off else made.run_facts()["ended_at"]
    document = made.document(*shown, selected=selected, ended_at=ended_at)
    assert list(contradictions(json.loads(as_json(document)))) == []
