"""The first route: create one Cloud Tasks task that will call the worker; one attempt, no retry.

The client never retries CreateTask by itself (its default retry for this method is none), and neither does
this module: what comes after a failure is the assembler's decision.
"""

from __future__ import annotations

import functools
import math
import threading
import time
from concurrent.futures import Future
from typing import TYPE_CHECKING

from reference_impl.routes import Attempt, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable

    import grpc
    from google.cloud import tasks_v2

    from reference_impl.job import Job
    from reference_impl.settings import Settings

# What each gRPC code of CreateTask proves. Source: google.rpc.Code (code.proto), whose descriptions say
# which codes mean that the request was turned down before it had an effect; a code that may also be made up
# on the way back (by a proxy, a broken connection or the client's own deadline) is ambiguous.
_REJECTED = (Verdict.REJECTED, False)
_MISCONFIGURED = (Verdict.REJECTED, True)
_AMBIGUOUS = (Verdict.AMBIGUOUS, False)
CODES: dict[str, tuple[Verdict, bool]] = {
    "ALREADY_EXISTS": (Verdict.DELIVERED, False),  # the task of an earlier attempt, whose reply was lost
    "INVALID_ARGUMENT": _MISCONFIGURED,
    "NOT_FOUND": _MISCONFIGURED,
    "PERMISSION_DENIED": _MISCONFIGURED,
    "UNAUTHENTICATED": _MISCONFIGURED,
    "FAILED_PRECONDITION": _MISCONFIGURED,
    "OUT_OF_RANGE": _MISCONFIGURED,
    "UNIMPLEMENTED": _MISCONFIGURED,
    "RESOURCE_EXHAUSTED": _REJECTED,
    "ABORTED": _REJECTED,
    "CANCELLED": _AMBIGUOUS,
    "UNKNOWN": _AMBIGUOUS,
    "DEADLINE_EXCEEDED": _AMBIGUOUS,
    "INTERNAL": _AMBIGUOUS,
    "UNAVAILABLE": _AMBIGUOUS,
    "DATA_LOSS": _AMBIGUOUS,
}

# UNAVAILABLE is certain only when gRPC says that it never had a connection. Source: the texts of gRPC core
# for a channel in TRANSIENT_FAILURE, for a failed name resolution and for call credentials that could not
# be made.
_NEVER_SENT = (
    ("Getting metadata from plugin failed", "credentials"),
    ("DNS resolution failed", "dns"),
    ("errors resolving ", "dns"),
    ("Connection refused", "connection-refused"),
    ("failed to connect to all addresses", "connect-failed"),
)
_DOUBTFUL_CONNECTION = frozenset({"UNAVAILABLE", "DEADLINE_EXCEEDED"})


def connect() -> tasks_v2.CloudTasksClient:
    """A client with the credentials of the environment. Raises whatever the import and the search for them raise."""
    # Imported on first use: the import takes longer than everything else at start-up, and a library that is
    # missing or broken must cost this route only.
    from google.cloud import tasks_v2

    from reference_impl.routes import credentials

    _keep_grpc_running()
    scopes = tasks_v2.CloudTasksClient.get_transport_class().AUTH_SCOPES
    return tasks_v2.CloudTasksClient(credentials=credentials.default(scopes))


@functools.cache
def _keep_grpc_running() -> grpc.Channel:
    """A channel to nowhere that nobody calls, there until the process ends.

    With the last channel of a process gRPC ends its own threads as well: it waits for them, and holds Python's
    interpreter lock meanwhile. One of them may be waiting for that lock, to let go of the credentials of the client
    that was forgotten; then the whole process stands still.

    Source: grpc/grpc, pull request 42247, open when this was written.
    """
    import grpc  # see connect

    return grpc.insecure_channel("localhost:1")


