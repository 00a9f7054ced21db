"""Addresses, redirects and replies from which nothing can be made: an attempt fails, and the fake goes on."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Any

import pytest

from fake_services.tests.test_delivery import Q, client, frozen, task

if TYPE_CHECKING:
    from fake_services.cloud_tasks import CloudTasks
    from fake_services.host import Host
    from fake_services.tests.targets import Target

__all__ = ["client", "frozen"]

Client = Any  # the official client takes dictionaries, which its annotations do not say
BAD_URLS = ["http://h:99999/", "http://[::bad/", "http://h:port/"]


def still_delivers(fake: CloudTasks, client: Client, target: Target) -> None:
    client.update_queue(queue={"name": Q}, update_mask={"paths": ["http_target"]})
    target.default = 200
    before = len(target.got)
    client.create_task(parent=Q, task=task(target.url))
    fake.advance(60)  # a throttled queue may have to wait for a token
    assert len(target.got) > before


@pytest.mark.parametrize("url", BAD_URLS)
def test_an_override_of_a_url_that_cannot_be_read(
    frozen: CloudTasks, client: Client, target: Target, url: str
) -> None:
    override = {"uri_override": {"path_override": {"path": "/new"}}}
    client.update_queue(queue={"name": Q, "http_target": override})
    name = client.create_task(parent=Q, task=task(url)).name
    frozen.advance(0)
    seen = client.get_task(name=name)
    assert seen.last_attempt.response_status.message == "UNKNOWN(2): HTTP status code 0"
    client.delete_task(name=name)
    assert frozen.idle
    still_delivers(frozen, client, target)


@pytest.mark.parametrize("location", ["http://[::bad/", "http://h:99999/", "//[", "ftp://x/"])
def test_a_redirect_that_leads_nowhere(
    frozen: CloudTasks, client: Client, target: Target, location: str
) -> None:
    target.answers = [(302, {"Location": location})]
    name = client.create_task(parent=Q, task=task(target.url)).name
    frozen.advance(0)
    seen = client.get_task(name=name)
    assert (seen.dispatch_count, frozen.pending_summary()) == (
        1,
        f"1 task(s) waiting for a retry in {Q}",
    )
    frozen.run_until_idle()
    assert len(target.got) == 2


def test_a_queues_headers_cannot_replace_the_services(
    frozen: CloudTasks, client: Client, target: Target
) -> None:
    services = [
        "Host",
        "content-length",
        "User-Agent",
        "X-CloudTasks-TaskName",
        "X-Google-A",
        "X-AppEngine-B",
    ]
    headers = [{"header": {"key": key, "value": "9"}} for key in [*services, "X-Mine"]]
    client.update_queue(queue={"name": Q, "http_target": {"header_overrides": headers}})
    name = client.create_task(parent=Q, task=task(target.url, body=b"abc")).name
    frozen.advance(0)
    [got] = target.got
    names = [key.lower() for key, _ in got.headers]
    assert len(names) == len(set(names))
    assert got.header("Host") == target.url.removeprefix("http://")
    assert (got.header("Content-Length"), got.body) == ("3", b"abc")
    assert got.header("User-Agent") == "Google-Cloud-Tasks"
    assert got.header("X-CloudTasks-TaskName") == name.rpartition("/")[2]
    assert got.header("X-Mine") == "9"
    assert not {"x-google-a", "x-appengine-b"} & set(names)


@pytest.mark.parametrize("header", [{"key": "A\r\nB", "value": "x"}, {"key": "A", "value": "x\r\nB: y"}, {}])
def test_a_queues_header_that_would_break_the_request_is_refused(
    frozen: CloudTasks, client: Client, header: dict[str, str]
) -> None:
    from google.api_core import exceptions

    target = {"header_overrides": [{"header": header}]}
    with pytest.raises(exceptions.InvalidArgument, match=r"HttpTarget\.headerOverrides contains an invalid"):
        client.update_queue(queue={"name": Q, "http_target": target})
    assert frozen.idle


REPLY = b"HTTP/1.1 503 Busy\r\nRetry-After: 1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"


def spoiled(random_: random.Random) -> bytes:
    """A reply with some of its bytes changed, missing or made up."""
    reply = bytearray(random_.choice([REPLY, b"", b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nx"]))
    for _ in range(random_.randint(1, 4)):
        at = random_.randrange(len(reply) + 1)
        reply[at : at + random_.randrange(4)] = random_.randbytes(random_.randrange(6))
    return bytes(reply)


def test_replies_that_cannot_be_read(frozen: CloudTasks, client: Client, host: Host, target: Target) -> None:
    random_ = random.Random(3)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(spoiled(random_))
        writer.close()

    server = host.run(asyncio.start_server(answer, "127.0.0.1", 0))
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    client.update_queue(queue={"name": Q, "retry_config": {"max_attempts": 1}})
    for _ in range(300):
        client.create_task(parent=Q, task=task(url))
    frozen.run_until_idle()
    ended = [each.fields for each in frozen.journal.snapshot() if each.kind == "attempt.ended"]
    assert len(ended) == 300
    assert {each["reason"] for each in ended} <= {"", "status", "reset"}
    assert frozen.idle
    still_delivers(frozen, client, target)
    host.call(server.close)
    host.run(server.wait_closed())
