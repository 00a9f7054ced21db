from __future__ import annotations

import ssl
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import httpx
import pytest
import trustme

from fake_services.faults import Fault
from fake_services.worker_gateway import WorkerGateway, WorkerGatewayConfig

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fake_services.host import Host
    from fake_services.tests.targets import Target


@pytest.fixture
def gateway(host: Host) -> Iterator[WorkerGateway]:
    gateway = host.start(WorkerGateway())
    yield gateway
    host.stop(gateway)


@pytest.fixture
def forwarding(gateway: WorkerGateway, target: Target) -> WorkerGateway:
    gateway.set_upstream(target.url)
    return gateway


def last(gateway: WorkerGateway, kind: str) -> dict[str, object]:
    return dict([each for each in gateway.journal.snapshot() if each.kind == kind][-1].fields)


def test_requests_and_replies_pass_through_and_are_recorded(
    forwarding: WorkerGateway, target: Target
) -> None:
    target.answers = [(201, {"X-Reply": "yes"})]
    reply = httpx.post(
        forwarding.url + "/api/tasks/x?a=%20b", content=b"\xff\x00", headers={"X-Odd-CASE": "v"}
    )
    assert (reply.status_code, reply.headers["X-Reply"]) == (201, "yes")
    [got] = target.got
    assert (got.path, got.body, got.header("X-Odd-CASE")) == ("/api/tasks/x?a=%20b", b"\xff\x00", "v")
    request = last(forwarding, "request")
    assert request["body_base64"] == "/wA="
    assert ["X-Odd-CASE", "v"] in request["headers"]  # type: ignore[operator]
    answer = last(forwarding, "reply")
    assert (answer["status"], answer["forwarded"], answer["upstream_status"]) == (201, True, 201)
    assert answer["id"] == request["id"]


def test_without_an_upstream_it_answers_502_and_says_that_it_was_unexpected(gateway: WorkerGateway) -> None:
    assert httpx.get(gateway.url + "/x").status_code == 502
    assert "no upstream" in str(last(gateway, "unexpected")["why"])


def test_a_dead_worker_is_a_502(gateway: WorkerGateway) -> None:
    gateway.set_upstream("http://127.0.0.1:1")
    assert httpx.get(gateway.url + "/x").status_code == 502
    assert last(gateway, "reply")["upstream_error"]


def test_a_worker_that_takes_no_connection_is_a_502_after_a_while(host: Host, gateway: WorkerGateway) -> None:
    impatient = host.start(WorkerGateway(WorkerGatewayConfig(upstream=gateway.url, connect_within_s=0.1)))
    gateway.break_listener("syn_dropped")
    assert httpx.get(impatient.url + "/x", timeout=30).status_code == 502
    assert last(impatient, "reply")["upstream_error"] == "no connection within 0.1 s"


def test_it_answers_any_status_without_forwarding(forwarding: WorkerGateway, target: Target) -> None:
    forwarding.faults.add(Fault(name="busy", http_status=503, retry_after_s=2, body="later", method="/api/*"))
    assert httpx.post(forwarding.url + "/other").status_code == 200
    reply = httpx.post(forwarding.url + "/api/tasks")
    assert (reply.status_code, reply.text, reply.headers["Retry-After"]) == (503, "later", "2")
    assert len(target.got) == 1
    assert last(forwarding, "reply")["fault"] == "busy"


@pytest.mark.parametrize(
    ("observed", "error"),
    [
        ("reset", httpx.ReadError),
        ("garbage", httpx.RemoteProtocolError),
        ("timeout", httpx.ReadTimeout),
    ],
)
@pytest.mark.parametrize("applied", ["no", "yes"])
def test_what_the_caller_sees_and_what_the_worker_gets_are_independent(
    forwarding: WorkerGateway, target: Target, applied: str, observed: str, error: type[Exception]
) -> None:
    forwarding.faults.add(Fault(name="f", applied=applied, observed=observed))  # type: ignore[arg-type]
    with pytest.raises(error):
        httpx.post(forwarding.url, content=b"x", timeout=0.3)
    forwarding.journal.wait_for(lambda each: each.kind == "reply", 10)
    assert len(target.got) == (applied == "yes")
    assert forwarding.idle


def test_partly_applied_means_that_the_worker_gets_half_of_the_body(
    forwarding: WorkerGateway, target: Target
) -> None:
    forwarding.faults.add(Fault(name="half", applied="partly", http_status=500))
    assert httpx.post(forwarding.url, content=b"12345678").status_code == 500
    assert target.got == []


