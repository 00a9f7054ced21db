"""The official Node client, as npm installs it from the committed lock; skipped only where npm is missing."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from fake_services.cloud_tasks import CloudTasks
    from fake_services.tests.targets import Target

NODE = Path(__file__).with_name("node")
FILES = ("package.json", "package-lock.json", "check.mjs")

pytestmark = [
    pytest.mark.skipif(not (shutil.which("npm") and shutil.which("node")), reason="npm is not installed"),
    pytest.mark.timeout(300),
]


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the client installed, outside the checkout."""
    folder = tmp_path_factory.mktemp("node")
    for name in FILES:
        shutil.copy(NODE / name, folder)
    command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_the_lock_names_no_download_address() -> None:
    assert "://" not in json.dumps(
        [{key: each.get(key) for key in ("resolved", "link")} for each in lock()["packages"].values()]
    )


def lock() -> dict[str, dict[str, dict[str, str]]]:
    return json.loads((NODE / "package-lock.json").read_text())  # type: ignore[no-any-return]


def test_the_node_client(installed: Path, fake: CloudTasks, target: Target) -> None:
    command = ["node", "check.mjs", fake.grpc_address, target.url]
    done = subprocess.run(command, cwd=installed, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    name = "projects/p/locations/us-west1/queues/node/tasks/mine"
    assert json.loads(done.stdout) == {
        "maxAttempts": 3,
        "minBackoffNanos": 100_000_000,
        "state": "RUNNING",
        "task": name,
        "view": "BASIC",
        "listed": [name],
        "error": {"code": 6, "details": "Requested entity already exists"},
        "body": "from node",
    }
    fake.journal.wait_for(lambda each: each.kind == "task.gone", 10)
    [got] = target.got
    assert (got.body, got.header("X-Node")) == (b"from node", "1")
