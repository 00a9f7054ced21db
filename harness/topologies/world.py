"""Everything around a dispatcher's decisions, in memory: Cloud Tasks behind the real client, the worker behind httpx.

The world plays one cell at a time. What reaches it is recorded with the kinds and fields that the fakes use, so that
the same oracles judge. Where a dispatcher would wait for ever, it is not made to wait: it is told at once what it would
have learned in the end, and a call without a time-out is recorded as one that nobody expects.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import grpc
import httpx
import respx
from google.auth.credentials import AnonymousCredentials
from google.cloud import tasks_v2
from google.cloud.tasks_v2.services.cloud_tasks.transports import CloudTasksGrpcTransport
from respx.mocks import HTTPCoreMocker

from harness.journal import Journal
from harness.oracles.cells import CLIENT, CLOUD_TASKS, WORKER, Cell
from harness.topologies import classes
from harness.topologies.classes import WORKER_URL
from harness.topologies.decider import Decider
from harness.topologies.memory_channel import CallFailed, MemoryChannel
from harness.topologies.outages import BELOW_HTTP, GRPC_SAYS, LIBRARY, with_credentials, without_library

AUDIO = "in memory"
"""Stands for the audio of every assembly: there is none."""

_CREATE_TASK = "/google.cloud.tasks.v2.CloudTasks/CreateTask"
_TASK_HEADER = "X-CloudTasks-TaskName"
_FAILS = "dispatchcheck.fails"

_CreateTask = (
    tasks_v2.CreateTaskRequest.pb()
)  # the message itself: proto-plus around it costs more than all the rest
_GARBAGE = frozenset({"garbage", "created-then-garbage"})
_NOT_A_TASK = b"\xff\xff<html>"

_PAGES: Mapping[str, tuple[int, str]] = {
    "foreign-page": (200, "<html>It works!</html>"),
    "empty-200": (200, ""),
    "no-content": (204, ""),
    "done-then-502": (502, "<html>Bad Gateway</html>"),
}


class _Mocker(HTTPCoreMocker):
    """respx below httpx, where a failing network can fail as it does: with httpcore's errors and their causes."""

    name = "dispatchcheck"
    targets = list(HTTPCoreMocker.targets)  # noqa: RUF012 - respx's own interface

    @classmethod
    def from_sync_httpx_response(cls, httpx_response: httpx.Response, target: Any, **kwargs: Any) -> Any:
        fails = httpx_response.extensions.get(_FAILS)
        if fails is not None:
            fails()
        return super().from_sync_httpx_response(httpx_response, target, **kwargs)  # type: ignore[no-untyped-call]  # respx's


