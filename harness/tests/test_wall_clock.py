"""A process with a clock of its own: really another time, monotonic clocks as they are, and checked."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness.errors import Inconclusive
from harness.topologies import wall_clock
from harness.topologies.wall_clock import WallClock

_SHOW = "import sys, time\nfor _ in sys.stdin: print(time.time(), time.monotonic(), flush=True)\n"


@contextmanager
def running(clock: WallClock) -> Iterator[tuple[int, Callable[[], tuple[float, float]]]]:
    """A process under that clock: its id, and how to ask it for its wall clock and its monotonic one."""
    with subprocess.Popen(
        [sys.executable, "-c", _SHOW],
        env={**os.environ, **clock.environment()},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as child:

        def times() -> tuple[float, float]:
            child.stdin.write("\n")  # type: ignore[union-attr]  # a pipe, as asked for above
            child.stdin.flush()  # type: ignore[union-attr]
            wall, monotonic = map(float, child.stdout.readline().split())  # type: ignore[union-attr]
            return wall, monotonic

        yield child.pid, times


def test_the_wall_clock_is_another_and_steps_while_the_monotonic_one_goes_on(tmp_path: Path) -> None:
    clock = WallClock(tmp_path / "clock", 3600.0)
    with running(clock) as (pid, times):

        def ahead() -> tuple[float, float]:
            wall, monotonic = times()
            return round((wall - time.time()) / 60), round((monotonic - time.monotonic()) / 60)

        assert ahead() == (60, 0)
        clock.check(pid)
        assert not list(Path("/dev/shm").glob(f"*faketime*{pid}"))
        clock.set(-3600.0)
        deadline = time.monotonic() + 20
        while ahead() != (-60, 0):
            assert time.monotonic() < deadline


def test_the_library_may_be_known_by_another_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the virtual environment is a symbolic link, for example."""
    (tmp_path / "linked.so").symlink_to(wall_clock._library().resolve())
    monkeypatch.setattr(wall_clock, "_library", lambda: tmp_path / "linked.so")
    clock = WallClock(tmp_path / "clock", 3600.0)
    with running(clock) as (pid, times):
        times()  # it has begun
        clock.check(pid)


def test_a_process_whose_clock_is_right_shows_nothing(tmp_path: Path) -> None:
    with pytest.raises(Inconclusive, match="was not loaded into process"):
        WallClock(tmp_path / "clock", 0.0).check(os.getpid())


def test_without_the_library_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    monkeypatch.setattr(wall_clock, "_OF_DISTRIBUTION", "nowhere/*.so")
    with pytest.raises(Inconclusive, match=r"no libfaketime for riscv64.*apt-get install libfaketime"):
        WallClock(tmp_path / "clock", 0.0).environment()
