"""``make stability``: it sees a verdict that differs, and two short runs of real scenarios agree."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

from harness.tests.conftest import ROOT

SCRIPT = ROOT / "benchmarks" / "stability.py"


def test_a_verdict_that_differs_or_is_missing_is_seen() -> None:
    spec = importlib.util.spec_from_file_location("stability", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    stability = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(stability)
    first = {"a": "PASS", "b": "PASS", "c": "PASS"}
    assert stability.differences(first, dict(first)) == {}
    assert stability.differences(first, {"a": "PASS", "b": "FAIL", "d": "PASS"}) == {
        "b": ("PASS", "FAIL"),
        "c": ("PASS", "missing"),
        "d": ("missing", "PASS"),
    }


def test_two_runs_agree() -> None:
    scenarios = "scenarios/config/test_check_config.py"
    done = subprocess.run(
        [sys.executable, SCRIPT, "--runs=2", "--workers=0", "--limit-s=60", scenarios],
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 runs, 3 scenarios, 0 with different verdicts" in done.stdout
