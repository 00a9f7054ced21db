"""A few random histories with real processes, kill -9 and real sockets, and a small load."""

from __future__ import annotations

import contextlib
from collections import Counter
from typing import TYPE_CHECKING

import httpx
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from reference_impl.tests import load
from reference_impl.tests.conftest import write_episode
from reference_impl.tests.processes import (
    API,
    WORKER,
    Server,
    all_manifests,
    free_port,
    post_job,
    wait_until,
)
from reference_impl.tests.stubs import CloudTasksStub, Identity, Trouble

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from reference_impl.tests.postgres import Postgres
    from reference_impl.tests.processes import Zygote

HISTORIES = 4
STEPS = st.sampled_from(
    ["job", "job", "job", "kill api", "kill worker", "refuse", "lose", "hang", "heal", "twice"]
)
TROUBLES = {
    "refuse": Trouble("RESOURCE_EXHAUSTED"),
    "lose": Trouble("UNAVAILABLE", created=True),
    "hang": Trouble(hang_s=2, created=True),
    "heal": None,
}


class Deployment:
    """One API, one worker and one Cloud Tasks; the servers are started again when they were killed."""

    def __init__(self, start: Callable[..., Server], identity: Identity, folder: Path) -> None:
        self._start = start
        write_episode(folder / "media")
        self.cloud_tasks = CloudTasksStub(identity)
        self._ports = {API: str(free_port()), WORKER: str(free_port())}
        self._variables = {
            "APP_ENV": "production",
            "MEDIA_ROOT": str(folder / "media"),
            "DATABASE_URL": f"sqlite:///{folder / 'jobs.db'}",
            "GOOGLE_CLOUD_PROJECT": "proj",
            "TASKS_LOCATION": "loc",
            "TASKS_QUEUE": "q",
            "TASKS_ENQUEUE_TIMEOUT_S": "0.5",
            "WORKER_URL_BASE": f"http://127.0.0.1:{self._ports[WORKER]}",
            "WORKER_TIMEOUT_S": "0.3",
            "WORKER_BREAKER_S": "0.5",
            "ASSEMBLY_BYTES_PER_S": "12000",  # a quarter of a second, so that kills and time-outs hit
        } | identity.environment(self.cloud_tasks.port)
        self.running = {app: self.start(app) for app in (WORKER, API)}
        self.ended: list[Server] = []

    def start(self, app: str) -> Server:
        return self._start(app, PORT=self._ports[app], **self._variables)

    def kill(self, app: str) -> None:
        self.running[app].stop()
        self.ended.append(self.running[app])
        self.running[app] = self.start(app)

    def logs(self) -> str:
        return "".join(server.log() for server in (*self.ended, *self.running.values()))


@settings(
    max_examples=HISTORIES,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    print_blob=True,
)
@given(steps=st.lists(STEPS, min_size=8, max_size=16))
@pytest.mark.timeout(300)
def test_every_history_of_real_processes_ends_well(
    steps: list[str],
    start: Callable[..., Server],
    identity: Identity,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("history")
    deployment = Deployment(start, identity, folder)
    accepted: list[str] = []
    try:
        for step in ["job", *steps]:
            if step == "job":
                with contextlib.suppress(httpx.TransportError):  # the answer was lost: no promise was made
                    accepted.append(post_job(deployment.running[API])["job_id"])
            elif step == "twice":
                deployment.cloud_tasks.copies = 2
            elif step.startswith("kill"):
                deployment.kill(API if step == "kill api" else WORKER)
            else:
                deployment.cloud_tasks.always = TROUBLES[step]
        deployment.cloud_tasks.always = None

        def settled() -> bool:
            log = deployment.logs()
            return all(f"event=assemble.job.settled episode_id=ep1 job_id={job} " in log for job in accepted)

        wait_until(settled, f"the jobs of {steps} to settle", 60)
    finally:
        deployment.cloud_tasks.close()
        for server in deployment.running.values():
            server.stop()
    effects = Counter(manifest["job_id"] for manifest in all_manifests(folder / "media"))
    assert {job: effects[job] for job in accepted} == dict.fromkeys(accepted, 1)
    assert set(effects.values()) <= {1}
    # Each end is announced once, except that a kill between the announcement and its record repeats it.
    repeated = deployment.logs().count("event=assemble.job.settled") - len(effects)
    assert 0 <= repeated <= steps.count("kill api")


@pytest.mark.timeout(300)
@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_under_load_and_trouble_nothing_is_lost_or_done_twice(
    database: str, tmp_path: Path, zygote: Zygote, request: pytest.FixtureRequest
) -> None:
    url = f"sqlite:///{tmp_path / 'jobs.db'}"
    if database == "postgresql":
        postgres: Postgres = request.getfixturevalue("postgres")
        url = postgres.new_database()
    figures = load.run(120, tmp_path, zygote, url)
    assert not load.bad(figures), figures
    assert figures["answer_s"]["max"] < 10, figures