def test_a_caller_that_gives_up_does_not_stop_the_worker(forwarding: WorkerGateway, target: Target) -> None:
    forwarding.faults.add(Fault(name="slow", applied="yes", observed="success", delay_s=0.2))
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(forwarding.url, content=b"x", timeout=0.05)
    assert not forwarding.idle
    assert "POST /" in forwarding.pending_summary()
    forwarding.journal.wait_for(lambda each: each.kind == "reply", 10)
    assert len(target.got) == 1
    assert last(forwarding, "reply")["observed"] == "gone"  # nobody was there to see the answer


def test_refusing_and_coming_back_on_the_same_port(forwarding: WorkerGateway) -> None:
    with httpx.Client() as client:
        assert client.get(forwarding.url).status_code == 200
        forwarding.refuse_connections(True)
        with pytest.raises(httpx.ConnectError):
            client.get(forwarding.url)
        forwarding.refuse_connections(False)
        assert client.get(forwarding.url).status_code == 200


@pytest.mark.parametrize("fault", [Fault(name="f", grpc_code="ABORTED"), Fault(name="f", delivery="twice")])
def test_faults_that_make_no_sense_here_are_refused(gateway: WorkerGateway, fault: Fault) -> None:
    with pytest.raises(ValueError, match="worker gateway"):
        gateway.faults.add(fault)


def test_the_control_plane_scripts_reads_and_resets(forwarding: WorkerGateway) -> None:
    control = forwarding.control_url
    assert httpx.get(control + "/control/health").json()["source"] == "worker_gateway"
    added = httpx.post(control + "/control/faults", json={"name": "f", "http_status": 418})
    assert added.json() == {"ids": [1]}
    assert httpx.get(forwarding.url).status_code == 418
    assert httpx.get(control + "/control/faults").json()["faults"][0]["fired"] == 1
    journal = httpx.get(control + "/control/journal?since=1").json()
    assert [each["kind"] for each in journal["exchanges"]] == ["reply"]
    assert httpx.get(control + "/control/state").json()["idle"] is True
    wrong = httpx.post(control + "/control/faults", json={"observed": "x"})
    assert (wrong.status_code, "'timeout'" in wrong.json()["error"]) == (400, True)
    assert httpx.post(control + "/control/faults", content=b"{").status_code == 400
    assert httpx.get(control + "/control/journal?since=x").status_code == 400
    assert httpx.put(control + "/control/state").json()["error"] == "/control/state takes GET, not PUT"
    assert "GET /control/health" in httpx.get(control + "/x").json()["error"]
    assert httpx.delete(control + "/control/faults?id=9").status_code == 404
    listener = control + "/control/listener"
    assert httpx.post(listener, json={"break": "other_protocol"}).json() == {"strikes": 0}
    with pytest.raises(httpx.RemoteProtocolError):
        httpx.get(forwarding.url)
    assert httpx.post(listener, json={"break": None}).json() == {"strikes": 1}
    assert httpx.get(forwarding.url).status_code == 200
    assert "syn_dropped" in httpx.post(listener, json={"break": "sulks"}).json()["error"]
    assert httpx.post(listener, json=[]).status_code == 400
    httpx.post(control + "/control/reset")
    assert httpx.get(control + "/control/journal").json()["exchanges"] == []


@pytest.mark.parametrize(
    ("fault", "error", "seen"),
    [
        (
            Fault(name="half-open", applied="yes", observed="timeout", midway=True),
            httpx.ReadTimeout,
            b"01234",
        ),
        (
            Fault(name="cut", applied="yes", observed="garbage", midway=True),
            httpx.RemoteProtocolError,
            b"01234",
        ),
        (Fault(name="reset", applied="yes", observed="reset", midway=True), httpx.ReadError, b"01234"),
        (
            Fault(name="drip", applied="yes", observed="timeout", drip_s=0.001, body="dripped"),
            httpx.ReadTimeout,
            b"0123456789",
        ),
    ],
    ids=lambda value: value.name if isinstance(value, Fault) else "",
)
def test_a_reply_goes_wrong_in_its_middle(
    forwarding: WorkerGateway, target: Target, fault: Fault, error: type[Exception], seen: bytes
) -> None:
    target.answers = [(200, {}, b"0123456789")]
    forwarding.faults.add(fault)
    got = b""
    with (
        httpx.stream("POST", forwarding.url, content=b"x", timeout=0.5) as reply,
        pytest.raises(error) if fault.name != "drip" else httpx.Client(),
    ):
        assert (reply.status_code, reply.headers["Content-Length"]) == (200, "10")
        for chunk in reply.iter_raw():
            got += chunk
    assert got == seen
    assert len(target.got) == 1
    assert last(forwarding, "reply")["observed"] == {"timeout": "hang"}.get(fault.observed, fault.observed)


