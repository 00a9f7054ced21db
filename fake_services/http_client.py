"""A small HTTP/1.1 client that sends exactly the headers it is given and says precisely how a request failed.

aiohttp's client is too slow for draining a queue at the rate that is asked of the fake, and it changes
headers; so this drives the llhttp parser (httptools) over asyncio's transports itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import re
import ssl
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import quote, urlsplit

import httptools

__all__ = ["BadUrlError", "Failure", "HttpClient", "Reply", "Target", "parse_url"]

Headers = Sequence[tuple[str, str]]
Reason = Literal["refused", "reset", "bad_url", "cancelled"]

# Peers close idle connections (uvicorn after 5 s); one that was idle for longer than this is not used again,
# so that a request is never lost to that race and then wrongly counted as a failed attempt.
_IDLE_LIMIT_S = 1.0
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_BODY_LIMIT_BYTES = 32 * 1024 * 1024


class BadUrlError(ValueError):
    """A URL from which no request can be made."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where a URL leads.

    Attributes:
        key: Scheme, host and port: what one connection serves.
        host_header: Value of the Host header.
        path: Request target: path and query.
    """

    key: tuple[str, str, int]
    host_header: str
    path: str


@dataclass(frozen=True, slots=True)
class Reply:
    """A complete response."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        """The first header of this name, in any case; None when there is none."""
        wanted = name.lower()
        return next((value for key, value in self.headers if key.lower() == wanted), None)


@dataclass(frozen=True, slots=True)
class Failure:
    """No response: why, as a short name and as text."""

    reason: Reason
    detail: str


Done = Callable[[Reply | Failure], None]


@functools.lru_cache(maxsize=1024)  # a queue's tasks mostly share their URL
def parse_url(url: str) -> Target:
    """Where `url` leads.

    Raises:
        BadUrlError: It has a bad escape, port or host, or a scheme other than http and https.
    """
    if _BAD_ESCAPE.search(url):
        raise BadUrlError(f"invalid percent-escape in {url!r}")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise BadUrlError(f"{url!r}: {error}") from error
    if parts.scheme not in {"http", "https"} or not host or any(char <= " " for char in host):
        raise BadUrlError(f"no http(s) URL with a host: {url!r}")
    default = 443 if parts.scheme == "https" else 80
    bracketed = f"[{host}]" if ":" in host else host
    path = quote(parts.path, safe="/%:@!$&'()*+,;=-._~") or "/"
    if parts.query:
        path += "?" + quote(parts.query, safe="/%:@!$&'()*+,;=-._~?[]\"{}|^`<>\\")
    return Target(
        (parts.scheme, host, port or default), bracketed if port is None else f"{bracketed}:{port}", path
    )


@dataclass(slots=True, eq=False)
class _Request:
    head: bytes
    body: bytes
    no_reply_body: bool
    done: Done
    connection: _Connection | None = None
    finished: bool = False
    connecting: asyncio.Task[None] | None = field(default=None, repr=False)

    def finish(self, result: Reply | Failure) -> None:
        if not self.finished:
            self.finished = True
            self.done(result)

    def cancel(self) -> None:
        """Abandon it: drop its connection; `done` is not called any more."""
        if self.finished:
            return
        self.finished = True
        if self.connection is not None:
            self.connection.abort()
        if self.connecting is not None:
            self.connecting.cancel()


class _Connection(asyncio.Protocol):
    """One connection and the request that it serves now; also the parser's callbacks."""

    def __init__(self, client: HttpClient, key: tuple[str, str, int]) -> None:
        self._client = client
        self._key = key
        self._transport: asyncio.Transport | None = None
        self._request: _Request | None = None
        self._parser: httptools.HttpResponseParser | None = None
        self._headers: list[tuple[str, str]] = []
        self._body: list[bytes] = []
        self._size = 0
        self._status = 0
        self._head_done = False
        self.idle_since = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # asyncio types it more loosely than it is
        self._client.opened(self)

    def send(self, request: _Request) -> None:
        self._request = request
        request.connection = self
        self._parser = httptools.HttpResponseParser(self)
        self._start_message()
        assert self._transport is not None
        self._transport.write(request.head + request.body if request.body else request.head)

    def _start_message(self) -> None:
        self._headers = []
        self._body = []
        self._size = 0
        self._status = 0
        self._head_done = False

    # The parser's callbacks.
    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name.decode("latin-1"), value.decode("latin-1")))

    def on_headers_complete(self) -> None:
        assert self._parser is not None
        self._status = self._parser.get_status_code()
        self._head_done = True
        if self._request is not None and self._request.no_reply_body and self._status >= 200:
            self._complete(keep_alive=False)  # the parser would wait for the body that HEAD never gets

    def on_body(self, body: bytes) -> None:
        self._size += len(body)
        if self._size <= _BODY_LIMIT_BYTES:
            self._body.append(body)

    def on_message_complete(self) -> None:
        if self._status < 200:
            self._start_message()  # an interim response; the real one follows
            return
        assert self._parser is not None
        self._complete(keep_alive=self._parser.should_keep_alive())

    # The transport's callbacks.
    def data_received(self, data: bytes) -> None:
        if self._parser is None or self._request is None:
            self.abort()  # bytes that nobody asked for
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            request, self._request = self._request, None
            self.abort()
            if request is not None:
                request.finish(Failure("reset", f"the reply is not HTTP: {error}"))

    def eof_received(self) -> bool:
        ends_with_connection = self._parser is not None and not self._parser.should_keep_alive()
        if self._head_done and ends_with_connection and self._header("content-length") is None:
            self._complete(keep_alive=False)
        return False

    def _header(self, wanted: str) -> str | None:
        return next((value for name, value in self._headers if name.lower() == wanted), None)

    def connection_lost(self, exc: Exception | None) -> None:
        self._client.closed(self, self._key)
        request, self._request = self._request, None
        if request is not None:
            request.finish(Failure("reset", str(exc) if exc else "the connection was closed without a reply"))

    def _complete(self, *, keep_alive: bool) -> None:
        request, self._request = self._request, None
        if request is None:
            return
        reply = Reply(self._status, self._headers, b"".join(self._body))
        self._parser = None
        if keep_alive:
            self.idle_since = time.monotonic()
            self._client.released(self, self._key)
        else:
            assert self._transport is not None
            self._transport.close()
        request.finish(reply)

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    @property
    def usable(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()


class HttpClient:
    """Sends requests over kept connections. Everything runs in one event loop.

    Args:
        tls: Context for https targets; None for the system's trust store.
        resolve: Maps a host name to an address, before DNS is asked; None when it does not know the name.
        connect_within_s: How long a connection may take; None for as long as the system tries.
    """

    def __init__(
        self,
        *,
        tls: ssl.SSLContext | None = None,
        resolve: Callable[[str], str | None] | None = None,
        connect_within_s: float | None = None,
    ) -> None:
        self._tls = tls
        self._connect_within_s = connect_within_s
        self._resolve = resolve
        self._idle: dict[tuple[str, str, int], list[_Connection]] = {}
        self._open: set[_Connection] = set()
        self._connecting: set[asyncio.Task[None]] = set()

    def send(self, method: str, target: Target, headers: Headers, body: bytes, done: Done) -> _Request:
        """Send one request; `done` is called once with the reply or the failure, unless it is cancelled.

        Args:
            method: Such as "POST".
            target: From `parse_url`.
            headers: All headers, sent in this order and case, Host and Content-Length included.
            body: Sent as it is.
            done: Called in the event loop, never before this returns.

        Returns:
            A handle with `cancel()`.
        """
        lines = [f"{method} {target.path} HTTP/1.1\r\n"]
        lines += [f"{name}: {value}\r\n" for name, value in headers]
        lines.append("\r\n")
        head = "".join(lines).encode("utf-8", "surrogateescape")
        request = _Request(head, body, method == "HEAD", done)
        connection = self._take_idle(target.key)
        if connection is not None:
            connection.send(request)
        else:
            task = asyncio.get_running_loop().create_task(self._connect_and_send(target.key, request))
            request.connecting = task
            self._connecting.add(task)
            task.add_done_callback(self._connecting.discard)
        return request

    async def fetch(self, method: str, url: str, headers: Headers, body: bytes = b"") -> Reply | Failure:
        """As `send`, awaited; cancelling drops the connection."""
        try:
            target = parse_url(url)
        except BadUrlError as error:
            return Failure("bad_url", str(error))
        waiter: asyncio.Future[Reply | Failure] = asyncio.get_running_loop().create_future()

        def done(result: Reply | Failure) -> None:
            if not waiter.done():
                waiter.set_result(result)

        request = self.send(method, target, headers, body, done)
        try:
            return await waiter
        finally:
            request.cancel()

    async def fetch_cut_short(self, method: str, url: str, headers: Headers, body: bytes) -> Failure:
        """Send the head and the first half of the body, then drop the connection."""
        target = parse_url(url)
        lines = [
            f"{method} {target.path} HTTP/1.1\r\n",
            *(f"{name}: {value}\r\n" for name, value in headers),
            "\r\n",
        ]
        _, host, port = target.key
        try:
            _, writer = await asyncio.open_connection(host, port)
        except OSError as error:
            return Failure("refused", f"{type(error).__name__}: {error}")
        writer.write("".join(lines).encode("latin-1") + body[: len(body) // 2])
        await writer.drain()
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        return Failure("reset", "cut short after half of the body")

    async def _connect_and_send(self, key: tuple[str, str, int], request: _Request) -> None:
        scheme, host, port = key
        address = (self._resolve(host) if self._resolve is not None else None) or host
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._connect_within_s):
                _, connection = await loop.create_connection(
                    lambda: _Connection(self, key),
                    address,
                    port,
                    ssl=self._context() if scheme == "https" else None,
                    server_hostname=host if scheme == "https" else None,
                )
        except TimeoutError as error:
            request.finish(
                Failure("refused", str(error) or f"no connection within {self._connect_within_s} s")
            )
            return
        except (OSError, UnicodeError) as error:  # refused, unreachable, unknown host, TLS; IDNA failures
            request.finish(Failure("refused", f"{type(error).__name__}: {error}"))
            return
        request.connecting = None
        if request.finished:
            connection.abort()
        else:
            connection.send(request)

    def _context(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = ssl.create_default_context()
        return self._tls

    def _take_idle(self, key: tuple[str, str, int]) -> _Connection | None:
        idle = self._idle.get(key)
        newest_first = time.monotonic() - _IDLE_LIMIT_S
        while idle:
            connection = idle.pop()
            if connection.usable and connection.idle_since >= newest_first:
                return connection
            connection.abort()
        return None

    # Called by connections.
    def opened(self, connection: _Connection) -> None:
        """A connection is up."""
        self._open.add(connection)

    def released(self, connection: _Connection, key: tuple[str, str, int]) -> None:
        """A connection may serve another request."""
        self._idle.setdefault(key, []).append(connection)

    def closed(self, connection: _Connection, key: tuple[str, str, int]) -> None:
        """A connection is gone."""
        self._open.discard(connection)
        idle = self._idle.get(key)
        if idle and connection in idle:
            idle.remove(connection)

    async def close(self) -> None:
        """Drop every connection and wait until they are closed."""
        for task in list(self._connecting):
            task.cancel()
        if self._connecting:
            await asyncio.gather(*self._connecting, return_exceptions=True)
        for connection in list(self._open):
            connection.abort()
        while self._open:  # noqa: ASYNC110  # each turn of the loop closes what was aborted before it
            await asyncio.sleep(0)
