"""A container's log: every line, from the right stream, in order, and certainly all of it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.clock import Deadline, wait
from harness.errors import HarnessError
from harness.topologies.container import Container
from harness.topologies.containers import LOG
from harness.topologies.workshop import Workshop

Lines = list[tuple[str, str]]


@pytest.fixture
def run(workshop: Workshop, image: str) -> Callable[[str], tuple[Container, Lines]]:
    """Starts a Python program in a container."""

    def start(program: str) -> tuple[Container, Lines]:
        made = workshop.dock().client.containers.run(
            image, ["python", "-c", program], detach=True, labels=workshop.dock().labels, log_config=LOG
        )
        lines: Lines = []
        return Container(made, 8080, lambda stream, line, _: lines.append((stream, line))), lines

    return start


Run = Callable[[str], tuple[Container, Lines]]


def _has(lines: Lines, line: tuple[str, str]) -> bool | None:
    return line in lines or None


def settled(container: Container) -> bool | None:
    return None if container.unread else True


def test_lines_keep_their_stream_and_their_order(run: Run) -> None:
    container, lines = run(
        "import sys\nfor number in range(500): print('out', number); print('error', number, file=sys.stderr)"
    )
    assert container.wait(30) == 0
    assert container.drained(30)
    assert [line for stream, line in lines if stream == "stdout"] == [f"out {n}" for n in range(500)]
    assert [line for stream, line in lines if stream == "stderr"] == [f"error {n}" for n in range(500)]


def test_what_is_strange_arrives_as_it_is(run: Run) -> None:
    program = (
        "import sys; w = sys.stdout.buffer.write\n"
        "w(b'x' * 50_000 + b'\\n'); w(b'\\xff\\n'); w('ü\\r\\n'.encode()); w(b'\\n'); w(b'no end')"
    )
    container, lines = run(program)
    assert container.wait(30) == 0
    assert container.drained(30)
    assert [line for _, line in lines] == ["x" * 50_000, "\ufffd", "ü", "", "no end"]


def test_when_it_says_that_all_is_read_all_is_read(run: Run) -> None:
    """Each round the program writes a burst and waits; once nothing is unread, the whole burst is there."""
    program = (
        "import sys, time\n"
        "for burst in range(5):\n"
        "    for number in range(300): print(burst, number, flush=True)\n"
        "    print(burst, 'done', file=sys.stderr, flush=True); time.sleep(0.3)\n"
        "time.sleep(100)"
    )
    container, lines = run(program)
    for burst in range(5):
        wait(
            functools.partial(_has, lines, ("stderr", f"{burst} done")), Deadline(30), lambda: str(lines[-1:])
        )
        wait(lambda: settled(container), Deadline(30), lambda: "unread")
        assert ("stdout", f"{burst} 299") in lines
    container.stop(0.1)
    assert not any("end of what is written" in line for _, line in lines)


def test_a_line_without_an_end_is_unread(run: Run) -> None:
    container, lines = run("import sys, time; sys.stdout.write('half'); sys.stdout.flush(); time.sleep(100)")
    wait(
        lambda: True if any(container._rest.values()) else (container.unread, None)[1],
        Deadline(30),
        lambda: "half",
    )
    assert container.unread
    container.stop(0.1)
    assert lines == [("stdout", "half")]


def test_a_line_that_cannot_be_recorded_is_no_silence(run: Run) -> None:
    container, _ = run("import time; print('a line', flush=True); time.sleep(100)")
    container.on_line = lambda *_: 1 / 0  # type: ignore[assignment]
    wait(lambda: container._problem and True, Deadline(30), lambda: "no problem")
    with pytest.raises(HarnessError, match="ZeroDivisionError"):
        _ = container.unread
    container.stop(0.1)


def test_its_end_says_what_ended_it_and_takes_it_away(run: Run, client: Any) -> None:
    failed, _ = run("raise SystemExit(3)")
    killed, lines = run("import time; print('up', flush=True); time.sleep(100)")
    assert failed.wait(30) == 3
    # Before, it may still be the engine's own program, which SIGTERM ends.
    wait(lambda: _has(lines, ("stdout", "up")), Deadline(30), lambda: str(lines))
    assert killed.stop(0.1) is False
    assert killed.status == -9
    assert not failed.running
    wait(
        lambda: True if not {failed.made.id, killed.made.id} & _there(client) else None,
        Deadline(30),
        lambda: "still there",
    )
    assert killed.url("") == ""


def test_its_processes_are_seen(run: Run) -> None:
    container, _ = run("import subprocess; subprocess.run(['sleep', '100'])")
    wait(lambda: True if len(container.pids()) == 2 else None, Deadline(30), lambda: str(container.pids()))
    assert all(Path(f"/proc/{pid}").exists() for pid in container.pids())
    container.stop(0.1)
    assert container.pids() == []


def _there(client: Any) -> set[str]:
    return {each.id for each in client.containers.list(all=True, ignore_removed=True)}
