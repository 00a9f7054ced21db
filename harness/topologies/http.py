"""The HTTP client with which the harness talks to the system under test."""

from __future__ import annotations

import functools

import httpx


@functools.cache
def client() -> httpx.Client:
    """One client for the whole test process.

    It keeps no connection, so that a process that is to stop need not wait for us, reads no proxy from the
    environment, and loads no certificates: everything it calls is on loopback.
    """
    return httpx.Client(trust_env=False, verify=False, limits=httpx.Limits(max_keepalive_connections=0))  # noqa: S501
