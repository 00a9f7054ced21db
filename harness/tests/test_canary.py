"""The canary: a run in which the known-bad dispatcher is not found is worth nothing, whatever else it says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from harness import requirements
from harness.proving import canary
from harness.tests.conftest import ROOT

_HARMLESS = """\
---
id: harmless
title: Nothing is wrong with it
incident: None.
requirement: PROD-03
oracle: {oracle}
scenarios: [PROD-FALLBACK-01-cloud-tasks-unavailable]
---
--- a/reference_impl/shutdown.py
+++ b/reference_impl/shutdown.py
@@ -1,3 +1,3 @@
 import signal
-import threading
+import threading  # with a comment
 import time
"""
_DEFAULT = ROOT / "reference_impl" / "mutants" / f"{canary.DEFAULT}.patch"


class Verified:
    """What ``verify`` said and left of one scenario and its canary."""

    def __init__(self, out: Path, *options: str) -> None:
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "harness.cli",
                "verify",
                f"--out={out}",
                *options,
                "scenarios/prod/test_healthy.py",
            ],
            cwd=ROOT,
            env={**os.environ, "PYTEST_ADDOPTS": "-p no:cacheprovider", "CI": "1"},
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        self.code, self.output = done.returncode, done.stdout + done.stderr
        self.runs = list(out.glob("*"))

    @property
    def results(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads((self.runs[0] / "results.json").read_text("utf-8"))
        return document


@pytest.mark.parametrize("at_once", ["0", "2"])
def test_it_is_found_beside_the_run_and_is_not_part_of_it(tmp_path: Path, at_once: str) -> None:
    run = Verified(tmp_path, "-n", at_once, "-k", "nothing_else")

    assert run.code == 0, run.output
    assert run.results["canary"]["id"] == canary.DEFAULT
    assert run.results["canary"]["verdict"] == "killed"
    assert [row["scenario"] for row in run.results["scenarios"]] == ["PROD-HEALTHY-03"]
    assert run.results["verdict"] == "PASS"
    assert f"The canary {canary.DEFAULT} was found" in run.output
    assert not (run.runs[0] / "canary" / "source").exists()


@pytest.mark.parametrize("at_once", ["0", "2"])
def test_a_canary_that_is_green_means_that_the_harness_is_broken(tmp_path: Path, at_once: str) -> None:
    patch = tmp_path / "harmless.patch"
    patch.write_text(_HARMLESS.format(oracle="route"), encoding="utf-8")

    run = Verified(tmp_path / "out", "-n", at_once, "-k", "nothing_else", f"--canary={patch}")

    assert run.code == 70, run.output
    assert "verdict: harness broken" in run.output
    assert "The canary harmless was NOT found" in run.output
    assert run.results["verdict"] == "INCONCLUSIVE"
    assert run.results["canary"]["verdict"] == "survived"


def test_a_canary_that_is_found_for_another_reason_is_not_found(tmp_path: Path) -> None:
    patch = tmp_path / "other.patch"
    text = _DEFAULT.read_text("utf-8").replace("oracle: route", "oracle: secrets")
    patch.write_text(text.replace(f"id: {canary.DEFAULT}", "id: other"), encoding="utf-8")

    run = Verified(tmp_path / "out", "-n", "0", "-k", "nothing_else", f"--canary={patch}")

    assert run.code == 70, run.output
    assert run.results["canary"]["verdict"] == "killed for another reason"


def test_it_does_not_make_a_run_of_nothing_look_like_a_run(tmp_path: Path) -> None:
    run = Verified(tmp_path, "-n", "0", "-k", "no_such_scenario")

    assert run.code == 2, run.output
    assert "left no results" in run.output


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (_HARMLESS.format(oracle="route").replace("-import threading", "-import threads"), "does not fit"),
        (
            _HARMLESS.format(oracle="route").replace("scenarios:", "# scenarios:"),
            "does not name one scenario",
        ),
        (
            _HARMLESS.format(oracle="route").replace("PROD-FALLBACK-01-", "NONE-01-"),
            "there is no scenario NONE-01-",
        ),
    ],
    ids=["stale", "no-scenario", "no-such-scenario"],
)
def test_a_canary_that_cannot_be_judged_stops_the_run(tmp_path: Path, text: str, words: str) -> None:
    patch = tmp_path / "harmless.patch"
    patch.write_text(text, encoding="utf-8")

    run = Verified(tmp_path / "out", "-n", "0", "-k", "nothing_else", f"--canary={patch}")

    assert run.code == 64, run.output
    assert words in run.output


def test_one_that_left_nothing_was_not_judged(tmp_path: Path) -> None:
    row = canary.judge(
        tmp_path, canary.load(_DEFAULT), requirements.load(ROOT / "scenarios" / "requirements.toml")
    )

    assert (row["verdict"], row["problem"]) == ("not judged", "it left no verdict")


def test_one_whose_evidence_is_corrupt_was_not_judged(tmp_path: Path) -> None:
    folder = tmp_path / "evidence" / "X-01"
    folder.mkdir(parents=True)
    (folder / "verdict.json").write_text("{", encoding="utf-8")

    row = canary.judge(
        tmp_path, canary.load(_DEFAULT), requirements.load(ROOT / "scenarios" / "requirements.toml")
    )

    assert row["verdict"] == "not judged"
    assert "corrupt evidence" in row["problem"]
