"""Stands where the worker stands: records what arrives, passes it on, and breaks what it is told to break."""

from __future__ import annotations

import asyncio
import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from fake_services.control import ControlPlane
from fake_services.exchange import Journal
from fake_services.faults import Fault, FaultBook
from fake_services.http_client import Failure, HttpClient, Reply, parse_url
from fake_services.http_server import HttpServer, hang_up, send_garbage

if TYPE_CHECKING:
    from aiohttp import web

    from fake_services.host import Host

__all__ = ["WorkerGateway", "WorkerGatewayConfig"]

_REPLY_TEXT_LIMIT = 2048
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


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerGatewayConfig:
    """How to start a worker gateway.

    Attributes:
        upstream: Base URL of the real worker; None: every request is answered 502 and recorded as unexpected.
        host: Address on which it listens.
        port: 0 lets the system choose.
        control_port: Port of the control plane; 0 lets the system choose.
        body_limit_bytes: Larger requests are answered 413.
        journal_capacity: How many exchanges are kept.
    """

    upstream: str | None = None
    host: str = "127.0.0.1"
    port: int = 0
    control_port: int = 0
    body_limit_bytes: int = 64 * 1024 * 1024
    journal_capacity: int = 100_000


@dataclass(frozen=True, slots=True)
class _Incoming:
    id: int
    method: str
    path: str
    headers: list[tuple[str, str]]
    body: bytes
    request: web.BaseRequest

    @property
    def caller_gone(self) -> bool:
        """Whether the caller has closed the connection, and no answer can reach it any more."""
        return self.request.transport is None or self.request.transport.is_closing()


@dataclass(frozen=True, slots=True)
class _Answer:
    """What the caller gets: `observed` says how, and a status counts only for "reply" and "error"."""

    observed: str
    status: int | None = None
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""


