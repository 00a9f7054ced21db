"""The README's examples and tables are true."""

from __future__ import annotations

import dataclasses
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import httpx

import fake_services
from fake_services.cloud_tasks import CloudTasks, CloudTasksConfig, Semantics
from fake_services.cloud_tasks.settings import config_from
from fake_services.tests.test_command import running

if TYPE_CHECKING:
    from fake_services.host import Host

README = Path(fake_services.__file__).with_name("README.md")


def example(name: str) -> str:
    found = re.search(rf"^```\w+ {name}\n(.*?)^```", README.read_text(), re.DOTALL | re.MULTILINE)
    assert found is not None, name
    return found[1]


def test_the_command() -> None:
    words = shlex.split(example("command"))
    assert words[:3] == ["python", "-m", "fake_services.cloud_tasks"]
    with running(*words[3:]) as (_, ready):
        assert set(ready) == {"grpc", "rest", "control"}


def test_the_file(tmp_path: Path) -> None:
    file = tmp_path / "fake.toml"
    file.write_text(example("file"))
    with running("--config", str(file)) as (_, ready):
        queue = httpx.get(f"{ready['rest']}/v2/projects/p/locations/us-central1/queues/emails").json()
    assert queue["rateLimits"]["maxConcurrentDispatches"] == 2
    assert queue["retryConfig"]["minBackoff"] == "0.500s"
    config = config_from(["--config", str(file)], {})
    assert config.hosts == {"localhost": "host.docker.internal"}
    assert config.app_engine_services == {"worker": "http://127.0.0.1:8081"}


def test_every_curl_line(host: Host) -> None:
    fake = host.start(CloudTasks(CloudTasksConfig(clock="frozen")))
    for line in example("control").splitlines():
        command = line.replace("curl", "curl -sS --fail-with-body", 1).replace("$CONTROL", fake.control_url)
        done = subprocess.run(shlex.split(command), capture_output=True, text=True, timeout=20, check=False)
        assert done.returncode == 0, f"{line}: {done.stdout}{done.stderr}"
    host.stop(fake)


def test_the_table_of_settings_has_the_defaults() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (.+?) \|", README.read_text(), re.MULTILINE)
    defaults = {field.name: field.default for field in dataclasses.fields(Semantics)}
    assert len(rows) > 5
    for name, default in rows:
        assert json.loads(default) == defaults[name], name


def test_it_starts_without_the_clients_types() -> None:
    program = "import sys, fake_services.cloud_tasks; print('google.cloud.tasks_v2' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=20, check=True
    )
    assert done.stdout.strip() == "False"
