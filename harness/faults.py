"""The named faults that a scenario can inject: what each does, what it imitates, what the log should say.

A fault has two halves. *Applied*: did the operation take effect (no, yes, partly)? *Observed*: what did the
caller see (an error, a time-out, a reset, garbage, success)? Where the halves disagree the caller cannot know
what happened: those are the ambiguous faults.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace
from typing import Literal

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
    """Where a fault strikes."""

    CLOUD_TASKS = "cloud_tasks"
    WORKER = "worker"


class Means(enum.StrEnum):
    """How a fault is brought about."""

    SCRIPT = "script"  # the fake misbehaves on request, and counts that it did
    CLOSED_PORT = "closed port"  # nobody listens: the caller is refused, and nobody can count it
    NO_SUCH_HOST = "no such host"  # the configured name does not resolve
    NO_CREDENTIALS = "no credentials"  # the client cannot be constructed


@dataclass(frozen=True, slots=True)
class Fault:
    """One misbehaviour of a dependency.

    Attributes:
        name: unique in the catalogue; printed as the parameter of a scenario.
        imitates: the real incident.
        reason: the slug that the dispatcher is expected to log; "" where nothing is prescribed.
        times: how many calls it strikes; None for all until it is lifted.
        call: which calls it strikes; "" for those that hand over a job.
        delivery: for deliveries of Cloud Tasks, what is wrong with them.
        text: what the error says; "" for a text that names the incident.
    """

    name: str
    layer: Layer
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
    def leaves_no_trace(self) -> Route | None:
        """The route whose failed attempt cannot be seen on the wire under this fault."""
        if self.means is Means.SCRIPT:
            return None
        return Route.CLOUD_TASKS if self.layer is Layer.CLOUD_TASKS else Route.WORKER_DIRECT

    def saying(self, text: str) -> Fault:
        """The same fault, with an error that contains the text."""
        return replace(self, text=text, body=text)

    def for_calls(self, count: int) -> Fault:
        """The same fault, striking the first calls only."""
        return replace(self, times=count)

    def once(self) -> Fault:
        """The same fault, striking a single call."""
        return replace(self, times=1)


def _refusal(code: str, imitates: str) -> Fault:
    slug = code.lower().replace("_", "-")
    return Fault(
        f"cloud-tasks-{slug}",
        Layer.CLOUD_TASKS,
        Applied.NO,
        Observed.ERROR,
        imitates,
        reason=slug,
        grpc_code=code,
    )


def _answer(status: int, imitates: str) -> Fault:
    return Fault(
        f"worker-{status}",
        Layer.WORKER,
        Applied.NO,
        Observed.ERROR,
        imitates,
        reason=f"http-{status}",
        http_status=status,
    )


CLOUD_TASKS_UNAVAILABLE = _refusal("UNAVAILABLE", "a zonal outage of the service")
CLOUD_TASKS_MISCONFIGURED = (
    _refusal("NOT_FOUND", "the queue was never created, or is named wrongly"),
    _refusal("PERMISSION_DENIED", "the service account lost cloudtasks.tasks.create"),
    _refusal("UNAUTHENTICATED", "a revoked or expired key"),
    _refusal("INVALID_ARGUMENT", "a worker URL without a scheme in the task"),
)
CLOUD_TASKS_TRANSIENT = (
    CLOUD_TASKS_UNAVAILABLE,
    _refusal("RESOURCE_EXHAUSTED", "the project's quota is used up"),
    _refusal("FAILED_PRECONDITION", "the queue was deleted a short while ago"),
    _refusal("ABORTED", "contention in the service"),
    _refusal("INTERNAL", "a bug in the service"),
    _refusal("UNIMPLEMENTED", "an API that is not served at this end point"),
)
CLOUD_TASKS_REFUSED_CONNECTION = Fault(
    "cloud-tasks-connection-refused",
    Layer.CLOUD_TASKS,
    Applied.NO,
    Observed.ERROR,
    "egress to the service is closed by a firewall rule that rejects",
    means=Means.CLOSED_PORT,
)
CLOUD_TASKS_NO_SUCH_HOST = Fault(
    "cloud-tasks-no-such-host",
    Layer.CLOUD_TASKS,
    Applied.NO,
    Observed.ERROR,
    "DNS fails inside the network connector",
    means=Means.NO_SUCH_HOST,
)
CLOUD_TASKS_NO_CREDENTIALS = Fault(
    "cloud-tasks-no-credentials",
    Layer.CLOUD_TASKS,
    Applied.NO,
    Observed.ERROR,
    "the service account's key is not mounted",
    means=Means.NO_CREDENTIALS,
)
CLOUD_TASKS_HANGS = Fault(
    "cloud-tasks-hangs",
    Layer.CLOUD_TASKS,
    Applied.NO,
    Observed.TIMEOUT,
    "a black hole between the API and the service",
)
CLOUD_TASKS_REPLY_LOST = (
    Fault(
        "cloud-tasks-created-then-timeout",
        Layer.CLOUD_TASKS,
        Applied.YES,
        Observed.TIMEOUT,
        "the task is created, the reply is lost in the network",
    ),
    Fault(
        "cloud-tasks-created-then-unavailable",
        Layer.CLOUD_TASKS,
        Applied.YES,
        Observed.ERROR,
        "the front end gives up although the back end has committed",
        reason="unavailable",
        grpc_code="UNAVAILABLE",
    ),
    Fault(
        "cloud-tasks-created-then-deadline",
        Layer.CLOUD_TASKS,
        Applied.YES,
        Observed.ERROR,
        "the server's own deadline passes after the commit",
        reason="deadline-exceeded",
        grpc_code="DEADLINE_EXCEEDED",
    ),
    Fault(
        "cloud-tasks-created-then-reset",
        Layer.CLOUD_TASKS,
        Applied.YES,
        Observed.RESET,
        "a load balancer drops the connection after the commit",
    ),
    Fault(
        "cloud-tasks-created-then-garbage",
        Layer.CLOUD_TASKS,
        Applied.YES,
        Observed.GARBAGE,
        "a proxy answers with a page of its own",
    ),
)
"""The task was created, and the caller cannot know."""

CLOUD_TASKS_DELIVERS_TWICE = (
    Fault(
        "cloud-tasks-delivers-twice",
        Layer.CLOUD_TASKS,
        Applied.YES,
        Observed.SUCCESS,
        "at-least-once delivery: the task is sent again after it succeeded",
        times=1,
        call="deliver",
        delivery="twice",
    ),
    Fault(
        "cloud-tasks-delivers-twice-at-once",
        Layer.CLOUD_TASKS,
        Applied.YES,
        Observed.SUCCESS,
        "at-least-once delivery: two senders take the same task",
        times=1,
        call="deliver",
        delivery="twice_at_once",
    ),
)
CLOUD_TASKS_REFUSES = (
    *CLOUD_TASKS_TRANSIENT,
    *CLOUD_TASKS_MISCONFIGURED,
    CLOUD_TASKS_REFUSED_CONNECTION,
    CLOUD_TASKS_NO_SUCH_HOST,
)
"""Every way of saying, or of making certain, that the task was not created."""

WORKER_REFUSES_CONNECTION = Fault(
    "worker-connection-refused",
    Layer.WORKER,
    Applied.NO,
    Observed.ERROR,
    "the worker's host is up and its container is not",
    reason="connection-refused",
    means=Means.CLOSED_PORT,
)
WORKER_NO_SUCH_HOST = Fault(
    "worker-no-such-host",
    Layer.WORKER,
    Applied.NO,
    Observed.ERROR,
    "the worker's DNS record was removed",
    means=Means.NO_SUCH_HOST,
)
WORKER_INTERNAL_ERROR = _answer(500, "the worker raises before it does anything")
WORKER_UNAVAILABLE = _answer(503, "the reverse proxy before the worker has no upstream")
WORKER_UNAUTHORIZED = _answer(401, "the secret was rotated on one side only")
WORKER_NOT_FOUND = _answer(404, "the worker runs a version without the end point")
WORKER_HANGS = Fault(
    "worker-hangs", Layer.WORKER, Applied.NO, Observed.TIMEOUT, "the worker's host swaps itself to death"
)
WORKER_RESETS = Fault(
    "worker-resets",
    Layer.WORKER,
    Applied.NO,
    Observed.RESET,
    "the worker's container is killed as the request arrives",
)
WORKER_REPLY_LOST = (
    Fault(
        "worker-done-then-reset",
        Layer.WORKER,
        Applied.YES,
        Observed.RESET,
        "the worker's proxy is restarted while it answers",
    ),
    Fault(
        "worker-done-then-timeout",
        Layer.WORKER,
        Applied.YES,
        Observed.TIMEOUT,
        "the worker's answer is lost in the network",
    ),
    Fault(
        "worker-done-then-502",
        Layer.WORKER,
        Applied.YES,
        Observed.ERROR,
        "the reverse proxy gives up while the worker goes on",
        reason="http-502",
        http_status=502,
    ),
    Fault(
        "worker-done-then-garbage",
        Layer.WORKER,
        Applied.YES,
        Observed.GARBAGE,
        "a captive portal answers in the worker's place",
    ),
)
"""The worker did the job, and the caller cannot know."""

WORKER_FAILS = (
    WORKER_REFUSES_CONNECTION,
    WORKER_NO_SUCH_HOST,
    WORKER_UNAUTHORIZED,
    WORKER_NOT_FOUND,
    WORKER_INTERNAL_ERROR,
    WORKER_UNAVAILABLE,
    WORKER_HANGS,
    WORKER_RESETS,
)
"""Every way in which a direct call to the worker fails and the worker has done nothing."""
