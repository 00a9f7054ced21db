"""The second route: one POST to the worker, which assembles within the request; one attempt, no retry.

One thing can outlast the time-out that is given here: the operating system's name resolution, which has its
own. It happens in the bounded background lane.
"""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import threading
from typing import TYPE_CHECKING, Any, Self

import httpx

from reference_impl.routes import Attempt, Verdict

if TYPE_CHECKING:
    from reference_impl.job import Job
    from reference_impl.settings import Settings

_REPLY_MAX_BYTES = 64 * 1024

# What each httpx exception proves, the first match wins. Source: HTTPX, "Exceptions"; before a connection
# exists nothing was sent, and from the first written byte on the worker may have read the whole request.
# Each row: exception, verdict, slug, and whether it cost a time-out.
EXCEPTIONS: tuple[tuple[type[Exception], Verdict, str, bool], ...] = (
    (httpx.ConnectTimeout, Verdict.REJECTED, "connect-timeout", True),
    (httpx.PoolTimeout, Verdict.REJECTED, "pool-timeout", False),
    (httpx.ConnectError, Verdict.REJECTED, "connect-failed", False),
    (httpx.ProxyError, Verdict.REJECTED, "proxy", False),
    (httpx.UnsupportedProtocol, Verdict.REJECTED, "unsupported-protocol", False),
    (httpx.LocalProtocolError, Verdict.REJECTED, "unsendable-request", False),
    (httpx.InvalidURL, Verdict.REJECTED, "invalid-url", False),
    (httpx.WriteTimeout, Verdict.AMBIGUOUS, "timeout", True),
    (httpx.ReadTimeout, Verdict.AMBIGUOUS, "timeout", True),
    (httpx.WriteError, Verdict.AMBIGUOUS, "connection-reset", False),
    (httpx.ReadError, Verdict.AMBIGUOUS, "connection-reset", False),
    (httpx.CloseError, Verdict.AMBIGUOUS, "connection-reset", False),
    (httpx.RemoteProtocolError, Verdict.AMBIGUOUS, "protocol-error", False),
    (httpx.DecodingError, Verdict.AMBIGUOUS, "bad-reply", False),
)

# Why a connection failed, from the operating system's own exception underneath.
_CONNECT_CAUSES: tuple[tuple[type[BaseException], str], ...] = (
    (socket.gaierror, "dns"),
    (ssl.SSLError, "tls"),
    (ConnectionRefusedError, "connection-refused"),
)

# What a status proves when the reply is not the worker's own confirmation. A 4xx or a redirect turned the
# request down; 408 and every 5xx may come from a proxy that gave up while the worker goes on.
_AMBIGUOUS_STATUSES = frozenset({408}) | frozenset(range(500, 600))
# The worker's own statement that it holds nothing of the job any more; sent with a 5xx or 429.
NOTHING_DONE = "not_done"


class WorkerRoute:
    """Calls the worker over HTTP; the client is built on first use, unless one is given."""

    def __init__(self, settings: Settings, client: httpx.Client | None = None) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._client = client

    def attempt(self, job: Job, timeout_s: float) -> Attempt:
        """POST the job and wait up to `timeout_s` for the worker's confirmation; never raises."""
        settings = self._settings
        total = _TotalTime(timeout_s)
        limits = httpx.Timeout(timeout_s, connect=min(timeout_s, settings.worker_connect_timeout_s))
        try:
            with (
                total,
                self._connected().stream(
                    "POST",
                    settings.worker.assemble,
                    content=job.body(),
                    headers=job.headers(settings.tasks_auth.reveal()),
                    timeout=limits,
                    extensions={"trace": total.trace},
                ) as response,
            ):
                return judge_reply(job, response.status_code, _read(response))
        except Exception as error:  # noqa: BLE001 — classified by the table; an unknown one proves nothing
            attempt = classify(error)
            if total.over and attempt.verdict is Verdict.AMBIGUOUS:
                return Attempt(Verdict.AMBIGUOUS, "timeout", attempt.detail, costly=True)
            return attempt

    def _connected(self) -> httpx.Client:
        with self._lock:
            if self._client is None:
                # No connection is kept: a kept one that the worker has closed meanwhile fails in a way that
                # looks like a lost reply, although nothing was sent. How many there are, the lane bounds.
                # It is said, and not a bound of none kept: a connection that could be used again is given to one
                # thread, and closed by another as one too many. Source: httpcore 1.0, `ConnectionPool`.
                self._client = httpx.Client(
                    headers={"connection": "close"},
                    verify=_trust(self._settings.worker.assemble),
                    limits=httpx.Limits(max_connections=None),
                    follow_redirects=False,
                )
            return self._client


