"""What the engine is still making when its owner is interrupted or killed goes as well."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.clock import Deadline, wait
from harness.topologies import engine
from harness.topologies.reaper import OWNER
from harness.topologies.workshop import Workshop


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """Ctrl-C interrupts, even where what started the tests ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("ctrl_c")
def test_an_interruption_does_not_leave_what_was_being_made(workshop: Workshop, client: Any) -> None:
    dock = workshop.dock()
    begun, interrupted, made = threading.Event(), threading.Event(), []

    def make() -> None:
        begun.set()
        interrupted.wait(5)
        made.append(client.volumes.create(labels=dock.labels))

    def interrupt() -> None:
        begun.wait(30)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        dock.make(make)
    interrupted.set()
    dock.close()

    assert len(made) == 1
    assert client.volumes.list(filters={"label": f"{OWNER}={dock.labels[OWNER]}"}) == []


def test_what_is_there_only_after_its_owner_was_killed_goes_too(client: Any, tmp_path: Path) -> None:
    """The reaper looks again: the engine may not have made yet what the owner asked for last.

    It is stopped while that is made, when it has begun to look: how busy the machine is makes no difference.
    """
    owner = engine.new_owner()
    reaper = engine.Reaper(owner, tmp_path / "nothing")
    labels = {OWNER: owner}
    assert reaper._process.stdin is not None
    reaper._process.stdin.close()  # as a kill does: not a word before

    wait(lambda: _talks(reaper._process.pid), Deadline(60), lambda: "it does not ask the engine")
    reaper._process.send_signal(signal.SIGSTOP)
    client.volumes.create(labels=labels)
    reaper._process.send_signal(signal.SIGCONT)

    wait(
        lambda: None if client.volumes.list(filters={"label": f"{OWNER}={owner}"}) else True,
        Deadline(60),
        lambda: "the volume is still there",
    )
    assert reaper._process.wait(60) == 0


def test_where_the_reaper_was_killed_its_owner_does_the_work(client: Any, tmp_path: Path) -> None:
    owner = engine.new_owner()
    reaper = engine.Reaper(owner, tmp_path / "folder")
    (tmp_path / "folder").mkdir()
    client.volumes.create(labels={OWNER: owner})
    reaper._process.kill()

    reaper.close()

    assert client.volumes.list(filters={"label": f"{OWNER}={owner}"}) == []
    assert not (tmp_path / "folder").exists()


def _talks(pid: int) -> bool | None:
    """Whether a process has a socket."""
    for each in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            if str(each.readlink()).startswith("socket:"):
                return True
    return None
