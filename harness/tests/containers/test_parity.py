"""Processes and containers tell the same story: the same scenarios, run in both, compared by their journals."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from harness.tests.conftest import ROOT

# One for each way that a job can take, and one in which two ways are taken at once.
_SCENARIOS = (
    "scenarios/prod/test_healthy.py::test_a_job_goes_through_cloud_tasks",
    "scenarios/prod/test_fallback.py::test_the_worker_is_called_directly_when_cloud_tasks_refuses[cloud-tasks-unavailable]",
    "scenarios/prod/test_fallback.py::test_inline_only_after_the_worker_failed_too[worker-500]",
    "scenarios/dev/test_worker_on.py::test_the_worker_assembles",
)


def run(topology: str, folder: Path) -> str:
    options = (f"--topology={topology}", f"--run-folder={folder}", "-p", "no:cacheprovider")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *options, *_SCENARIOS],
        cwd=ROOT,
        env={**os.environ, "PYTEST_ADDOPTS": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_both_topologies_tell_the_same_story(tmp_path: Path) -> None:
    folders = [tmp_path / topology for topology in ("processes", "containers")]
    for folder in folders:
        run(folder.name, folder)
    command = [sys.executable, "-m", "harness.cli", "report", "parity", *map(str, folders)]

    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    count, _, _ = done.stdout.splitlines()[-1].partition(" scenarios compared, 0 differences")
    assert int(count) >= len(_SCENARIOS)
