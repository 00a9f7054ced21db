"""What each answer of the worker proves."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import threading
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import trustme

from reference_impl.job import Job
from reference_impl.routes import Attempt, Verdict, direct_worker
from reference_impl.routes.direct_worker import EXCEPTIONS, WorkerRoute, _TotalTime, judge_reply
from reference_impl.routes.direct_worker import classify as classify_http
from reference_impl.tests.stubs import HttpStub, confirm

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from reference_impl.settings import Settings

JOB = Job("j1", "e1", "c1", title="A title")
SECRET = "hush-hush"


class TestDirectWorker:
    @pytest.fixture
    def route_to(self, settings: Callable[..., Settings]) -> Callable[[str], WorkerRoute]:
        return lambda url: WorkerRoute(
            settings(WORKER_URL_BASE=url, TASKS_AUTH=SECRET, WORKER_CONNECT_TIMEOUT_S="0.5")
        )

    @pytest.fixture
    def serve(self) -> Iterator[Callable[[Any], HttpStub]]:
        stubs: list[HttpStub] = []

        def start(answer: Any) -> HttpStub:
            stubs.append(HttpStub(answer))
            return stubs[-1]

        yield start
        for stub in stubs:
            stub.close()

    def test_the_worker_gets_the_same_request_as_through_cloud_tasks(
        self, serve: Callable[[Any], HttpStub], route_to: Callable[[str], WorkerRoute]
    ) -> None:
        stub = serve(confirm)
        assert route_to(stub.url).attempt(JOB, 5.0) == Attempt(Verdict.DELIVERED, "200", "done")
        ((path, headers, body),) = stub.requests
        assert (path, body) == ("/api/tasks/assemble", JOB.body())
        expected = {name.lower(): value for name, value in JOB.headers(SECRET).items()}
        assert expected.items() <= headers.items()

    @pytest.mark.parametrize(
        ("answer", "verdict", "reason"),
        [
            (0.0, Verdict.AMBIGUOUS, "protocol-error"),
            (30.0, Verdict.AMBIGUOUS, "timeout"),
            ((200, b"<html>"), Verdict.AMBIGUOUS, "bad-reply"),
            ((200, b"x" * 100_000), Verdict.AMBIGUOUS, "bad-reply"),
            ((404, b""), Verdict.REJECTED, "http-404"),
            ((302, b""), Verdict.REJECTED, "http-302"),
            ((500, b""), Verdict.AMBIGUOUS, "http-500"),
        ],
    )
    def test_what_an_answer_proves(
        self,
        serve: Callable[[Any], HttpStub],
        route_to: Callable[[str], WorkerRoute],
        answer: Any,
        verdict: Verdict,
        reason: str,
    ) -> None:
        attempt = route_to(serve(lambda _: answer).url).attempt(JOB, 0.5 if reason == "timeout" else 20)
        assert (attempt.verdict, attempt.reason) == (verdict, reason), attempt
        assert attempt.costly == (reason == "timeout")

    def test_an_answer_counts_however_long_it_took_to_get_ready_to_ask(
        self,
        serve: Callable[[Any], HttpStub],
        route_to: Callable[[str], WorkerRoute],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """The client is built on first use, and for https it reads all certificates: that can take a while."""
        route = route_to(serve(confirm).url)
        real = route._connected
        monkeypatch.setattr(route, "_connected", lambda: (threading.Event().wait(1.2), real())[1])
        assert route.attempt(JOB, 1.0).verdict is Verdict.DELIVERED

    def test_for_plain_http_no_certificate_is_read(
        self,
        serve: Callable[[Any], HttpStub],
        route_to: Callable[[str], WorkerRoute],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(ssl, "create_default_context", lambda **_: pytest.fail("reads certificates"))
        assert route_to(serve(confirm).url).attempt(JOB, 5.0).verdict is Verdict.DELIVERED

    def test_only_who_can_show_a_certificate_is_believed(
        self, route_to: Callable[[str], WorkerRoute], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        authority, stranger = trustme.CA(), trustme.CA()
        authority.cert_pem.write_to_path(tmp_path / "ca.pem")
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
        said = []
        for issuer in (authority, stranger):
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            issuer.issue_cert("127.0.0.1").configure_cert(context)
            with contextlib.closing(HttpStub(confirm, tls=context)) as worker:
                said.append(route_to(worker.url).attempt(JOB, 5.0))
                plain = route_to("http://127.0.0.1:1")._connected()
                with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
                    plain.post(worker.url, content=JOB.body())
        assert [(each.verdict, each.reason) for each in said] == [
            (Verdict.DELIVERED, "200"),
            (Verdict.REJECTED, "tls"),
        ]

    @pytest.mark.parametrize("first", [b"Content-Length: 1000\r\n\r\n", b"X-Drips: "], ids=["body", "head"])
    def test_a_reply_that_drips_is_cut_off(
        self, route_to: Callable[[str], WorkerRoute], first: bytes
    ) -> None:
        listener = socket.create_server(("127.0.0.1", 0))
        done = threading.Event()

        def drip() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(b"HTTP/1.1 200 OK\r\n" + first)
                while not done.wait(0.05):
                    try:
                        connection.sendall(b"x")
                    except OSError:
                        return

        thread = threading.Thread(target=drip)
        thread.start()
        try:
            attempt = route_to(f"http://127.0.0.1:{listener.getsockname()[1]}").attempt(JOB, 0.5)
        finally:
            done.set()
            thread.join()
            listener.close()
        assert (attempt.verdict, attempt.reason, attempt.costly) == (Verdict.AMBIGUOUS, "timeout", True)
        assert "Error: " in attempt.detail

    @pytest.mark.parametrize(
        ("timeout_s", "connect_s"), [(5.0, 0.5), (0.25, 0.25)], ids=["its own bound", "no time for more"]
    )
    def test_every_step_has_its_bound(
        self, settings: Callable[..., Settings], timeout_s: float, connect_s: float
    ) -> None:
        bounds: list[dict[str, float]] = []

        def answer(request: httpx.Request) -> httpx.Response:
            bounds.append(request.extensions["timeout"])
            return httpx.Response(200, content=reply(status="done"))

        configured = settings(WORKER_URL_BASE="http://w.example", WORKER_CONNECT_TIMEOUT_S="0.5")
        with httpx.Client(transport=httpx.MockTransport(answer)) as client:
            assert WorkerRoute(configured, client).attempt(JOB, timeout_s).delivered
        assert bounds == [{"connect": connect_s, "read": timeout_s, "write": timeout_s, "pool": timeout_s}]

    def test_no_connection_is_kept_and_no_redirect_followed(
        self, route_to: Callable[[str], WorkerRoute]
    ) -> None:
        """By a server that would keep connections, and that answers wherever it is called."""
        elsewhere = b"HTTP/1.1 307 Elsewhere\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n"
        done = reply(status="done")
        here = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(done), done)
        listener = socket.create_server(("127.0.0.1", 0))
        listener.settimeout(10)
        kept: list[socket.socket] = []
        said: list[bytes] = []

        def serve_once_each() -> None:
            for answer in (elsewhere, here, here):
                with contextlib.suppress(TimeoutError):
                    kept.append(listener.accept()[0])
                    said.append(kept[-1].recv(65536).lower())
                    kept[-1].sendall(answer)

        thread = threading.Thread(target=serve_once_each)
        thread.start()
        route = route_to(f"http://127.0.0.1:{listener.getsockname()[1]}")
        attempts = [route.attempt(JOB, 5.0) for _ in range(3)]
        thread.join()
        for connection in (*kept, listener):
            connection.close()
        assert attempts == [
            Attempt(Verdict.REJECTED, "http-307"),
            *[Attempt(Verdict.DELIVERED, "200", "done")] * 2,
        ]
        assert [b"\r\nconnection: close\r\n" in request for request in said] == [True] * 3

    def test_a_connection_that_is_gone_already_needs_no_cut(self) -> None:
        ours, theirs = socket.socketpair()
        theirs.close()
        total = _TotalTime(60)
        assert total._timer.daemon is True
        with total:
            total.trace("connection.connect_tcp.complete", made(ours))
            ours.close()
            total._cut()
        assert total.over

    def test_what_is_cut_is_the_connection_that_tls_has_made_of_the_first(self) -> None:
        plain, _peer = socket.socketpair()
        secured, peer = socket.socketpair()
        total = _TotalTime(60)
        with total, plain, _peer, secured, peer:
            total.trace("connection.connect_tcp.complete", made(plain))
            total.trace("connection.start_tls.complete", made(secured))
            peer.setblocking(False)
            with pytest.raises(BlockingIOError):
                peer.recv(1)
            total._cut()
            assert peer.recv(1) == b""

    def test_a_connection_whose_time_was_over_while_it_became_secure_is_cut_at_once(self) -> None:
        plain, _peer = socket.socketpair()
        secured, peer = socket.socketpair()
        total = _TotalTime(60)
        with total, plain, _peer, secured, peer:
            total.trace("connection.connect_tcp.complete", made(plain))
            total._cut()
            total.trace("connection.start_tls.complete", made(secured))
            peer.settimeout(1)  # it is cut already
            assert peer.recv(1) == b""

    def test_refused_unresolved_and_not_tls_are_certain(
        self, serve: Callable[[Any], HttpStub], route_to: Callable[[str], WorkerRoute]
    ) -> None:
        with socket.create_server(("127.0.0.1", 0)) as closed:
            port = closed.getsockname()[1]
        refused = route_to(f"http://127.0.0.1:{port}").attempt(JOB, 5.0)
        assert (refused.verdict, refused.reason) == (Verdict.REJECTED, "connection-refused")
        unresolved = route_to("http://nowhere.invalid").attempt(JOB, 5.0)
        assert (unresolved.verdict, unresolved.reason) == (Verdict.REJECTED, "dns")
        plain = serve(confirm).url.replace("http://", "https://")
        not_tls = route_to(plain).attempt(JOB, 5.0)
        assert (not_tls.verdict, not_tls.reason) == (Verdict.REJECTED, "tls")


def made(connection: socket.socket) -> dict[str, Any]:
    """What httpx hands out when it has made a connection."""
    return {"return_value": SimpleNamespace(get_extra_info={"socket": connection}.__getitem__)}


def reply(**fields: object) -> bytes:
    return json.dumps({"job_id": "j1"} | fields).encode()


@pytest.mark.parametrize(
    ("status", "body", "verdict"),
    [
        (200, reply(status="done"), Verdict.DELIVERED),
        (201, reply(status="failed"), Verdict.DELIVERED),
        (200, reply(status="busy"), Verdict.AMBIGUOUS),
        (200, reply(status="done", job_id="j2"), Verdict.AMBIGUOUS),
        (200, b"[]", Verdict.AMBIGUOUS),
        (200, b"[" * 100_000, Verdict.AMBIGUOUS),
        (300, reply(status="done"), Verdict.REJECTED),
        (401, b"", Verdict.REJECTED),
        (408, b"", Verdict.AMBIGUOUS),
        (429, reply(status="not_done"), Verdict.REJECTED),
        (502, b"bad gateway", Verdict.AMBIGUOUS),
        (503, reply(status="busy"), Verdict.AMBIGUOUS),
        (503, reply(status="not_done"), Verdict.REJECTED),
        (503, reply(status="not_done", job_id="j2"), Verdict.AMBIGUOUS),
    ],
)
def test_what_a_reply_proves(status: int, body: bytes, verdict: Verdict) -> None:
    assert judge_reply(JOB, status, body).verdict is verdict


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (201, reply(status="failed"), Attempt(Verdict.DELIVERED, "201", "failed")),
        (
            200,
            b"<html>",
            Attempt(Verdict.AMBIGUOUS, "bad-reply", "HTTP 200 without the worker's confirmation"),
        ),
        (502, b"bad gateway \xff", Attempt(Verdict.AMBIGUOUS, "http-502", "bad gateway \ufffd")),
        (
            503,
            reply(status="not_done"),
            Attempt(Verdict.REJECTED, "http-503", reply(status="not_done").decode()),
        ),
    ],
)
def test_what_is_said_of_a_reply(status: int, body: bytes, expected: Attempt) -> None:
    assert judge_reply(JOB, status, body) == expected


@pytest.mark.parametrize("body", [b"<html>", b"[]", reply(), reply(job_id="j2", status="done")])
def test_a_reply_that_is_about_nothing_of_ours_says_nothing(body: bytes) -> None:
    assert direct_worker._status_said(JOB, body) == ""


def test_a_reply_is_read_whole_up_to_its_bound() -> None:
    def read(chunks: Iterator[bytes]) -> bytes:
        response: Any = SimpleNamespace(iter_bytes=lambda: chunks)
        return direct_worker._read(response)

    half = b"x" * 32 * 1024
    assert read(iter([half, half])) == half * 2
    too_long = iter([half, half, b"y", b"z"])
    assert read(too_long) == half * 2
    assert next(too_long) == b"z", "no more is asked for than is needed to know"


def test_every_httpx_error_is_classified() -> None:
    """A new exception of the library must be looked at before it is relied on."""
    kinds = [
        kind
        for kind in vars(httpx).values()
        if isinstance(kind, type) and issubclass(kind, httpx.RequestError) and not kind.__subclasses__()
    ]
    unlisted = [kind for kind in kinds if not issubclass(kind, tuple(row[0] for row in EXCEPTIONS))]
    assert unlisted == [httpx.TooManyRedirects]  # redirects are never followed


@pytest.mark.parametrize(
    ("cause", "reason"),
    [
        (socket.gaierror(-2, "Name or service not known"), "dns"),
        (ssl.SSLCertVerificationError("self-signed"), "tls"),
        (ConnectionRefusedError(111, "refused"), "connection-refused"),
        (OSError(113, "No route to host"), "connect-failed"),
    ],
)
def test_why_a_connection_failed(cause: OSError, reason: str) -> None:
    error = httpx.ConnectError("failed")
    error.__cause__ = cause
    assert classify_http(error) == Attempt(Verdict.REJECTED, reason, "ConnectError: failed")


def test_why_a_connection_failed_may_lie_deep() -> None:
    error, between = httpx.ConnectError("failed"), OSError("all attempts failed")
    error.__cause__, between.__context__ = between, socket.gaierror(-2, "Name or service not known")
    assert classify_http(error).reason == "dns"


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (
            httpx.ConnectTimeout("slow"),
            Attempt(Verdict.REJECTED, "connect-timeout", "ConnectTimeout: slow", costly=True),
        ),
        (httpx.ReadError("gone"), Attempt(Verdict.AMBIGUOUS, "connection-reset", "ReadError: gone")),
    ],
)
def test_a_cause_counts_only_where_no_connection_was_made(error: Exception, expected: Attempt) -> None:
    error.__cause__ = ConnectionRefusedError(111, "refused")
    assert classify_http(error) == expected


def test_an_unknown_exception_proves_nothing() -> None:
    assert classify_http(MemoryError("full")) == Attempt(
        Verdict.AMBIGUOUS, "unexpected-error", "MemoryError: full"
    )
