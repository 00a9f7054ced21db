"""Listeners that go wrong before there is a request: on the socket itself, so that no HTTP library smooths it over."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from fake_services.sockets import listening_socket

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["BREAKAGES", "Breakage", "BrokenListener"]

Breakage = Literal["syn_dropped", "never_read", "reset_at_head", "other_protocol", "plain_text_only"]
BREAKAGES = get_args(Breakage)

_HEAD_LIMIT_BYTES = 64 * 1024
_BODY_WITHIN_S = 0.5
_BANNER = b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n"
_TLS_HANDSHAKE = 0x16  # the first byte of a TLS record that holds a ClientHello (RFC 8446, 5.1)
_PLAIN_ANSWER = (
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: 29\r\nConnection: close\r\n\r\n"
    b"this port speaks plain HTTP.\n"
)
_SO_MEMINFO = 55  # Linux; the ninth number counts what the socket dropped (SK_MEMINFO_DROPS)
_MEMINFO = struct.Struct("9I")
_ESTABLISHED, _SYN_SENT = 1, 2  # states in /proc/net/tcp and in TCP_INFO


class BrokenListener:
    """One port on which something is wrong. Everything runs in one event loop.

    "syn_dropped": the queue of new connections is full, so the kernel drops who asks for another one, as a
    firewall does. "never_read": connections are made, and nobody ever reads from them or answers.
    "reset_at_head": reset when the request's head has come, before its body. "other_protocol": another service's
    greeting comes at once. "plain_text_only": plain HTTP, whoever wants TLS gets a 400 in plain text.

    Args:
        how: What is wrong.
        host: Address to listen on.
        port: The port.
        on_strike: Called for each connection that it spoilt and can see.
    """

    def __init__(self, how: Breakage, host: str, port: int, on_strike: Callable[[], None]) -> None:
        self._how = how
        self._host = host
        self._port = port
        self._on_strike = on_strike
        self._strikes = 0
        self._listening: socket.socket | None = None
        self._fillers: list[socket.socket] = []
        self._accepted: list[socket.socket] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Listen.

        Raises:
            OSError: The port is in use.
        """
        full = self._how == "syn_dropped"
        self._listening = listening_socket(self._host, self._port, backlog=0 if full else 128)
        if full:
            # A queue of length zero holds one connection, which nobody accepts.
            self._fillers.append(socket.create_connection((self._host, self._port), timeout=5))
        else:
            self._spawn(self._accept(self._listening))

    async def stop(self) -> None:
        """Stop listening and reset every connection."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for one in (*self._accepted, *self._fillers):
            _reset(one)
        self._accepted.clear()
        self._fillers.clear()
        if self._listening is not None:
            self._strikes = self.strikes  # the count is the socket's, and goes with it
            self._listening.close()
            self._listening = None

    @property
    def strikes(self) -> int:
        """How many connections, or attempts to make one, it has spoilt. May be called from any thread."""
        if self._how != "syn_dropped" or self._listening is None:
            return self._strikes
        with contextlib.suppress(OSError):  # closed between the two lines
            found = self._listening.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _MEMINFO.size)
            return int(_MEMINFO.unpack(found)[8])
        return self._strikes

    @property
    def waiting(self) -> int:
        """How many callers still wait for a connection or an answer. May be called from any thread."""
        if self._how == "syn_dropped":
            return _connecting_to(self._port)
        return sum(_established(one) for one in list(self._accepted)) if self._how == "never_read" else 0

    async def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            accepted, _ = await loop.sock_accept(listening)
            if self._how == "never_read":
                self._accepted.append(accepted)
                self._struck()
            else:
                self._spawn(self._serve(accepted))

    async def _serve(self, accepted: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        accepted.setblocking(False)
        try:
            if self._how == "other_protocol":
                await loop.sock_sendall(accepted, _BANNER)
                self._struck()
            head = b""
            # To the end: closing with bytes unread would reset the connection, and be another fault.
            while chunk := await loop.sock_recv(accepted, 4096):
                if not head and self._how == "plain_text_only":
                    if chunk[0] == _TLS_HANDSHAKE:
                        self._struck()
                    await loop.sock_sendall(accepted, _PLAIN_ANSWER)
                if not head and self._how != "reset_at_head":
                    accepted.shutdown(socket.SHUT_WR)
                head = (head + chunk)[-_HEAD_LIMIT_BYTES:]
                if self._how == "reset_at_head" and b"\r\n\r\n" in head:
                    if head.endswith(b"\r\n\r\n"):
                        await self._more_to_read(accepted)
                    self._struck()
                    _reset(accepted)
                    return
        except OSError:
            pass  # the caller is gone, which is all right
        finally:
            accepted.close()

    async def _more_to_read(self, accepted: socket.socket) -> None:
        """Wait until the body is on its way: a caller that is still sending it sees one thing or another."""
        ready = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_reader(accepted, ready.set)
        try:
            await asyncio.wait_for(ready.wait(), _BODY_WITHIN_S)
        except TimeoutError:
            pass  # there is none
        finally:
            loop.remove_reader(accepted)

    def _struck(self) -> None:
        self._strikes += 1
        self._on_strike()

    def _spawn(self, work: object) -> None:
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work)  # type: ignore[arg-type]  # a coroutine of this class
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _reset(one: socket.socket) -> None:
    with contextlib.suppress(OSError):
        # Lingering for zero seconds makes the close send RST instead of FIN.
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    one.close()


def _established(one: socket.socket) -> bool:
    try:
        return one.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == _ESTABLISHED
    except OSError:
        return False


def _connecting_to(port: int) -> int:
    """How many of this machine's sockets try to connect to the port. Source: proc_net_tcp in Linux's documentation."""
    wanted = f"{port:04X}"
    count = 0
    with contextlib.suppress(OSError):
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
            _, _, remote, state, *_ = line.split()
            count += remote.endswith(f":{wanted}") and int(state, 16) == _SYN_SENT
    return count
