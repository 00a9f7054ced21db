"""The gate has been red: the two historical bugs, brought back into a copy of the reference, are found."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from harness.tests.conftest import ROOT


class Verified:
    """A copy of the reference with one change, and what ``dispatchcheck verify`` says of it."""

    def __init__(self, folder: Path) -> None:
        self._source = folder / "source"
        self._out = folder / "out"
        shutil.copytree(
            ROOT / "reference_impl",
            self._source / "reference_impl",
            ignore=shutil.ignore_patterns("tests", "*.pyc.*"),
        )

    def change(self, module: str, old: str, new: str) -> None:
        path = self._source / "reference_impl" / module
        text = path.read_text("utf-8")
        assert text.count(old) == 1, f"{module} has changed: {old!r} is there {text.count(old)} times"
        path.write_text(text.replace(old, new), encoding="utf-8")

    def verify(self, scenarios: str, *, keyword: str) -> tuple[int, str]:
        done = subprocess.run(
            [
                *(
                    sys.executable,
                    "-m",
                    "harness.cli",
                    "verify",
                    f"--source={self._source}",
                    f"--out={self._out}",
                ),
                *("-n", "0", "-k", keyword, scenarios),
            ],
            cwd=ROOT,
            env={**os.environ, "PYTEST_ADDOPTS": "-p no:cacheprovider", "CI": "1"},
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    @property
    def results(self) -> dict[str, Any]:
        (path,) = self._out.glob("*/results.json")
        document: dict[str, Any] = json.loads(path.read_text("utf-8"))
        return document

    def verdict(self, requirement: str) -> str:
        (row,) = [row for row in self.results["requirements"] if row["id"] == requirement]
        return str(row["verdict"])


@pytest.fixture
def reference(tmp_path: Path) -> Verified:
    return Verified(tmp_path)


def test_inline_straight_after_cloud_tasks_fails(reference: Verified) -> None:
    reference.change("assembler.py", "if self._worker_confirms(run):", "if False:")

    code, output = reference.verify("scenarios/prod/test_fallback.py", keyword="refuses and unavailable")

    assert code == 1
    assert reference.verdict("PROD-03") == "FAIL"
    (scenario,) = reference.results["scenarios"]
    assert scenario["blame"] == "sut"
    for part in (
        "requirement PROD-03 (core): Cloud Tasks refuses",
        "expected:  the way cloud_tasks failed → worker_direct served",
        "from the wire: cloud_tasks failed → inline served",
        "CreateTask → UNAVAILABLE [fault cloud-tasks-unavailable]",
        "event=assemble.service.falling_back_to_inline",
        "again:     pytest",
    ):
        assert part in scenario["message"]
        assert part in output


def test_the_environment_file_is_not_loaded(reference: Verified) -> None:
    reference.change(
        "tasks_client.py", "ENV_FILE = load_env_file()", "ENV_FILE = load_env_file(Path('/nowhere'))"
    )
    reference.change(
        "tasks_client.py", "import importlib.util\n", "import importlib.util\nfrom pathlib import Path\n"
    )

    code, _ = reference.verify("scenarios/config", keyword="environment_file_is_loaded")

    assert code == 1
    assert reference.verdict("CONF-01") == "FAIL"


def test_the_reference_as_it_is_passes(reference: Verified) -> None:
    code, output = reference.verify("scenarios/prod/test_fallback.py", keyword="refuses and unavailable")

    assert code == 0, output
    assert reference.verdict("PROD-03") == "PASS"
    assert "verdict: PASS" in output
