"""What differs from the image is found: each test starts a container that production would not start."""

from __future__ import annotations

import io
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.topologies import engine, shipped
from harness.topologies.reaper import HELD
from harness.topologies.workshop import Workshop

_STAYS = ["python", "-c", "import time; time.sleep(100)"]


@pytest.fixture
def start(workshop: Workshop, image: str) -> Iterator[Any]:
    """Starts a container of the image with something else about it."""
    made: list[Any] = []

    def start(**how: Any) -> Any:
        labels = workshop.dock().labels
        made.append(workshop.dock().client.containers.run(image, detach=True, labels=labels, **how))
        return made[-1]

    yield start
    for each in made:
        each.remove(force=True, v=True)


def test_the_image_as_it_is(start: Any, image: str) -> None:
    container = start(environment={"TASKS_AUTH": "x", "APP_ENV": "production"})
    assert shipped.compare(container, image, {"TASKS_AUTH", "APP_ENV"}, set()) is None


@pytest.mark.parametrize(
    ("how", "what"),
    [
        ({"command": _STAYS}, "the command"),
        ({"command": _STAYS, "entrypoint": []}, "the command"),
        ({"user": "root"}, "the user"),
        ({"environment": {"TASKS_AUTH": "x", "CLOUD_TASKS_EMULATOR_HOST": "fake:1"}}, "variables"),
        ({"environment": {"PATH": "/somewhere/else:/venv/bin:/usr/bin:/bin"}}, "variables"),
    ],
    ids=["command", "entry-point", "user", "variable", "changed-variable"],
)
def test_something_else_is_found(start: Any, image: str, how: dict[str, Any], what: str) -> None:
    finding = shipped.compare(start(**how), image, {"TASKS_AUTH"}, set())
    assert finding is not None
    assert finding.expected.startswith(what)


def test_a_mount_is_found(start: Any, image: str, tmp_path: Path) -> None:
    volumes = {str(tmp_path): {"bind": "/srv/patched", "mode": "ro"}}
    finding = shipped.compare(
        start(volumes=volumes, environment={"TASKS_AUTH": "x"}), image, {"TASKS_AUTH"}, set()
    )
    assert finding is not None
    assert "/srv/patched" in finding.observed


def test_another_image_is_found(start: Any, client: Any, image: str) -> None:
    recipe = io.BytesIO(f"FROM {image}\nLABEL test={uuid.uuid4()}".encode())
    name = f"{HELD}:{engine.new_owner()}"
    other, _ = client.images.build(fileobj=recipe, tag=name, rm=True, forcerm=True)
    finding = shipped.compare(start(), str(other.id), set(), set())
    client.api.remove_image(name)
    assert other.id != image
    assert finding is not None
    assert finding.expected.startswith("the image")


def test_a_file_made_for_tests_is_found(start: Any, image: str) -> None:
    container = start(user="root")
    container.exec_run(["mkdir", "/srv/harness"])
    container.exec_run(["touch", "/srv/harness/__init__.py"])
    finding = shipped.compare(container, image, set(), {"/srv/harness"})
    assert finding is not None
    assert finding.expected.startswith("the user")  # which comes first; as the image's own user:
    assert "harness" in container.exec_run(["python", "-c", shipped._LOOK]).output.decode()
