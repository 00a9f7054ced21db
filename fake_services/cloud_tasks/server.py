"""The Cloud Tasks fake as one thing to start: state, dispatcher, gRPC, REST and the control plane."""

from __future__ import annotations

import asyncio
import functools
import ssl
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from fake_services.cloud_tasks import protos
from fake_services.cloud_tasks.admin import Admin
from fake_services.cloud_tasks.admission import Admission
from fake_services.cloud_tasks.batch import Batches
from fake_services.cloud_tasks.beta import BETA, beta_methods
from fake_services.cloud_tasks.buffer import Buffer
from fake_services.cloud_tasks.config import NOT_IN_V2, CloudTasksConfig, queue_from
from fake_services.cloud_tasks.dispatcher import Dispatcher
from fake_services.cloud_tasks.fault_rules import check_fault
from fake_services.cloud_tasks.grpc_api import GrpcApi
from fake_services.cloud_tasks.inspection import Inspection
from fake_services.cloud_tasks.methods import V2, grpc_paths, methods_of
from fake_services.cloud_tasks.oidc import TokenMaker
from fake_services.cloud_tasks.rest_api import RestApi
from fake_services.cloud_tasks.rpc import Rpcs
from fake_services.cloud_tasks.state import State
from fake_services.cloud_tasks.timekeeper import TimeKeeper, clock_for
from fake_services.control import ControlPlane
from fake_services.exchange import Journal
from fake_services.faults import FaultBook
from fake_services.http_client import HttpClient
from fake_services.http_server import HttpServer
from fake_services.sockets import host_port

if TYPE_CHECKING:
    from collections.abc import Callable

    from fake_services.cloud_tasks.config import TlsIdentity
    from fake_services.host import Host

__all__ = ["CloudTasks"]

T = TypeVar("T")

# What is due on the way is really delivered, which can take long for many tasks.
_TIME_TRAVEL_LIMIT_S = 600.0


