"""The API: accepts assembly requests, stores them, answers at once, and says what became of them."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import anyio
from anyio import to_thread
from sqlalchemy.exc import SQLAlchemyError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.routing import Route

from reference_impl import events, server_log, tasks_client
from reference_impl.assembler import Assembler
from reference_impl.assembly import Media
from reference_impl.breaker import Breaker
from reference_impl.dispatcher import Dispatcher
from reference_impl.effect import Effects
from reference_impl.http_input import (
    BadRequest,
    healthz,
    optional_title,
    parse_object,
    read_body,
    refuse_http,
    trace_id,
)
from reference_impl.job import EPISODE_ID, TITLE_MAX_CHARS, Job
from reference_impl.lanes import Lane
from reference_impl.measurement import measurement_route
from reference_impl.routes.cloud_tasks import CloudTasksRoute
from reference_impl.routes.direct_worker import WorkerRoute
from reference_impl.routes.inline import InlineRoute
from reference_impl.settings import API_BOUND_S, Settings, settings_at_start_up
from reference_impl.shutdown import Shutdown
from reference_impl.store import Record, Store

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from starlette.requests import Request

_T = TypeVar("_T")
_ANSWER_WITHIN_S = API_BOUND_S - 2  # the rest is for what is not waited for
_STOP_WITHIN_S = 4.0  # beyond the grace period: to give back what was interrupted


def create_app(settings: Settings) -> Starlette:
    """The API for given settings. The store is opened when the server starts."""
    server_log.configure(settings)
    media = Media(settings.media_root, bytes_per_s=settings.assembly_bytes_per_s)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        shutdown = Shutdown(settings.shutdown_grace_s)
        shutdown.listen()
        store = Store(settings.database_url, lease_s=settings.job_lease_s)
        dispatcher = build_dispatcher(settings, store, media, shutdown)
        app.state.store, app.state.dispatcher = store, dispatcher
        dispatcher.start()
        try:
            yield
        finally:
            # A database that no longer answers must not keep this process alive: then its claims run out.
            with anyio.move_on_after(settings.shutdown_grace_s + _STOP_WITHIN_S):
                await to_thread.run_sync(dispatcher.stop, abandon_on_cancel=True)
                store.close()

    async def refuse(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, BadRequest)
        events.emit(events.REFUSED, reason=error.field, detail=error.message)
        return error.response()

    async def store_failed(_: Request, error: Exception) -> JSONResponse:
        events.emit(events.STORE_FAILED, reason=type(error).__name__, detail=str(error))
        return JSONResponse({"error": {"message": "the store cannot be reached; try again"}}, 503)

    async def assemble(request: Request) -> JSONResponse:
        deadline = anyio.current_time() + _ANSWER_WITHIN_S
        episode_id = request.path_params["episode_id"]
        body = await read_body(request)
        fields = parse_object(body) if body.strip() else {}
        _check_episode_id(episode_id)
        title = optional_title(fields, TITLE_MAX_CHARS)
        if not await _until(deadline, media.has_episode, episode_id):
            raise BadRequest(404, "episode_id", f"episode {episode_id} is unknown: it has no segments")
        job = Job.new(
            episode_id,
            correlation_id=request.headers.get("x-correlation-id"),
            title=title,
            trace=trace_id(request),
        )
        events.emit(events.ENTRY, job, title_chars=len(title or ""))
        try:
            await _until(deadline, app.state.store.add, job)
        except (SQLAlchemyError, TimeoutError) as error:
            events.emit(events.NOT_STORED, job, reason=type(error).__name__, detail=str(error))
            raise
        app.state.dispatcher.nudge()
        return JSONResponse(
            {
                "job_id": job.job_id,
                "episode_id": job.episode_id,
                "correlation_id": job.correlation_id,
                "status_url": f"/api/episodes/{episode_id}",
            },
            202,
        )

    async def episode(request: Request) -> JSONResponse:
        deadline = anyio.current_time() + _ANSWER_WITHIN_S
        episode_id = request.path_params["episode_id"]
        _check_episode_id(episode_id)
        records = await _until(deadline, app.state.store.of_episode, episode_id)
        if not records and not await _until(deadline, media.has_episode, episode_id):
            raise BadRequest(404, "episode_id", f"episode {episode_id} is unknown: it has no segments")
        return JSONResponse({"episode_id": episode_id, "jobs": [_shown(record) for record in records]})

    app = Starlette(
        routes=[
            measurement_route(settings, media),
            Route("/api/episodes/{episode_id}/assemble", assemble, methods=["POST"]),
            Route("/api/episodes/{episode_id}", episode),
            Route("/healthz", healthz),
        ],
        exception_handlers={
            BadRequest: refuse,
            HTTPException: refuse_http,
            TimeoutError: store_failed,
            SQLAlchemyError: store_failed,
        },
        lifespan=lifespan,
    )
    return app


def build_dispatcher(settings: Settings, store: Store, media: Media, shutdown: Shutdown) -> Dispatcher:
    """Wire the dispatcher; everything it uses is built here and nowhere else."""
    background = Lane("background", settings.background_threads)
    effects = Effects(store, media, role="api", assembly_max_s=settings.assembly_max_s, shutdown=shutdown)
    assembler = Assembler(
        settings=settings,
        store=store,
        cloud_tasks=CloudTasksRoute(settings),
        worker=WorkerRoute(settings),
        inline=InlineRoute(effects, wait_s=settings.assembly_max_s),
        breaker=Breaker(settings.breaker_window_s),
        background=background,
    )
    return Dispatcher(
        store=store,
        assembler=assembler,
        first_step=Lane("first-step", settings.dispatch_threads),
        background=background,
        shutdown=shutdown,
        overdue_s=settings.overdue_s,
        grace_s=settings.shutdown_grace_s,
    )


async def _until(deadline: float, work: Callable[..., _T], *arguments: Any) -> _T:
    """Do blocking work in a thread. Raises TimeoutError when it would make the answer late.

    The thread goes on by itself. What it stores after all was promised to nobody, and is done like any other job.
    """
    with anyio.fail_after(max(0.0, deadline - anyio.current_time())):
        return await to_thread.run_sync(work, *arguments, abandon_on_cancel=True)


def _check_episode_id(episode_id: str) -> None:
    if not EPISODE_ID.fullmatch(episode_id):
        raise BadRequest(422, "episode_id", f"episode_id does not match {EPISODE_ID.pattern}")


def _shown(record: Record) -> dict[str, Any]:
    return {
        "job_id": record.job.job_id,
        "state": record.state,
        "route": record.route or None,
        "checksum": record.checksum or None,
        "output": record.output or None,
    }


app = create_app(settings_at_start_up(tasks_client.ENV_FILE))
