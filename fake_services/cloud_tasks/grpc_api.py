"""The API over gRPC, for the official client: plain text or TLS."""

from __future__ import annotations

import asyncio
import datetime as dt
import threading
from concurrent.futures import CancelledError
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import grpc
from google.protobuf import any_pb2, json_format

from fake_services.cloud_tasks import protos
from fake_services.cloud_tasks.call_threads import CallThreads
from fake_services.cloud_tasks.errors import ApiError, invalid
from fake_services.cloud_tasks.rpc import Caller, GarbageReply, HangUp, NeverAnswer
from fake_services.sockets import hold_port, host_port, reset_connection

if TYPE_CHECKING:
    import socket
    from collections.abc import Mapping

    from fake_services.cloud_tasks.config import TlsIdentity
    from fake_services.cloud_tasks.rpc import Method, Rpcs

__all__ = ["GrpcApi"]

_CODES = {code.name: code for code in grpc.StatusCode}
_OPTIONS = [
    # Two servers on one port would share its calls: an address in use must be an error.
    ("grpc.so_reuseport", 0),
    # The service's own limit is on the task; this one only has to be larger.
    ("grpc.max_receive_message_length", 64 * 1024 * 1024),
    ("grpc.max_send_message_length", -1),
]
_THREADS_MAX = 1000  # made when needed; a call that hangs keeps its thread
_STOP_LIMIT_S = 5.0
_NO_DEADLINE_S = 1e8  # gRPC shows a call without a deadline as one that ends in centuries
# Ends with a field that claims to be longer than what follows: no protobuf message can be read from it.
_GARBAGE = b"\x0a\xff\xff\xff\x7fgarbage"


