"""The container files, as far as they can be judged without Docker."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from reference_impl.settings import variables

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = (ROOT / "reference_impl/Dockerfile").read_text(encoding="utf-8")
COMPOSE = (ROOT / "reference_impl/docker-compose.worker.yml").read_text(encoding="utf-8")


def test_the_image_runs_as_nobody_in_particular_and_says_how_it_is() -> None:
    users = re.findall(r"^USER (\w+)$", DOCKERFILE, re.MULTILINE)
    assert users == ["dispatcher"]
    assert DOCKERFILE.index("USER dispatcher") < DOCKERFILE.index("HEALTHCHECK") < DOCKERFILE.index("\nCMD")
    assert "exec python -m uvicorn" in DOCKERFILE
    assert DOCKERFILE.count("FROM ${BASE_IMAGE}") == 2


def test_the_compose_file_has_the_service_that_the_log_command_names() -> None:
    assert re.search(r"^services:\n  worker:$", COMPOSE, re.MULTILINE)
    assert "SERVICE: worker" in COMPOSE
    assert "TASKS_AUTH: ${TASKS_AUTH:?" in COMPOSE


def test_the_compose_file_passes_on_what_concerns_a_worker() -> None:
    passed = set(re.findall(r"^      ([A-Z_]+): ", COMPOSE, re.MULTILINE))
    apis = {
        "USE_WORKER_IN_DEV",
        "GOOGLE_CLOUD_PROJECT",
        "TASKS_LOCATION",
        "TASKS_QUEUE",
    }  # which routes there are
    apis |= {
        "TASKS_ENQUEUE_TIMEOUT_S",
        "WORKER_CONNECT_TIMEOUT_S",
        "WORKER_TIMEOUT_S",
        "WORKER_BREAKER_S",
    }  # calls
    apis |= {
        "HANDOVER_MAX_S",
        "JOB_OVERDUE_S",
        "DISPATCH_THREADS",
        "BACKGROUND_THREADS",
    }  # the dispatcher's work
    elsewhere = {
        "K_SERVICE",
        "MEDIA_ROOT",
        "ASSEMBLY_BYTES_PER_S",
    }  # Cloud Run's, the image's, for slow disks and tests
    names = {variable.name for _, variable in variables()}
    assert passed - {"SERVICE", "BASE_IMAGE"} == names - apis - elsewhere


@pytest.mark.parametrize("folder", ["reference_impl", "fake_services"])
def test_an_image_has_the_versions_and_hashes_of_the_projects_lock(folder: str) -> None:
    project, image = _locked(ROOT / "requirements.lock"), _locked(ROOT / folder / "requirements.lock")
    wanted = (ROOT / folder / "requirements.txt").read_text(encoding="utf-8").splitlines()
    assert {re.split(r"\[", line)[0] for line in wanted if not line.startswith("#")} <= image.keys()
    assert {name: image[name] for name in image if image[name] != project.get(name)} == {}


def _locked(lock: Path) -> dict[str, tuple[str, frozenset[str]]]:
    """The version and the hashes of each package in a lock."""
    entries = re.split(r"^(?=[a-z0-9])", lock.read_text(encoding="utf-8"), flags=re.MULTILINE)
    found = {}
    for entry in filter(str.strip, entries):
        name, version = re.match(r"([a-z0-9-]+)==([^ ;\n]+)", entry).groups()  # type: ignore[union-attr]
        found[name] = (version, frozenset(re.findall(r"--hash=(\S+)", entry)))
    return found
