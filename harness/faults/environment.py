"""Faults of the configuration and of the environment that a process is started with."""

from __future__ import annotations

from harness.faults.fault import Applied, Fault, Layer, Means, Observed, Party

CLIENT_LIBRARY_MISSING = Fault(
    "client-library-missing",
    Layer.CONFIGURATION,
    Party.API,
    Applied.NO,
    Observed.ERROR,
    "an image that was built without the client library",
    reason="library-missing",
    means=Means.NO_MODULE,
)
DEAD_PROXY = Fault(
    "dead-proxy",
    Layer.CONFIGURATION,
    Party.API,
    Applied.NO,
    Observed.ERROR,
    "HTTP_PROXY and HTTPS_PROXY name a proxy that was switched off",
    reason="connection-refused",
    means=Means.DEAD_PROXY,
)
