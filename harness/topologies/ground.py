"""What a System stands on: the seam between it and a way to run the system under test.

There are two grounds: processes on loopback, and containers on a network of their own. The fakes run in the test
process on both, so that faults, journals and moments at which something strikes are the same; a ground says on which
address they listen, and how the dispatcher finds them there.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from harness.errors import Finding
from harness.faults import Fault
from harness.profile import Command


@dataclass(frozen=True, slots=True, kw_only=True)
class Fakes:
    """Where the fakes listen, and how they are known.

    Attributes:
        address: on which they listen.
        cloud_tasks_port: that of Cloud Tasks; 0 lets the system choose.
        worker_host: the name under which the dispatcher finds the worker gateway.
        hosts: addresses of names that only the dispatcher can resolve; they can change.
        max_attempts: how often Cloud Tasks delivers a task: as long as a worker may take to start again.
        is_access_token: whether a token that a caller of Cloud Tasks shows is good; None where they sign their own.
    """

    address: str = "127.0.0.1"
    cloud_tasks_port: int = 0
    worker_host: str = "127.0.0.1"
    hosts: Mapping[str, str] = field(default_factory=dict)
    max_attempts: int = 8
    is_access_token: Callable[[str], bool] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """What is to be started.

    Attributes:
        role: ``api``, ``worker``, or the name of a command.
        command: how the profile starts it.
        values: what the placeholders of the command stand for.
        environment: all its variables.
        folder: where it works.
        on_line: called with the name of the stream and each line.
        warm: whether it may be forked from a process with third-party modules imported.
    """

    role: str
    command: Command
    values: Mapping[str, str]
    environment: Mapping[str, str]
    folder: Path
    on_line: Callable[[str, str], None]
    warm: bool


class Running(Protocol):
    """One running API, worker or command.

    Attributes:
        status: its exit status, or minus the number of the signal that ended it; None while it runs.
        served: how many systems it has served before the one that it is part of now.
    """

    status: int | None
    served: int

    @property
    def pid(self) -> int:
        """The id of its first process, as this machine counts."""

    @property
    def running(self) -> bool:
        """Whether it has not ended."""

    @property
    def unread(self) -> bool:
        """Whether it wrote something that is not recorded yet."""

    def url(self, port: str) -> str:
        """Where it serves, given the port that it reported; "" as long as that is not known."""

    def pids(self) -> Sequence[int]:
        """The ids of its processes, as this machine counts."""

    def send(self, number: signal.Signals) -> None:
        """Send a signal to it and what it started; nothing happens when it has ended."""

    def wait(self, timeout_s: float) -> int | None:
        """Wait for its end; the status, or None when it is still running."""

    def drained(self, timeout_s: float) -> bool:
        """Wait until all that it wrote is recorded, which is certain only after its end."""

    def stop(self, timeout_s: float) -> bool:
        """SIGTERM, and SIGKILL when it does not end in time; whether it ended when asked."""

    def limit_files(self, limit_bytes: int | None) -> None:
        """Let no file of it grow beyond a bound (RLIMIT_FSIZE); None for any size."""

    def hang_up_log(self) -> None:
        """Close the reading ends of its output, as a collector of logs does that crashes."""

    def stop_reading_log(self) -> None:
        """Read its output no more, and fill the pipes, so that its next line has to wait."""

    def read_log_again(self) -> None:
        """End ``stop_reading_log``."""


class Ground(Protocol):
    """A way to run one system under test."""

    @property
    def fakes(self) -> Fakes:
        """Where the fakes are to listen."""

    @property
    def storage(self) -> Path:
        """Where the harness finds what the dispatcher calls its storage."""

    @property
    def secret(self) -> str:
        """What the API and the worker share."""

    @property
    def values(self) -> Mapping[str, str]:
        """What ``source``, ``python``, ``run`` and ``storage`` stand for where the dispatcher runs."""

    @property
    def stuck_after_s(self) -> float:
        """Seconds of quiet after which a job that has not ended counts as stuck."""

    @property
    def keeps(self) -> bool:
        """Whether ``keep`` can say yes; where it cannot, API and worker are stopped together, which is quicker."""

    def fits(self, template: str) -> bool:
        """Whether a variable of the profile, before its placeholders are filled in, makes sense here."""

    def start(self, what: Start) -> Running:
        """Start the API, the worker or a command, and return at once.

        Raises:
            HarnessError: it could not be started at all.
        """

    def keep(self, running: Running) -> bool:
        """Keep a worker, to which nothing was done, for another system; False where it has to be stopped."""

    def variables(self, port: int, project: str, *, nowhere: bool) -> dict[str, str]:
        """The variables that send an unmodified Cloud Tasks client to the fake.

        Args:
            port: on which the fake listens.
            project: to which the credentials belong.
            nowhere: send it to a name that does not resolve.
        """

    def share(self, path: Path) -> None:
        """Let the dispatcher read and write what the harness has put into its storage."""

    def lacks(self, fault: Fault) -> str:
        """Why a fault cannot be brought about here; "" where it can."""

    def prepare(self, fault: Fault) -> None:
        """Do what a fault that needs this ground needs before anything is started."""

    def strike(self, fault: Fault, running: Running) -> None:
        """Bring about a fault that needs this ground, and return when it has taken effect."""

    def undo(self, fault: Fault, running: Running) -> None:
        """End what ``strike`` began, where that ends at all."""

    def shipped(self, role: str, running: Running, told: Sequence[str]) -> Finding | None:
        """What differs between a thing that runs and what is shipped; None where nothing does.

        Args:
            role: ``api`` or ``worker``.
            running: what runs.
            told: the variables that it may be given beside those of the profile.
        """

    def move_worker(self) -> str:
        """Give the worker's name another address of ours, and return that; nobody listens there yet."""

    def close(self) -> None:
        """End what the ground itself consists of; everything that was started has ended."""
