"""The compose file, used as a person does: up, a job, and the log filtered for it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from harness.clock import Deadline, wait
from harness.topologies import engine, episodes

ROOT = Path(__file__).resolve().parents[3]
SECRET = "s3cr3t"
_PROJECT = "dispatchcheck-"
SETTINGS = {
    "WORKER_URL_BASE": "https://worker.example",
    "TASKS_OIDC_SERVICE_ACCOUNT": "caller@project.iam.gserviceaccount.com",
    "JOB_LEASE_S": "7",
    "SHUTDOWN_GRACE_S": "9",
    "STOP_GRACE_PERIOD": "13s",
}
FOLLOW = "{compose} -f docker-compose.worker.yml logs -f worker | grep --line-buffered assemble"


@pytest.fixture(scope="session")
def compose() -> str:
    """The command: the stand-alone one where it is installed, else Docker's plug-in."""
    if shutil.which("docker-compose"):
        return "docker-compose"
    plugin = subprocess.run(["docker", "compose", "version"], capture_output=True, check=False)
    assert plugin.returncode == 0, "install docker-compose (Debian, Ubuntu: apt-get install docker-compose)"
    return "docker compose"


@pytest.fixture
def at_a_shell(
    compose: str, tmp_path: Path, image: str, client: Any
) -> Iterator[Callable[[str], subprocess.Popen[str]]]:
    """Types a command in the folder of the compose file, as a project of its own."""
    media = tmp_path / "media"
    media.mkdir()
    media.chmod(0o777)
    _take_away_projects_of_the_dead(client)
    project = _PROJECT + engine.new_owner().replace(".", "-")
    environment = {
        **os.environ,
        "COMPOSE_PROJECT_NAME": project,
        "WORKER_IMAGE": image,
        "TASKS_AUTH": SECRET,
        "WORKER_PORT": "127.0.0.1:0",
        "MEDIA_DIR": str(media),
        **SETTINGS,
    }

    def shell(command: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            ["sh", "-c", command.format(compose=compose)],
            cwd=ROOT / "reference_impl",
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    yield shell
    done = shell("{compose} -f docker-compose.worker.yml down -v")
    output, _ = done.communicate(timeout=100)
    assert done.returncode == 0, output
    left = client.containers.list(all=True, filters={"label": f"com.docker.compose.project={project}"})
    assert left == []


def test_the_worker_is_followed_while_it_assembles(
    at_a_shell: Callable[[str], subprocess.Popen[str]], tmp_path: Path
) -> None:
    up = at_a_shell("{compose} -f docker-compose.worker.yml up -d --no-build")
    output, _ = up.communicate(timeout=100)
    assert up.returncode == 0, output
    port, _ = at_a_shell("{compose} -f docker-compose.worker.yml port worker 8080").communicate(timeout=60)
    url = "http://" + port.strip().splitlines()[-1]
    wait(lambda: _answers(url), Deadline(60), lambda: f"nobody answers at {url}")
    follower = at_a_shell(FOLLOW)
    episode = episodes.make(
        tmp_path / "media", "episodes/{episode_id}/segments/{number:02}.wav", "ep-compose"
    )
    for folder in [*(tmp_path / "media").rglob("*")]:
        folder.chmod(0o777 if folder.is_dir() else 0o666)

    body = {"job_id": "job-compose-1", "episode_id": episode.episode_id, "correlation_id": "c-1"}
    answer = httpx.post(f"{url}/api/tasks/assemble", json=body, headers={"X-Tasks-Auth": SECRET}, timeout=30)

    assert answer.status_code == 200, answer.text
    assert follower.stdout is not None
    seen = [follower.stdout.readline() for _ in range(2)]
    os.killpg(follower.pid, 15)
    follower.communicate(timeout=30)
    assert "worker" in seen[0]
    assert "event=worker.assemble.start" in seen[0]
    assert "event=worker.assemble.done" in seen[1]
    manifest = next((tmp_path / "media").glob("episodes/*/assembled/*.json"))
    assert json.loads(manifest.read_text())["job_id"] == "job-compose-1"


def test_what_is_set_at_the_shell_reaches_the_worker(
    at_a_shell: Callable[[str], subprocess.Popen[str]],
) -> None:
    up = at_a_shell("{compose} -f docker-compose.worker.yml up -d --no-build")
    output, _ = up.communicate(timeout=100)
    assert up.returncode == 0, output

    show = (
        "{compose} -f docker-compose.worker.yml exec -T worker python -m reference_impl.check_config --json"
    )
    shown, _ = at_a_shell(show).communicate(timeout=60)

    report = json.loads(shown[shown.index("{") :])
    understood = {row["name"]: row["parsed"] for row in report["variables"]}
    assert understood["TASKS_OIDC_AUDIENCE"] == "https://worker.example/api/tasks/assemble"
    assert understood["TASKS_OIDC_SERVICE_ACCOUNT"] == SETTINGS["TASKS_OIDC_SERVICE_ACCOUNT"]
    assert float(understood["JOB_LEASE_S"]) == 7
    assert float(understood["SHUTDOWN_GRACE_S"]) == 9
    assert float(understood["ASSEMBLY_MAX_S"]) == 1800, "what is not set has the default"
    assert not any("no_oidc_audience" in problem for problem in report["problems"])


def _take_away_projects_of_the_dead(client: Any) -> None:
    """What this test made, and was killed; the compose file is shipped, and knows nothing of owners."""
    label = "com.docker.compose.project"
    for collection, how in ((client.containers, {"all": True}), (client.networks, {})):
        for each in collection.list(filters={"label": label}, **how):
            labels = each.attrs.get("Labels") or each.attrs.get("Config", {}).get("Labels") or {}
            name = labels.get(label, "")
            if name.startswith(_PROJECT) and engine.is_of_the_dead(
                name.removeprefix(_PROJECT).replace("-", ".")
            ):
                each.remove(**({"force": True, "v": True} if how else {}))


def _answers(url: str) -> bool | None:
    try:
        return True if httpx.get(f"{url}/healthz", timeout=5).status_code == 200 else None
    except httpx.HTTPError:
        return None
