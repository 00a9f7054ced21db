"""Faults of processes: what they are started with, what happens to them while they run, and at which moment."""

from __future__ import annotations

import contextlib
import signal
import socket
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from fake_services.sockets import hold_port
from harness.clock import Deadline, wait
from harness.errors import HarnessError, Inconclusive
from harness.faults import Fault, Means, Party, Point
from harness.journal import Journal
from harness.model import Observation
from harness.topologies.darkness import Darkness
from harness.topologies.ground import Ground
from harness.topologies.server import Server
from harness.topologies.wall_clock import WallClock

_SIGNALS = {
    Means.SIGKILL: signal.SIGKILL,
    Means.SIGTERM: signal.SIGTERM,
    Means.SIGSTOP: signal.SIGSTOP,
}
_OVER_WITH_THE_PROCESS = {*_SIGNALS, Means.MEMORY}
_ROOM_BYTES = 1_000_000
_AUDIO_BYTES_A_SECOND = 16_000
_ANSWERS_WITHIN_S = 5.0
_DIES_WITHIN_S = 5.0
_PROXY_VARIABLES = ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY")


class Afflictions:
    """The faults of one system's processes.

    Args:
        journal: where it says what it does, and where it sees that a point is reached.
        folder: of the run.
        servers: the processes that can be struck.
        ground: what they stand on.
        asking: whether a request of the scenario is under way: nobody is struck before it is answered, as a
            scenario about an accepted job needs the answer that says so.

    Attributes:
        darkness: when the API's environment took attempts off the wire.
        mute: whether the API's log was cut off.
        ever: whether there was any.
    """

    def __init__(
        self,
        *,
        journal: Journal,
        folder: Path,
        servers: Mapping[Party, Server],
        ground: Ground,
        asking: Callable[[], bool],
    ) -> None:
        self._journal = journal
        self._folder = folder
        self._servers = servers
        self._ground = ground
        self._asking = asking
        self._in_force: list[Fault] = []
        self._waiting: list[_Trigger] = []
        self._clocks: dict[Party, WallClock] = {}
        self._full_at_bytes: dict[Party, int] = {}
        self._proxy: socket.socket | None = None
        self.darkness = Darkness(journal)
        self.mute = False
        self.ever = False

    def inject(self, fault: Fault) -> None:
        """Strike a process at once, as soon as it runs, or at the fault's point.

        Raises:
            HarnessError: the fault is not one of a process.
        """
        text = f"inject {fault.name}{f' at {fault.point}' if fault.point else ''}: {fault.imitates}"
        self._journal.record("harness", "fault", text, name=fault.name)
        self.ever = True
        self._in_force.append(fault)
        self.darkness.falls(fault)
        if fault.means is Means.CLOCK:
            self._clocks[fault.strikes] = WallClock(
                self._folder / f"clock-of-{fault.strikes}", 0.0 if fault.point else fault.clock_s
            )
        if fault.means is Means.FULL_DISK:
            self._full_at_bytes[fault.strikes] = self._bound(fault.strikes)
        self._ground.prepare(fault)
        if fault.point is not None:
            trigger = _Trigger(fault, fault.point, lambda: self._strike_at_point(fault))
            trigger.forget = self._journal.watch(trigger.look)
            self._waiting.append(trigger)
        elif self._servers[fault.strikes].process is not None:
            self._strike(fault)

    def heal(self) -> None:
        """Lift what can be lifted while the processes run: pauses, full disks, unread logs."""
        self._journal.record("harness", "fault", "heal the processes")
        self.await_struck()
        self._release()
        self._in_force.clear()

    def release(self) -> None:
        """Let paused and blocked processes end."""
        for trigger in self._waiting:
            trigger.forget()
        self._release()
        if self._proxy is not None:
            self._proxy.close()

    def await_struck(self) -> None:
        """Wait until every point at which something was to strike has been reached.

        Raises:
            Inconclusive: one was not.
            HarnessError: striking failed.
        """
        for trigger in self._waiting:
            trigger.await_struck()

    def unfired(self) -> list[str]:
        """Names of faults that struck nobody."""
        return [trigger.fault.name for trigger in self._waiting if not trigger.struck.is_set()]

    def suffers(self, means: Means, party: Party) -> bool:
        """Whether a fault of that kind is in force."""
        return any(fault.means is means and fault.strikes is party for fault in self._in_force)

    @property
    def episode_length_s(self) -> float:
        """Seconds of audio that an episode has to have at least: so many that it does not fit on a full disk."""
        if not self.suffers(Means.FULL_DISK, Party.WORKER):
            return 0.0
        return (self._full_at_bytes[Party.WORKER] + _ROOM_BYTES) / _AUDIO_BYTES_A_SECOND

    def cold(self, party: Party) -> bool:
        """Whether a process has to be started afresh, because its loader or its imports are part of the fault."""
        return party in self._clocks

    def environment(self, party: Party) -> dict[str, str]:
        """The variables that a process is given beside its own."""
        clock = self._clocks.get(party)
        environment = clock.environment() if clock is not None else {}
        if self.suffers(Means.DEAD_PROXY, party):
            if self._proxy is None:
                self._proxy = hold_port("127.0.0.1", 0)
            url = f"http://127.0.0.1:{self._proxy.getsockname()[1]}"
            environment |= dict.fromkeys(_PROXY_VARIABLES, url)
        return environment

    def started(self, party: Party) -> None:
        """A process is ready: strike it with what waited for that.

        Raises:
            Inconclusive: its clock cannot be changed on this machine.
        """
        process = self._servers[party].process
        if party in self._clocks and process is not None:
            self._clocks[party].check(process.pid)
        for fault in self._in_force:
            if fault.strikes is party and fault.point is None and fault.means not in _OVER_WITH_THE_PROCESS:
                self._strike(fault)
        if party is Party.API:
            self.darkness.lifts_but_for(*self._in_force)

    def _strike(self, fault: Fault) -> None:
        server = self._servers[fault.strikes]
        if fault.needs:
            server.suffer(fault)
            return
        match fault.means:
            case Means.SIGKILL:
                server.kill()
            case Means.SIGTERM:
                server.stop()
            case Means.SIGSTOP:
                server.signal(signal.SIGSTOP)
            case Means.FULL_DISK:
                server.limit_files(self._full_at_bytes[fault.strikes])
            case Means.CLOSED_LOG:
                server.hang_up_log()
                self.mute = self.mute or fault.strikes is Party.API
            case Means.UNREAD_LOG:
                server.stop_reading_log()
            case Means.CLOCK:
                self._clocks[fault.strikes].set(fault.clock_s)
            case _:
                pass  # is in how the process is started

    def _bound(self, party: Party) -> int:
        """How large a file may become on the party's full disk.

        At the API nothing fits any more. At the worker an episode does not, while its small files do, and what it
        appends to files that are there: the log of a database that earlier jobs were in may be of any size.
        """
        if party is Party.API:
            return 1
        sizes = [0]
        for path in self._ground.storage.rglob("*"):
            with contextlib.suppress(FileNotFoundError):  # a temporary file of somebody who is at work
                sizes.append(path.stat().st_size)
        return max(sizes) + _ROOM_BYTES

    def _strike_at_point(self, fault: Fault) -> None:
        """Strike in whatever thread records the point, and wait until it has taken effect.

        So a fake whose observation is the point goes on only when the process is struck.
        """
        server = self._servers[fault.strikes]
        with contextlib.suppress(TimeoutError):
            wait(lambda: None if self._asking() else True, Deadline(_ANSWERS_WITHIN_S), lambda: "an answer")
        number = _SIGNALS.get(fault.means)
        if number is None:
            self._strike(fault)
        elif server.process is not None:
            server.signal(number)
            if number is signal.SIGKILL:
                server.process.wait(_DIES_WITHIN_S)

    def _release(self) -> None:
        for fault in self._in_force:
            server = self._servers[fault.strikes]
            if fault.means is Means.SIGSTOP:
                server.signal(signal.SIGCONT)
            elif fault.means is Means.FULL_DISK:
                server.limit_files(None)
            elif fault.means is Means.UNREAD_LOG:
                server.read_log_again()
            elif fault.needs:
                server.recover_from(fault)


class _Trigger:
    """Strikes once, when its point is reached."""

    def __init__(self, fault: Fault, point: Point, strike: Callable[[], None]) -> None:
        self.fault = fault
        self.struck = threading.Event()
        self.forget: Callable[[], None] = lambda: None
        self._point = point
        self._strike = strike
        self._lock = threading.Lock()
        self._taken = False
        self._problem: Exception | None = None

    def look(self, observation: Observation) -> None:
        """Called with each observation."""
        if not self._point.is_reached_by(observation):
            return
        with self._lock:
            if self._taken:
                return
            self._taken = True
        self.forget()
        try:
            self._strike()
        except Exception as problem:  # noqa: BLE001 - raised to the scenario, not to who recorded the point
            self._problem = problem
        self.struck.set()

    def await_struck(self) -> None:
        """As ``Afflictions.await_struck``."""
        within_s = 2 * (_ANSWERS_WITHIN_S + _DIES_WITHIN_S)
        if not self.struck.wait(within_s):
            raise Inconclusive(
                f"{self.fault.name} waited {within_s:g} s for {self._point}, which did not come"
            )
        if self._problem is not None:
            raise HarnessError(f"{self.fault.name} could not strike: {self._problem!r}")
