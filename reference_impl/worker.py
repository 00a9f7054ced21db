"""The worker: assembles within the request that asks for it, once per job however often it is asked.

What its answers mean: 200 `done` or `failed`, the job has ended (so Cloud Tasks must not ask again); 4xx,
the request was not accepted; 429 or 5xx with `not_done`, nothing was done and somebody may ask again; 503
`busy`, somebody else is at it.
"""

from __future__ import annotations

import threading
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from anyio import CapacityLimiter, to_thread
from sqlalchemy.exc import SQLAlchemyError
from starlette import routing
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from reference_impl import events, server_log, tasks_client
from reference_impl.assembly import Media
from reference_impl.auth import Authenticator, CertificatesUnavailable, Unauthorised
from reference_impl.effect import Effects, End
from reference_impl.http_input import (
    BadRequest,
    healthz,
    optional_title,
    parse_object,
    read_body,
    refuse_http,
    text_field,
    trace_id,
)
from reference_impl.job import CORRELATION_ID, EPISODE_ID, JOB_ID, TITLE_MAX_CHARS, Job, Route
from reference_impl.settings import Settings, settings_at_start_up
from reference_impl.shutdown import Shutdown
from reference_impl.store import Store
from reference_impl.values import WORKER_TASK_PATH

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request

_RETRY_AFTER = {"Retry-After": "1"}
_WAIT_LEASES = 4  # how long a second request waits for the first: long enough to take over from a dead one


def create_app(settings: Settings) -> Starlette:
    """The worker for given settings. The store is opened when the server starts."""
    server_log.configure(settings)
    media = Media(settings.media_root, bytes_per_s=settings.assembly_bytes_per_s)
    authenticator = Authenticator(settings)
    places = threading.BoundedSemaphore(settings.worker_threads)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        shutdown = Shutdown(settings.shutdown_grace_s)
        shutdown.listen()
        store = Store(settings.database_url, lease_s=settings.job_lease_s)
        app.state.store = store
        # Threads of their own: with those that Starlette lends, many assemblies would leave none to turn others away.
        app.state.threads = CapacityLimiter(settings.worker_threads)
        app.state.effects = Effects(
            store, media, role="worker", assembly_max_s=settings.assembly_max_s, shutdown=shutdown
        )
        try:
            yield
        finally:
            shutdown.begin()
            store.close()

    async def refuse(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, BadRequest)
        events.emit(events.WORKER_REQUEST_REJECTED, reason=error.field, detail=error.message)
        return error.response()

    async def deny(_: Request, error: Exception) -> JSONResponse:
        events.emit(events.WORKER_AUTH_REJECTED, reason=str(error))
        return JSONResponse(
            {"error": {"message": "not authorised"}}, 401, {"WWW-Authenticate": "X-Tasks-Auth"}
        )

    async def cannot_judge(_: Request, error: Exception) -> JSONResponse:
        events.emit(events.WORKER_AUTH_REJECTED, reason="certificates-unavailable", detail=str(error))
        return JSONResponse({"error": {"message": "tokens cannot be verified now"}}, 503, _RETRY_AFTER)

    async def assemble(request: Request) -> JSONResponse:
        await run_in_threadpool(authenticator.check, request.headers)
        job = parse_job(await read_body(request), trace_id(request))
        route = Route.CLOUD_TASKS if "x-cloudtasks-taskname" in request.headers else Route.WORKER_DIRECT
        if not places.acquire(blocking=False):
            events.emit(events.WORKER_REQUEST_REJECTED, job, reason="no-free-place")
            return _answer(429, job, "not_done", reason="no-free-place")
        try:
            return await to_thread.run_sync(_assemble, app, job, route, settings, limiter=app.state.threads)
        finally:
            places.release()

    app = Starlette(
        routes=[
            routing.Route(WORKER_TASK_PATH, assemble, methods=["POST"]),
            routing.Route("/healthz", healthz),
        ],
        exception_handlers={
            BadRequest: refuse,
            HTTPException: refuse_http,
            Unauthorised: deny,
            CertificatesUnavailable: cannot_judge,
        },
        lifespan=lifespan,
    )
    return app


def _assemble(app: Starlette, job: Job, route: Route, settings: Settings) -> JSONResponse:
    """Do an accepted request; logs its start, then exactly one of done and failed."""
    events.emit(events.WORKER_START, job, route=route)
    try:
        if app.state.store.add(job, external=True).job.episode_id != job.episode_id:
            events.emit(events.WORKER_ASSEMBLE_FAILED, job, reason="job-of-another-episode")
            return BadRequest(409, "job_id", "job_id belongs to another episode").response()
        outcome = app.state.effects.perform(job, route, wait_s=settings.job_lease_s * _WAIT_LEASES)
    except SQLAlchemyError as error:
        events.emit(events.WORKER_ASSEMBLE_FAILED, job, reason=type(error).__name__, detail=str(error))
        return _answer(500, job, "unknown", reason="store-failed")
    if outcome.end is End.DONE:
        events.emit(events.WORKER_DONE, job, checksum=outcome.checksum, repeated=outcome.repeated)
        return _answer(200, job, "done", checksum=outcome.checksum)
    events.emit(events.WORKER_ASSEMBLE_FAILED, job, reason=outcome.reason, detail=outcome.detail)
    if outcome.end is End.FAILED:
        return _answer(200, job, "failed", reason=outcome.reason)
    return _answer(503, job, outcome.end, reason=outcome.reason)


def _answer(status: int, job: Job, said: str, **more: str) -> JSONResponse:
    headers = _RETRY_AFTER if status in (429, 503) else None
    return JSONResponse({"job_id": job.job_id, "status": said, **more}, status, headers)


def parse_job(body: bytes, trace: str) -> Job:
    """The job in a request's body. Raises BadRequest."""
    fields = parse_object(body)
    return Job(
        job_id=text_field(fields, "job_id", JOB_ID),
        episode_id=text_field(fields, "episode_id", EPISODE_ID),
        correlation_id=text_field(fields, "correlation_id", CORRELATION_ID),
        title=optional_title(fields, TITLE_MAX_CHARS),
        trace=trace,
    )


app = create_app(settings_at_start_up(tasks_client.ENV_FILE))
