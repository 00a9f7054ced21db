from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from harness import cli
from harness.errors import UsageError
from harness.model import Verdict
from reports import history
from reports.diff import diff
from reports.results import as_json
from reports.tests import made


def run_of(number: int, verdict: Verdict, *, seconds: float = 0.5, digest: str = "a") -> dict[str, Any]:
    identity = {"sut": {"name": "s", "version": "", "digest": f"sha256:{digest * 64}"}}
    identity |= {
        name: {"name": name, "version": "", "digest": ""} for name in ("profile", "suites", "harness")
    }
    scenarios = (made.scenario("A-01", verdict, duration_s=seconds), made.scenario("B-01"))
    return made.document(*scenarios, name=f"run-{number}", began_at=float(number), identity=identity)


def test_a_verdict_that_changes_by_itself_is_flaky(tmp_path: Path) -> None:
    file = tmp_path / "history.sqlite"
    for number, verdict in enumerate([Verdict.PASS, Verdict.FAIL, Verdict.PASS]):
        assert history.add(file, run_of(number, verdict, seconds=number + 1.0))
    first, second = history.trends(file)
    assert (first.folder, first.flaky, first.verdicts) == ("A-01", True, ("PASS", "FAIL", "PASS"))
    assert first.durations_s == (1.0, 2.0, 3.0)
    assert not second.flaky
    assert next(history.in_words([first, second])) == "FLAKY A-01: PASS FAIL PASS"


def test_a_verdict_that_changes_with_the_system_is_not_flaky(tmp_path: Path) -> None:
    file = tmp_path / "history.sqlite"
    history.add(file, run_of(1, Verdict.FAIL, digest="a"))
    history.add(file, run_of(2, Verdict.PASS, digest="b"))
    assert not history.trends(file)[0].flaky


def test_a_run_is_entered_once_and_old_ones_are_left_out(tmp_path: Path) -> None:
    file = tmp_path / "history.sqlite"
    assert history.add(file, run_of(1, Verdict.FAIL))
    assert not history.add(file, run_of(1, Verdict.PASS))
    history.add(file, run_of(2, Verdict.PASS))
    assert history.trends(file, last=1)[0].verdicts == ("PASS",)


def test_no_history_and_another_file_are_usage_errors(tmp_path: Path) -> None:
    file = tmp_path / "history.sqlite"
    with pytest.raises(UsageError, match="there is no history"):
        history.trends(file)
    file.write_text("not a database, but long enough to be looked at" * 10, encoding="utf-8")
    with pytest.raises(UsageError, match="is no history"):
        history.add(file, made.going())
    newer = tmp_path / "newer.sqlite"
    db = sqlite3.connect(newer)
    db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(UsageError, match="version 99"):
        history.add(newer, made.going())


def test_the_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = []
    for number, verdict in enumerate([Verdict.PASS, Verdict.FAIL]):
        paths.append(tmp_path / f"{number}.json")
        paths[-1].write_text(as_json(run_of(number, verdict)), encoding="utf-8")
    assert cli.main(["report", "history", str(tmp_path / "h.sqlite"), *map(str, paths)]) == 0
    assert "FLAKY A-01: PASS FAIL" in capsys.readouterr().out
    assert cli.main(["report", "diff", *map(str, paths)]) == 1
    assert "scenario: A-01: PASS → FAIL" in capsys.readouterr().out
    assert cli.main(["report", "diff", str(paths[0]), str(paths[0])]) == 0
    assert capsys.readouterr().out == "no difference\n"


def test_runs_are_compared_by_requirement_route_and_timing() -> None:
    before = made.going()
    after = made.document(
        made.scenario("PROD-HEALTHY-01", Verdict.FAIL, duration_s=2.0),
        made.scenario("PROD-FALLBACK-01", requires=("PROD-03",), account=made.a_way("inline served")),
        made.scenario("NEW-01", requires=("ONCE-02",)),
        identity={"sut": {"version": "2", "digest": made.DIGEST}},
    )
    found = diff(before, after)
    assert "requirement: PROD-01: PASS → FAIL" in found
    assert "requirement: ONCE-02: NOT VERIFIED → PASS" in found
    assert "scenario: NEW-01: absent → PASS" in found
    assert "route: PROD-FALLBACK-01: worker_direct served → inline served" in found
    assert "timing: PROD-HEALTHY-01: 0.50 s → 2.00 s" in found
    assert found[0].startswith("identity: sut is another one")
    assert diff(before, before) == []