class World:
    """What an adapter is given, and what answers it. ``begin`` makes it the world of another cell.

    Attributes:
        http_client: an httpx client; every other one of the process is answered in the same way.
    """

    def __init__(self, decider: Decider) -> None:
        self._decider = decider
        self._router = respx.mock(assert_all_called=False, using="dispatchcheck")
        self._router.route().mock(side_effect=self._http)
        self._router.start()
        self.http_client = httpx.Client(trust_env=False)
        transport = CloudTasksGrpcTransport(
            channel=MemoryChannel(self._grpc),
            credentials=AnonymousCredentials(),  # type: ignore[no-untyped-call]  # google-auth has no types
        )
        self._client = tasks_v2.CloudTasksClient(transport=transport)
        self.begin(Cell(), Journal(), secret="", queue="")

    # -- for the harness ---------------------------------------------------------------------------------------------

    def begin(self, cell: Cell, journal: Journal, *, secret: str, queue: str) -> None:
        """Play a cell from now on.

        Args:
            cell: the cell.
            journal: where everything is recorded.
            secret: what the worker wants to see.
            queue: the name of the one queue there is.
        """
        self._cell = cell
        self._journal = journal
        self._secret = secret
        self._queue = queue
        self._path = classes.path_before(cell) + self._decider.path
        self._done: set[str] = set()
        self._requests = 0
        self._router.calls.clear()
        for route in self._router.routes:
            route.calls.clear()

    @contextmanager
    def around(self) -> Iterator[None]:
        """Take away what the cell's client cannot have: its library, or its credentials."""
        if self._cell.client == "library-missing":
            with without_library():
                yield
        elif CLIENT[self._cell.client].served:
            yield
        else:
            with with_credentials(__file__ if self._cell.client == "unreadable-credentials" else "/missing"):
                yield

    def unexpected(self, source: str, what: str) -> None:
        """Record what no dispatcher may do."""
        self._journal.record(source, "unexpected", what)

    # -- for the adapter ---------------------------------------------------------------------------------------------

    def cloud_tasks_client(self) -> tasks_v2.CloudTasksClient:
        """The real client, over a channel in memory.

        Raises:
            ImportError, google.auth.exceptions.GoogleAuthError: as the cell says.
        """
        if self._cell.client == "library-missing":
            raise ModuleNotFoundError(f"No module named {LIBRARY!r}", name=LIBRARY)
        if CLIENT[self._cell.client].served:
            return self._client
        return tasks_v2.CloudTasksClient()  # there are no credentials to be found: it raises

    def assemble(self, job_id: str, episode_id: str) -> bool:
        """The job is done in the API's process; False when somebody had done it before."""
        return self._assemble(job_id, episode_id, "api")

    def _assemble(self, job_id: str, episode_id: str, role: str) -> bool:
        if job_id in self._done:
            return False
        self._done.add(job_id)
        self._journal.record(
            "storage",
            "effect",
            f"job {job_id} assembled in the {role}",
            job_id=job_id,
            episode_id=episode_id,
            role=role,
            audio=AUDIO,
            checksum=AUDIO,
            claimed_checksum=AUDIO,
        )
        return True

    # -- Cloud Tasks -------------------------------------------------------------------------------------------------

    def _grpc(self, path: str, data: bytes, timeout_s: float | None) -> bytes:
        if path != _CREATE_TASK:
            self.unexpected("cloud_tasks", f"a call of {path}")
            raise CallFailed(grpc.StatusCode.UNIMPLEMENTED, f"{path} is not played here")
        if timeout_s is None or timeout_s >= self._decider.enqueue_bound_s:
            self.unexpected("cloud_tasks", f"CreateTask may take {timeout_s} s: longer than the API's answer")
        request = _CreateTask.FromString(data)
        outcome, task = self._cell.cloud_tasks, request.task
        code, details = GRPC_SAYS.get(outcome, (outcome.upper().replace("-", "_"), f"scripted: {outcome}"))
        if request.parent != self._queue or not task.name.startswith(f"{self._queue}/tasks/"):
            outcome, code, details = "not-found", "NOT_FOUND", f"there is no queue {request.parent!r}"
        created = CLOUD_TASKS[outcome].done
        error = "" if outcome in ("ok", *_GARBAGE) else code
        self._journal.record(
            "cloud_tasks",
            "rpc",
            f"CreateTask → {error or outcome}",
            method="CreateTask",
            code=error or ("OK" if outcome == "ok" else ""),
            observed="reply" if outcome == "ok" else "error",
            applied=created,
            task=task.name,
            request={"parent": request.parent, "task": _as_json(task)},
            fault=None if outcome == "ok" else outcome,
        )
        if created:
            self._deliver(task)
        if error:
            raise CallFailed(grpc.StatusCode[error], details)
        return _NOT_A_TASK if outcome in _GARBAGE else bytes(task.SerializeToString())

    def _deliver(self, task: Any) -> None:
        """Cloud Tasks calls the worker, which is well: what goes wrong with it concerns the direct call."""
        self._journal.record("cloud_tasks", "attempt.sent", "delivers the task", task=task.name, number=1)
        call = task.http_request
        headers = [*call.headers.items(), (_TASK_HEADER, task.name.rpartition("/")[2])]
        url = urlsplit(call.url)
        here = f"{url.scheme}://{url.netloc}" == WORKER_URL
        if here:
            self._worker(_method(call), url.path, headers, call.body, outcome="done")

    # -- the worker --------------------------------------------------------------------------------------------------

    def _http(self, request: httpx.Request) -> httpx.Response:
        limits = request.extensions.get("timeout", {})
        if any(limits.get(name) is None for name in ("connect", "read", "write")):
            self.unexpected("worker_gateway", f"a request without a time-out: {limits}")
        url = request.url
        if f"{url.scheme}://{url.netloc.decode()}" != WORKER_URL:
            self.unexpected("worker_gateway", f"{request.method} {url}, which is not the worker")
            return httpx.Response(502)
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers.raw]
        return self._worker(request.method, url.path, headers, request.content, outcome=self._cell.worker)

    def _worker(
        self, method: str, path: str, headers: list[tuple[str, str]], body: bytes, *, outcome: str
    ) -> httpx.Response:
        self._requests += 1
        number, text = self._requests, body.decode("utf-8", "replace")
        self._journal.record(
            "worker_gateway",
            "request",
            f"{method} {path}",
            id=number,
            method=method,
            path=path,
            headers=headers,
            body_text=text,
        )
        means = WORKER[outcome]
        own = self._own_answer(method, path, headers, text) if means.done else httpx.Response(502)
        answer = own if outcome == "done" else self._scripted(outcome, text)
        fails = _FAILS in answer.extensions
        self._journal.record(
            "worker_gateway",
            "reply",
            f"answers {outcome}",
            id=number,
            status=None if fails else answer.status_code,
            observed="reply" if not fails and outcome != "done-then-502" else "error",
            forwarded=means.done,
            upstream_status=own.status_code if means.done else None,
            upstream_error=None,
            reply_body_text="",
            fault=None if outcome == "done" else outcome,
        )
        return answer

    def _own_answer(
        self, method: str, path: str, headers: list[tuple[str, str]], text: str
    ) -> httpx.Response:
        """What the worker itself answers: it does the job if it is asked as it should be."""
        given = {name.lower(): value for name, value in headers}
        if (method, path) != ("POST", self._path):
            return httpx.Response(404)
        if given.get(self._decider.secret_header.lower()) != self._secret:
            return httpx.Response(401)
        try:
            job = json.loads(text)
            job_id, episode_id = job[self._decider.job_id], job[self._decider.episode_id]
        except (ValueError, KeyError, TypeError):
            return httpx.Response(400)
        self._assemble(job_id, episode_id, "worker")
        return httpx.Response(200, json=self._confirmation(job_id, episode_id))

    def _scripted(self, outcome: str, text: str) -> httpx.Response:
        if outcome in BELOW_HTTP:
            return httpx.Response(502, extensions={_FAILS: BELOW_HTTP[outcome]})
        if outcome == "another-job":
            return httpx.Response(200, json=self._confirmation("another-job", "another-episode"))
        if outcome in _PAGES:
            status, page = _PAGES[outcome]
            return httpx.Response(status, text=page)
        status = int(outcome)
        moved = {"location": f"{WORKER_URL}/elsewhere"} if 300 <= status < 400 else {}
        return httpx.Response(
            status, json={"error": {"message": f"scripted: {text[:0]}{status}"}}, headers=moved
        )

    def _confirmation(self, job_id: str, episode_id: str) -> dict[str, str]:
        values = {"job_id": job_id, "episode_id": episode_id}
        return {key: text.format_map(values) for key, text in self._decider.confirmation.items()}


def _as_json(task: Any) -> dict[str, Any]:
    """A task as the journal of the fake shows it, as far as a judge looks at it."""
    call = task.http_request
    document: dict[str, Any] = {
        "name": task.name,
        "httpRequest": {
            "url": call.url,
            "httpMethod": _method(call),
            "headers": dict(call.headers),
            "body_text": call.body.decode("utf-8", "replace"),
        },
    }
    if task.HasField("schedule_time"):
        document["scheduleTime"] = task.schedule_time.ToJsonString()
    if task.HasField("dispatch_deadline"):
        document["dispatchDeadline"] = task.dispatch_deadline.ToJsonString()
    return document


def _method(call: Any) -> str:
    """Source: HttpRequest.http_method, "The default is POST"."""
    return tasks_v2.HttpMethod(call.http_method).name if call.http_method else "POST"
