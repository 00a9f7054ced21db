"""The name server, asked over the wire."""

from __future__ import annotations

from collections.abc import Iterator

import dns.exception
import dns.message
import dns.query
import dns.rcode
import httpx
import pytest

from fake_services.faults import Fault
from fake_services.host import Host
from fake_services.name_server import NameServer, NameServerConfig


@pytest.fixture
def server() -> Iterator[NameServer]:
    with Host() as host:
        yield host.start(NameServer(NameServerConfig(names={"worker.example": "10.0.0.7"})))


def ask(server: NameServer, name: str, kind: str = "A", within_s: float = 5.0) -> dns.message.Message:
    address, port = server.address
    return dns.query.udp(dns.message.make_query(name, kind), address, timeout=within_s, port=port)


def addresses(reply: dns.message.Message) -> list[str]:
    return [item.to_text() for rrset in reply.answer for item in rrset]


def test_it_knows_its_names_and_nothing_else(server: NameServer) -> None:
    known, other = ask(server, "Worker.EXAMPLE."), ask(server, "elsewhere.example")
    assert addresses(known) == ["10.0.0.7"]
    assert known.answer[0].ttl == 0
    assert other.rcode() == dns.rcode.NXDOMAIN
    assert [e.fields["name"] for e in server.journal.snapshot()] == ["worker.example", "elsewhere.example"]


def test_a_name_with_no_address_of_that_kind_exists_all_the_same(server: NameServer) -> None:
    reply = ask(server, "worker.example", "AAAA")
    assert (reply.rcode(), reply.answer) == (dns.rcode.NOERROR, [])


def test_a_name_can_move(server: NameServer) -> None:
    server.point("worker.example", "10.0.0.8")
    assert addresses(ask(server, "worker.example")) == ["10.0.0.8"]
    with pytest.raises(ValueError, match="IPv4"):
        server.point("worker.example", "nowhere")


def test_it_stops_resolving(server: NameServer) -> None:
    server.faults.add(Fault(name="broken", method="worker.*"))
    server.faults.add(Fault(name="gone", message="NXDOMAIN"))
    server.faults.add(Fault(name="silent", observed="timeout"))
    assert ask(server, "worker.example").rcode() == dns.rcode.SERVFAIL
    assert ask(server, "worker.example").rcode() == dns.rcode.NXDOMAIN
    with pytest.raises(dns.exception.Timeout):
        ask(server, "worker.example", within_s=0.2)
    assert addresses(ask(server, "worker.example")) == ["10.0.0.7"]
    assert [e.fields["fault"] for e in server.journal.snapshot()] == ["broken", "gone", "silent", None]


def test_it_answers_garbage_and_ignores_it(server: NameServer) -> None:
    server.faults.add(Fault(name="noise", observed="garbage"))
    with pytest.raises(dns.exception.DNSException):
        ask(server, "worker.example", within_s=0.5)
    assert server.answer(b"noise", "10.0.0.1:5") is None
    assert server.journal.snapshot()[-1].kind == "unexpected"


def test_only_what_it_can_do_can_be_scripted(server: NameServer) -> None:
    with pytest.raises(ValueError, match="name server"):
        server.faults.add(Fault(name="late", applied="yes", observed="success"))


def test_its_control_plane_shows_the_names(server: NameServer) -> None:
    assert httpx.get(server.control_url + "/control/state").json() == {
        "names": {"worker.example": "10.0.0.7"}
    }
    server.point("worker.example", "10.0.0.9")
    httpx.post(server.control_url + "/control/reset")
    assert addresses(ask(server, "worker.example")) == ["10.0.0.7"]


def test_a_port_in_use_is_an_error(server: NameServer) -> None:
    address, port = server.address
    with Host() as host, pytest.raises(OSError, match=f"cannot use {address}:{port}/udp"):
        host.start(NameServer(NameServerConfig(port=port)))
