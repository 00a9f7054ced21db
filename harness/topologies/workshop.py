"""What all systems of one test process share: the launcher and the thread on which the fakes run."""

from __future__ import annotations

import contextlib

from fake_services.host import Host
from harness.logs.capture import LogPump
from harness.profile import Profile
from harness.topologies.inprocess import Decisions
from harness.topologies.process import Launcher


class Workshop:
    """The shared parts; each is made when it is first needed.

    Attributes:
        profile: the system under test that is judged now; the parts serve any.
    """

    def __init__(self, profile: Profile) -> None:
        self.profile = profile
        self._parts = contextlib.ExitStack()
        self._launcher: Launcher | None = None
        self._host: Host | None = None
        self._decisions: Decisions | None = None

    def turn_to(self, profile: Profile) -> None:
        """Judge another system under test from now on."""
        self.profile = profile
        if self._decisions is not None:
            self._decisions.close()
            self._decisions = None

    def launcher(self) -> Launcher:
        """The process from which those of the system under test are started."""
        if self._launcher is None:
            pump = LogPump()
            self._parts.callback(pump.close)
            self._launcher = Launcher(self.profile.start.preload, pump)
            self._parts.callback(self._launcher.close)
        return self._launcher

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
        self._parts.close()
        self._launcher = self._host = self._decisions = None
