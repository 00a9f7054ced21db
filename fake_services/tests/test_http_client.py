"""The delivery's HTTP client against servers that answer in every legal and some illegal ways."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING

import pytest

from fake_services.http_client import BadUrlError, Failure, HttpClient, Reply, parse_url

if TYPE_CHECKING:
    from fake_services.host import Host

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@pytest.fixture
def client(host: Host) -> Iterator[HttpClient]:
    client = HttpClient()
    yield client
    host.run(client.close())


def answered(
    host: Host, client: HttpClient, reply: bytes, *, method: str = "POST", close: bool = False
) -> object:
    """What the client makes of these bytes, which come in two pieces."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        middle = len(reply) // 2
        writer.write(reply[:middle])
        await writer.drain()
        await asyncio.sleep(0)
        writer.write(reply[middle:])
        if not close:
            await reader.read()  # until the client hangs up
        writer.close()

    async def exchange() -> object:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        try:
            async with asyncio.timeout(5):
                return await client.fetch(method, f"http://127.0.0.1:{port}/", [("Host", "x")])
        finally:
            await client.close()
            server.close()

    return host.run(exchange())


@pytest.mark.parametrize(
    ("reply", "method", "close", "status", "body"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "POST", False, 200, b"ok"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", "POST", False, 204, b""),
        (b"HTTP/1.1 304 Not Modified\r\n\r\n", "POST", False, 304, b""),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n1\r\n!\r\n0\r\n\r\n",
            "POST",
            False,
            200,
            b"ok!",
        ),
        (
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n",
            "POST",
            False,
            201,
            b"",
        ),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nuntil the end", "POST", True, 200, b"until the end"),
        (b"HTTP/1.0 200 OK\r\n\r\nold", "POST", True, 200, b"old"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n", "HEAD", False, 200, b""),
        (b"HTTP/1.1 503 Busy\r\nRetry-After: 3\r\nContent-Length: 0\r\n\r\n", "POST", False, 503, b""),
    ],
)
def test_legal_replies(
    host: Host, client: HttpClient, reply: bytes, method: str, close: object, status: int, body: bytes
) -> None:
    found = answered(host, client, reply, method=method, close=bool(close))
    assert isinstance(found, Reply)
    assert (found.status, found.body) == (status, body)


@pytest.mark.parametrize(
    "reply",
    [
        b"\x00\xff not HTTP at all\r\n\r\n",
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 2",
    ],
)
def test_broken_replies_are_resets(host: Host, client: HttpClient, reply: bytes) -> None:
    found = answered(host, client, reply, close=True)
    assert isinstance(found, Failure)
    assert found.reason == "reset"


def test_connections_are_kept_and_a_dead_one_is_not_used(host: Host, client: HttpClient) -> None:
    connections = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        for _ in range(3):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    async def exchange() -> list[object]:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        found: list[object] = []
        for number in range(6):
            found.append(await client.fetch("GET", url, [("Host", "x")]))
            if number == 2:
                while client._open:  # the server closes after three  # noqa: ASYNC110
                    await asyncio.sleep(0)
        server.close()
        return found

    found = host.run(exchange())
    assert all(isinstance(each, Reply) for each in found)
    assert connections == 2


@pytest.mark.parametrize(
    ("url", "path", "host_header"),
    [
        ("http://h", "/", "h"),
        ("http://h:8080/a%20b?c=d%2F", "/a%20b?c=d%2F", "h:8080"),
        ("https://[::1]:1/", "/", "[::1]:1"),
        ("http://h/ü x", "/%C3%BC%20x", "h"),
        ("http://h?q=1", "/?q=1", "h"),
    ],
)
def test_urls(url: str, path: str, host_header: str) -> None:
    found = parse_url(url)
    assert (found.path, found.host_header) == (path, host_header)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "h",
        "ftp://h",
        "http://",
        "http://h:x",
        "http://h:99999",
        "http://h/%zz",
        "http://[",
        "http://a b/",
    ],
)
def test_bad_urls(url: str) -> None:
    with pytest.raises(BadUrlError):
        parse_url(url)


def test_an_unknown_host_is_refused(host: Host, client: HttpClient) -> None:
    found = host.run(client.fetch("GET", "http://does-not-exist.invalid/", []))
    assert isinstance(found, Failure)
    assert found.reason == "refused"
