"""A task that the worker does not serve: measures how long an episode will be."""

from __future__ import annotations

import wave
from typing import TYPE_CHECKING

from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse
from starlette.routing import Route

from reference_impl import tasks_client
from reference_impl.assembly import UnusableInput
from reference_impl.http_input import BadRequest
from reference_impl.job import EPISODE_ID, Job
from reference_impl.routes.direct_worker import WorkerRoute

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.requests import Request

    from reference_impl.assembly import Media
    from reference_impl.settings import Settings

MEASURE_TASK_PATH = "/api/tasks/measure"


def measurement_route(settings: Settings, media: Media) -> Route:
    """`POST /api/episodes/{id}/measure`: answers at once with the length in seconds."""
    worker = WorkerRoute(settings)

    async def measure_episode(request: Request) -> JSONResponse:
        episode_id = request.path_params["episode_id"]
        if not EPISODE_ID.fullmatch(episode_id):
            raise BadRequest(422, "episode_id", f"episode_id does not match {EPISODE_ID.pattern}")
        job = Job.new(episode_id, correlation_id=request.headers.get("x-correlation-id"))
        try:
            seconds = await run_in_threadpool(measure, job, settings, media, worker)
        except UnusableInput as error:
            raise BadRequest(422, "episode_id", str(error)) from None
        return JSONResponse({"job_id": job.job_id, "episode_id": episode_id, "seconds": seconds})

    return Route("/api/episodes/{episode_id}/measure", measure_episode, methods=["POST"])


def measure(job: Job, settings: Settings, media: Media, worker: WorkerRoute) -> float:
    """The sum of the segments' lengths in seconds.

    In development it is dispatched like every task, which shows in the log that it stays here: the worker
    serves assembly and nothing else.

    Raises:
        UnusableInput: a segment is not a WAV file.
    """
    if settings.development:
        tasks_client._dispatch_local_task(  # noqa: SLF001 — the name that people know it by
            MEASURE_TASK_PATH, job, settings, worker
        )
    return sum(_seconds(path) for path in media.segments(job.episode_id))


def _seconds(path: Path) -> float:
    try:
        with wave.open(str(path), "rb") as source:
            return source.getnframes() / source.getframerate()
    except (wave.Error, EOFError) as error:
        raise UnusableInput(f"{path.name} is not a WAV file: {error}") from error
