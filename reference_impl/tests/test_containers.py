"""The container files, as far as they can be judged without Docker."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

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


def test_the_images_requirements_are_among_the_projects() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    names = {re.split(r"[>=]", requirement)[0] for requirement in project}
    lines = (ROOT / "reference_impl/requirements.txt").read_text(encoding="utf-8").splitlines()
    assert {line for line in lines if not line.startswith("#")} <= names
