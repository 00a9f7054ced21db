"""A whole deployment in one thread: two APIs, a worker, a Cloud Tasks, and crashes wherever they can happen.

The store, the dispatcher, the assembler, the guard, the worker's handler and the files are the real ones.
Only time and the wire are stand-ins. Concurrency is simulated by nesting: at a *point* (before and after
every change of the store, between chunks of an assembly, around every call) the running process is frozen
and something else happens, which may be another process doing the same job. A crash at a point ends the
innermost process.

Longer than other modules, and one piece: every stand-in freezes and crashes at the same points, and is read with them.
"""

from __future__ import annotations

import errno
import hashlib
import json
from collections import Counter
from dataclasses import dataclass
from enum import Enum
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from reference_impl import dispatcher, effect, events, worker
from reference_impl.assembler import Assembler
from reference_impl.assembly import Media
from reference_impl.breaker import Breaker
from reference_impl.dispatcher import Dispatcher
from reference_impl.effect import Effects
from reference_impl.http_input import BadRequest
from reference_impl.job import Job, Route
from reference_impl.log_format import LogSink
from reference_impl.routes import Attempt, Verdict
from reference_impl.routes.direct_worker import judge_reply
from reference_impl.routes.inline import InlineRoute
from reference_impl.settings import Settings
from reference_impl.shutdown import Shutdown
from reference_impl.store import Record, Store
from reference_impl.tests.conftest import write_episode

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

LEASE_S = 5.0
OVERDUE_S = 60.0
CHANGES = ("add", "claim", "release", "publish", "take_due", "hand_over", "give_back")
IN_TRANSACTION = ("renaming", "renamed", "announcing")
PLACES = (
    *(f"{when} {name}" for name in CHANGES for when in ("before", "after")),
    *("enqueueing", "enqueued", "calling", "called", "answering", "assembling", "assembled"),
    *IN_TRANSACTION,
)
_MAX_DEPTH = 3
_MAX_HEALING_ROUNDS = 60


class Crash(BaseException):
    """The process dies here; nothing that catches errors may catch it."""


class Surprise(Enum):
    """What happens at a point."""

    CRASH = "the process dies"
    FULL = "the database cannot be written this time"
    PAUSE = "the process stands still until its lease is over"
    DELIVER = "Cloud Tasks delivers a task, perhaps once more"
    LATE = "a direct call that was given up arrives"
    OTHER_API = "the other API does its round"


class Cloud(Enum):
    """How Cloud Tasks behaves for a while."""

    FINE = "creates tasks"
    REFUSES = "creates nothing and says so"
    LOSES_REPLIES = "creates the task, and the reply is lost"
    LOSES_REQUESTS = "creates nothing, and the caller cannot know"


class Wire(Enum):
    """How the direct way to the worker behaves for a while."""

    FINE = "requests and replies arrive"
    REFUSES = "no connection"
    LOSES_REPLIES = "the worker works, and its reply is lost"
    DELAYS = "the caller gives up, and the request arrives later"


