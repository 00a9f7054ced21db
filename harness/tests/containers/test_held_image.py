"""The image of a run stays the one that it has made, whoever builds another one of that name, and goes with it."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from docker.errors import ImageNotFound

from harness import profile
from harness.clock import Deadline, wait
from harness.profile import Profile
from harness.tests.conftest import ROOT
from harness.topologies import engine
from harness.topologies.containers import Dock
from harness.topologies.reaper import HELD, no_build

_WITHIN_S = 60
_PROFILE = "reference_impl/dispatchcheck.toml"
_WHICH = "import reference_impl.which; print(reference_impl.which.NAME)"
# A run that has an image made as it is told, says so, and waits for its end.
_RUN = """
import signal
import sys
from pathlib import Path

from harness import profile
from harness.topologies import engine

signal.signal(signal.SIGINT, signal.default_int_handler)
judged = profile.load(Path(sys.argv[1]))
containers = judged.containers.model_copy(update={"image": sys.argv[2], "build": ("sh", "-c", sys.argv[3])})
image = engine.HeldImage(judged.model_copy(update={"containers": containers}), other_source=False)
print("made", image.id, flush=True)
sys.stdin.read()
image.close()
"""

Build = Callable[[str], Profile]
Start = Callable[[str], subprocess.Popen[str]]


@pytest.fixture
def name(client: Any) -> Iterator[str]:
    """A name for images, which nobody else uses."""
    made = f"dispatchcheck-test-{uuid.uuid4()}"
    yield made
    for each in (made, f"{made}-build"):
        with contextlib.suppress(ImageNotFound), no_build():
            client.api.remove_image(each)


@pytest.fixture
def source(tmp_path: Path, name: str) -> Build:
    """The profile of a copy of the reference that differs in one line, whose image gets the name."""

    def make(which: str) -> Profile:
        copy = tmp_path / which / "reference_impl"
        shutil.copytree(ROOT / "reference_impl", copy, ignore=shutil.ignore_patterns("__pycache__", "tests"))
        (copy / "which.py").write_text(f"NAME = {which + name!r}\n", encoding="utf-8")
        judged = profile.load(ROOT / _PROFILE, source=tmp_path / which)
        assert judged.containers is not None
        return judged.model_copy(update={"containers": judged.containers.model_copy(update={"image": name})})

    return make


@pytest.fixture
def start(name: str, tmp_path: Path) -> Iterator[Start]:
    """Starts a process that has an image made by a command for the shell, in the test's folder, and holds it."""
    begun: list[subprocess.Popen[str]] = []

    def start(command: str) -> subprocess.Popen[str]:
        begun.append(
            subprocess.Popen(
                [sys.executable, "-c", _RUN, str(ROOT / _PROFILE), name, f"cd '{tmp_path}'; {command}"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                cwd=ROOT,
            )
        )
        return begun[-1]

    yield start
    for each in begun:
        each.kill()
        each.communicate(timeout=_WITHIN_S)


def held_by(client: Any, pid: int) -> list[str]:
    """The names that a process gave to the image that it needs."""
    found = [tag for each in client.api.images(filters={"reference": HELD}) for tag in each["RepoTags"]]
    return [tag for tag in found if tag.startswith(f"{HELD}:{pid}.")]


def wait_until_let_go(client: Any, pid: int) -> None:
    wait(
        lambda: None if held_by(client, pid) else True,
        Deadline(_WITHIN_S),
        lambda: f"still there: {held_by(client, pid)}",
    )


def exists(client: Any, image: str) -> bool:
    try:
        client.images.get(image)
    except ImageNotFound:
        return False
    return True


@pytest.mark.timeout(300)
def test_containers_start_from_the_image_that_was_made_whatever_is_built_beside(
    client: Any, name: str, source: Build
) -> None:
    before = held_by(client, os.getpid())  # this run's own
    one, other = source("one"), source("other")
    first = engine.HeldImage(one, other_source=False)
    dock = Dock(one, first.id)
    second = engine.HeldImage(other, other_source=False)
    assert client.images.get(name).id == second.id != first.id, "the name is the other one's now"

    said = client.containers.run(dock.image, ["python", "-c", _WHICH], labels=dock.labels, remove=True)

    assert said.decode().strip() == f"one{name}"
    first.close()  # as where the process that made it is killed before those that use it
    assert exists(client, first.id)
    dock.close()
    assert not exists(client, first.id), "nobody needs it any more, and it has no name"
    second.close()
    assert client.images.get(name).tags == [f"{name}:latest"]
    assert held_by(client, os.getpid()) == before


def test_kill_9_of_who_holds_an_image_takes_it_away(client: Any, image: str, start: Start) -> None:
    recipe = f"FROM {image}\\nLABEL test={uuid.uuid4()}"
    process = start(f"printf '{recipe}' | DOCKER_BUILDKIT=0 docker build -q -t {{hold}} -")
    assert process.stdout is not None
    word, made = process.stdout.readline().split()
    assert word == "made"
    assert held_by(client, process.pid)

    process.kill()

    wait(lambda: None if exists(client, made) else True, Deadline(_WITHIN_S), lambda: "it is still there")
    assert held_by(client, process.pid) == []


def test_kill_9_while_an_image_is_built_leaves_nothing_of_what_comes_out(
    client: Any, image: str, start: Start, tmp_path: Path
) -> None:
    """The command goes on: what it makes is taken away when it has ended."""
    process = start(
        "touch begun; while [ ! -e go ]; do sleep 0.05; done; "
        f"docker tag {image} {{hold}}; touch done; while [ ! -e end ]; do sleep 0.05; done"
    )
    wait(lambda: (tmp_path / "begun").exists() or None, Deadline(_WITHIN_S), lambda: "the command")
    process.kill()
    process.wait(_WITHIN_S)
    (tmp_path / "go").touch()
    wait(lambda: (tmp_path / "done").exists() or None, Deadline(_WITHIN_S), lambda: "it has not gone on")
    assert held_by(client, process.pid)

    (tmp_path / "end").touch()

    wait_until_let_go(client, process.pid)
    assert exists(client, image)


def test_ctrl_c_while_an_image_is_built_lets_the_command_clean_up(
    client: Any, start: Start, tmp_path: Path
) -> None:
    process = start("trap 'sleep 0.5; touch cleaned; exit 1' TERM; touch begun; sleep 600 & wait")
    wait(lambda: (tmp_path / "begun").exists() or None, Deadline(_WITHIN_S), lambda: "the command")

    process.send_signal(signal.SIGINT)

    assert process.wait(_WITHIN_S) == -signal.SIGINT
    assert (tmp_path / "cleaned").exists()
    assert held_by(client, process.pid) == []


def test_what_nobody_alive_holds_goes_with_the_next_run(client: Any, image: str) -> None:
    """Its reaper was killed as well."""
    gone = subprocess.Popen(["true"])
    gone.wait(_WITHIN_S)
    engine.hold(client, image, f"{gone.pid}.1.1")
    alive = engine.new_owner()
    engine.hold(client, image, alive)

    engine.sweep(client)

    assert held_by(client, gone.pid) == []
    assert f"{HELD}:{alive}" in held_by(client, os.getpid())
    client.api.remove_image(f"{HELD}:{alive}")
