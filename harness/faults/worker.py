"""Faults of the worker: what it, or a proxy before it, answers."""

from __future__ import annotations

from typing import Any

from harness.faults.fault import Applied, Fault, Layer, Means, Observed, Party


def _answer(status: int, imitates: str) -> Fault:
    return Fault(
        f"worker-{status}",
        Layer.WORKER,
        Party.WORKER,
        Applied.NO,
        Observed.ERROR,
        imitates,
        reason=f"http-{status}",
        http_status=status,
    )


WORKER_REFUSES_CONNECTION = Fault(
    "worker-connection-refused",
    Layer.NETWORK,
    Party.WORKER,
    Applied.NO,
    Observed.ERROR,
    "the worker's host is up and its container is not",
    reason="connection-refused",
    means=Means.CLOSED_PORT,
)
WORKER_NO_SUCH_HOST = Fault(
    "worker-no-such-host",
    Layer.NETWORK,
    Party.WORKER,
    Applied.NO,
    Observed.ERROR,
    "the worker's DNS record was removed",
    means=Means.NO_SUCH_HOST,
    reason="dns",
)
WORKER_INTERNAL_ERROR = _answer(500, "the worker raises before it does anything")
WORKER_UNAVAILABLE = _answer(503, "the reverse proxy before the worker has no upstream")
WORKER_UNAUTHORIZED = _answer(401, "the secret was rotated on one side only")
WORKER_NOT_FOUND = _answer(404, "the worker runs a version without the end point")
WORKER_REDIRECTS = _answer(302, "an identity proxy before the worker sends everybody to its login page")
WORKER_HANGS = Fault(
    "worker-hangs",
    Layer.WORKER,
    Party.WORKER,
    Applied.NO,
    Observed.TIMEOUT,
    "the worker's host swaps itself to death",
    reason="timeout",
)
WORKER_RESETS = Fault(
    "worker-resets",
    Layer.WORKER,
    Party.WORKER,
    Applied.NO,
    Observed.RESET,
    "the worker's container is killed as the request arrives",
    reason="connection-reset",
)
WORKER_REPLY_LOST = (
    Fault(
        "worker-done-then-reset",
        Layer.WORKER,
        Party.WORKER,
        Applied.YES,
        Observed.RESET,
        "the worker's proxy is restarted while it answers",
        reason="connection-reset",
    ),
    Fault(
        "worker-done-then-timeout",
        Layer.WORKER,
        Party.WORKER,
        Applied.YES,
        Observed.TIMEOUT,
        "the worker's answer is lost in the network",
        reason="timeout",
    ),
    Fault(
        "worker-done-then-502",
        Layer.WORKER,
        Party.WORKER,
        Applied.YES,
        Observed.ERROR,
        "the reverse proxy gives up while the worker goes on",
        reason="http-502",
        http_status=502,
    ),
    Fault(
        "worker-done-then-garbage",
        Layer.WORKER,
        Party.WORKER,
        Applied.YES,
        Observed.GARBAGE,
        "a captive portal answers in the worker's place",
        reason="protocol-error",
    ),
)
"""The worker did the job, and the caller cannot know."""


def _half(observed: Observed, imitates: str, reason: str, **more: Any) -> Fault:
    name = f"worker-half-asked-{observed}"
    return Fault(name, Layer.WORKER, Party.WORKER, Applied.PARTLY, observed, imitates, reason=reason, **more)


WORKER_HALF_ASKED_ERROR = _half(
    Observed.ERROR, "a proxy passes half of the body on, and answers 500", "http-500", http_status=500
)
WORKER_HALF_ASKED_RESET = _half(
    Observed.RESET, "the network fails in the middle of the request", "connection-reset"
)
WORKER_HALF_ASKED_GARBAGE = _half(
    Observed.GARBAGE, "a proxy breaks down in the middle of the request", "protocol-error"
)

WORKER_HALF_ASKED_TIMEOUT = _half(
    Observed.TIMEOUT, "a mobile link dies in the middle of the request", "timeout"
)
WORKER_LIES = (
    Fault(
        "worker-says-ok-and-does-nothing",
        Layer.WORKER,
        Party.WORKER,
        Applied.NO,
        Observed.SUCCESS,
        "a captive portal, a default page or a health check answers 200 in the worker's place",
        reason="bad-reply",
        body="<html>It works!</html>",
    ),
    _half(
        Observed.SUCCESS,
        "a proxy passes half of the body on, and answers 200",
        "bad-reply",
        http_status=200,
    ),
)
"""Somebody says 200, and the worker has not done the job."""

WORKER_FAILS = (
    WORKER_REFUSES_CONNECTION,
    WORKER_NO_SUCH_HOST,
    WORKER_UNAUTHORIZED,
    WORKER_NOT_FOUND,
    WORKER_REDIRECTS,
    WORKER_INTERNAL_ERROR,
    WORKER_UNAVAILABLE,
    WORKER_HANGS,
    WORKER_RESETS,
)
"""Every way in which a direct call to the worker fails and the worker has done nothing."""
