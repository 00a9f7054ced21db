"""Faults of the network between the API and the worker, brought about on the socket itself."""

from __future__ import annotations

from harness.faults.fault import Applied, Fault, Layer, Means, Observed, Party

WORKER_SYN_DROPPED = Fault(
    "worker-syn-dropped",
    Layer.NETWORK,
    Party.WORKER,
    Applied.NO,
    Observed.TIMEOUT,
    "a firewall that drops instead of rejecting",
    reason="connect-timeout",
    means=Means.LISTENER,
    listener="syn_dropped",
)
WORKER_NEVER_READS = Fault(
    "worker-never-reads",
    Layer.NETWORK,
    Party.WORKER,
    Applied.NO,
    Observed.TIMEOUT,
    "a black hole: the connection is made, and nothing comes through it",
    reason="timeout",
    means=Means.LISTENER,
    listener="never_read",
)
WORKER_RESETS_AT_HEAD = Fault(
    "worker-resets-at-head",
    Layer.NETWORK,
    Party.WORKER,
    Applied.NO,
    Observed.RESET,
    "a load balancer has no healthy worker, and resets before it has read the body",
    reason="connection-reset",
    means=Means.LISTENER,
    listener="reset_at_head",
)
WORKER_SPEAKS_ANOTHER_PROTOCOL = Fault(
    "worker-speaks-another-protocol",
    Layer.NETWORK,
    Party.WORKER,
    Applied.NO,
    Observed.GARBAGE,
    "after a restart another service has the port",
    reason="protocol-error",
    means=Means.LISTENER,
    listener="other_protocol",
)
WORKER_SPEAKS_NO_TLS = Fault(
    "worker-speaks-no-tls",
    Layer.NETWORK,
    Party.WORKER,
    Applied.NO,
    Observed.ERROR,
    "an https URL for a worker that was never given a certificate",
    reason="tls",
    means=Means.LISTENER,
    listener="plain_text_only",
)
WORKER_CERTIFICATE_OF_ANOTHER_HOST = Fault(
    "worker-certificate-of-another-host",
    Layer.NETWORK,
    Party.WORKER,
    Applied.NO,
    Observed.ERROR,
    "the worker moved, and its certificate did not",
    reason="tls",
    means=Means.CERTIFICATE,
    certificate="another host",
)
WORKER_CERTIFICATE_OF_AN_UNKNOWN_AUTHORITY = Fault(
    "worker-certificate-of-an-unknown-authority",
    Layer.NETWORK,
    Party.WORKER,
    Applied.NO,
    Observed.ERROR,
    "a self-signed certificate, or an interception proxy",
    reason="tls",
    means=Means.CERTIFICATE,
    certificate="unknown authority",
)
WORKER_HALF_OPEN = Fault(
    "worker-half-open",
    Layer.NETWORK,
    Party.WORKER,
    Applied.YES,
    Observed.TIMEOUT,
    "a firewall forgets the connection in the middle of the reply",
    reason="timeout",
    midway=True,
)
WORKER_DRIPS = Fault(
    "worker-drips",
    Layer.NETWORK,
    Party.WORKER,
    Applied.YES,
    Observed.TIMEOUT,
    "a link so bad that each byte arrives alone, slower than any time-out in total",
    reason="timeout",
    drip_s=0.3,
)
WORKER_RESETS_IN_REPLY = Fault(
    "worker-resets-in-reply",
    Layer.NETWORK,
    Party.WORKER,
    Applied.YES,
    Observed.RESET,
    "the worker's proxy is restarted in the middle of the reply",
    reason="connection-reset",
    midway=True,
)
WORKER_CUTS_THE_REPLY = Fault(
    "worker-cuts-the-reply",
    Layer.NETWORK,
    Party.WORKER,
    Applied.YES,
    Observed.GARBAGE,
    "a proxy with a small buffer ends the reply too early",
    reason="protocol-error",
    midway=True,
)

WORKER_UNREACHABLE = (
    WORKER_SYN_DROPPED,
    WORKER_NEVER_READS,
    WORKER_RESETS_AT_HEAD,
    WORKER_SPEAKS_ANOTHER_PROTOCOL,
    WORKER_SPEAKS_NO_TLS,
    WORKER_CERTIFICATE_OF_ANOTHER_HOST,
    WORKER_CERTIFICATE_OF_AN_UNKNOWN_AUTHORITY,
)
"""No request reaches the worker."""

WORKER_REPLY_BROKEN = (WORKER_HALF_OPEN, WORKER_DRIPS, WORKER_RESETS_IN_REPLY, WORKER_CUTS_THE_REPLY)
"""The worker did the job, and its reply breaks on the way."""
