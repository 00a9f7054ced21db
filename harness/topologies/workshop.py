"""What all systems of one test process share: the thread on which the fakes run, and the launcher or the engine."""

from __future__ import annotations

import contextlib
import itertools
from pathlib import Path
from typing import TYPE_CHECKING

from fake_services.host import Host
from harness.errors import UsageError
from harness.journal import Journal
from harness.logs.capture import LogPump
from harness.profile import Profile
from harness.topologies.berth import Berth, Berths
from harness.topologies.ground import Ground
from harness.topologies.inprocess import Decisions
from harness.topologies.process import Launcher, Process
from harness.topologies.processes import SYSTEMS_EACH, Processes

if TYPE_CHECKING:
    from harness.topologies.containers import Dock

TOPOLOGIES = ("processes", "containers")


class Workshop:
    """The shared parts; each is made when it is first needed.

    Args:
        profile: of the system under test.
        topology: how it is run: one of ``TOPOLOGIES``.
        image: the id of the image, for containers; "" to make one of its own when it is needed.
        zygote: where one listens that serves other test processes as well; "" for none.

    Attributes:
        profile: the system under test that is judged now; the parts serve any.
    """

    def __init__(
        self, profile: Profile, topology: str = "processes", *, image: str = "", zygote: str = ""
    ) -> None:
        if topology not in TOPOLOGIES:
            raise UsageError(f"unknown topology {topology!r}; known are {', '.join(TOPOLOGIES)}")
        self.profile = profile
        self.topology = topology
        self._image = image
        self._zygote = zygote
        self._parts = contextlib.ExitStack()
        self._launcher: Launcher | None = None
        self._host: Host | None = None
        self._decisions: Decisions | None = None
        self._dock: Dock | None = None
        self._berths: Berths[Berth[Process]] | None = None

    def use_workers_again(self, folder: Path) -> None:
        """Let a process of a worker that was left in order serve the next system, where the profile allows it.

        Args:
            folder: where the storage of such systems is.
        """
        if self._berths is None:
            numbers = itertools.count(1)
            self._berths = Berths(lambda: Berth(folder / str(next(numbers))), systems_each=SYSTEMS_EACH)

    def ground(self, folder: Path, journal: Journal) -> Ground:
        """What one system stands on.

        Args:
            folder: the system's own.
            journal: for what is observed of the ground itself.
        """
        if self.topology == "containers":
            from harness.topologies.containers import Containers  # the engine's client is slow to import

            return Containers(self.dock(), self.host(), self.profile, folder, journal)
        return Processes(self.profile, folder, self.launcher(), self._berths)

    def turn_to(self, profile: Profile, *, image: str = "") -> None:
        """Judge another system under test from now on, whose image is this one."""
        self.profile = profile
        self._image = image
        if self._berths is not None:
            self._berths.close()
        if self._dock is not None:
            self._dock.close()
            self._dock = None
        if self._decisions is not None:
            self._decisions.close()
            self._decisions = None

    def start_afresh(self) -> None:
        """Keep nothing that waits for another system."""
        if self._dock is not None:
            self._dock.berths.close()
        if self._berths is not None:
            self._berths.close()

    def launcher(self) -> Launcher:
        """The process from which those of the system under test are started."""
        if self._launcher is None:
            pump = LogPump()
            self._parts.callback(pump.close)
            self._launcher = Launcher(self.profile.start.preload, pump, self._zygote)
            self._parts.callback(self._launcher.close)
        return self._launcher

    def dock(self) -> Dock:
        """Where the containers of this test process are."""
        if self._dock is None:
            from harness.topologies.containers import Dock  # as above

            self._dock = Dock(self.profile, self._image)
            self._parts.callback(self._dock.close)
        return self._dock

    def host(self) -> Host:
        """The thread on which the fakes run."""
        if self._host is None:
            self._host = self._parts.enter_context(Host())
        return self._host

    def decisions(self) -> Decisions:
        """The process that runs decisions alone."""
        if self._decisions is None:
            self._decisions = Decisions(self.profile, self.launcher())
            self._parts.callback(self._decisions.close)
        return self._decisions

    def close(self) -> None:
        """End everything that was made."""
        if self._berths is not None:
            self._berths.close()
        self._parts.close()
        self._launcher = self._host = self._dock = self._decisions = self._berths = None
