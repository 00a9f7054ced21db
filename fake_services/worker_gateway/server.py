"""Stands where the worker stands: records what arrives, passes it on, and breaks what it is told to break."""

from __future__ import annotations

import asyncio
import base64
import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fake_services.control import ControlError, json_body
from fake_services.exchange import Journal
from fake_services.faults import Fault, FaultBook
from fake_services.http_client import Failure, HttpClient, Reply, parse_url
from fake_services.http_fake import HttpFake
from fake_services.worker_gateway.answer import Answer, end_to_end, scripted, send
from fake_services.worker_gateway.broken import BREAKAGES, Breakage, BrokenListener

if TYPE_CHECKING:
    import ssl

    from aiohttp import web

__all__ = ["WorkerGateway", "WorkerGatewayConfig"]

_REPLY_TEXT_LIMIT = 2048


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerGatewayConfig:
    """How to start a worker gateway.

    Attributes:
        upstream: Base URL of the real worker; None: every request is answered 502 and recorded as unexpected.
        host: Address on which it listens.
        port: 0 lets the system choose.
        control_port: Port of the control plane; 0 lets the system choose.
        connect_within_s: How long a connection to the worker may take; then the request is answered 502, as by a proxy.
        body_limit_bytes: Larger requests are answered 413.
        journal_capacity: How many exchanges are kept.
    """

    upstream: str | None = None
    host: str = "127.0.0.1"
    port: int = 0
    control_port: int = 0
    connect_within_s: float = 3.0
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
    given_up: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def caller_gone(self) -> bool:
        """Whether the caller has closed the connection, and no answer can reach it any more."""
        return self.request.transport is None or self.request.transport.is_closing()


