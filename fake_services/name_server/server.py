"""Answers DNS queries over UDP for the names it is given, and for nothing else: the world outside does not exist."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import dns.exception
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

from fake_services.control import ControlPlane
from fake_services.exchange import Journal
from fake_services.faults import Fault, FaultBook

if TYPE_CHECKING:
    from fake_services.host import Host

__all__ = ["NameServer", "NameServerConfig"]

_LIFETIME_S = 0  # nobody may remember an answer: a name can move at any moment
_GARBAGE = b"\x00\xff this is not DNS \xff\x00"


@dataclass(frozen=True, slots=True, kw_only=True)
class NameServerConfig:
    """How to start a name server.

    Attributes:
        names: IPv4 addresses by name, without a final dot; every other name does not exist.
        host: Address on which it listens.
        port: 0 lets the system choose; resolvers expect 53.
        control_port: Port of the control plane; 0 lets the system choose.
        journal_capacity: How many exchanges are kept.
    """

    names: Mapping[str, str] = field(default_factory=dict)
    host: str = "127.0.0.1"
    port: int = 0
    control_port: int = 0
    journal_capacity: int = 10_000


class NameServer:
    """A name server on the wire, started by a `Host`. Call its public names from any thread.

    Attributes:
        journal: Every query and its answer, in order.
        faults: Scripted misbehaviour; a fault's method is a glob for the name. "error" is SERVFAIL, or NXDOMAIN
            with the message "NXDOMAIN"; "timeout" is silence; "garbage" is no DNS.
    """

    def __init__(self, config: NameServerConfig | None = None) -> None:
        self.config = config or NameServerConfig()
        self.journal = Journal("name_server", self.config.journal_capacity)
        self.faults = FaultBook(_check)
        self._names = dict(self.config.names)
        self._port = self.config.port
        self._host: Host | None = None
        self._transport: asyncio.DatagramTransport | None = None
        self._control = ControlPlane(self, host=self.config.host, port=self.config.control_port)

    # --- for the host --------------------------------------------------------------------------------------

    def attach(self, host: Host) -> None:
        """See host.Service."""
        self._host = host

    async def start(self) -> None:
        """See host.Service."""
        where = (self.config.host, self.config.port)
        try:
            transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
                lambda: _Protocol(self), local_addr=where
            )
        except OSError as error:
            raise OSError(error.errno, f"cannot use {where[0]}:{where[1]}/udp: {error.strerror}") from error
        self._transport = transport
        self._port = transport.get_extra_info("sockname")[1]
        try:
            await self._control.start()
        except OSError:
            transport.close()
            raise

    async def stop(self) -> None:
        """See host.Service."""
        if self._transport is not None:
            self._transport.close()
            self._transport = None
        await self._control.stop()

    # --- from other threads --------------------------------------------------------------------------------

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        return self.config.host, self._port

    @property
    def control_url(self) -> str:
        """Base URL of the control plane, without /control."""
        return self._control.url

    def point(self, name: str, address: str) -> None:
        """Give a name an address, from the next query on.

        Raises:
            ValueError: It is not an IPv4 address.
        """
        try:
            self._names[name.lower().rstrip(".")] = str(ipaddress.IPv4Address(address))
        except ValueError:
            raise ValueError(f"{name} can point to an IPv4 address, not to {address!r}") from None

    def forget(self, name: str) -> None:
        """Let a name not exist, from the next query on, until `point` gives it an address again."""
        self._names.pop(name.lower().rstrip("."), None)

    # --- in the loop ---------------------------------------------------------------------------------------

    def state(self) -> dict[str, object]:
        """Everything that can be seen, JSON-able."""
        return {"names": dict(self._names)}

    def reset_now(self) -> None:
        """Forget journal and faults, and go back to the configured names. Called in the loop."""
        self.faults.clear()
        self.journal.clear()
        self._names = dict(self.config.names)

    def answer(self, wire: bytes, caller: str) -> bytes | None:
        """The datagram that answers a datagram; None for silence."""
        try:
            query = dns.message.from_wire(wire)
            question = query.question[0]
        except (dns.exception.DNSException, IndexError):
            self.journal.record("unexpected", caller=caller, why="not a DNS query")
            return None
        name = question.name.to_text(omit_final_dot=True).lower()
        fault = self.faults.take(name, name)
        reply: Any = dns.message.make_response(query)
        reply.flags |= dns.flags.RA | dns.flags.AA
        address = self._names.get(name)
        if fault is not None and fault.observed == "error":
            gone = fault.message == "NXDOMAIN"
            reply.set_rcode(dns.rcode.NXDOMAIN if gone else dns.rcode.SERVFAIL)
        elif address is None:
            reply.set_rcode(dns.rcode.NXDOMAIN)
        elif question.rdtype == dns.rdatatype.A:
            reply.answer.append(dns.rrset.from_text(question.name, _LIFETIME_S, "IN", "A", address))
        silent = fault is not None and fault.observed == "timeout"
        self.journal.record(
            "lookup",
            name=name,
            type=dns.rdatatype.to_text(question.rdtype),
            code="" if silent else dns.rcode.to_text(reply.rcode()),
            address=address if reply.answer and not silent else None,
            fault=fault.name if fault is not None else None,
        )
        if silent:
            return None
        if fault is not None and fault.observed == "garbage":
            return _GARBAGE
        return bytes(reply.to_wire())


class _Protocol(asyncio.DatagramProtocol):
    def __init__(self, server: NameServer) -> None:
        self._server = server
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        answer = self._server.answer(data, f"{addr[0]}:{addr[1]}")
        if answer is not None and self._transport is not None:
            with contextlib.suppress(OSError):  # who asked is gone
                self._transport.sendto(answer, addr)


def _check(fault: Fault) -> None:
    if fault.applied != "no" or fault.observed not in {"error", "timeout", "garbage"}:
        raise ValueError("a name server's fault is applied 'no', observed 'error', 'timeout' or 'garbage'")
