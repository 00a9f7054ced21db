"""The fixture as a foreign project uses it: in a folder of its own, with three lines."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from fake_services.tests.test_readme import example

if TYPE_CHECKING:
    from pathlib import Path

CONFIGURED = """
import pytest
from fake_services.cloud_tasks import CloudTasksConfig

pytest_plugins = ["fake_services.pytest_plugin"]

@pytest.fixture
def fake_cloud_tasks_config():
    return CloudTasksConfig(clock="frozen", queues={"projects/p/locations/l/queues/q": {}})

def test_a_week_later(fake_cloud_tasks):
    fake_cloud_tasks.advance(7 * 86400)
    assert fake_cloud_tasks.idle
"""


def run(folder: Path, text: str) -> None:
    (folder / "test_mine.py").write_text(text)
    (folder / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:randomly", "-p", "no:cacheprovider", str(folder)],
        capture_output=True, text=True, timeout=60, cwd=folder, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_three_lines_in_a_foreign_project(tmp_path: Path) -> None:
    run(tmp_path, example("pytest"))


def test_it_can_be_configured(tmp_path: Path) -> None:
    run(tmp_path, CONFIGURED)
