"""However a run ends, no container, network, volume or nameless image of it is left."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import signal
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest
from docker.errors import ImageNotFound

from harness.clock import Deadline, wait
from harness.tests.conftest import ROOT, Project, alive, descendants
from harness.topologies import engine
from harness.topologies.reaper import HELD, OWNER, no_build

_GONE_WITHIN_S = 90
_RUNS = 20
_AT_ONCE = 2
_ENDS = (
    "in order",
    "killed",
    "killed while it stops",
    "killed before it starts",
    "interrupted",
    "killed, and its reaper before",
)
_WAITS = """
    import threading
    from pathlib import Path


    @scenario("WAIT-01", requires=["PROD-01"])
    def test_waits(prod: System) -> None:
        '''Starts both containers and waits for ever.'''
        prod.start()
        Path("started").touch()
        threading.Event().wait()
"""
# A run without pytest: makes everything that a scenario makes, says so, and ends as it is told on standard input.
_RUN = """
import signal
import sys
from pathlib import Path

from harness import faults, profile
from harness.ledger import Ledger
from harness.model import Mode
from harness.topologies.system import System
from harness.topologies.workshop import Workshop

signal.signal(signal.SIGINT, signal.default_int_handler)
folder, image, when = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
workshop = Workshop(profile.load(Path("reference_impl/dispatchcheck.toml").resolve()), "containers", image=image)
system = System(workshop.profile, Mode.PROD, folder, workshop=workshop, ledger=Ledger())
system.inject(faults.STORAGE_FULL.at(faults.logged("never", by="worker")))
print("made", flush=True)
if when == "before":
    sys.stdin.read()
system.start()
print("started", flush=True)
sys.stdin.readline()
system.stop()
workshop.close()
"""


def left_of(client: Any, pids: list[int]) -> list[str]:
    """What is left on the engine of these processes, and what is named as theirs."""
    owners = {str(pid) for pid in pids}
    containers = client.containers.list(all=True, filters={"label": OWNER}, ignore_removed=True)
    found = [(each.labels.get(OWNER, ""), f"container {each.name}") for each in containers]
    for kind, collection in (("network", client.networks), ("volume", client.volumes)):
        labels = [
            (each.attrs.get("Labels") or {}, each.name) for each in collection.list(filters={"label": OWNER})
        ]
        found += [(label.get(OWNER, ""), f"{kind} {name}") for label, name in labels]
    held = [tag for each in client.api.images(filters={"reference": HELD}) for tag in each["RepoTags"]]
    found += [(tag.removeprefix(f"{HELD}:"), f"image {tag}") for tag in held]
    return sorted(what for owner, what in found if owner.partition(".")[0] in owners)


def nameless(client: Any) -> set[str]:
    """The images that have no name, and of which no other one is made."""
    return {each.id for each in client.images.list(filters={"dangling": True})}


def command_line(pid: int) -> str:
    """How a process was started; "" when it has ended."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8", errors="replace")
    return ""


def wait_until_nothing_is_left(client: Any, pids: list[int]) -> None:
    wait(
        lambda: None if left_of(client, pids) else True,
        Deadline(_GONE_WITHIN_S),
        lambda: f"still there: {left_of(client, pids)}",
    )


def wait_for_containers(client: Any, process: subprocess.Popen[str], count: int) -> list[int]:
    """Wait until a run has so many containers; its process and everything below it."""

    def look() -> list[int] | None:
        assert process.poll() is None, process.communicate()[0]
        pids = [process.pid, *descendants(process.pid)]
        there = [what for what in left_of(client, pids) if what.startswith("container")]
        return pids if len(there) >= count else None

    return wait(look, Deadline(100), lambda: f"wanted {count} containers")


@pytest.mark.parametrize("options", [(), ("-n", "2")], ids=["alone", "xdist"])
def test_kill_9_of_pytest_leaves_nothing(client: Any, project: Project, options: tuple[str, ...]) -> None:
    project.write("test_waits.py", _WAITS)
    process = project.start("--topology=containers", *options)
    pids = wait_for_containers(client, process, 2)

    os.kill(process.pid, signal.SIGKILL)

    assert process.wait(timeout=10) == -signal.SIGKILL
    wait_until_nothing_is_left(client, pids)


@pytest.mark.parametrize("count", [1, 2], ids=["while-it-starts", "while-it-runs"])
def test_ctrl_c_leaves_nothing(client: Any, project: Project, count: int) -> None:
    """With one container there is a call under way that makes another one: the engine goes on with that."""
    project.write("test_waits.py", _WAITS)
    process = project.start("--topology=containers")
    pids = wait_for_containers(client, process, count)
    if count > 1:
        started = project.folder / "started"
        wait(lambda: started.exists() or None, Deadline(60), lambda: "the API is not ready")

    os.killpg(process.pid, signal.SIGINT)

    output, _ = process.communicate(timeout=100)
    assert process.returncode == pytest.ExitCode.INTERRUPTED, output
    assert left_of(client, pids) == []


