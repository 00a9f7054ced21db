"""What the fakes that serve plain HTTP have in common: a listener, a control plane, and how a host runs both."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from fake_services.control import ControlPlane
from fake_services.hanging import Hanging
from fake_services.http_server import HttpServer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiohttp import web

    from fake_services.control import Route
    from fake_services.exchange import Journal
    from fake_services.faults import FaultBook
    from fake_services.host import Host

__all__ = ["HttpFake"]


class HttpFake(ABC):
    """One such fake, to be derived from; started by a `Host`. Call its public names from any thread.

    Args:
        journal: Every exchange, in order.
        faults: Scripted misbehaviour.
        host: Address on which it listens.
        port: 0 lets the system choose.
        control_port: Port of the control plane; 0 lets the system choose.
        routes: What its control plane can do beside what every control plane can.
    """

    def __init__(
        self,
        *,
        journal: Journal,
        faults: FaultBook,
        host: str,
        port: int,
        control_port: int,
        routes: Mapping[str, Route] | None = None,
    ) -> None:
        self.journal = journal
        self.faults = faults
        self._hanging = Hanging()
        self._host: Host | None = None
        self._server = HttpServer(self._answer, host=host, port=port)
        self._control = ControlPlane(self, host=host, port=control_port, routes=routes)

    # --- for the host --------------------------------------------------------------------------------------

    def attach(self, host: Host) -> None:
        """See host.Service."""
        self._host = host

    async def start(self) -> None:
        """See host.Service."""
        try:
            await self._server.start()
            await self._control.start()
        except BaseException:  # also when the host has waited long enough, and cancels it
            await self.stop()
            raise

    async def stop(self) -> None:
        """See host.Service."""
        await self._server.stop()
        await self._control.stop()

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

    @property
    def hanging(self) -> int:
        """How many callers wait for an answer that a fault withholds."""
        return self._hanging.count

    def refuse_connections(self, refuse: bool) -> None:  # noqa: FBT001  # refuse_connections(True)
        """Refuse connections and drop those that exist, or serve again on the same port."""
        self._running_on().run(self._server.refuse(refuse))

    def reset(self) -> None:
        """Forget the journal, the faults and what came of requests, as `reset_now`."""
        self._running_on().call(self.reset_now)

    def _running_on(self) -> Host:
        assert self._host is not None, "start the fake first"
        return self._host

    # --- in the loop ---------------------------------------------------------------------------------------

    @abstractmethod
    def state(self) -> dict[str, object]:
        """Everything that can be seen, JSON-able."""

    def reset_now(self) -> None:
        """As `reset`, called in the loop."""
        self.faults.clear()
        self.journal.clear()

    @abstractmethod
    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request."""
