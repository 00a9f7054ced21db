"""What fails around a dispatcher's decisions, as it fails outside: with the texts and the causes of the real thing."""

from __future__ import annotations

import os
import socket
import ssl
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NoReturn

import httpcore

LIBRARY = "google.cloud.tasks_v2"
_CREDENTIALS = "GOOGLE_APPLICATION_CREDENTIALS"

_REFUSED = (
    "failed to connect to all addresses; last error: UNKNOWN: ipv4:127.0.0.1:443: "
    "Failed to connect to remote host: connect: Connection refused (111)"
)
_NO_SUCH_NAME = "DNS resolution failed for cloudtasks.googleapis.com:443: Domain name not found"
# What gRPC says of each outcome; where it says nothing else, the code and a text of the service. Source of the texts:
# gRPC's core, for an address that refuses, a name that is not found, and a connection that is reset.
GRPC_SAYS: Mapping[str, tuple[str, str]] = {
    "reset": ("UNAVAILABLE", "recvmsg:Connection reset by peer"),
    "connection-refused": ("UNAVAILABLE", _REFUSED),
    "no-such-host": ("UNAVAILABLE", _NO_SUCH_NAME),
    "created-then-timeout": ("DEADLINE_EXCEEDED", "Deadline Exceeded"),
    "created-then-unavailable": ("UNAVAILABLE", "The service is currently unavailable."),
    "created-then-reset": ("UNAVAILABLE", "recvmsg:Connection reset by peer"),
    "deadline-exceeded": ("DEADLINE_EXCEEDED", "Deadline Exceeded"),
}

# -- what fails below HTTP, each with the cause that the operating system gives ----------------------------------------


def _refused() -> NoReturn:
    raise httpcore.ConnectError("[Errno 111] Connection refused") from ConnectionRefusedError(
        111, "Connection refused"
    )


def _no_such_host() -> NoReturn:
    raise httpcore.ConnectError("[Errno -2] Name or service not known") from socket.gaierror(
        -2, "Name or service not known"
    )


def _tls() -> NoReturn:
    text = "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: self-signed certificate"
    raise httpcore.ConnectError(text) from ssl.SSLCertVerificationError(1, text)


def _connect_timeout() -> NoReturn:
    raise httpcore.ConnectTimeout("timed out") from TimeoutError("timed out")


def _timeout() -> NoReturn:
    raise httpcore.ReadTimeout("The read operation timed out") from TimeoutError(
        "The read operation timed out"
    )


def _reset() -> NoReturn:
    raise httpcore.ReadError("[Errno 104] Connection reset by peer") from ConnectionResetError(
        104, "Connection reset by peer"
    )


def _garbage() -> NoReturn:
    raise httpcore.RemoteProtocolError("illegal status line: bytearray(b'\\x15\\x03\\x01')")


BELOW_HTTP: Mapping[str, Callable[[], NoReturn]] = {
    "connection-refused": _refused,
    "no-such-host": _no_such_host,
    "tls": _tls,
    "connect-timeout": _connect_timeout,
    "timeout": _timeout,
    "done-then-timeout": _timeout,
    "reset": _reset,
    "done-then-reset": _reset,
    "garbage": _garbage,
    "done-then-garbage": _garbage,
}


# -- what is missing in the process ----------------------------------------------------------------------------------


@contextmanager
def without_library() -> Iterator[None]:
    """The client library cannot be imported, although it was. Source: ``None`` in ``sys.modules`` halts an import."""
    package: Any = sys.modules[LIBRARY.rpartition(".")[0]]
    module = sys.modules[LIBRARY]
    sys.modules[LIBRARY] = None  # type: ignore[assignment]  # the import system's own convention
    del package.tasks_v2
    try:
        yield
    finally:
        sys.modules[LIBRARY] = module
        package.tasks_v2 = module


@contextmanager
def with_credentials(path: str) -> Iterator[None]:
    """The variable that names the credentials' file points there."""
    before = os.environ.get(_CREDENTIALS)
    os.environ[_CREDENTIALS] = path
    try:
        yield
    finally:
        if before is None:
            del os.environ[_CREDENTIALS]
        else:
            os.environ[_CREDENTIALS] = before
