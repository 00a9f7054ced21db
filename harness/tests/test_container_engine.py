"""``scripts/container-engine``: an engine while a command runs, and who stops it; with stand-ins for Docker."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from harness.clock import Deadline, wait
from harness.tests.conftest import ROOT, alive

# Answers while there is a file "up". What a run has left is a file "left", which is seen once.
_DOCKER = """
case $1 in
  info) test -e "$HERE/up" ;;
  *) test -e "$HERE/left" && echo something; rm -f "$HERE/left" ;;
esac
"""
_DOCKERD = """
trap 'echo stopped >>"$HERE/told"; rm -f "$HERE/up"; exit 0' TERM
echo $$ >"$HERE/pid"
touch "$HERE/up"
while [ -e "$HERE/up" ]; do sleep 0.05; done
"""
_ENDS_AT_ONCE = "echo no cgroups here >&2; exit 1"
_NEVER_ANSWERS = 'echo $$ >"$HERE/pid"; echo no cgroups here; exec sleep 600'


@dataclass
class Machine:
    """A folder of stand-ins, before all other programs."""

    folder: Path
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    def has(self, name: str, program: str) -> None:
        """Put a program there."""
        path = self.folder / name
        path.write_text(f"#!/bin/sh\nHERE={self.folder}\n{program}\n", encoding="utf-8")
        path.chmod(0o755)

    def start(self, *command: str) -> subprocess.Popen[str]:
        """Start the script with a command."""
        environment = {
            **os.environ,
            "PATH": f"{self.folder}:{os.environ['PATH']}",
            "CONTAINER_ENGINE_LOG": str(self.folder / "log"),
            "CONTAINER_ENGINE_WITHIN_S": os.environ.get("CONTAINER_ENGINE_WITHIN_S", "60"),
        }
        process = subprocess.Popen(
            [ROOT / "scripts/container-engine", *command],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.started.append(process)
        return process

    def clear(self) -> None:
        """End what a test that failed has left: it would be found by tests that have nothing to do with it."""
        (self.folder / "up").unlink(missing_ok=True)
        for process in self.started:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.communicate()

    def run(self, *command: str) -> tuple[int, str, str]:
        """Run the script; its status and what it wrote. Returns only when nobody holds its output any more."""
        process = self.start(*command)
        out, errors = process.communicate(timeout=100)
        return process.returncode, out, errors

    @property
    def pid(self) -> int:
        """Of the engine that was started last."""
        return int((self.folder / "pid").read_text())

    @property
    def was_stopped(self) -> bool:
        """Whether the engine was told to end, and did."""
        return (self.folder / "told").exists() and not alive(self.pid)


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    """One on which Docker is installed and does not run; who asks is root."""
    made = Machine(tmp_path)
    made.has("docker", _DOCKER)
    made.has("dockerd", _DOCKERD)
    made.has("id", "echo 0")
    yield made
    made.clear()


@pytest.mark.parametrize("status", [0, 3])
def test_an_engine_is_there_for_the_command_and_is_stopped_after_it(machine: Machine, status: int) -> None:
    code, out, _ = machine.run("sh", "-c", f"docker info && echo it answers; exit {status}")

    assert code == status
    assert "it answers" in out
    assert machine.was_stopped


def test_an_engine_that_ran_before_goes_on(machine: Machine) -> None:
    (machine.folder / "up").touch()

    assert machine.run("true") == (0, "", "")
    assert not (machine.folder / "pid").exists(), "no other was started"
    assert (machine.folder / "up").exists()


def test_without_a_command_it_stays_and_holds_nothing_of_the_caller(machine: Machine) -> None:
    code, out, errors = machine.run()  # would not return while the engine had our pipe

    pid = machine.pid
    assert (code, errors) == (0, "")
    assert "Started a container engine" in out
    assert alive(pid)
    open_files = {
        path.readlink() for path in Path(f"/proc/{pid}/fd").iterdir() if int(path.name) < 10
    }  # its script is higher
    assert open_files <= {Path("/dev/null"), machine.folder / "log"}
    assert os.getsid(pid) == pid
    os.kill(pid, signal.SIGTERM)


@pytest.mark.parametrize(
    ("number", "to"),
    [(signal.SIGTERM, os.kill), (signal.SIGINT, os.killpg)],
    ids=["told-to-end", "ctrl-c"],
)
def test_who_is_interrupted_stops_the_engine_too(
    machine: Machine, number: signal.Signals, to: Callable[[int, int], None]
) -> None:
    process = machine.start("sh", "-c", "echo running; exec sleep 600")
    assert process.stdout is not None
    assert process.stdout.readline().startswith("Started")
    assert process.stdout.readline() == "running\n"

    to(process.pid, number)

    process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert machine.was_stopped


def test_who_is_told_to_end_while_the_command_starts_ends_it(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The script does not know yet which process it is, and that process has still the traps of the script."""
    here = machine.folder
    machine.has(
        "env",
        f"""
        trap 'touch "$HERE/lost"' TERM; touch "$HERE/starts"; sleep 0.3; trap - TERM  # as on a busy machine
        exec {shutil.which("env")} "$@"
        """,
    )
    (here / "at-that-line").write_text(
        f"""trap '[ "$BASH_COMMAND" != "starting=\\$!" ] || {{
            until [ -e {here}/starts ]; do sleep 0.01; done; kill -TERM $$; }}' DEBUG
        """,
        "utf-8",
    )
    monkeypatch.setenv("BASH_ENV", str(here / "at-that-line"))

    process = machine.start("sleep", "600")

    process.communicate(timeout=60)  # would not return while the command runs, which has our pipe
    assert not (here / "lost").exists()
    assert process.returncode == 128 + signal.SIGTERM
    assert machine.was_stopped