class GrpcApi(grpc.GenericRpcHandler):
    """Serves `Rpcs` over gRPC: a thread for each call, which answers sooner than gRPC's asyncio server.

    CreateTask, the call that has to be fast, runs in its own thread under the fake's lock; everything else,
    and every call while a fault is scripted, runs in the event loop.

    Args:
        rpcs: Runs calls.
        methods: The calls by path.
        host: Address to listen on.
        port: 0 lets the system choose; afterwards `port` is what it chose.
        tls: None for plain text.
        deadline_limit_s: Calls with a longer deadline are refused, as the service does; 0 accepts all.
    """

    def __init__(
        self,
        rpcs: Rpcs,
        methods: Mapping[str, Method],
        *,
        host: str,
        port: int,
        tls: TlsIdentity | None,
        deadline_limit_s: float,
    ) -> None:
        self._rpcs = rpcs
        self._methods = dict(methods)
        self._tls = tls
        self._deadline_limit_s = deadline_limit_s
        self.host = host
        self.port = port
        self._server: grpc.Server | None = None
        self._threads: CallThreads | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._held: socket.socket | None = None
        self._last_caller = Caller("grpc", ())
        self._handlers = {path: self._handler(method) for path, method in methods.items()}

    # --- listening -----------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Listen.

        Raises:
            OSError: The port is in use.
        """
        self._loop = asyncio.get_running_loop()
        threads = CallThreads(_THREADS_MAX)
        pool: Any = threads  # gRPC's types ask for a ThreadPoolExecutor; its code for `submit` only
        server = grpc.server(pool, handlers=[self], options=_OPTIONS)
        address = host_port(self.host, self.port)
        try:
            if self._tls is None:
                self.port = server.add_insecure_port(address)
            else:
                credentials = grpc.ssl_server_credentials([(self._tls.key_pem, self._tls.cert_pem)])
                self.port = server.add_secure_port(address, credentials)
        except RuntimeError as error:
            raise OSError(f"cannot serve gRPC on {address}: {error}") from error
        server.start()
        self._server, self._threads = server, threads
        if self._held is not None:
            self._held.close()
            self._held = None

    async def stop(self) -> None:
        """Stop listening, cancel every call and drop every connection."""
        if self._held is not None:
            self._held.close()
            self._held = None
        await self._close()

    async def _close(self) -> None:
        server, self._server = self._server, None
        threads, self._threads = self._threads, None
        if server is None or threads is None:
            return
        stopped = server.stop(None)
        # Calls that are being cancelled may still need the loop, so it must not be blocked while they end.
        await asyncio.get_running_loop().run_in_executor(None, stopped.wait, _STOP_LIMIT_S)
        await asyncio.get_running_loop().run_in_executor(None, threads.close, _STOP_LIMIT_S)

    async def refuse(self, refuse: bool) -> None:  # noqa: FBT001  # refuse(True), refuse(False)
        """Refuse connections (and drop those that exist), or serve again on the same port."""
        if refuse and self._server is not None:
            await self._close()
            self._held = hold_port(self.host, self.port)
        elif not refuse and self._server is None:
            await self.start()

    # --- serving, in gRPC's threads ------------------------------------------------------------------------

    def service(self, handler_call_details: Any) -> Any:  # grpc's own types are Any
        """The handler for a path; None (UNIMPLEMENTED) for one that the API does not have."""
        return self._handlers.get(handler_call_details.method)

    def _handler(self, method: Method) -> Any:  # grpc's own types are Any
        here = method.name == "CreateTask"

        def handle(raw: bytes, context: Any) -> bytes:  # grpc's own types are Any
            caller = self._caller(context.invocation_metadata() or ())
            try:
                self._check_deadline(context)
                if here and not self._rpcs.faulty:
                    return bytes(self._rpcs.execute(method, raw, caller).SerializeToString())
                return self._in_the_loop(method, raw, caller, context)
            except ApiError as error:
                if error.details:
                    details = status_of(error).SerializeToString()
                    context.set_trailing_metadata((("grpc-status-details-bin", details),))
                context.abort(_CODES[error.code], error.message)
            except GarbageReply:
                return _GARBAGE
            except HangUp:
                reset_connection(unquote(context.peer().partition(":")[2]))  # IPv6 comes as %5B::1%5D
                _wait_until_over(context)
            except NeverAnswer:
                with self._rpcs.hanging:
                    _wait_until_over(context)
            return b""

        return grpc.unary_unary_rpc_method_handler(handle)

    def _caller(self, metadata: Any) -> Caller:  # grpc's own types are Any
        # A program's calls mostly bring the same metadata: journal entries then share one copy.
        last = self._last_caller
        if last.metadata == metadata:
            return last
        self._last_caller = caller = Caller("grpc", metadata)
        return caller

    def _in_the_loop(self, method: Method, raw: bytes, caller: Caller, context: Any) -> bytes:
        async def call() -> bytes:
            return bytes((await self._rpcs.call(method, raw, caller)).SerializeToString())

        assert self._loop is not None
        future = asyncio.run_coroutine_threadsafe(call(), self._loop)
        # A caller that gives up ends its call: one that a fault holds back then has no effect any more.
        context.add_callback(future.cancel)
        try:
            return future.result()
        except CancelledError:
            return b""

    def _check_deadline(self, context: Any) -> None:  # grpc's own types are Any
        left_s = context.time_remaining()
        if not self._deadline_limit_s or not self._deadline_limit_s < left_s < _NO_DEADLINE_S:
            return
        when = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=left_s)
        raise invalid(
            f"The request deadline is {when.isoformat()}. "
            f"The deadline cannot be more than {self._deadline_limit_s:g}s in the future."
        )


def _wait_until_over(context: Any) -> None:  # grpc's own types are Any
    """Wait until the caller's deadline, its cancellation, or the server's stop ends the call."""
    over = threading.Event()
    if context.add_callback(over.set):
        over.wait()


def status_of(error: ApiError) -> Any:  # a google.rpc.Status
    """The error as a google.rpc.Status with its details."""
    status = protos.Status(code=error.number, message=error.message)
    for full_name, content in error.details:
        detail = json_format.ParseDict(content, protos.message_class(full_name)())
        packed = any_pb2.Any(type_url=f"type.googleapis.com/{full_name}", value=detail.SerializeToString())
        status.details.add(type_url=packed.type_url, value=packed.value)
    return status