def _trust(address: str) -> ssl.SSLContext | bool:
    """Whom to believe that it is the worker: for https by certificate, as httpx does by itself.

    Plain http asks nobody, and need not read a hundred certificates first, which takes longer than the call. Should
    a TLS connection be made all the same, it fails.
    """
    return True if address.startswith("https:") else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


class _TotalTime:
    """Cuts a connection when it is too old: the time begins when it is made, which has a bound of its own.

    httpx's time-outs begin again with every byte, so that a reply which comes in drips would never end.
    Source: HTTPX, "Extensions", trace: which hands out the connection's stream, and that its socket.
    """

    def __init__(self, timeout_s: float) -> None:
        self._timer = threading.Timer(timeout_s, self._cut)
        self._timer.daemon = True
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self.over = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()

    def trace(self, event: str, info: dict[str, Any]) -> None:
        """Called by httpx at each step."""
        if not event.endswith((".connect_tcp.complete", ".start_tls.complete")):
            return
        with self._lock:
            begins = self._socket is None
            self._socket = info["return_value"].get_extra_info("socket")
        if begins:
            self._timer.start()
        elif self.over:
            self._cut()

    def _cut(self) -> None:
        with self._lock:
            self.over = True
            if self._socket is not None:
                with contextlib.suppress(OSError):
                    self._socket.shutdown(socket.SHUT_RDWR)


def _read(response: httpx.Response) -> bytes:
    """The reply's body, or as much of it as may be; `_TotalTime` bounds its time.

    The worker's own replies are short. Of any other, such as a page that says 404, the status is what counts.
    """
    body = b""
    for chunk in response.iter_bytes():
        body += chunk
        if len(body) > _REPLY_MAX_BYTES:
            break
    return body[:_REPLY_MAX_BYTES]


def judge_reply(job: Job, status: int, body: bytes) -> Attempt:
    """What a complete reply proves."""
    said = _status_said(job, body)
    if 200 <= status < 300:
        if said in ("done", "failed"):  # either way the job has ended, and its end is in the store
            return Attempt(Verdict.DELIVERED, str(status), said)
        return Attempt(Verdict.AMBIGUOUS, "bad-reply", f"HTTP {status} without the worker's confirmation")
    detail = body.decode(errors="replace")
    unclear = status in _AMBIGUOUS_STATUSES and said != NOTHING_DONE
    return Attempt(Verdict.AMBIGUOUS if unclear else Verdict.REJECTED, f"http-{status}", detail)


def _status_said(job: Job, body: bytes) -> str:
    """The `status` in a reply that is about this job; empty for any other reply."""
    try:
        reply = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    if not isinstance(reply, dict) or reply.get("job_id") != job.job_id:
        return ""
    return str(reply.get("status", ""))


def classify(error: Exception) -> Attempt:
    """What an exception of the HTTP client proves, by the tables above."""
    detail = f"{type(error).__name__}: {error}"
    for kind, verdict, slug, costly in EXCEPTIONS:
        if isinstance(error, kind):
            return Attempt(verdict, _connect_cause(error) or slug, detail, costly=costly)
    return Attempt(Verdict.AMBIGUOUS, "unexpected-error", detail)


def _connect_cause(error: Exception) -> str:
    """Why a connection could not be made, when that is what happened and the cause is a known one."""
    cause: BaseException | None = error if isinstance(error, httpx.ConnectError) else None
    while cause is not None:
        for kind, slug in _CONNECT_CAUSES:
            if isinstance(cause, kind):
                return slug
        cause = cause.__cause__ or cause.__context__
    return ""