def test_it_waits_until_nothing_of_the_run_is_left_on_the_engine(machine: Machine) -> None:
    """A reaper works on while the run that it works for has ended."""
    code, _, _ = machine.run("touch", str(machine.folder / "left"))
    assert code == 0
    assert not (machine.folder / "left").exists()
    assert machine.was_stopped


@pytest.mark.parametrize(
    ("dockerd", "found"),
    [(_NEVER_ANSWERS, "did not answer within 1 s"), (_ENDS_AT_ONCE, "dockerd ended")],
    ids=["never-answers", "ends-at-once"],
)
@pytest.mark.parametrize("command", [(), ("touch", "ran")], ids=["alone", "for-a-command"])
def test_an_engine_that_does_not_start_is_inconclusive_and_bounded(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, dockerd: str, found: str, command: Sequence[str]
) -> None:
    machine.has("dockerd", dockerd)
    if dockerd == _NEVER_ANSWERS:
        monkeypatch.setenv("CONTAINER_ENGINE_WITHIN_S", "1")
    monkeypatch.chdir(machine.folder)

    code, _, errors = machine.run(*command)

    assert code == 2
    assert "INCONCLUSIVE: " in errors
    assert found in errors
    assert "apt-get install" in errors
    assert "make processes" in errors
    assert "no cgroups here" in errors
    assert not Path("ran").exists()
    if dockerd == _NEVER_ANSWERS:
        wait(lambda: None if alive(machine.pid) else True, Deadline(10), lambda: "it was left behind")


def test_one_that_cannot_be_installed_is_inconclusive(machine: Machine) -> None:
    """On a machine with nothing but what the script itself needs."""
    for name in ("docker", "dockerd"):
        (machine.folder / name).unlink()
    for name in ("bash", "timeout", "tail", "cat", "rm", "sleep", "env", "sh"):
        (machine.folder / name).symlink_to(
            next(p for p in map(Path, ("/usr/bin", "/bin")) if (p / name).exists()) / name
        )
    machine.has("apt-get", "echo E: Unable to locate package docker.io >&2; exit 100")
    machine.has("apt-cache", "exit 100")
    machine.has("sudo", "case $2 in true) ;; apt-get) exec apt-get ;; *) exit 1 ;; esac")
    machine.has("id", "echo 1000")

    done = subprocess.run(
        ["bash", ROOT / "scripts/container-engine"],
        env={"PATH": str(machine.folder), "CONTAINER_ENGINE_LOG": str(machine.folder / "log")},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert done.returncode == 2
    assert "INCONCLUSIVE: " in done.stderr
    assert "installing it failed: E: Unable to locate package docker.io" in done.stderr


def test_who_is_not_root_is_told_so_at_once(machine: Machine) -> None:
    machine.has("id", 'test "$1" = -u && echo 1000 || echo somebody')

    code, _, errors = machine.run("true")

    assert code == 2
    assert "INCONCLUSIVE: " in errors
    assert "you are somebody" in errors
    assert not (machine.folder / "pid").exists()
