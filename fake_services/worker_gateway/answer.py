"""What a caller of the gateway gets: a reply, or something that looks less like one and less."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from fake_services.http_server import hang_up, send_garbage
from fake_services.worker_gateway.raw_reply import raw_reply

if TYPE_CHECKING:
    from aiohttp import web

    from fake_services.faults import Fault
    from fake_services.hanging import Hanging
    from fake_services.http_client import Reply

__all__ = ["Answer", "end_to_end", "scripted", "send"]

# Belong to one connection, or are made anew for the next one.
_HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "transfer-encoding",
        "upgrade",
        "te",
        "trailer",
        "expect",
        "host",
        "content-length",
    }
)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the caller gets: `observed` says how, and a status counts only for "reply" and "error".

    `first` is sent before a hang, a reset or an early end, with `drip_s` seconds between its bytes.
    """

    observed: str
    status: int | None = None
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    first: bytes = b""
    drip_s: float = 0.0


def scripted(fault: Fault, upstream: Reply | None) -> Answer:
    """What a fault makes the caller see; the worker's own reply counts only for "success"."""
    headers: tuple[tuple[str, str], ...] = (("Content-Type", "text/plain; charset=utf-8"),)
    if fault.retry_after_s is not None:
        headers += (("Retry-After", f"{fault.retry_after_s:g}"),)
    if fault.observed in {"timeout", "reset", "garbage"}:
        observed = "hang" if fault.observed == "timeout" else fault.observed
        if not (fault.midway or fault.drip_s):
            return Answer(observed)
        status, body = (
            (upstream.status, upstream.body) if upstream is not None else (200, fault.body.encode())
        )
        whole, half = raw_reply(
            status, end_to_end(upstream.headers) if upstream is not None else headers, body
        )
        return Answer(observed, first=half if fault.midway else whole, drip_s=fault.drip_s)
    if fault.observed == "error":
        text = fault.body or fault.message or f"Scripted fault {fault.name!r}."
        return Answer("error", fault.http_status or 500, headers, text.encode())
    if upstream is not None and not fault.http_status and not fault.body:
        return Answer("reply", upstream.status, end_to_end(upstream.headers), upstream.body)
    return Answer("reply", fault.http_status or 200, headers, fault.body.encode())


def end_to_end(headers: list[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """The headers that are passed on: all but those of one connection."""
    return tuple((name, value) for name, value in headers if name.lower() not in _HOP_BY_HOP)


async def send(request: web.BaseRequest, answer: Answer, hanging: Hanging) -> web.StreamResponse:
    """Give the caller this answer; `hanging` counts it while it gets none."""
    from aiohttp import web
    from multidict import CIMultiDict

    if answer.observed == "hang":
        with hanging:
            await _send_first(request, answer)
            await _forever()  # until the caller gives up
    if answer.observed in {"reset", "garbage"}:
        await _send_first(request, answer)
        if answer.observed == "garbage" and answer.first and request.transport is not None:
            request.transport.close()
        else:
            (hang_up if answer.observed == "reset" else send_garbage)(request)
        await _forever()  # until aiohttp notices that the connection is gone and cancels this
    return web.Response(status=answer.status or 200, headers=CIMultiDict(answer.headers), body=answer.body)


async def _send_first(request: web.BaseRequest, answer: Answer) -> None:
    """Write what comes before a hang, a reset or an early end, byte by byte where the answer drips."""
    transport = request.transport
    if transport is None or not answer.first:
        return
    if not answer.drip_s:
        transport.write(answer.first)
        return
    for each in answer.first:
        transport.write(bytes([each]))
        await asyncio.sleep(answer.drip_s)


async def _forever() -> NoReturn:
    await asyncio.Event().wait()
    raise AssertionError("not reached")