class World:
    """The deployment and what happened in it."""

    def __init__(self, folder: Path, database_url: str = "") -> None:
        self.now = 1_000_000.0
        self.root = folder / "media"
        write_episode(self.root, segments=2, frames=10)
        self.settings = Settings.from_environ(
            {
                "APP_ENV": "production",
                "MEDIA_ROOT": str(self.root),
                "WORKER_URL_BASE": "https://w.example",
                "TASKS_AUTH": "hush-hush",
                "GOOGLE_CLOUD_PROJECT": "p",
                "TASKS_LOCATION": "l",
                "TASKS_QUEUE": "q",
                "JOB_LEASE_S": str(LEASE_S),
                "JOB_OVERDUE_S": str(OVERDUE_S),
                "DATABASE_URL": database_url or f"sqlite:///{folder / 'jobs.db'}",
                "WORKER_BREAKER_S": "0",
            }
        )
        self.store = _Store(self)
        self.media = _Media(self)
        self.cloud, self.wire = Cloud.FINE, Wire.FINE
        self.tasks: dict[str, Job] = {}
        self.gone: dict[str, Job] = {}
        self.late: list[Job] = []
        self.accepted: list[str] = []
        self.unanswered: list[str] = []
        self.requests: dict[str, set[tuple[bytes, str]]] = {}
        self.announced: Counter[str] = Counter()
        self.apis: list[Dispatcher | None] = [self._new_api(), self._new_api()]
        self._surprises: list[tuple[str, Surprise]] = []
        self._stack: list[str] = []
        self._patches = (
            patch.object(effect, "time", SimpleNamespace(monotonic=lambda: self.now, sleep=self.advance)),
            patch.object(dispatcher, "time", SimpleNamespace(monotonic=lambda: self.now)),
            patch.object(events, "_sink", _Silence()),
        )
        for replaced in self._patches:
            replaced.start()

    def close(self) -> None:
        for replaced in self._patches:
            replaced.stop()
        self.store.close()

    # -- what a history is made of

    def surprise(self, surprises: Sequence[tuple[str, Surprise]]) -> None:
        """Let each of these happen when some process is next at its place."""
        self._surprises = list(surprises)

    def submit(self, api: int) -> None:
        if self.apis[api] is None:
            return
        job = Job.new("ep1")
        try:
            with self._in("api"):
                self.store.add(job)
        except Crash:
            self.apis[api] = None
            self.unanswered.append(job.job_id)
        except OSError:
            self.unanswered.append(job.job_id)
        else:
            self.accepted.append(job.job_id)

    def tick(self, api: int) -> None:
        """One round of an API's dispatcher."""
        running = self.apis[api]
        name = f"api{api}"
        if running is None or name in self._stack:  # a process cannot run while it stands still
            return
        try:
            with self._in(name):
                running._try(running._tick)
        except Crash:
            self.apis[api] = None

    def deliver(self, number: int) -> None:
        """Cloud Tasks delivers one of its tasks; a task that was done may be delivered again."""
        everything = [*self.tasks.items(), *self.gone.items()]
        if everything:
            name, job = everything[number % len(everything)]
            status, _ = self.call_worker(job, Route.CLOUD_TASKS)
            if 200 <= status < 300 and name in self.tasks:
                self.gone[name] = self.tasks.pop(name)

    def arrive_late(self, number: int) -> None:
        if self.late:
            self.call_worker(self.late.pop(number % len(self.late)), Route.WORKER_DIRECT)

    def purge(self) -> None:
        """Somebody empties the queue."""
        self.gone |= self.tasks
        self.tasks.clear()

    def restart(self, api: int) -> None:
        self.apis[api] = self._new_api()

    def advance(self, seconds: float) -> None:
        self.now += seconds

    def heal(self) -> None:
        """Everything works again and time passes, until every job has come to its end."""
        self.surprise(())
        self.cloud, self.wire = Cloud.FINE, Wire.FINE
        for _ in range(_MAX_HEALING_ROUNDS):
            for api, running in enumerate(self.apis):
                if running is None:
                    self.restart(api)
                self.tick(api)
            for number in range(len(self.tasks)):
                self.deliver(number)
            while self.late:
                self.arrive_late(0)
            if not self.store.unsettled():
                return
            self.advance(LEASE_S + 1)

    # -- what must hold in the end

    def check(self) -> None:
        effects: dict[str, list[dict[str, Any]]] = {}
        for path in self.root.glob("episodes/*/assembled/*.json"):
            manifest = json.loads(path.read_text(encoding="utf-8"))
            effects.setdefault(manifest["job_id"], []).append(manifest)
            content = path.with_suffix(".wav").read_bytes()
            assert hashlib.sha256(content).hexdigest() == manifest["checksum"], path
        assert len(set(self.accepted)) == len(self.accepted), "two requests, one job"
        for job_id in self.accepted:
            assert len(effects.get(job_id, [])) == 1, f"job {job_id} has effects {effects.get(job_id)}"
            record = self.store.find(job_id)
            assert record is not None
            (manifest,) = effects[job_id]
            assert (record.state, record.route) == ("done", manifest["route"])
            assert record.checksum == manifest["checksum"]
            assert self.announced[job_id] == 1, f"job {job_id} was announced {self.announced[job_id]} times"
        for job_id in self.unanswered:  # stored or not, nobody was promised anything; but never twice
            assert len(effects.get(job_id, [])) <= 1, f"job {job_id} has effects {effects[job_id]}"
        for job_id, seen in self.requests.items():
            assert len(seen) == 1, f"job {job_id} travelled as {seen}"

    # -- points

    def point(self, place: str) -> None:
        """A place in the code of a process: if a surprise waits for it, that happens now."""
        what = next((what for where, what in self._surprises if where == place), None)
        if what is None:
            return
        self._surprises.remove((place, what))
        if what is Surprise.CRASH:
            raise Crash
        if what is Surprise.FULL:
            if place.startswith("before "):
                raise OSError(errno.ENOSPC, "no room in the database")
        elif what is Surprise.PAUSE:
            self.advance(LEASE_S + 1)
        elif place not in IN_TRANSACTION and len(self._stack) < _MAX_DEPTH:
            if what is Surprise.DELIVER:
                self.deliver(len(self.tasks) - 1)
            elif what is Surprise.LATE:
                self.arrive_late(-1)
            else:
                for api in range(len(self.apis)):
                    self.tick(api)

    def _in(self, process: str) -> _Running:
        return _Running(self._stack, process)

    def _new_api(self) -> Dispatcher:
        shutdown = Shutdown(0)
        effects = Effects(self.store, self.media, role="api", assembly_max_s=1e9, shutdown=shutdown)
        lane: Any = _Lane()
        routes: Any = (_CloudTasks(self), _WorkerWire(self))
        assembler = Assembler(
            settings=self.settings,
            store=self.store,
            cloud_tasks=routes[0],
            worker=routes[1],
            inline=InlineRoute(effects, wait_s=self.settings.assembly_max_s),
            breaker=Breaker(0),
            background=lane,
        )
        return Dispatcher(
            store=self.store,
            assembler=assembler,
            first_step=lane,
            background=lane,
            shutdown=shutdown,
            overdue_s=OVERDUE_S,
            grace_s=0,
        )

    def call_worker(self, job: Job, route: Route) -> tuple[int, bytes]:
        """The worker's own handler; status 0 when the worker dies."""
        self.requests.setdefault(job.job_id, set()).add((job.body(), json.dumps(job.headers("s"))))
        effects = Effects(self.store, self.media, role="worker", assembly_max_s=1e9, shutdown=Shutdown(0))
        app: Any = SimpleNamespace(state=SimpleNamespace(store=self.store, effects=effects))
        try:
            with self._in("worker"):
                response = worker._assemble(app, worker.parse_job(job.body(), ""), route, self.settings)
                self.point("answering")
        except Crash:
            return 0, b""
        except BadRequest as error:
            return error.status, b""
        except OSError:  # as the server around the handler does
            return 500, b""
        return response.status_code, bytes(response.body)