class WorkerGateway:
    """A programmable worker on the wire, started by a `Host`. Call its public names from any thread.

    Attributes:
        journal: Every request and reply, in order.
        faults: Scripted misbehaviour; a fault's method is a glob for the request's path.
    """

    def __init__(self, config: WorkerGatewayConfig | None = None) -> None:
        self.config = config or WorkerGatewayConfig()
        self.journal = Journal("worker_gateway", self.config.journal_capacity)
        self.faults = FaultBook(_check)
        self._upstream: str | None = None
        self.set_upstream(self.config.upstream)
        self._host: Host | None = None
        self._last_id = 0
        self._client = HttpClient()
        self._serving: dict[asyncio.Task[_Answer], _Incoming] = {}
        self._server = HttpServer(self._answer, host=self.config.host, port=self.config.port)
        self._control = ControlPlane(self, host=self.config.host, port=self.config.control_port)

    # --- for the host --------------------------------------------------------------------------------------

    def attach(self, host: Host) -> None:
        """See host.Service."""
        self._host = host

    async def start(self) -> None:
        """See host.Service."""
        await self._server.start()
        try:
            await self._control.start()
        except OSError:
            await self._server.stop()
            raise

    async def stop(self) -> None:
        """See host.Service."""
        serving = list(self._serving)
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)
        await self._server.stop()
        await self._control.stop()
        await self._client.close()

    # --- from other threads --------------------------------------------------------------------------------

    @property
    def port(self) -> int:
        """The port on which it listens."""
        return self._server.port

    @property
    def url(self) -> str:
        """Base URL without a trailing slash."""
        return self._server.url

    @property
    def control_url(self) -> str:
        """Base URL of the control plane, without /control."""
        return self._control.url

    def set_upstream(self, url: str | None) -> None:
        """Pass requests on to this base URL; None: answer 502 and record them as unexpected.

        Raises:
            ValueError: It is not an http(s) URL with a host.
        """
        if url is not None:
            parse_url(url)
        self._upstream = None if url is None else url.rstrip("/")

    @property
    def idle(self) -> bool:
        """Whether no request is being served; a caller who is left hanging does not count."""
        return not self._serving

    def pending_summary(self) -> str:
        """What is being served, for people; "nothing" when idle."""
        serving = list(self._serving.values())
        return "; ".join(f"request {each.id}: {each.method} {each.path}" for each in serving) or "nothing"

    def refuse_connections(self, refuse: bool) -> None:  # noqa: FBT001  # refuse_connections(True)
        """Refuse connections and drop those that exist, or serve again on the same port."""
        assert self._host is not None, "start the gateway first"
        self._host.run(self._server.refuse(refuse))

    def reset(self) -> None:
        """Forget journal and faults, and go back to the configured upstream."""
        assert self._host is not None, "start the gateway first"
        self._host.call(self.reset_now)

    # --- in the loop ---------------------------------------------------------------------------------------

    def state(self) -> dict[str, object]:
        """Everything that can be seen, JSON-able."""
        return {
            "url": self.url,
            "upstream": self._upstream,
            "idle": self.idle,
            "pending": self.pending_summary(),
        }

    def reset_now(self) -> None:
        """As `reset`, called in the loop."""
        self.faults.clear()
        self.journal.clear()
        self.set_upstream(self.config.upstream)

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        self._last_id += 1
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in request.raw_headers]
        body = await request.read()
        incoming = _Incoming(self._last_id, request.method, request.raw_path, headers, body, request)
        self._record_request(incoming)
        # Shielded: a caller that gives up does not stop what was passed on, just as with a real worker.
        task = asyncio.get_running_loop().create_task(self._serve(incoming))
        self._serving[task] = incoming
        task.add_done_callback(lambda done: self._serving.pop(done, None))
        return await self._send(request, await asyncio.shield(task))

    def _record_request(self, incoming: _Incoming) -> None:
        fields: dict[str, object] = {
            "id": incoming.id,
            "method": incoming.method,
            "path": incoming.path,
            "headers": [list(pair) for pair in incoming.headers],
        }
        try:
            fields["body_text"] = incoming.body.decode()
        except UnicodeDecodeError:
            fields["body_text"] = incoming.body.decode("utf-8", "replace")
            fields["body_base64"] = base64.b64encode(incoming.body).decode()
        self.journal.record("request", **fields)

    async def _serve(self, incoming: _Incoming) -> _Answer:
        fault = self.faults.take(incoming.path.partition("?")[0], incoming.path)
        upstream = self._upstream
        if fault is not None and fault.delay_s:
            await asyncio.sleep(fault.delay_s)
        if len(incoming.body) > self.config.body_limit_bytes:
            answer = _Answer("error", 413, (), b"larger than this gateway passes on\n")
            return self._recorded(incoming, answer, fault, forwarded=False, upstream_reply=None)
        if fault is not None and fault.applied == "no":
            return self._recorded(
                incoming, _scripted(fault, None), fault, forwarded=False, upstream_reply=None
            )
        if upstream is None:
            why = "no upstream is set, so there is no worker to pass this on to"
            self.journal.record(
                "unexpected", id=incoming.id, method=incoming.method, path=incoming.path, why=why
            )
            answer = _Answer("error", 502, (), (why + "\n").encode())
            return self._recorded(incoming, answer, fault, forwarded=False, upstream_reply=None)
        partly = fault is not None and fault.applied == "partly"
        result = await self._forward(incoming, upstream, partly=partly)
        if fault is not None:
            answer = _scripted(fault, result if isinstance(result, Reply) else None)
        elif isinstance(result, Failure):
            answer = _Answer("error", 502, (), f"the worker did not answer: {result.detail}\n".encode())
        else:
            answer = _Answer("reply", result.status, _end_to_end(result.headers), result.body)
        return self._recorded(incoming, answer, fault, forwarded=True, upstream_reply=result)

    async def _forward(self, incoming: _Incoming, upstream: str, *, partly: bool) -> Reply | Failure:
        url = upstream + incoming.path
        headers = [("Host", parse_url(upstream).host_header), *_end_to_end(incoming.headers)]
        if incoming.body or incoming.method in {"POST", "PUT", "PATCH"}:
            headers.append(("Content-Length", str(len(incoming.body))))
        if partly:
            return await self._client.fetch_cut_short(incoming.method, url, headers, incoming.body)
        return await self._client.fetch(incoming.method, url, headers, incoming.body)

    def _recorded(
        self,
        incoming: _Incoming,
        answer: _Answer,
        fault: Fault | None,
        *,
        forwarded: bool,
        upstream_reply: Reply | Failure | None,
    ) -> _Answer:
        self.journal.record(
            "reply",
            id=incoming.id,
            status=answer.status,
            forwarded=forwarded,
            upstream_status=upstream_reply.status if isinstance(upstream_reply, Reply) else None,
            upstream_error=upstream_reply.detail if isinstance(upstream_reply, Failure) else None,
            reply_body_text=answer.body[:_REPLY_TEXT_LIMIT].decode("utf-8", "replace"),
            observed="gone" if answer.observed == "reply" and incoming.caller_gone else answer.observed,
            fault=fault.name if fault is not None else None,
        )
        return answer

    async def _send(self, request: web.BaseRequest, answer: _Answer) -> web.StreamResponse:
        from aiohttp import web
        from multidict import CIMultiDict

        if answer.observed == "hang":
            await _forever()
        if answer.observed in {"reset", "garbage"}:
            (hang_up if answer.observed == "reset" else send_garbage)(request)
            await _forever()  # until aiohttp notices that the connection is gone and cancels this
        return web.Response(
            status=answer.status or 200, headers=CIMultiDict(answer.headers), body=answer.body
        )


def _scripted(fault: Fault, upstream: Reply | None) -> _Answer:
    """What a fault makes the caller see; the worker's own reply counts only for "success"."""
    headers: tuple[tuple[str, str], ...] = (("Content-Type", "text/plain; charset=utf-8"),)
    if fault.retry_after_s is not None:
        headers += (("Retry-After", f"{fault.retry_after_s:g}"),)
    if fault.observed == "timeout":
        return _Answer("hang")
    if fault.observed in {"reset", "garbage"}:
        return _Answer(fault.observed)
    if fault.observed == "error":
        text = fault.body or fault.message or f"Scripted fault {fault.name!r}."
        return _Answer("error", fault.http_status or 500, headers, text.encode())
    if upstream is not None and not fault.http_status and not fault.body:
        return _Answer("reply", upstream.status, _end_to_end(upstream.headers), upstream.body)
    return _Answer("reply", fault.http_status or 200, headers, fault.body.encode())


def _end_to_end(headers: list[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    return tuple((name, value) for name, value in headers if name.lower() not in _HOP_BY_HOP)


def _check(fault: Fault) -> None:
    if fault.grpc_code:
        raise ValueError("the worker gateway speaks HTTP: use http_status, not grpc_code")
    if fault.delivery or fault.queue:
        raise ValueError("the worker gateway has no queue: delivery and queue are for Cloud Tasks")


async def _forever() -> NoReturn:
    await asyncio.Event().wait()
    raise AssertionError("not reached")
