"""Fixtures for the harness's own tests: a project of scenarios to run, and what is left after a run."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from harness import profile
from harness.clock import Deadline, wait
from harness.ledger import Ledger
from harness.model import Mode
from harness.tests.judged import PROFILE, Judged
from harness.topologies.system import System
from harness.topologies.workshop import Workshop

ROOT = Path(__file__).resolve().parent.parent.parent
_HEADER = """
import pytest

from harness import Route, Setting, System, faults, scenario
"""
WAITS = """
    import threading


    @scenario("WAIT-01", requires=["PROD-01"])
    def test_waits(prod: System) -> None:
        '''Starts both processes and waits for ever.'''
        prod.start()
        threading.Event().wait()
"""


@dataclass
class Commands:
    """Commands that a test runs as a person does, where Ctrl-C works; what they write comes as text."""

    folder: Path
    _started: list[subprocess.Popen[str]] = field(default_factory=list, init=False)

    def begin(
        self,
        main: str,
        *options: str,
        cwd: Path,
        variables: Mapping[str, str],
        stdin: int = subprocess.DEVNULL,
    ) -> subprocess.Popen[str]:
        """Start Python with a command's main function, given as code, and return at once."""
        # What starts the tests may ignore SIGINT, as a shell does for its background jobs, and children inherit that.
        code = f"import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); {main}"
        process = subprocess.Popen(
            [sys.executable, "-c", code, *options],
            cwd=cwd,
            env={**os.environ, "PYTHONPATH": str(ROOT), **variables},
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._started.append(process)
        return process

    def end(self) -> None:
        """End what still runs, with all that it started."""
        for process in self._started:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


class Project(Commands):
    """A folder with scenarios of its own, run by a pytest process of its own against the reference."""

    @property
    def run_folder(self) -> Path:
        return self.folder / "run"

    @property
    def base(self) -> Path:
        """Under which everything is that the processes of the run work in."""
        return self.folder / "tmp"

    def write(self, name: str, body: str) -> None:
        """Write a file of scenarios; imports stand in it already."""
        (self.folder / "scenarios" / name).write_text(_HEADER + textwrap.dedent(body), encoding="utf-8")

    def start(self, *options: str) -> subprocess.Popen[str]:
        """Start pytest and return at once."""
        words = ["-q"]
        for plugin, option in (("randomly", "--randomly-seed"), ("cacheprovider", "-o=cache_dir")):
            words += [] if any(each.startswith(option) for each in options) else ["-p", f"no:{plugin}"]
        words += [f"--profile={ROOT / 'reference_impl' / 'dispatchcheck.toml'}"]
        words += [f"--run-folder={self.run_folder}", f"--basetemp={self.base}", *options, "scenarios"]
        return self.begin(
            "import pytest; sys.exit(pytest.main())",
            *words,
            cwd=self.folder,
            variables={"PYTEST_ADDOPTS": "", "CI": "1"},
            stdin=subprocess.PIPE if "--pdb" in options else subprocess.DEVNULL,
        )

    def run(self, *options: str) -> tuple[int, str]:
        """Run pytest to its end; its exit code and what it printed."""
        process = self.start(*options)
        output, _ = process.communicate(timeout=100)
        return process.returncode, output

    @property
    def results(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads((self.run_folder / "results.json").read_text("utf-8"))
        return document

    def verdicts(self) -> dict[str, str]:
        return {row["scenario"]: row["verdict"] for row in self.results["scenarios"]}

    def messages(self) -> dict[str, str]:
        return {row["scenario"]: row["message"] for row in self.results["scenarios"]}

    def processes(self) -> list[int]:
        """Every process that works in a folder of this run: APIs and workers, whoever their parent is."""
        found = []
        for entry in Path("/proc").iterdir():
            try:
                cwd = (entry / "cwd").readlink() if entry.name.isdigit() else None
            except OSError:
                continue
            if cwd is not None and cwd.is_relative_to(self.base):
                found.append(int(entry.name))
        return found

    def wait_for_processes(self, count: int) -> list[int]:
        """Wait until that many processes work in this run's folders."""
        return wait(
            lambda: found if len(found := self.processes()) == count else None,
            Deadline(40),
            lambda: f"wanted {count} processes, found {self.processes()}",
        )


def reference_profile() -> str:
    """The text of the reference's profile, with a source that holds wherever the text is put."""
    text = (ROOT / "reference_impl" / "dispatchcheck.toml").read_text("utf-8")
    return text.replace('source = ".."', f'source = "{ROOT}"')


def alive(pid: int) -> bool:
    """Whether the process exists and is not merely waiting to be reaped."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def wait_until_gone(pids: Collection[int]) -> None:
    """Wait until none of the processes exists."""
    wait(
        lambda: True if not any(alive(pid) for pid in pids) else None,
        Deadline(20),
        lambda: f"still there: { {pid: command_of(pid) for pid in pids if alive(pid)} }",
    )


def command_of(pid: int) -> bytes:
    """What the process was started with; nothing when it is gone."""
    try:
        return (Path("/proc") / str(pid) / "cmdline").read_bytes()
    except OSError:
        return b""


def descendants(pid: int) -> list[int]:
    """Every process below this one."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
    found, todo = [], [pid]
    while todo:
        children = [child for child, parent in parents.items() if parent == todo[-1]]
        todo.pop()
        found += children
        todo += children
    return found


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """What needs a container engine is collected where one was asked for."""
    needs_engine = collection_path == Path(__file__).parent / "containers"
    return True if needs_engine and config.getoption("dc_topology") != "containers" else None


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """An empty project; whatever it started is ended with the test."""
    (tmp_path / "scenarios").mkdir()
    (tmp_path / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")  # makes this folder the root
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["harness.plugin"]\n', encoding="utf-8")
    requirements = (ROOT / "scenarios" / "requirements.toml").read_text("utf-8")
    (tmp_path / "scenarios" / "requirements.toml").write_text(requirements, encoding="utf-8")
    made = Project(tmp_path)
    yield made
    made.end()


@pytest.fixture(scope="module")
def workshop() -> Iterator[Workshop]:
    """One for all tests of a module that judge copies of the reference."""
    shared = Workshop(profile.load(PROFILE))
    yield shared
    shared.close()


@pytest.fixture
def reference(tmp_path: Path, workshop: Workshop) -> Judged:
    """A copy of the reference that may be changed."""
    shutil.copytree(
        ROOT / "reference_impl",
        tmp_path / "reference_impl",
        ignore=shutil.ignore_patterns("tests", "mutants", "*.pyc.*"),
    )
    return Judged(tmp_path, workshop)


@pytest.fixture
def systems(workshop: Workshop, tmp_path: Path) -> Iterator[Callable[[], System]]:
    """Makes systems, one after the other, and stops those that a test leaves running."""
    made: list[System] = []

    def make() -> System:
        made.append(
            System(workshop.profile, Mode.PROD, tmp_path / f"{len(made)}", workshop=workshop, ledger=Ledger())
        )
        return made[-1]

    yield make
    for system in made:
        if any(server.process is not None for server in system.servers):
            system.stop()