@pytest.mark.parametrize("late", ["request", "reply"])
def test_something_happens_only_when_the_caller_has_given_up(
    forwarding: WorkerGateway, target: Target, late: str
) -> None:
    forwarding.faults.add(Fault(name="late", applied="yes", observed="success", late=late))  # type: ignore[arg-type]
    with ThreadPoolExecutor() as pool:
        asked = pool.submit(httpx.post, forwarding.url, content=b"x", timeout=0.5)
        forwarding.journal.wait_for(lambda each: each.kind == "request", 10)
        while not forwarding.hanging:
            assert not asked.done()
        assert forwarding.idle
        assert len(target.got) == (late == "reply")
        assert isinstance(asked.exception(10), httpx.ReadTimeout)
    forwarding.journal.wait_for(lambda each: each.kind == "reply", 10)
    assert len(target.got) == 1
    assert (last(forwarding, "reply")["observed"], forwarding.hanging) == ("gone", 0)


@pytest.mark.parametrize(
    ("how", "error"),
    [
        ("syn_dropped", httpx.ConnectTimeout),
        ("never_read", httpx.ReadTimeout),
        ("reset_at_head", httpx.ReadError),
        ("other_protocol", httpx.RemoteProtocolError),
    ],
)
def test_connections_go_wrong_before_there_is_a_request(
    forwarding: WorkerGateway, how: str, error: type[Exception]
) -> None:
    forwarding.break_listener(how)  # type: ignore[arg-type]
    assert forwarding.listener_strikes == 0
    with ThreadPoolExecutor() as pool:
        asked = pool.submit(httpx.post, forwarding.url, content=b"x" * 100, timeout=0.5)
        while how in {"syn_dropped", "never_read"} and not forwarding.hanging:
            assert not asked.done()
        assert isinstance(asked.exception(10), error)
    assert forwarding.listener_strikes >= 1
    assert [each.kind for each in forwarding.journal.snapshot()] == ["connection"] * (how != "syn_dropped")
    forwarding.mend()
    assert (httpx.get(forwarding.url).status_code, forwarding.hanging) == (200, 0)
    assert forwarding.listener_strikes >= 1


def test_tls_as_it_should_be_and_as_it_should_not(forwarding: WorkerGateway) -> None:
    known, unknown = trustme.CA(), trustme.CA()
    trusting = ssl.create_default_context(cadata=known.cert_pem.bytes().decode())
    url = forwarding.url.replace("http:", "https:")
    for authority, host, problem in (
        (known, "127.0.0.1", ""),
        (known, "elsewhere.example", "IP address mismatch"),
        (unknown, "127.0.0.1", "unable to get local issuer"),
    ):
        serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(host).configure_cert(serving)
        forwarding.serve_over_tls(serving)
        strikes = forwarding.listener_strikes
        if problem:
            with pytest.raises(httpx.ConnectError, match=problem):
                httpx.get(url, verify=trusting)
        else:
            assert httpx.get(url, verify=trusting).status_code == 200
        assert forwarding.listener_strikes == strikes + 1
    forwarding.break_listener("plain_text_only")
    with pytest.raises(httpx.ConnectError, match="SSL"):
        httpx.get(url, verify=trusting)
    assert forwarding.listener_strikes == 1
    forwarding.mend()
    assert httpx.get(forwarding.url).status_code == 200


def test_several_workers_are_called_in_turn(gateway: WorkerGateway, host: Host, target: Target) -> None:
    other = host.start(type(target)())
    gateway.set_upstream(target.url, other.url)
    for _ in range(4):
        httpx.get(gateway.url)
    assert (len(target.got), len(other.got)) == (2, 2)
    host.stop(other)


def test_an_unknown_breakage_names_the_known_ones(gateway: WorkerGateway) -> None:
    with pytest.raises(ValueError, match="'syn_dropped', 'never_read'"):
        gateway.break_listener("sulks")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "wrong",
    [
        {"late": "reply"},
        {"late": "soon", "applied": "yes"},
        {"midway": True},
        {"midway": "yes"},
        {"drip_s": 1.0},
        {"drip_s": -1.0, "observed": "timeout"},
    ],
    ids=str,
)
def test_what_cannot_be_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Fault.from_json({"name": "f", **wrong})
