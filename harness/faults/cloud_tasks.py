"""Faults of the queue: what goes wrong at Cloud Tasks, or on the way to it."""

from __future__ import annotations

from harness.faults.fault import Applied, Fault, Layer, Means, Observed, Party


def _refusal(code: str, imitates: str) -> Fault:
    slug = code.lower().replace("_", "-")
    return Fault(
        f"cloud-tasks-{slug}",
        Layer.CLOUD_TASKS,
        Party.CLOUD_TASKS,
        Applied.NO,
        Observed.ERROR,
        imitates,
        reason=slug,
        grpc_code=code,
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
    Layer.NETWORK,
    Party.CLOUD_TASKS,
    Applied.NO,
    Observed.ERROR,
    "egress to the service is closed by a firewall rule that rejects",
    means=Means.CLOSED_PORT,
    reason="connection-refused",
)
CLOUD_TASKS_NO_SUCH_HOST = Fault(
    "cloud-tasks-no-such-host",
    Layer.NETWORK,
    Party.CLOUD_TASKS,
    Applied.NO,
    Observed.ERROR,
    "DNS fails inside the network connector",
    means=Means.NO_SUCH_HOST,
    reason="dns",
)
CLOUD_TASKS_NO_CREDENTIALS = Fault(
    "cloud-tasks-no-credentials",
    Layer.CONFIGURATION,
    Party.CLOUD_TASKS,
    Applied.NO,
    Observed.ERROR,
    "the service account's key is not mounted",
    means=Means.NO_CREDENTIALS,
    reason="client-unavailable",
)
CLOUD_TASKS_HANGS = Fault(
    "cloud-tasks-hangs",
    Layer.CLOUD_TASKS,
    Party.CLOUD_TASKS,
    Applied.NO,
    Observed.TIMEOUT,
    "a black hole between the API and the service",
    reason="deadline-exceeded",
)
CLOUD_TASKS_REPLY_LOST = (
    Fault(
        "cloud-tasks-created-then-timeout",
        Layer.CLOUD_TASKS,
        Party.CLOUD_TASKS,
        Applied.YES,
        Observed.TIMEOUT,
        "the task is created, the reply is lost in the network",
        reason="deadline-exceeded",
    ),
    Fault(
        "cloud-tasks-created-then-unavailable",
        Layer.CLOUD_TASKS,
        Party.CLOUD_TASKS,
        Applied.YES,
        Observed.ERROR,
        "the front end gives up although the back end has committed",
        reason="unavailable",
        grpc_code="UNAVAILABLE",
    ),
    Fault(
        "cloud-tasks-created-then-deadline",
        Layer.CLOUD_TASKS,
        Party.CLOUD_TASKS,
        Applied.YES,
        Observed.ERROR,
        "the server's own deadline passes after the commit",
        reason="deadline-exceeded",
        grpc_code="DEADLINE_EXCEEDED",
    ),
    Fault(
        "cloud-tasks-created-then-reset",
        Layer.CLOUD_TASKS,
        Party.CLOUD_TASKS,
        Applied.YES,
        Observed.RESET,
        "a load balancer drops the connection after the commit",
        reason="unavailable",
    ),
    Fault(
        "cloud-tasks-created-then-garbage",
        Layer.CLOUD_TASKS,
        Party.CLOUD_TASKS,
        Applied.YES,
        Observed.GARBAGE,
        "a proxy answers with a page of its own",
        reason="internal",
    ),
)
"""The task was created, and the caller cannot know."""
CLOUD_TASKS_CREATED_BY_A_RETRY = Fault(
    "cloud-tasks-created-by-a-retry",
    Layer.CLOUD_TASKS,
    Party.CLOUD_TASKS,
    Applied.YES,
    Observed.ERROR,
    "a proxy repeats a call whose reply was lost, and passes on the answer to the second one",
    reason="already-exists",
    grpc_code="ALREADY_EXISTS",
)

CLOUD_TASKS_RESETS = Fault(
    "cloud-tasks-resets",
    Layer.CLOUD_TASKS,
    Party.CLOUD_TASKS,
    Applied.NO,
    Observed.RESET,
    "a load balancer drops the connection before it passes the call on",
    reason="unavailable",
)
CLOUD_TASKS_ANSWERS_GARBAGE = Fault(
    "cloud-tasks-answers-garbage",
    Layer.CLOUD_TASKS,
    Party.CLOUD_TASKS,
    Applied.NO,
    Observed.GARBAGE,
    "a proxy answers with a page of its own, and passes nothing on",
    reason="internal",
)


def _half(observed: Observed, reason: str = "") -> Fault:
    return Fault(
        f"cloud-tasks-half-created-{observed}",
        Layer.CLOUD_TASKS,
        Party.CLOUD_TASKS,
        Applied.PARTLY,
        observed,
        "the task's name is taken, and a failover loses the task",
        reason=reason,
    )


CLOUD_TASKS_HALF_DONE = (
    (CLOUD_TASKS_RESETS, _half(Observed.RESET, "unavailable")),
    (CLOUD_TASKS_ANSWERS_GARBAGE, _half(Observed.GARBAGE, "internal")),
    (_half(Observed.ERROR, "unavailable"), _half(Observed.TIMEOUT, "deadline-exceeded")),
)
"""No task will ever run, and the caller cannot know; in pairs, for two jobs one after the other."""

CLOUD_TASKS_LIES = (
    Fault(
        "cloud-tasks-says-ok-and-creates-nothing",
        Layer.CLOUD_TASKS,
        Party.CLOUD_TASKS,
        Applied.NO,
        Observed.SUCCESS,
        "an emulator or a mock that was left in the way of production",
    ),
    _half(Observed.SUCCESS),
)
"""Cloud Tasks confirms a task that will never run."""

CLOUD_TASKS_DELIVERS_TWICE = (
    Fault(
        "cloud-tasks-delivers-twice",
        Layer.CLOUD_TASKS,
        Party.CLOUD_TASKS,
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
        Party.CLOUD_TASKS,
        Applied.YES,
        Observed.SUCCESS,
        "at-least-once delivery: two senders take the same task",
        times=1,
        call="deliver",
        delivery="twice_at_once",
    ),
)
CLOUD_TASKS_DELIVERS_TWICE_AT_ONCE = CLOUD_TASKS_DELIVERS_TWICE[1]
CLOUD_TASKS_REFUSES = (
    *CLOUD_TASKS_TRANSIENT,
    *CLOUD_TASKS_MISCONFIGURED,
    CLOUD_TASKS_REFUSED_CONNECTION,
    CLOUD_TASKS_NO_SUCH_HOST,
)
"""Every way of saying, or of making certain, that the task was not created."""
