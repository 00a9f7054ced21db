"""The decisions alone: one job through the chain of routes, with no server, store or file around it.

For whoever wants to see thousands of them: everything that decides is what the API uses, and what it decides about,
the clients of Cloud Tasks and of the worker and the work itself, is given. A job ends where the chain ends: nothing is
kept, and nothing is tried again later.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Protocol

from reference_impl import events
from reference_impl.assembler import Assembler
from reference_impl.breaker import Breaker
from reference_impl.effect import End, Outcome
from reference_impl.job import Job, Route
from reference_impl.lanes import Lane
from reference_impl.routes.cloud_tasks import CloudTasksRoute
from reference_impl.routes.direct_worker import WorkerRoute
from reference_impl.routes.inline import InlineRoute
from reference_impl.settings import Settings
from reference_impl.store import Record

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import httpx
    from google.cloud import tasks_v2


class World(Protocol):
    """What is around the chain."""

    http_client: httpx.Client

    def cloud_tasks_client(self) -> tasks_v2.CloudTasksClient:
        """A client. Raises whatever making one may raise."""

    def assemble(self, job_id: str, episode_id: str) -> bool:
        """Do the job in this process; False when somebody had done it before."""


def dispatcher(environ: Mapping[str, str], world: World) -> Callable[[str, str | None], str]:
    """A function that takes an episode and a title through the chain, and returns the job's id when it has ended.

    Raises ConfigError for a configuration with which no process would start.
    """
    settings = _settings(frozenset(environ.items()))
    events.configure(settings)
    assembler = Assembler(
        settings=settings,
        store=_Nobody(),
        cloud_tasks=CloudTasksRoute(settings, world.cloud_tasks_client),
        worker=WorkerRoute(settings, world.http_client),
        inline=InlineRoute(_Work(world), wait_s=0),
        breaker=Breaker(settings.breaker_window_s),
        background=_AtOnce("background", 1),
    )

    def dispatch(episode_id: str, title: str | None) -> str:
        job = Job.new(episode_id, title=title)
        assembler.dispatch(_new(job))
        return job.job_id

    return dispatch


@functools.lru_cache(maxsize=4096)
def _settings(environ: frozenset[tuple[str, str]]) -> Settings:
    """What an environment means, read once: thousands of jobs have a thousand of them."""
    return Settings.from_environ(dict(environ))


def _new(job: Job) -> Record:
    return Record(
        job=job,
        state="accepted",
        attempt=0,
        route="",
        checksum="",
        output="",
        error="",
        dispatches=1,
        tried=(),
        handed_over=False,
    )


class _AtOnce(Lane):
    """Does at once, in the caller's thread, what would go on in the background."""

    def submit(self, work: Callable[[], None]) -> bool:
        """Do it."""
        work()
        return True


class _Nobody:
    """Remembers nothing: a job is over when its chain is."""

    def hand_over(self, taken: Record, tried: Sequence[str]) -> bool:  # noqa: ARG002 — nobody is asked again
        """Nobody is asked again."""
        return True

    def give_back(self, taken: Record, delay_s: float) -> bool:  # noqa: ARG002 — nothing is kept
        """It is lost, which shows."""
        return True


class _Work:
    """The work itself, as whoever gave it does it."""

    def __init__(self, world: World) -> None:
        self._world = world

    def perform(self, job: Job, route: Route, *, wait_s: float) -> Outcome:  # noqa: ARG002 — nobody is waited for
        done_now = self._world.assemble(job.job_id, job.episode_id)
        return Outcome(End.DONE, repeated=not done_now)
