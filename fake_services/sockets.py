"""Listening sockets that can refuse and come back on the same port, and connections reset from outside."""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
from pathlib import Path

__all__ = ["hold_port", "host_port", "listening_socket", "reset_connection"]

_SOCKADDR_SIZE = 16


def host_port(host: str, port: int) -> str:
    """host:port, with an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def listening_socket(host: str, port: int, *, backlog: int = 1024) -> socket.socket:
    """A non-blocking TCP socket that listens on host:port (0: the system chooses).

    Raises:
        OSError: The address is in use or not this machine's; the message names it.
    """
    bound = _bound(host, port)
    bound.listen(backlog)
    bound.setblocking(False)
    return bound


def hold_port(host: str, port: int) -> socket.socket:
    """A socket that keeps host:port without listening: who connects is refused, nobody can take it.

    Close it after the port listens again; both can exist at once because neither is exclusive.
    """
    return _bound(host, port)


def _bound(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
    except OSError as error:
        bound.close()
        raise OSError(
            error.errno, f"cannot use {host_port(host, port)}: {error.strerror or error}"
        ) from error
    return bound


def reset_connection(peer: str) -> bool:
    """Reset this process's own connection from `peer` ("127.0.0.1:54321"), whoever owns it.

    gRPC gives no access to its sockets, so the descriptor is found by its remote address. On Linux the peer
    gets a real RST; elsewhere the connection is shut down.

    Returns:
        Whether such a connection was found.
    """
    host, _, port = peer.rpartition(":")
    wanted = (host.strip("[]"), int(port))
    for entry in Path("/dev/fd").iterdir() if Path("/dev/fd").exists() else []:
        with contextlib.suppress(OSError, ValueError):
            fd = os.dup(int(entry.name))
            try:
                if _remote_address(fd) == wanted:
                    _disconnect(fd)
                    return True
            finally:
                os.close(fd)
    return False


def _remote_address(fd: int) -> tuple[str, int] | None:
    probe = socket.socket(fileno=os.dup(fd))
    try:
        address = probe.getpeername()
    except OSError:
        return None
    finally:
        probe.close()
    # gRPC serves IPv4 through IPv6 sockets, which show the peer as ::ffff:127.0.0.1.
    return (address[0].removeprefix("::ffff:"), address[1]) if isinstance(address, tuple) else None


def _disconnect(fd: int) -> None:
    # connect(AF_UNSPEC) dissolves a TCP association at once and sends RST; closing our copy would not.
    address = ctypes.create_string_buffer(_SOCKADDR_SIZE)  # all zero: AF_UNSPEC
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.connect(fd, address, _SOCKADDR_SIZE) != 0:
        copy = socket.socket(fileno=os.dup(fd))
        with contextlib.suppress(OSError):
            copy.shutdown(socket.SHUT_RDWR)
        copy.close()