@dataclass
class _Running:
    stack: list[str]
    process: str

    def __enter__(self) -> None:
        self.stack.append(self.process)

    def __exit__(self, *_: object) -> None:
        self.stack.pop()


@dataclass
class _CloudTasks:
    world: World

    def attempt(self, job: Job, timeout_s: float) -> Attempt:  # noqa: ARG002 — the real route's signature
        world = self.world
        world.point("enqueueing")
        created = world.cloud in (Cloud.FINE, Cloud.LOSES_REPLIES)
        exists = job.task_id in world.tasks or job.task_id in world.gone
        if created and not exists:
            world.requests.setdefault(job.job_id, set()).add((job.body(), json.dumps(job.headers("s"))))
            world.tasks[job.task_id] = job
        world.point("enqueued")
        if world.cloud is Cloud.FINE:
            return Attempt(Verdict.DELIVERED, "already-exists" if exists else "created")
        verdict = Verdict.REJECTED if world.cloud is Cloud.REFUSES else Verdict.AMBIGUOUS
        return Attempt(verdict, "told-to-fail")

    def task_name(self, job: Job) -> str:
        return job.task_id


@dataclass
class _WorkerWire:
    world: World

    def attempt(self, job: Job, timeout_s: float) -> Attempt:  # noqa: ARG002 — the real route's signature
        world = self.world
        world.point("calling")
        if world.wire is Wire.REFUSES:
            return Attempt(Verdict.REJECTED, "connection-refused")
        if world.wire is Wire.DELAYS:
            world.late.append(job)
            return Attempt(Verdict.AMBIGUOUS, "timeout", costly=True)
        status, body = world.call_worker(job, Route.WORKER_DIRECT)
        world.point("called")
        if world.wire is Wire.LOSES_REPLIES or not status:
            return Attempt(Verdict.AMBIGUOUS, "connection-reset")
        return judge_reply(job, status, body)


@dataclass
class _Lane:
    """Runs what it is given at once."""

    free: int = 2

    def submit(self, work: Callable[[], None]) -> bool:
        work()
        return True

    def drain(self, timeout_s: float) -> bool:  # noqa: ARG002 — the real lane's signature
        return True


class _Media(Media):
    def __init__(self, world: World) -> None:
        super().__init__(world.root)
        self._world = world

    def assemble(self, job: Job, attempt: int, check: Callable[[], None]) -> Any:
        def checked() -> None:
            self._world.point("assembling")
            check()

        draft = super().assemble(job, attempt, checked)
        self._world.point("assembled")
        return _Draft(draft, self._world)


class _Draft:
    """A draft with points around its two renames."""

    def __init__(self, draft: Any, world: World) -> None:
        self._draft, self._world = draft, world

    def __getattr__(self, name: str) -> Any:
        return getattr(self._draft, name)

    def publish(self) -> None:
        self._world.point("renaming")
        self._draft.publish()
        self._world.point("renamed")


class _Store(Store):
    """The real store, with a point before and after every change."""

    def __init__(self, world: World) -> None:
        super().__init__(world.settings.database_url, lease_s=LEASE_S, clock=lambda: world.now)
        self._world = world

    def settle(self, announce: Callable[[Record], None], limit: int = 100) -> int:
        def announced(record: Record) -> None:
            self._world.point("announcing")
            announce(record)
            self._world.announced[record.job.job_id] += 1

        return super().settle(announced, limit)


def _with_points(name: str) -> Callable[..., Any]:
    def method(self: _Store, *arguments: Any, **options: Any) -> Any:
        self._world.point(f"before {name}")
        answer = getattr(Store, name)(self, *arguments, **options)
        self._world.point(f"after {name}")
        return answer

    return method


for _name in CHANGES:
    setattr(_Store, _name, _with_points(_name))


class _Silence(LogSink):
    def write(self, line: str) -> None:
        pass
