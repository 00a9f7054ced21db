"""The default topology: the real API and worker as processes on loopback, with no container engine."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.errors import Finding, NotApplicable
from harness.faults import Fault
from harness.profile import Profile
from harness.topologies import redirect
from harness.topologies.berth import Berth, Berths
from harness.topologies.ground import Fakes, Running, Start
from harness.topologies.process import Launcher, Process

# What a process may inherit from ours: enough to find programs and write files, and nothing that configures it.
INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "COVERAGE_PROCESS_START", "COVERAGE_PROCESS_CONFIG")


SYSTEMS_EACH = 10
"""How many systems a berth of processes serves: to look through more storage costs more than to start a worker."""


class Processes:
    """The ground of processes; see ``harness.topologies.ground``.

    Args:
        profile: of the system under test.
        folder: the system's own.
        launcher: starts the processes.
        berths: where a worker may wait for the next system; None: this system has everything for itself.
    """

    def __init__(
        self, profile: Profile, folder: Path, launcher: Launcher, berths: Berths[Berth[Process]] | None = None
    ) -> None:
        self.launcher = launcher
        self.fakes = Fakes()
        self._berths = berths if "worker" in profile.start.reuse else None
        self._berth: Berth[Process] = self._berths.take() if self._berths else Berth(folder)
        self.storage = self._berth.storage
        self.secret = self._berth.secret
        self.stuck_after_s = profile.settle.stuck_after_s
        self.keeps = self._berths is not None
        self.values: Mapping[str, str] = {
            "source": str(profile.source),
            "python": sys.executable,
            "run": str(folder),
            "storage": str(self.storage),
        }
        self._profile = profile
        self._folder = folder

    def fits(self, template: str) -> bool:  # noqa: ARG002 - the ground's contract
        """Every variable does: paths are this machine's."""
        return True

    def start(self, what: Start) -> Process:
        """Fork or execute it, through the launcher."""
        argv = [part.format_map(what.values) for part in what.command.command]
        inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
        env = {**inherited, **what.environment}
        warm = what.warm and argv[:2] == [self.values["python"], "-m"]
        cwd = what.folder
        if self.keeps and what.role == "worker":  # it may outlive the system's own folder
            cwd = self._berth.folder / "worker"
            cwd.mkdir(exist_ok=True)

        def start() -> Process:
            return self.launcher.start(argv, env=env, cwd=cwd, on_line=what.on_line, warm=warm)

        return (
            self._berth.worker((argv, env, warm), what.on_line, start) if what.role == "worker" else start()
        )

    def keep(self, running: Running) -> bool:
        """Keep the worker for the next system, where the profile says that it may be used again."""
        return self.keeps and self._berth.keep(running)

    def variables(self, port: int, project: str, *, nowhere: bool) -> dict[str, str]:
        """By the universe domain; see ``harness.topologies.redirect``."""
        variables = redirect.variables(self._folder / "cloud", port=port, project=project)
        return variables | redirect.to_nowhere() if nowhere else variables

    def share(self, path: Path) -> None:
        """Nothing is to be done: the processes are this user's."""

    def lacks(self, fault: Fault) -> str:
        """Why a fault cannot be brought about here."""
        return f"it needs {fault.needs}: run with --topology={fault.needs}" if fault.needs else ""

    def prepare(self, fault: Fault) -> None:
        """Nothing is to be done: no fault needs this ground."""

    def strike(self, fault: Fault, running: Running) -> None:
        """No fault needs this ground."""
        raise AssertionError(f"{fault.name} for {running.pid}: see lacks")

    undo = strike

    def shipped(self, role: str, running: Running, told: Sequence[str]) -> Finding | None:
        """Nothing is shipped as a process."""
        raise NotApplicable(f"the {role} (pid {running.pid}, told {told}) is no container")

    def move_worker(self) -> str:
        """A process has no address of its own."""
        raise AssertionError("see lacks")

    def close(self) -> None:
        """Leave its place."""
        if self._berths is not None:
            self._berths.leave(self._berth)
