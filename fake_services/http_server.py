"""An HTTP server that can refuse connections and come back on its port; the fakes' common listener."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import socket
import struct
import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from fake_services.sockets import hold_port, host_port, listening_socket

if TYPE_CHECKING:
    import ssl

    from aiohttp import web

__all__ = ["Handler", "HttpServer", "hang_up", "send_garbage"]

_NOT_HTTP = b"\x00\xff this is not HTTP \xff\x00\r\n\r\n"
_BODY_LIMIT_BYTES = 64 * 1024 * 1024

Handler = Callable[["web.BaseRequest"], Awaitable["web.StreamResponse"]]


class HttpServer:
    """Serves every request with one handler, over aiohttp. Everything runs in one event loop.

    Args:
        handler: Answers a request.
        host: Address to listen on.
        port: 0 lets the system choose; afterwards `port` is what it chose.
        tls: None for plain text.
        lazy: Load the HTTP library only when the first connection comes, so that starting takes no time.
    """

    def __init__(
        self,
        handler: Handler,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        tls: ssl.SSLContext | None = None,
        lazy: bool = False,
    ) -> None:
        self._handler = handler
        self._tls = tls
        self.host = host
        self.port = port
        self._protocols: web.Server | None = None
        self._listener: asyncio.Server | None = None
        self._held: socket.socket | None = None
        self._lazy = lazy
        self._listening: socket.socket | None = None
        self._waking: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        """Base URL without a trailing slash."""
        return f"{'http' if self._tls is None else 'https'}://{host_port(self.host, self.port)}"

    async def start(self) -> None:
        """Listen.

        Raises:
            OSError: The port is in use.
        """
        listening = self._listening = listening_socket(self.host, self.port)
        self.port = listening.getsockname()[1]
        if self._held is not None:
            self._held.close()
            self._held = None
        if self._lazy and "aiohttp.web" not in sys.modules:
            # aiohttp takes 200 ms to import. The system queues connections; the first one wakes us.
            asyncio.get_running_loop().add_reader(listening, self._first_connection, listening)
        else:
            await self._serve(listening)

    def _first_connection(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        loop.remove_reader(listening)
        self._waking = loop.create_task(self._import_and_serve(listening))

    async def _import_and_serve(self, listening: socket.socket) -> None:
        await asyncio.get_running_loop().run_in_executor(None, importlib.import_module, "aiohttp.web")
        await self._serve(listening)

    async def _serve(self, listening: socket.socket) -> None:
        from aiohttp import web

        loop = asyncio.get_running_loop()
        # The handler decides what a failure looks like; aiohttp's own logging would only repeat it.
        self._protocols = web.Server(
            self._handler,
            access_log=None,
            # A handler that never answers ends when its caller gives up.
            handler_cancellation=True,
            request_factory=_request,
            keepalive_timeout=75.0,
            max_line_size=65536,
            max_field_size=131072,
        )
        self._listener = await loop.create_server(self._protocols, sock=listening, ssl=self._tls)

    async def stop(self) -> None:
        """Stop listening and drop every connection."""
        if self._held is not None:
            self._held.close()
            self._held = None
        await self._close()

    async def _close(self) -> None:
        await self._stop_waking()
        listener, self._listener = self._listener, None
        protocols, self._protocols = self._protocols, None
        if listener is not None:
            listener.close()
        if protocols is not None:
            for connection in list(protocols.connections):
                if connection.transport is not None:
                    connection.transport.abort()
            await protocols.shutdown(0.05)
        if listener is not None:
            await listener.wait_closed()
            await asyncio.sleep(0)  # aborted transports close their sockets on the next turn

    async def _stop_waking(self) -> None:
        waking, self._waking = self._waking, None
        if waking is not None:
            waking.cancel()
            await asyncio.gather(waking, return_exceptions=True)
        listening, self._listening = self._listening, None
        if listening is not None and self._listener is None:
            asyncio.get_running_loop().remove_reader(listening)
            listening.close()

    async def change_tls(self, tls: ssl.SSLContext | None) -> None:
        """Drop every connection and serve again on the same port, over TLS or (None) in plain text."""
        await self.refuse(True)
        self._tls = tls
        await self.refuse(False)

    async def move(self, host: str) -> None:
        """Drop every connection and listen on another address, on the same port.

        Raises:
            OSError: The address is not this machine's, or the port is taken there.
        """
        await self.stop()
        self.host = host
        await self.start()

    async def refuse(self, refuse: bool) -> None:  # noqa: FBT001  # refuse(True), refuse(False)
        """Refuse connections (and drop those that exist), or serve again on the same port."""
        if refuse and self._listening is not None:
            await self._close()
            self._held = hold_port(self.host, self.port)
        elif not refuse and self._listening is None:
            await self.start()


def _request(*parts: Any) -> web.BaseRequest:  # aiohttp's own parts, passed on
    from aiohttp import web

    message, payload, protocol, writer, task = parts
    loop = asyncio.get_running_loop()
    return web.BaseRequest(message, payload, protocol, writer, task, loop, client_max_size=_BODY_LIMIT_BYTES)


def hang_up(request: web.BaseRequest) -> None:
    """Reset the caller's connection."""
    transport = request.transport
    if transport is None:
        return
    raw = transport.get_extra_info("socket")
    if raw is not None:
        with contextlib.suppress(OSError):
            # Lingering for zero seconds makes the close send RST instead of FIN.
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


def send_garbage(request: web.BaseRequest) -> None:
    """Answer with bytes that are not HTTP, and close the connection."""
    if request.transport is not None:
        request.transport.write(_NOT_HTTP)
        request.transport.close()