class CloudTasksRoute:
    """Creates tasks with the official client: built on first use and when its connection is in doubt."""

    def __init__(
        self, settings: Settings, connect: Callable[[], tasks_v2.CloudTasksClient] = connect
    ) -> None:
        self._settings = settings
        self._connect = connect
        self._lock = threading.Lock()
        self._client: Future[tasks_v2.CloudTasksClient] | None = None

    def attempt(self, job: Job, timeout_s: float) -> Attempt:
        """Create the job's task within `timeout_s`; never raises."""
        deadline = time.monotonic() + timeout_s
        try:
            client = self._connected(timeout_s)
            request = self._request(job)
        except Exception as error:  # noqa: BLE001 — whatever it is fails this route only
            detail = f"{type(error).__name__}: {error}"
            permanent = not isinstance(error, TimeoutError)
            return Attempt(Verdict.REJECTED, "client-unavailable", detail, permanent=permanent)
        try:
            client.create_task(request, timeout=max(0.0, deadline - time.monotonic()), retry=None)
        except Exception as error:  # noqa: BLE001 — classified below; what has no code proves nothing
            if _code(error) in _DOUBTFUL_CONNECTION:
                self._forget(client)
            return classify(error)
        return Attempt(Verdict.DELIVERED, "created")

    def task_name(self, job: Job) -> str:
        """The full resource name of the job's task."""
        return f"{self._queue_path}/tasks/{job.task_id}"

    @property
    def _queue_path(self) -> str:
        at = self._settings
        return f"projects/{at.project}/locations/{at.location}/queues/{at.queue}"

    def _connected(self, timeout_s: float) -> tasks_v2.CloudTasksClient:
        """The client, waited for while it is being built. Raises TimeoutError and whatever building raises.

        Building has no deadline of its own: it imports the library, and it may look for credentials on the
        network. So it happens in a thread, which goes on for the next job when this one has no time left.
        """
        with self._lock:
            if self._client is None or (self._client.done() and not _built(self._client)):
                self._client = Future()
                threading.Thread(target=self._build, args=(self._client,), name="client", daemon=True).start()
            client = self._client
        return client.result(timeout_s)

    def _build(self, client: Future[tasks_v2.CloudTasksClient]) -> None:
        try:
            client.set_result(self._connect())
        except BaseException as error:  # noqa: BLE001 — whoever waits for the client gets the error
            client.set_exception(error)

    def _forget(self, client: tasks_v2.CloudTasksClient) -> None:
        """Drop a client whose connection may be gone, so that the next job connects at once.

        A gRPC channel that could not connect answers UNAVAILABLE from memory while it backs off, for up to
        two minutes. The old channel is not closed, because other threads may have calls on it; it ends with
        them.
        """
        with self._lock:
            future = self._client
            if future is not None and _built(future) and future.result() is client:
                self._client = None

    def _request(self, job: Job) -> tasks_v2.CreateTaskRequest:
        from google.cloud import tasks_v2  # see connect
        from google.protobuf.duration_pb2 import Duration

        settings = self._settings
        http_request = tasks_v2.HttpRequest(
            http_method=tasks_v2.HttpMethod.POST,
            url=settings.worker.assemble,
            headers=job.headers(settings.tasks_auth.reveal()),
            body=job.body(),
        )
        if settings.oidc_service_account:
            http_request.oidc_token = tasks_v2.OidcToken(
                service_account_email=settings.oidc_service_account, audience=settings.oidc_audience
            )
        task = tasks_v2.Task(
            name=self.task_name(job),
            http_request=http_request,
            # Source: Task.dispatch_deadline, "must be in the interval [15 seconds, 30 minutes]" for HTTP
            # targets.
            dispatch_deadline=Duration(seconds=max(15, min(1800, math.ceil(settings.assembly_max_s)))),
        )
        return tasks_v2.CreateTaskRequest(parent=self._queue_path, task=task)


def _built(client: Future[tasks_v2.CloudTasksClient]) -> bool:
    return client.done() and client.exception() is None


def _code(error: Exception) -> str:
    """The name of the gRPC code, or empty: not every error of the client comes from gRPC."""
    status = getattr(error, "grpc_status_code", None)
    return "" if status is None else str(status.name)


def classify(error: Exception) -> Attempt:
    """What an error of CreateTask proves, by the table above."""
    code = _code(error)
    detail = str(getattr(error, "message", "") or error)
    if code == "UNAVAILABLE":
        for text, reason in _NEVER_SENT:
            if text in detail:
                return Attempt(Verdict.REJECTED, reason, detail)
    verdict, permanent = CODES.get(code, _AMBIGUOUS)
    reason = code.lower().replace("_", "-") or type(error).__name__.lower()
    return Attempt(verdict, reason, detail, permanent=permanent, costly=code == "DEADLINE_EXCEEDED")
