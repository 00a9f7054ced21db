"""An assembler between stand-ins: the routes give scripted answers, and the store is a real one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reference_impl.assembler import Assembler
from reference_impl.breaker import Breaker
from reference_impl.job import Job
from reference_impl.lanes import Lane
from reference_impl.routes import Attempt, Verdict
from reference_impl.tests.processes import parse_event

if TYPE_CHECKING:
    import pytest

    from reference_impl.settings import Settings
    from reference_impl.store import Store


YES = Attempt(Verdict.DELIVERED, "200")
REFUSED = Attempt(Verdict.REJECTED, "connection-refused", "nobody there")
LOST = Attempt(Verdict.AMBIGUOUS, "connection-reset", "after sending")
TIMED_OUT = Attempt(Verdict.AMBIGUOUS, "timeout", costly=True)
FORBIDDEN = Attempt(Verdict.REJECTED, "permission-denied", permanent=True)

PRODUCTION = {
    "APP_ENV": "production",
    "WORKER_URL_BASE": "https://w.example",
    "TASKS_AUTH": "hush-hush",
    "GOOGLE_CLOUD_PROJECT": "proj",
    "TASKS_LOCATION": "loc",
    "TASKS_QUEUE": "q",
}
DEVELOPMENT = {
    "USE_WORKER_IN_DEV": "true",
    "WORKER_URL_BASE": "https://assemble.example",
    "TASKS_AUTH": "hush-hush",
}
CHECKED = ["assemble.service.checking_cloud_tasks", "assemble.service.cloud_tasks_check"]
NOT_ENQUEUED = [*CHECKED, "tasks.cloud.enqueue_failed"]
DIRECT = ["assemble.service.trying_worker_direct", "assemble.service.worker_direct_dispatched"]
DIRECT_FAILED = ["assemble.service.trying_worker_direct", "assemble.service.worker_direct_failed"]
INLINE = ["assemble.service.falling_back_to_inline"]


class StandIn:
    """A route that gives scripted answers and remembers who asked, and with how much time."""

    def __init__(self, *answers: Attempt | Exception) -> None:
        self._answers = list(answers)
        self.asked: list[str] = []
        self.timeouts: list[float] = []

    def attempt(self, job: Job, timeout_s: float = 0.0) -> Attempt:
        self.asked.append(job.job_id)
        self.timeouts.append(timeout_s)
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def task_name(self, job: Job) -> str:
        return f"tasks/{job.task_id}"


class Bench:
    """An assembler between stand-ins, and the store it works on."""

    def __init__(
        self, settings: Settings, store: Store, capsys: pytest.CaptureFixture[str], **routes: Any
    ) -> None:
        self.cloud_tasks: StandIn = routes.get("cloud_tasks") or StandIn(YES)
        self.worker: StandIn = routes.get("worker") or StandIn(YES)
        self.inline: StandIn = routes.get("inline") or StandIn(YES)
        self.lane = Lane("background", 1)
        self.store = store
        self._capsys = capsys
        self.assembler = Assembler(
            settings=settings,
            store=store,
            cloud_tasks=self.cloud_tasks,  # type: ignore[arg-type]
            worker=self.worker,  # type: ignore[arg-type]
            inline=self.inline,  # type: ignore[arg-type]
            breaker=Breaker(60),
            background=self.lane,
        )

    def run(self, job_id: str = "j1") -> list[str]:
        """Dispatch one job to the end; the lines that were logged."""
        self.store.add(Job(job_id, "ep1", "c1"))
        (record,) = self.store.take_due("me", 1, 60)
        self.assembler.dispatch(record)
        assert self.lane.drain(10)
        return self._capsys.readouterr().out.splitlines()

    def state(self, job_id: str = "j1") -> tuple[bool, tuple[str, ...]]:
        """Whether the job was handed over, and what had been tried in vain."""
        record = self.store.find(job_id)
        assert record is not None
        return record.handed_over, record.tried


def names(lines: list[str]) -> list[str]:
    return [parse_event(line)["event"] for line in lines]
