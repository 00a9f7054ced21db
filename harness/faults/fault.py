"""What a fault is: two halves, a layer, whom it strikes, and how it is brought about."""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace
from typing import Literal

from harness.faults.points import Point
from harness.model import Route


class Applied(enum.StrEnum):
    """Whether the operation that a fault struck took effect."""

    NO = "no"
    YES = "yes"
    PARTLY = "partly"


class Observed(enum.StrEnum):
    """What the caller saw of it."""

    ERROR = "error"
    TIMEOUT = "timeout"
    RESET = "reset"
    GARBAGE = "garbage"
    SUCCESS = "success"


class Layer(enum.StrEnum):
    """Where in the world something goes wrong."""

    CLOUD_TASKS = "cloud_tasks"
    WORKER = "worker"
    CONFIGURATION = "configuration"
    NETWORK = "network"
    TIME = "time"
    PROCESS = "process"


class Party(enum.StrEnum):
    """Whom it strikes."""

    CLOUD_TASKS = "cloud_tasks"
    WORKER = "worker"
    API = "api"


class Means(enum.StrEnum):
    """How a fault is brought about."""

    SCRIPT = "script"  # the fake misbehaves on request, and counts that it did
    LISTENER = "listener"  # the gateway's port goes wrong before there is a request
    CERTIFICATE = "certificate"  # the gateway speaks TLS, and shows a wrong certificate
    CLOSED_PORT = "closed port"  # nobody listens: the caller is refused, and nobody can count it
    NO_SUCH_HOST = "no such host"  # the configured name does not resolve
    NO_CREDENTIALS = "no credentials"  # the client cannot be constructed
    NO_MODULE = "no module"  # the client library cannot be imported
    DEAD_PROXY = "dead proxy"  # the proxy variables name a port on which nobody listens
    CLOCK = "clock"  # the process sees another wall clock, by libfaketime
    SIGKILL = "SIGKILL"
    SIGTERM = "SIGTERM"
    SIGSTOP = "SIGSTOP"
    LATE_START = "late start"  # the process is there, its port is not open yet
    FULL_DISK = "full disk"  # no file may grow beyond a bound (RLIMIT_FSIZE)
    CLOSED_LOG = "closed log"  # the reader of standard output and standard error goes away
    UNREAD_LOG = "unread log"  # the pipe of the log is full, and nobody reads it
    TWICE = "twice"  # a second process of the same kind runs beside the first
    DISCONNECT = "disconnect"  # the engine takes the container off its network
    NAMES = "names"  # the name server answers no question as it should
    FREEZE = "freeze"  # the engine freezes all processes of the container
    MOVE = "move"  # the container is another one, and its name has another address
    SMALL_PACKETS = "small packets"  # the kernel drops larger ones that the container sends (tbf)
    NETEM = "netem"  # the kernel delays or drops what the container sends (netem)
    FULL_VOLUME = "full volume"  # the storage is a small volume, and something else fills it
    READ_ONLY = (
        "read-only"  # the storage is mounted read-only over itself: nothing in it can be opened for writing
    )
    MEMORY = "memory"  # something else in the container takes memory until its limit is reached


_INVISIBLE = {
    Means.LISTENER,
    Means.CERTIFICATE,
    Means.CLOSED_PORT,
    Means.NO_SUCH_HOST,
    Means.NO_CREDENTIALS,
    Means.NO_MODULE,
}
_ON_THE_WIRE = {Means.SCRIPT, Means.LISTENER, Means.CERTIFICATE, Means.CLOSED_PORT}


@dataclass(frozen=True, slots=True)
class Fault:
    """One misbehaviour of a dependency, of a process or of the world around it.

    Attributes:
        name: unique in the catalogue; printed as the parameter of a scenario.
        imitates: the real incident.
        reason: the slug that the dispatcher is expected to log; "" where nothing fails, or nothing is prescribed.
        times: how many calls it strikes; None for all until it is lifted.
        call: which calls it strikes; "" for those that hand over a job.
        delivery: for deliveries of Cloud Tasks, what is wrong with them.
        text: what the error says; "" for a text that names the incident.
        late: what happens only when the caller has given up.
        midway: it strikes when the head and half of the body of the reply are there.
        drip_s: seconds between two bytes of the reply.
        listener: what goes wrong on the gateway's port.
        certificate: what is wrong with the gateway's certificate.
        clock_s: seconds that the clock is ahead of the true time; behind it where negative.
        point: the moment at which it strikes a process; None for at once.
        netem: for links, what the kernel does to each packet, in the words of tc-netem.
        needs: the topology without which it cannot be brought about; "" for one that any has.
    """

    name: str
    layer: Layer
    strikes: Party
    applied: Applied
    observed: Observed
    imitates: str
    reason: str = ""
    means: Means = Means.SCRIPT
    grpc_code: str = ""
    http_status: int = 0
    body: str = ""
    delay_s: float = 0.0
    times: int | None = None
    call: str = ""
    delivery: Literal["", "twice", "twice_at_once"] = ""
    text: str = ""
    late: Literal["", "request", "reply"] = ""
    midway: bool = False
    drip_s: float = 0.0
    listener: Literal[
        "", "syn_dropped", "never_read", "reset_at_head", "other_protocol", "plain_text_only"
    ] = ""
    certificate: Literal["", "another host", "unknown authority"] = ""
    clock_s: float = 0.0
    point: Point | None = None
    netem: str = ""
    needs: Literal["", "containers"] = ""

    def __str__(self) -> str:
        """The name: what a parametrised scenario shows."""
        return self.name

    @property
    def ambiguous(self) -> bool:
        """Whether what the caller saw does not tell what happened."""
        if self.observed is Observed.SUCCESS:
            return self.applied is not Applied.YES
        return self.applied is not Applied.NO or self.observed is not Observed.ERROR

    @property
    def leaves_no_trace(self) -> frozenset[Route]:
        """The routes whose failed attempts cannot be seen on the wire under this fault."""
        if self.means in {Means.DEAD_PROXY, Means.NAMES}:
            return frozenset({Route.CLOUD_TASKS, Route.WORKER_DIRECT})
        if self.means not in _INVISIBLE:
            return frozenset()
        at_worker = self.strikes is Party.WORKER
        return frozenset({Route.WORKER_DIRECT if at_worker else Route.CLOUD_TASKS})

    @property
    def on_the_wire(self) -> bool:
        """Whether a fake brings it about; else it is in the environment of a process or the process itself."""
        return self.means in _ON_THE_WIRE

    def saying(self, text: str) -> Fault:
        """The same fault, with an error that contains the text."""
        return replace(self, text=text) if self.grpc_code else replace(self, body=text)

    def for_calls(self, count: int) -> Fault:
        """The same fault, striking the first calls only."""
        return replace(self, times=count)

    def once(self) -> Fault:
        """The same fault, striking a single call."""
        return replace(self, times=1)

    def at(self, point: Point) -> Fault:
        """The same fault of a process, striking when the point is reached."""
        return replace(self, point=point)