class CloudTasks:
    """A Cloud Tasks on the wire, started by a `Host`. Call its public names from any thread.

    Attributes:
        config: How it was started.
        journal: Every call and attempt, in order.
        faults: Scripted misbehaviour.
    """

    def __init__(self, config: CloudTasksConfig | None = None) -> None:
        self.config = config = config or CloudTasksConfig()
        self.journal = journal = Journal(
            "cloud_tasks", config.journal_capacity, config.journal_capacity_bytes
        )
        self.faults = FaultBook(check_fault)
        self._host: Host | None = None
        self._started = False
        self._changing_listeners = asyncio.Lock()
        self._clock = clock = clock_for(config.clock, config.clock_start_us)
        self._tokens = TokenMaker(config.token_issuer, clock.now_us)
        self._client = HttpClient(tls=_client_context(config), resolve=config.hosts.get)
        self._dispatcher = Dispatcher(
            clock=clock,
            journal=journal,
            faults=self.faults,
            client=self._client,
            semantics=config.semantics,
            authorize=self._tokens.authorization,
            app_engine_base=lambda service: config.app_engine_services.get(service, config.app_engine_url),
        )
        self._state = State(config, clock, journal, self._dispatcher)
        self._admin = Admin(self._state, clock, config.locations)
        self._batches = Batches(self._state, clock)
        self._admission = Admission(config, clock)
        if self._admission.accounts_matter:
            self._state.check_account = self._admission.check_account
        self._rpcs = Rpcs(
            state=self._state,
            dispatcher=self._dispatcher,
            admission=self._admission,
            journal=journal,
            faults=self.faults,
        )
        v2 = methods_of(self._state, self._admin, self._batches, Buffer(self._state, config.semantics))
        beta = beta_methods(v2, self._state)
        self._grpc = GrpcApi(
            self._rpcs,
            {**grpc_paths(v2, V2), **grpc_paths(beta, BETA)},
            host=config.host,
            port=config.grpc_port,
            tls=config.tls,
            deadline_limit_s=config.semantics.deadline_limit_s,
        )
        self._rest_api = RestApi(self._rpcs, {"v2": v2, "v2beta3": beta}, config.firebase_functions_url)
        self._rest = HttpServer(
            self._rest_api.answer,
            host=config.host,
            port=config.rest_port,
            tls=_server_context(config.tls),
            lazy=True,
        )
        self._keeper = TimeKeeper(
            clock, config.clock, self._dispatcher, lambda: self._rpcs.last_call_s, config.patience_s
        )
        self._inspection = Inspection(
            self,
            state=self._state,
            dispatcher=self._dispatcher,
            rpcs=self._rpcs,
            clock=clock,
            keeper=self._keeper,
            tokens=self._tokens,
        )
        self._control = ControlPlane(
            self, host=config.host, port=config.control_port, routes=self._inspection.routes()
        )

    # --- for the host --------------------------------------------------------------------------------------

    def attach(self, host: Host) -> None:
        """See host.Service."""
        self._host = host

    async def start(self) -> None:
        """See host.Service."""
        self._dispatcher.start()
        started: list[GrpcApi | HttpServer | ControlPlane] = []
        try:
            for server in (self._grpc, self._rest, self._control):
                await server.start()
                started.append(server)
            self._make_configured_queues()
        except BaseException:
            for server in started:
                await server.stop()
            raise
        self._keeper.start()
        self._started = True

    def _make_configured_queues(self) -> None:
        for name, settings in self.config.queues.items():
            extra = {key: value for key, value in settings.items() if key in NOT_IN_V2}
            self._state.configured_queue(_create_request(name, settings), extra)

    async def stop(self) -> None:
        """See host.Service."""
        self._started = False
        await self._keeper.stop()
        self._inspection.stop()
        self._rpcs.stop()
        self._dispatcher.stop()
        await self._grpc.stop()
        await self._rest.stop()
        await self._control.stop()
        await self._client.close()

    # --- addresses -----------------------------------------------------------------------------------------

    @property
    def grpc_port(self) -> int:
        """Port of the gRPC API."""
        return self._grpc.port

    @property
    def grpc_address(self) -> str:
        """host:port of the gRPC API."""
        return host_port(self.config.host, self._grpc.port)

    @property
    def rest_url(self) -> str:
        """Base URL of the REST API, without a trailing slash."""
        return self._rest.url

    @property
    def control_url(self) -> str:
        """Base URL of the control plane, without /control."""
        return self._control.url

    # --- from other threads --------------------------------------------------------------------------------

    def create_queue(self, name: str, **settings: object) -> None:
        """Make a queue.

        Args:
            name: Full name, projects/P/locations/L/queues/Q.
            settings: Fields of a v2 Queue, such as retry_config={"max_attempts": 3}; durations in seconds.

        Raises:
            ApiError: The service would refuse it.
            ValueError: There is no such field.
        """
        request = _create_request(name, settings)
        extra = {key: value for key, value in settings.items() if key in NOT_IN_V2}
        self._call(lambda: self._state.configured_queue(request, extra))

    def update_queue(self, name: str, **settings: object) -> None:
        """Change these settings of a queue, as UpdateQueue does.

        Args:
            name: Full name of the queue.
            settings: Fields of a v2 Queue, each of which is replaced as a whole.

        Raises:
            ApiError: The service would refuse it.
            ValueError: There is no such field.
        """
        request_class = protos.message_class("google.cloud.tasks.v2.UpdateQueueRequest")
        request = request_class(queue=queue_from(name, settings), update_mask={"paths": list(settings)})
        self._call(lambda: self._state.update_queue(request))

    @property
    def idle(self) -> bool:
        """Whether nothing moves: no attempt in flight, no task due now or waiting for a retry.

        Tasks that wait for a later first attempt, or in a paused queue, do not move.
        """
        return not self._started or not self._inspection.moving()

    def pending_summary(self) -> str:
        """What still moves, for people; "nothing" when idle."""
        return self._inspection.moving() or "nothing"

    @property
    def hanging(self) -> int:
        """How many callers wait for an answer that a fault withholds."""
        return self._rpcs.hanging.count

    def refuse_connections(self, refuse: bool) -> None:  # noqa: FBT001  # refuse_connections(True)
        """Refuse connections to the API and drop those that exist, or serve again on the same ports."""
        assert self._host is not None, "start the fake first"
        self._host.run(self.refuse_now(refuse))

    def advance(self, seconds: float) -> int:
        """Move a virtual clock forward, making what is due on the way happen in order.

        Returns:
            How many events there were.

        Raises:
            ValueError: The clock is the system's, or `seconds` is negative.
        """
        assert self._host is not None, "start the fake first"
        return self._host.run(self._keeper.advance(seconds), limit_s=_TIME_TRAVEL_LIMIT_S)

    def run_until_idle(self) -> int:
        """Jump a virtual clock from event to event until nothing is scheduled any more.

        Returns:
            How many events there were.

        Raises:
            ValueError: The clock is the system's.
        """
        assert self._host is not None, "start the fake first"
        return self._host.run(self._keeper.run_until_idle(), limit_s=_TIME_TRAVEL_LIMIT_S)

    @property
    def now_us(self) -> int:
        """The fake's time, in microseconds since the epoch."""
        return self._clock.now_us()

    @property
    def token_keys(self) -> dict[str, str]:
        """Public keys of the tokens that targets get, as {key id: PEM}."""
        return self._call(self._tokens.pem_keys)

    def reset(self) -> None:
        """Forget queues, tasks, policies, journal and faults; configured queues are made, connections taken again.

        A virtual clock keeps its time.
        """
        assert self._host is not None, "start the fake first"
        self._call(self.reset_now)
        self._host.run(self.refuse_now(False))

    def _call(self, function: Callable[[], T]) -> T:
        assert self._host is not None, "start the fake first"

        def locked() -> T:
            with self._dispatcher.lock:
                return function()

        return self._host.call(locked)

    # --- in the loop ---------------------------------------------------------------------------------------

    async def refuse_now(self, refuse: bool) -> None:  # noqa: FBT001  # as refuse_connections
        """As `refuse_connections`, called in the loop."""
        async with self._changing_listeners:  # a port that is being closed cannot be opened meanwhile
            await asyncio.gather(self._grpc.refuse(refuse), self._rest.refuse(refuse))

    def state(self) -> dict[str, object]:
        """Everything that can be seen, JSON-able. Called in the loop."""
        return self._inspection.state()

    def reset_now(self) -> None:
        """As `reset`, but for connections; called in the loop."""
        with self._dispatcher.lock:
            self.faults.clear()
            self._rpcs.stop()
            self._dispatcher.stop()
            self._state.reset()
            self._admin.reset()
            self._batches.reset()
            self._admission.reset()
            self._make_configured_queues()
            self.journal.clear()


def _create_request(name: str, settings: dict[str, object]) -> protos.Message:
    request_class = protos.message_class("google.cloud.tasks.v2.CreateQueueRequest")
    return request_class(parent=name.partition("/queues/")[0], queue=queue_from(name, settings))


@functools.lru_cache(maxsize=8)  # a suite starts hundreds of fakes with one identity
def _server_context(identity: TlsIdentity | None) -> ssl.SSLContext | None:
    if identity is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory() as folder:  # the ssl module reads keys from files only
        chain = Path(folder, "identity.pem")
        chain.touch(mode=0o600)
        chain.write_bytes(identity.key_pem + b"\n" + identity.cert_pem)
        context.load_cert_chain(chain)
    return context


def _client_context(config: CloudTasksConfig) -> ssl.SSLContext | None:
    if config.verify_targets and config.target_ca_pem is None:
        return None  # the client makes the system's when it first needs it
    context = ssl.create_default_context()
    if config.target_ca_pem is not None:
        context.load_verify_locations(cadata=config.target_ca_pem.decode())
    if not config.verify_targets:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
