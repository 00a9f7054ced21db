"""The HTTP client with which the harness talks to the system under test."""

from __future__ import annotations

import functools

import httpx


@functools.cache
def client() -> httpx.Client:
    """One client for the whole test process.

    It keeps no connection, so that a process that is to stop need not wait for us, reads no proxy from the
    environment, and loads no certificates: everything it calls is on loopback.

    It tells the other side that no connection stays. A bound of none kept would not do: a connection that could be used
    again is given to one thread and at the same time closed by another as one too many, which then cannot read its
    answer. Source: httpcore 1.0, ``ConnectionPool``; with sixteen threads it was seen once in twelve thousand requests.
    """
    return httpx.Client(trust_env=False, verify=False, headers={"connection": "close"})  # noqa: S501
