"""Load: jobs come in while Cloud Tasks fails and heals and the worker dies and returns; prints figures.

    python -m reference_impl.tests.load [--jobs 2000] [--database sqlite|postgresql]

Real API and worker processes. Exit status 1 when a job was lost, done twice, or announced other than once.
"""

from __future__ import annotations

import argparse
import itertools
import json
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

from reference_impl.tests.conftest import SECRET, write_episode
from reference_impl.tests.postgres import Postgres
from reference_impl.tests.processes import (
    API,
    WORKER,
    Server,
    Zygote,
    all_manifests,
    free_port,
    wait_until,
)
from reference_impl.tests.stubs import CloudTasksStub, Identity, Trouble

if TYPE_CHECKING:
    from collections.abc import Callable

_CLIENTS = 8
_SETTLE_TIMEOUT_S = 600.0


class Deployment:
    """One API, one worker and one Cloud Tasks, and the trouble they get into."""

    def __init__(self, folder: Path, zygote: Zygote, database_url: str) -> None:
        self.media = folder / "media"
        write_episode(self.media)
        identity = Identity(folder)
        self.cloud_tasks = CloudTasksStub(identity)
        self._zygote, self._folder = zygote, folder
        self._port = str(free_port())
        self._variables = {
            "APP_ENV": "production",
            "MEDIA_ROOT": str(self.media),
            "DATABASE_URL": database_url,
            "TASKS_AUTH": SECRET,
            "GOOGLE_CLOUD_PROJECT": "proj",
            "TASKS_LOCATION": "loc",
            "TASKS_QUEUE": "q",
            "TASKS_ENQUEUE_TIMEOUT_S": "2",
            "WORKER_URL_BASE": f"http://127.0.0.1:{self._port}",
            "WORKER_TIMEOUT_S": "10",
            "WORKER_BREAKER_S": "2",
            "JOB_LEASE_S": "3",
        } | identity.environment(self.cloud_tasks.port)
        self.worker = self.start_worker()
        self.api = Server(zygote, API, self._variables, folder).ready()

    def start_worker(self) -> Server:
        variables = self._variables | {"PORT": self._port}
        self.worker = Server(self._zygote, WORKER, variables, self._folder).ready()
        return self.worker

    def trouble(self, done: threading.Event) -> list[str]:
        """Cloud Tasks fails in every way and heals, the worker dies and returns, until `done`."""
        happened: list[str] = []
        steps: list[tuple[str, Callable[[], object]]] = [
            ("cloud tasks refuses", lambda: self._cloud(Trouble("UNAVAILABLE"))),
            ("the worker dies", lambda: self.worker.stop(signal.SIGKILL)),
            (
                "cloud tasks creates and loses the reply",
                lambda: self._cloud(Trouble("INTERNAL", created=True)),
            ),
            ("the worker returns", self.start_worker),
            ("cloud tasks is well", lambda: self._cloud(None)),
            ("cloud tasks hangs", lambda: self._cloud(Trouble(hang_s=3, created=True))),
            ("cloud tasks is well", lambda: self._cloud(None)),
        ]
        for what, step in itertools.cycle(steps):
            if done.wait(0.5):
                break
            happened.append(what)
            step()
        self._cloud(None)
        self.worker.stop(signal.SIGKILL)
        self.start_worker()
        return happened

    def _cloud(self, trouble: Trouble | None) -> None:
        self.cloud_tasks.always = trouble

    def close(self) -> None:
        self.api.stop()
        self.worker.stop()
        self.cloud_tasks.close()


def submit(deployment: Deployment, jobs: int) -> tuple[list[str], list[float]]:
    """Submit so many jobs from several clients; their ids, and the seconds each answer took."""
    url = f"{deployment.api.url}/api/episodes/ep1/assemble"

    def one(client: httpx.Client) -> tuple[str, float]:
        began = time.monotonic()
        response = client.post(url)
        assert response.status_code == 202, response.text
        return response.json()["job_id"], time.monotonic() - began

    with httpx.Client(timeout=30) as client, ThreadPoolExecutor(_CLIENTS) as pool:
        answers = list(pool.map(lambda _: one(client), range(jobs)))
    return [job for job, _ in answers], sorted(seconds for _, seconds in answers)


def run(jobs: int, folder: Path, zygote: Zygote, database_url: str) -> dict[str, Any]:
    """The figures of one run."""
    deployment = Deployment(folder, zygote, database_url)
    done = threading.Event()
    try:
        with ThreadPoolExecutor(1) as pool:
            troubled = pool.submit(deployment.trouble, done)
            began = time.monotonic()
            try:
                accepted, seconds = submit(deployment, jobs)
            finally:
                done.set()
            submitted_s = time.monotonic() - began
            happened = troubled.result()
        wait_until(
            lambda: deployment.api.log().count("event=assemble.job.settled") >= jobs,
            "every job to settle",
            _SETTLE_TIMEOUT_S,
        )
        settled_s = time.monotonic() - began
        events = deployment.api.events()
    finally:
        deployment.close()
    effects = Counter(manifest["job_id"] for manifest in all_manifests(deployment.media))
    announced = Counter(event["job_id"] for event in events if event["event"] == "assemble.job.settled")
    return {
        "jobs": jobs,
        "lost": sum(1 for job in accepted if not effects[job]),
        "done_twice": sum(1 for count in effects.values() if count > 1),
        "not_announced_once": sum(1 for job in accepted if announced[job] != 1),
        "answer_s": {
            "median": round(seconds[jobs // 2], 3),
            "p99": round(seconds[jobs * 99 // 100], 3),
            "max": round(seconds[-1], 3),
        },
        "submitted_s": round(submitted_s, 1),
        "settled_s": round(settled_s, 1),
        "jobs_per_s": round(jobs / settled_s, 1),
        "routes": dict(Counter(e["route"] for e in events if e["event"] == "assemble.job.settled")),
        "troubles": dict(Counter(happened)),
        "deferred": sum(1 for event in events if event["event"] == "assemble.service.deferred"),
    }


def bad(figures: dict[str, Any]) -> bool:
    """True when the run showed a broken promise."""
    return bool(figures["lost"] or figures["done_twice"] or figures["not_announced_once"])


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m reference_impl.tests.load", description=__doc__)
    parser.add_argument("--jobs", type=int, default=2000)
    parser.add_argument("--database", choices=["sqlite", "postgresql"], default="sqlite")
    options = parser.parse_args()
    zygote = Zygote()
    postgres = Postgres() if options.database == "postgresql" else None
    try:
        with tempfile.TemporaryDirectory() as folder:
            url = postgres.new_database() if postgres else f"sqlite:///{folder}/jobs.db"
            figures = run(options.jobs, Path(folder), zygote, url)
    finally:
        zygote.close()
        if postgres:
            postgres.close()
    sys.stdout.write(json.dumps({"database": options.database} | figures, indent=2) + "\n")
    return 1 if bad(figures) else 0


if __name__ == "__main__":
    raise SystemExit(main())