class WorkerGateway(HttpFake):
    """A programmable worker on the wire, started by a `Host`. Call its public names from any thread.

    Attributes:
        journal: Every request and reply, in order.
        faults: Scripted misbehaviour; a fault's method is a glob for the request's path.
        cut_off: Whether somebody has cut the wire to the callers: answers are recorded as "gone" then.
    """

    def __init__(self, config: WorkerGatewayConfig | None = None) -> None:
        self.config = config or WorkerGatewayConfig()
        super().__init__(
            journal=Journal("worker_gateway", self.config.journal_capacity),
            faults=FaultBook(_check),
            host=self.config.host,
            port=self.config.port,
            control_port=self.config.control_port,
            routes={"POST /control/listener": self._set_listener},
        )
        self._upstreams: tuple[str, ...] = ()
        self._turns = itertools.count()
        self.set_upstream(self.config.upstream)
        self._broken: BrokenListener | None = None
        self._strikes = 0
        self.cut_off = False
        self._waiting_for_the_caller: set[int] = set()
        self._last_id = 0
        self._client = HttpClient(connect_within_s=self.config.connect_within_s)
        self._serving: dict[asyncio.Task[Answer], _Incoming] = {}

    # --- for the host --------------------------------------------------------------------------------------

    async def stop(self) -> None:
        """See host.Service."""
        serving = list(self._serving)
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)
        if self._broken is not None:
            await self._broken.stop()
        await super().stop()
        await self._client.close()

    # --- from other threads --------------------------------------------------------------------------------

    def set_upstream(self, url: str | None, *others: str) -> None:
        """Pass requests on to this base URL, and to the others in turn.

        Args:
            url: None: answer 502 and record requests as unexpected.
            others: More workers, as behind a load balancer.

        Raises:
            ValueError: One is not an http(s) URL with a host.
        """
        urls = () if url is None else (url, *others)
        for each in urls:
            parse_url(each)
        self._upstreams = tuple(each.rstrip("/") for each in urls)

    @property
    def idle(self) -> bool:
        """Whether no request is being served; a caller who is left hanging does not count, see `hanging`."""
        return not self._moving()

    def pending_summary(self) -> str:
        """What is being served, for people; "nothing" when idle."""
        return (
            "; ".join(f"request {each.id}: {each.method} {each.path}" for each in self._moving()) or "nothing"
        )

    def _moving(self) -> list[_Incoming]:
        return [each for each in list(self._serving.values()) if each.id not in self._waiting_for_the_caller]

    @property
    def hanging(self) -> int:
        """How many callers wait for an answer, or for a connection, that a fault withholds."""
        broken = self._broken
        return super().hanging + (broken.waiting if broken is not None else 0)

    def break_listener(self, how: Breakage) -> None:
        """Drop every connection, and let the port go wrong before there is a request; `mend` ends it.

        Raises:
            ValueError: There is no such breakage.
        """
        if how not in BREAKAGES:
            raise ValueError(f"how must be one of {', '.join(map(repr, BREAKAGES))}; got {how!r}")
        self._running_on().run(self._break(how))

    def serve_over_tls(self, context: ssl.SSLContext) -> None:
        """Drop every connection, and speak TLS on the same port; `mend` ends it."""
        context.sni_callback = lambda *_: self._struck("a TLS handshake begins")
        self._running_on().run(self._server.change_tls(context))

    def mend(self) -> None:
        """End `break_listener`, `serve_over_tls` and `refuse_connections`: plain HTTP on the same port again."""
        self._running_on().run(self._mend())

    @property
    def listener_strikes(self) -> int:
        """How many connections the last broken or TLS listener has met."""
        return max(self._strikes, self._broken.strikes if self._broken is not None else 0)

    def move(self, host: str) -> None:
        """Drop every connection, and listen on another address of this machine, on the same port.

        Raises:
            OSError: It is not this machine's, or the port is taken there.
        """
        self._running_on().run(self._server.move(host))

    # --- in the loop ---------------------------------------------------------------------------------------

    def state(self) -> dict[str, object]:
        """Everything that can be seen, JSON-able."""
        return {
            "url": self.url,
            "upstream": ", ".join(self._upstreams) or None,
            "idle": self.idle,
            "pending": self.pending_summary(),
        }

    def reset_now(self) -> None:
        """Forget journal and faults, and go back to the configured upstream. Called in the loop."""
        super().reset_now()
        self.set_upstream(self.config.upstream)

    async def _set_listener(self, request: web.BaseRequest) -> object:
        data = await json_body(request)
        how: Breakage | None = data.get("break") if isinstance(data, dict) else None
        if not isinstance(data, dict) or (how is not None and how not in BREAKAGES):
            raise ControlError(400, f'send {{"break": …}} with null or one of {", ".join(BREAKAGES)}')
        await (self._mend() if how is None else self._break(how))
        return {"strikes": self.listener_strikes}

    async def _break(self, how: Breakage) -> None:
        await self._mend()
        await self._server.refuse(True)
        self._strikes = 0
        broken = BrokenListener(how, self.config.host, self.port, lambda: self._struck(how.replace("_", " ")))
        await broken.start()
        self._broken = broken

    async def _mend(self) -> None:
        if self._broken is not None:
            await self._broken.stop()
            self._strikes = self._broken.strikes
            self._broken = None
        await self._server.change_tls(None)

    def _struck(self, what: str) -> None:
        self._strikes += 1
        self.journal.record("connection", what=what)

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
        try:
            answer = await asyncio.shield(task)
        except asyncio.CancelledError:
            incoming.given_up.set()
            raise
        return await send(request, answer, self._hanging)

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

    async def _serve(self, incoming: _Incoming) -> Answer:
        fault = self.faults.take(incoming.path.partition("?")[0], incoming.path)
        upstream = self._upstreams[next(self._turns) % len(self._upstreams)] if self._upstreams else None
        if fault is not None and fault.delay_s:
            await asyncio.sleep(fault.delay_s)
        if len(incoming.body) > self.config.body_limit_bytes:
            answer = Answer("error", 413, (), b"larger than this gateway passes on\n")
            return self._recorded(incoming, answer, fault, forwarded=False, upstream_reply=None)
        if fault is not None and fault.applied == "no":
            return self._recorded(
                incoming, scripted(fault, None), fault, forwarded=False, upstream_reply=None
            )
        if upstream is None:
            why = "no upstream is set, so there is no worker to pass this on to"
            self.journal.record(
                "unexpected", id=incoming.id, method=incoming.method, path=incoming.path, why=why
            )
            answer = Answer("error", 502, (), (why + "\n").encode())
            return self._recorded(incoming, answer, fault, forwarded=False, upstream_reply=None)
        partly = fault is not None and fault.applied == "partly"
        if fault is not None and fault.late == "request":
            await self._given_up(incoming)
        result = await self._forward(incoming, upstream, partly=partly)
        if fault is not None and fault.late == "reply":
            await self._given_up(incoming)
        if fault is not None:
            answer = scripted(fault, result if isinstance(result, Reply) else None)
        elif isinstance(result, Failure):
            answer = Answer("error", 502, (), f"the worker did not answer: {result.detail}\n".encode())
        else:
            answer = Answer("reply", result.status, end_to_end(result.headers), result.body)
        return self._recorded(incoming, answer, fault, forwarded=True, upstream_reply=result)

    async def _given_up(self, incoming: _Incoming) -> None:
        self._waiting_for_the_caller.add(incoming.id)
        try:
            with self._hanging:
                await incoming.given_up.wait()
        finally:
            self._waiting_for_the_caller.discard(incoming.id)

    async def _forward(self, incoming: _Incoming, upstream: str, *, partly: bool) -> Reply | Failure:
        url = upstream + incoming.path
        headers = [("Host", parse_url(upstream).host_header), *end_to_end(incoming.headers)]
        if incoming.body or incoming.method in {"POST", "PUT", "PATCH"}:
            headers.append(("Content-Length", str(len(incoming.body))))
        if partly:
            return await self._client.fetch_cut_short(incoming.method, url, headers, incoming.body)
        return await self._client.fetch(incoming.method, url, headers, incoming.body)

    def _recorded(
        self,
        incoming: _Incoming,
        answer: Answer,
        fault: Fault | None,
        *,
        forwarded: bool,
        upstream_reply: Reply | Failure | None,
    ) -> Answer:
        self.journal.record(
            "reply",
            id=incoming.id,
            status=answer.status,
            forwarded=forwarded,
            upstream_status=upstream_reply.status if isinstance(upstream_reply, Reply) else None,
            upstream_error=upstream_reply.detail if isinstance(upstream_reply, Failure) else None,
            reply_body_text=answer.body[:_REPLY_TEXT_LIMIT].decode("utf-8", "replace"),
            observed="gone"
            if answer.observed == "reply" and (incoming.caller_gone or self.cut_off)
            else answer.observed,
            fault=fault.name if fault is not None else None,
        )
        return answer


def _check(fault: Fault) -> None:
    if fault.grpc_code:
        raise ValueError("the worker gateway speaks HTTP: use http_status, not grpc_code")
    if fault.delivery or fault.queue:
        raise ValueError("the worker gateway has no queue: delivery and queue are for Cloud Tasks")
