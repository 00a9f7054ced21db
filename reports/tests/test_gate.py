from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from harness import cli
from harness.errors import UsageError
from harness.model import Verdict
from reports.gate import gate
from reports.policy import Policy, decide, default_policy, read_policy
from reports.results import as_json
from reports.tests import made

STRICT = Policy(version=1)
NOW = 1_767_225_640.0


def policy(**facts: Any) -> Policy:
    return Policy.model_validate({"version": 1, **facts})


EXCUSED = policy(excuse=[{"requirements": ["LIVE-*"], "because": "after the deployment"}])


def test_a_good_run_goes() -> None:
    decision = decide(made.going(), EXCUSED)
    assert decision.go
    assert decision.exit_code == 0
    assert str(decision) == "go"
    assert decision.excused == ("LIVE-01 is NOT VERIFIED: after the deployment",)


def test_what_is_not_verified_is_unknown_and_named() -> None:
    decision = decide(made.going(), STRICT)
    assert (decision.exit_code, str(decision)) == (2, "no-go: LIVE-01 is NOT VERIFIED")


def test_a_failed_requirement_is_a_failure_and_cannot_be_excused() -> None:
    document = made.document(
        made.scenario("PROD-HEALTHY-01"), made.scenario("X-01", Verdict.FAIL, requires=("PROD-03",))
    )
    decision = decide(document, EXCUSED)
    assert (decision.exit_code, decision.failures) == (1, ("PROD-03 failed",))
    with pytest.raises(ValueError, match="INCONCLUSIVE"):
        policy(excuse=[{"requirements": ["PROD-03"], "verdicts": ["FAIL"], "because": "we are late"}])


def test_an_inconclusive_requirement_may_be_excused_until_a_day() -> None:
    document = made.document(
        made.scenario("PROD-HEALTHY-01"), made.scenario("X-01", Verdict.INCONCLUSIVE, requires=("PROD-03",))
    )
    excuse = {
        "requirements": ["PROD-03", "LIVE-*"],
        "verdicts": ["INCONCLUSIVE", "NOT VERIFIED"],
        "because": "known",
    }
    assert decide(document, policy(excuse=[excuse])).go
    assert decide(document, policy(excuse=[{**excuse, "until": "2026-01-01"}]), now=NOW).go
    late = decide(document, policy(excuse=[{**excuse, "until": "2025-12-31"}]), now=NOW)
    assert late.exit_code == 2


def test_extended_requirements_count_only_where_they_are_asked_for() -> None:
    failed = made.scenario("X-01", Verdict.FAIL, requires=("ONCE-02",))
    document = made.document(*_shown(), failed)
    assert decide(document, EXCUSED).go
    both = policy(levels=["core", "extended"], excuse=[{"requirements": ["LIVE-*"], "because": "later"}])
    assert decide(document, both).failures == ("ONCE-02 failed",)


def _shown() -> list[Any]:
    return [made.scenario("PROD-HEALTHY-01"), made.scenario("PROD-FALLBACK-01", requires=("PROD-03",))]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"ended_at": None}, "did not come to its end"),
        ({"interrupted": True}, "interrupted"),
        ({"selected": ["scenarios/a.py::b"]}, "left no verdict"),
        ({"shard": {"index": 1, "of": 2, "plan": "", "total": 2}}, "only shard 1 of 2"),
    ],
)
def test_what_is_incomplete_never_goes(changes: dict[str, Any], reason: str) -> None:
    decision = decide(made.going(**changes), EXCUSED)
    assert decision.exit_code == 2
    assert reason in str(decision)


def test_nothing_at_all_never_goes() -> None:
    decision = decide(made.document(), EXCUSED)
    assert decision.exit_code == 2
    assert "no scenario left a verdict" in str(decision)


def test_a_broken_harness_never_goes() -> None:
    broken = made.scenario("X-01", Verdict.INCONCLUSIVE, blame="harness", requires=("ONCE-02",))
    decision = decide(made.document(*_shown(), broken), EXCUSED)
    assert decision.exit_code == 2
    assert "the harness is broken" in str(decision)


def test_evidence_grows_old() -> None:
    aged = EXCUSED.model_copy(update={"max_age_h": 24.0})
    assert decide(made.going(), aged, now=NOW + 3600).go
    assert "25 h old" in str(decide(made.going(), aged, now=NOW + 25 * 3600))
    assert "from the future" in str(decide(made.going(), aged, now=NOW - 3600))


