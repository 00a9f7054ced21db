"""The benchmark runs, both against the fake and against an emulator that is already there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import fake_services

if TYPE_CHECKING:
    from fake_services.cloud_tasks import CloudTasks

SCRIPT = Path(fake_services.__file__).parents[1] / "benchmarks" / "cloud_tasks.py"
SHORT = ["--creates", "96", "--latencies", "20", "--drain", "50", "--waiting", "200", "--held-s", "0.2"]

pytestmark = [
    pytest.mark.skipif(not SCRIPT.exists(), reason="benchmarks/ is not part of an installed package"),
    pytest.mark.timeout(240),
]


def rows(*options: str) -> str:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), *SHORT, *options],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_against_the_fake_itself() -> None:
    table = rows()
    for row in (
        "start to first call",
        "CreateTask/s, 16 callers",
        "p50/p95/p99",
        "drain of 50",
        "bytes a waiting task",
    ):
        assert row in table


def test_against_another_emulator(fake: CloudTasks) -> None:
    table = rows("--address", fake.grpc_address)
    assert fake.grpc_address in table
    assert "drain of 50" in table