def test_the_next_run_cleans_up_where_the_reaper_was_killed_too(client: Any, project: Project) -> None:
    project.write("test_waits.py", _WAITS)
    process = project.start("--topology=containers")
    pids = wait_for_containers(client, process, 2)
    reapers = [pid for pid in pids if "reaper.py" in command_line(pid)]

    for pid in reapers:
        os.kill(pid, signal.SIGKILL)
    wait(lambda: None if any(map(alive, reapers)) else True, Deadline(10), lambda: "the reaper")
    # Before its owner is dead: from then on any run that starts beside this test may take it away.
    assert len(left_of(client, pids)) >= 3, "two containers and a network"
    os.kill(process.pid, signal.SIGKILL)
    process.wait(timeout=10)
    engine.sweep(client)

    assert left_of(client, pids) == []


def test_the_layers_of_an_interrupted_build_go_with_the_next_one(client: Any, image: str) -> None:
    with no_build():  # which would take it away
        recipe = io.BytesIO(f"FROM {image}\nLABEL test={uuid.uuid4()}".encode())
        left, _ = client.images.build(fileobj=recipe, rm=True, forcerm=True)
        assert left.id in nameless(client)

    done = subprocess.run(
        ["scripts/images", "reference"], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
    assert left.id not in nameless(client)


def test_an_interrupted_build_leaves_nothing(client: Any, tmp_path: Path) -> None:
    """At the latest when the next one is made: the engine may still have been writing a layer."""
    name = f"dispatchcheck-test-{uuid.uuid4()}"
    copy = tmp_path / "reference_impl"
    shutil.copytree(ROOT / "reference_impl", copy, ignore=shutil.ignore_patterns("__pycache__"))
    (copy / "another.py").write_text(f"ID = {name!r}\n", encoding="utf-8")  # so that it is not built already
    before = nameless(client)
    process = subprocess.Popen(
        ["scripts/images", "reference"],
        cwd=ROOT,
        env={**os.environ, "SOURCE": str(tmp_path), "REFERENCE_IMAGE": name},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    with contextlib.suppress(TimeoutError):  # too quick to be seen: then it has ended in order
        wait(
            lambda: process.poll() is not None or nameless(client) - before or None, Deadline(60), lambda: ""
        )
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)

    process.wait(60)

    def nothing_is_left() -> bool | None:
        if nameless(client) <= before:
            return True
        subprocess.run(["scripts/images", "reference"], cwd=ROOT, capture_output=True, check=True)
        return None

    wait(nothing_is_left, Deadline(60), lambda: str(nameless(client) - before))
    for tag in (name, f"{name}-build"):
        with contextlib.suppress(ImageNotFound):
            client.images.remove(tag)


@pytest.mark.timeout(600)
def test_twenty_runs_leave_nothing_however_they_end(client: Any, image: str, tmp_path: Path) -> None:
    before = nameless(client)
    pids: list[int] = []
    for_the_next_run: list[int] = []
    for first in range(0, _RUNS, _AT_ONCE):
        with contextlib.ExitStack() as stack:
            running = [_start(tmp_path / str(n), image, n) for n in range(first, first + _AT_ONCE)]
            for process in running:
                stack.enter_context(process)
                stack.callback(process.kill)
            for number, process in enumerate(running, first):
                by_itself = _how(number) != "killed, and its reaper before"
                (pids if by_itself else for_the_next_run).append(process.pid)
                _end(process, number)
    wait_until_nothing_is_left(client, pids)
    engine.sweep(client)
    assert left_of(client, for_the_next_run) == []
    wait(lambda: True if nameless(client) <= before else None, Deadline(60), lambda: str(nameless(client)))


def _how(number: int) -> str:
    """The way in which a run ends."""
    return _ENDS[number % len(_ENDS)]


def _start(folder: Path, image: str, number: int) -> subprocess.Popen[str]:
    when = "before" if _how(number) == "killed before it starts" else "after"
    folder.mkdir()
    with (folder / "errors").open("w") as errors:  # no pipe: the reaper has it too, and outlives the run
        return subprocess.Popen(
            [sys.executable, "-c", _RUN, str(folder), image, when],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            cwd=Path(engine.__file__).parents[2],
        )


def _end(process: subprocess.Popen[str], number: int) -> None:
    """End a run in one of the ways, in turn."""
    how = _how(number)
    assert process.stdout is not None
    assert process.stdin is not None
    assert process.stdout.readline() == "made\n"
    if how != "killed before it starts":
        assert process.stdout.readline() == "started\n"
    if how in {"in order", "killed while it stops"}:
        process.stdin.write("stop\n")
        process.stdin.flush()
    if how == "interrupted":
        process.send_signal(signal.SIGINT)
    elif how != "in order":
        if how == "killed, and its reaper before":
            for pid in descendants(process.pid):
                if "reaper.py" in command_line(pid):
                    os.kill(pid, signal.SIGKILL)
        process.kill()
    process.communicate(timeout=100)
    expected = {
        "in order": {0},
        "interrupted": {-signal.SIGINT},
        "killed while it stops": {-signal.SIGKILL, 0},
    }
    assert process.returncode in expected.get(how, {-signal.SIGKILL})  # 0: it was quicker than the kill