def test_the_digest_is_the_one_that_is_released() -> None:
    assert decide(made.going(), EXCUSED, sut_digest=made.DIGEST).go
    other = decide(made.going(), EXCUSED, sut_digest="sha256:" + "b" * 64)
    assert other.exit_code == 2
    assert "is to be released" in str(other)
    demanding = EXCUSED.model_copy(update={"require_sut_digest": True})
    assert "no digest of the release was given" in str(decide(made.going(), demanding))
    unknown = made.going(identity={"sut": {"digest": ""}})
    assert "does not say which digest" in str(decide(unknown, EXCUSED, sut_digest=made.DIGEST))


def test_with_nothing_broken_the_first_route_is_taken() -> None:
    first = [{"requirements": ["PROD-01"], "mode": "prod", "route": "cloud_tasks"}]
    excuse = [{"requirements": ["LIVE-*"], "because": "later"}]
    demanding = policy(first_choice=first, excuse=excuse)
    assert decide(made.going(), demanding).go
    fallen_back = made.scenario("X-01", account=made.a_way("cloud_tasks failed", "worker_direct served"))
    wrong = decide(made.document(*_shown(), fallen_back), demanding)
    assert wrong.exit_code == 1
    assert "X-01 took cloud_tasks failed → worker_direct served" in str(wrong)
    configured = {**made.a_way("inline served"), "settings": ["worker_url"]}  # no first choice is left to it
    assert decide(made.document(*_shown(), made.scenario("X-01", account=configured)), demanding).go
    unseen = decide(made.document(made.scenario("X-01", account={}), *_shown()[1:]), demanding)
    assert unseen.exit_code == 2
    assert "no job of PROD-01 shows" in str(unseen)


def test_the_default_policy_is_valid_and_says_what_it_excuses() -> None:
    assert default_policy().levels == ("core",)
    assert all(excuse.because for excuse in default_policy().excuse)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("version = 1\nlevles = []", "levles"),
        ("version = 2", "version"),
        ("=", "not TOML"),
        ("version = 1\nlevels = []", "levels"),
        ('version = 1\n[[excuse]]\nrequirements = ["A"]\nbecause = ""', "because"),
    ],
)
def test_a_wrong_policy_is_a_usage_error(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "policy.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match=message):
        read_policy(path)


def test_a_policy_that_names_nothing_is_a_usage_error(tmp_path: Path) -> None:
    path, results = tmp_path / "policy.toml", tmp_path / "results.json"
    path.write_text(
        'version = 1\n[[excuse]]\nrequirements = ["GONE-*"]\nbecause = "it was"', encoding="utf-8"
    )
    results.write_text(as_json(made.going()), encoding="utf-8")
    with pytest.raises(UsageError, match="no requirement is called so"):
        gate(results, path, now=NOW)


def test_the_command_says_one_line_and_an_exit_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, results = tmp_path / "policy.toml", tmp_path / "results.json"
    path.write_text(
        'version = 1\nrequire_evidence = false\n[[excuse]]\nrequirements = ["LIVE-*"]\nbecause = "later"',
        encoding="utf-8",
    )
    results.write_text(as_json(made.going()), encoding="utf-8")
    assert cli.main(["gate", str(results), "--policy", str(path)]) == 0
    assert capsys.readouterr().out == "go\n"
    results.write_text(as_json(made.document(made.scenario("X-01", Verdict.FAIL))), encoding="utf-8")
    assert cli.main(["gate", str(results), "--policy", str(path)]) == 1
    assert capsys.readouterr().out.count("\n") == 1
    assert cli.main(["gate", str(results.with_name("none.json"))]) == 64
    assert "cannot read the results" in capsys.readouterr().err


def test_a_reader_that_goes_away_is_no_bug_of_ours(tmp_path: Path) -> None:
    results = tmp_path / "results.json"
    results.write_text(as_json(made.going()), encoding="utf-8")
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as closed:
        ended = subprocess.run(
            [sys.executable, "-m", "harness.cli", "gate", str(results)],
            stdout=closed, stderr=subprocess.PIPE, text=True, timeout=60, check=False,
        )  # fmt: skip
    assert (ended.returncode, ended.stderr) == (2, "")


def test_a_bug_of_ours_is_exit_70(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object, **__: object) -> int:
        raise RuntimeError("boom")

    monkeypatch.setattr("reports.gate.gate", broken)
    assert cli.main(["gate", "results.json"]) == 70
    assert "nothing was decided" in capsys.readouterr().err
