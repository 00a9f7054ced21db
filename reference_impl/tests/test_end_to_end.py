"""Real API and worker processes, a Cloud Tasks over real gRPC and TLS, and faults in the ambiguous places.

Effects are counted from the manifests on disk.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from functools import partial
from typing import TYPE_CHECKING

import httpx

from reference_impl.tests.processes import (
    API,
    WORKER,
    Server,
    free_port,
    manifests,
    post_job,
    settle_once,
    wait_settled,
    wait_until,
)
from reference_impl.tests.stubs import CloudTasksStub, HttpStub, Trouble

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

DIRECT = ["assemble.service.trying_worker_direct", "assemble.service.worker_direct_dispatched"]
ENDED = (0, -signal.SIGTERM)  # uvicorn raises the signal again when it has shut down
SLOW = {"ASSEMBLY_BYTES_PER_S": "3000"}  # the test episode takes a second
SLOWER = {"ASSEMBLY_BYTES_PER_S": "300"}


def answered_twice(worker: Server, job_id: str) -> bool:
    return worker.names(job_id).count("worker.assemble.done") == 2


class TestRoutes:
    def test_development_through_the_worker(self, start: Callable[..., Server], media: Path) -> None:
        worker = start(WORKER)
        api = start(API, USE_WORKER_IN_DEV="yes", WORKER_URL_BASE=worker.url)
        job = post_job(api, headers={"X-Correlation-Id": "from-outside"})
        settle_once(api, media, job["job_id"], "worker_direct")
        assert "  Will use worker: True\n" in api.log()
        assert worker.names() == ["worker.assemble.start", "worker.assemble.done"]
        assert {event["correlation_id"] for event in (*api.events(), *worker.events())} == {"from-outside"}
        assert [manifest["role"] for manifest in manifests(media, job["job_id"])] == ["worker"]

    def test_production_through_cloud_tasks(
        self, start: Callable[..., Server], media: Path, production: dict[str, str], database_url: str
    ) -> None:
        worker = start(WORKER, DATABASE_URL=database_url)
        api = start(API, WORKER_URL_BASE=worker.url, DATABASE_URL=database_url, **production)
        job = post_job(api, json={"title": "An episode"})
        settled = settle_once(api, media, job["job_id"], "cloud_tasks")
        assert settled["tried"] == "none"
        assert api.names() == [
            "assemble.endpoint.entry",
            "assemble.service.checking_cloud_tasks",
            "assemble.service.cloud_tasks_check",
            "tasks.cloud.enqueued",
            "assemble.job.settled",
        ]
        assert worker.names() == ["worker.assemble.start", "worker.assemble.done"]

    def test_down_the_chain_and_back_up(
        self,
        start: Callable[..., Server],
        media: Path,
        production: dict[str, str],
        cloud_tasks: CloudTasksStub,
    ) -> None:
        port = free_port()
        worker = start(WORKER, PORT=str(port))
        api = start(API, WORKER_URL_BASE=worker.url, **production)
        cloud_tasks.shut()
        direct = post_job(api)["job_id"]
        settled = settle_once(api, media, direct, "worker_direct")
        assert settled["tried"] == "cloud_tasks"
        assert [name for name in api.names(direct) if "direct" in name] == DIRECT
        worker.stop()
        inline = post_job(api)["job_id"]
        assert settle_once(api, media, inline, "inline")["tried"] == "cloud_tasks,worker_direct"
        start(WORKER, PORT=str(port))
        again = post_job(api)["job_id"]
        settle_once(api, media, again, "worker_direct")
        cloud_tasks.open()
        settle_once(api, media, post_job(api)["job_id"], "cloud_tasks")
        checksums = {m["checksum"] for job in (direct, inline, again) for m in manifests(media, job)}
        assert len(checksums) == 1

    def test_a_cold_start_works_as_well(self, tmp_path: Path, media: Path) -> None:
        process = subprocess.Popen(
            [sys.executable, "-m", "uvicorn", API, "--host", "127.0.0.1", "--port", "0"],
            cwd=tmp_path,
            env={"MEDIA_ROOT": str(media), "PATH": ""},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stderr
        try:
            line = next(line for line in process.stderr if "Uvicorn running on" in line)
            url = line.split()[line.split().index("on") + 1]
            assert httpx.get(f"{url}/healthz").json() == {"status": "ok"}
            job = httpx.post(f"{url}/api/episodes/ep1/assemble").json()["job_id"]
            wait_until(lambda: manifests(media, job), "the effect")
        finally:
            process.terminate()
            process.stderr.read()
            process.stderr.close()
            assert process.wait(timeout=20) in ENDED


class TestOneEffect:
    def test_created_but_the_reply_was_lost(
        self,
        start: Callable[..., Server],
        media: Path,
        production: dict[str, str],
        cloud_tasks: CloudTasksStub,
        database_url: str,
    ) -> None:
        worker = start(WORKER, DATABASE_URL=database_url, **SLOW)
        api = start(API, WORKER_URL_BASE=worker.url, DATABASE_URL=database_url, **production)
        cloud_tasks.troubles = [
            Trouble("DEADLINE_EXCEEDED", created=True),
            Trouble("UNAVAILABLE", "Socket closed", created=True),
            Trouble(hang_s=3, created=True),
        ]
        jobs = [post_job(api)["job_id"] for _ in range(3)]
        for job in jobs:
            settled = wait_settled(api, job)
            assert settled["tried"] == "cloud_tasks"
            assert len(manifests(media, job)) == 1
            # It got there through Cloud Tasks and directly, and both were told the one result.
            wait_until(partial(answered_twice, worker, job), "both answers")
            # Whoever waited may say so before the one who did the job does: two threads, one log.
            told = sorted(e["repeated"] for e in worker.events(job) if "repeated" in e)
            assert told == ["false", "true"]
        assert {status for _, status in cloud_tasks.answers} == {200}

    def test_the_worker_goes_on_after_the_caller_gave_up(
        self, start: Callable[..., Server], media: Path, database_url: str
    ) -> None:
        worker = start(WORKER, DATABASE_URL=database_url, **SLOW)
        api = start(
            API,
            APP_ENV="production",
            WORKER_URL_BASE=worker.url,
            WORKER_TIMEOUT_S="0.3",
            DATABASE_URL=database_url,
        )
        job = post_job(api)["job_id"]
        settled = settle_once(api, media, job, "worker_direct")
        assert settled["tried"] == "worker_direct"
        failed, inline_done = (
            next(event for event in api.events(job) if event["event"] == name)
            for name in ("assemble.service.worker_direct_failed", "assemble.inline.done")
        )
        assert (failed["reason"], failed["verdict"]) == ("timeout", "ambiguous")
        assert inline_done["repeated"] == "true"

    def test_delivered_several_times_at_once(
        self,
        start: Callable[..., Server],
        media: Path,
        production: dict[str, str],
        cloud_tasks: CloudTasksStub,
        database_url: str,
    ) -> None:
        cloud_tasks.copies = 4
        worker = start(WORKER, DATABASE_URL=database_url, **SLOW)
        # No claim may run out on a busy machine: then the job would be dispatched again, rightly.
        variables = production | {"DATABASE_URL": database_url, "JOB_LEASE_S": "60"}
        api = start(API, WORKER_URL_BASE=worker.url, **variables)
        job = post_job(api)["job_id"]
        settle_once(api, media, job, "cloud_tasks")
        wait_until(lambda: len(cloud_tasks.answers) == 4, "all deliveries to be answered")
        assert {status for _, status in cloud_tasks.answers} == {200}
        assert worker.names(job).count("worker.assemble.done") == 4
        assert len(manifests(media, job)) == 1

    def test_two_requests_for_one_episode_are_two_jobs(
        self, start: Callable[..., Server], media: Path
    ) -> None:
        api = start(API)
        jobs = {post_job(api)["job_id"] for _ in range(2)}
        assert len(jobs) == 2
        for job in jobs:
            settle_once(api, media, job, "inline")

    def test_the_api_is_killed_while_it_enqueues(
        self,
        start: Callable[..., Server],
        media: Path,
        production: dict[str, str],
        cloud_tasks: CloudTasksStub,
        database_url: str,
    ) -> None:
        worker = start(WORKER, DATABASE_URL=database_url)
        variables = production | {"WORKER_URL_BASE": worker.url, "DATABASE_URL": database_url}
        variables["TASKS_ENQUEUE_TIMEOUT_S"] = "9"
        cloud_tasks.always = Trouble(hang_s=30)
        api = start(API, **variables)
        jobs = [post_job(api)["job_id"] for _ in range(3)]
        # On a busy machine a claim may run out meanwhile, and a job be dispatched once more.
        wait_until(lambda: len(cloud_tasks.requests) >= 3, "the calls to hang")
        api.stop()
        cloud_tasks.always = None
        api = start(API, **variables)
        for job in jobs:
            settle_once(api, media, job, "cloud_tasks")

    def test_the_api_is_killed_in_the_middle_of_an_inline_job(
        self, start: Callable[..., Server], media: Path, database_url: str
    ) -> None:
        api = start(API, APP_ENV="production", DATABASE_URL=database_url, **SLOWER)
        job = post_job(api)["job_id"]
        wait_until(lambda: list(media.glob("**/*.tmp")), "the assembly to begin")
        api.stop()
        assert manifests(media, job) == []
        api = start(API, APP_ENV="production", DATABASE_URL=database_url)
        settle_once(api, media, job, "inline")
        assert not list(media.glob("**/*.tmp"))

    def test_the_worker_is_killed_and_cloud_tasks_tries_again(
        self,
        start: Callable[..., Server],
        media: Path,
        production: dict[str, str],
        cloud_tasks: CloudTasksStub,
    ) -> None:
        port = str(free_port())
        worker = start(WORKER, PORT=port, **SLOWER)
        api = start(API, WORKER_URL_BASE=worker.url, **production)
        job = post_job(api)["job_id"]
        wait_until(lambda: list(media.glob("**/*.tmp")), "the assembly to begin")
        worker.stop()
        start(WORKER, PORT=port)
        settled = settle_once(api, media, job, "cloud_tasks")
        assert settled["attempts"] == "2"
        assert cloud_tasks.answers[-1][1] == 200
        assert len(cloud_tasks.answers) > 1

    def test_the_same_key_and_payload_on_every_route(
        self,
        start: Callable[..., Server],
        media: Path,
        production: dict[str, str],
        cloud_tasks: CloudTasksStub,
    ) -> None:
        worker = HttpStub(lambda _: (500, b""))
        try:
            cloud_tasks.always = Trouble("UNAVAILABLE")
            api = start(API, WORKER_URL_BASE=worker.url, **production)
            job = post_job(api, json={"title": 'T "1"'})["job_id"]
            settle_once(api, media, job, "inline")
        finally:
            worker.close()
        (enqueued,) = cloud_tasks.requests
        ((path, headers, body),) = worker.requests
        assert enqueued.task.name.endswith(f"/tasks/assemble-{job}")
        assert enqueued.task.http_request.url == worker.url + path
        assert enqueued.task.http_request.body == body
        for name, value in enqueued.task.http_request.headers.items():
            assert headers[name.lower()] == value
        assert headers["idempotency-key"] == json.loads(body)["job_id"] == job


class TestBounds:
    def test_the_api_answers_while_everything_behind_it_hangs(
        self,
        start: Callable[..., Server],
        production: dict[str, str],
        cloud_tasks: CloudTasksStub,
    ) -> None:
        worker = HttpStub(lambda _: 60.0)
        try:
            cloud_tasks.always = Trouble(hang_s=60)
            api = start(API, WORKER_URL_BASE=worker.url, SHUTDOWN_GRACE_S="0.2", **production)
            times = []
            for _ in range(40):
                began = time.monotonic()
                post_job(api)
                times.append(time.monotonic() - began)
            assert sorted(times)[len(times) // 2] < 1, "most answers come sooner than the shortest time-out"
            assert max(times) < 5
            wait_until(lambda: "assemble.service.trying_worker_direct" in api.names(), "the second route")
            began = time.monotonic()
            api.stop(signal.SIGTERM)
            assert time.monotonic() - began < 8
        finally:
            worker.close()

    def test_sigterm_lets_the_worker_finish(self, start: Callable[..., Server], media: Path) -> None:
        worker = start(WORKER, **SLOW)
        api = start(API, USE_WORKER_IN_DEV="1", WORKER_URL_BASE=worker.url)
        job = post_job(api)["job_id"]
        wait_until(lambda: list(media.glob("**/*.tmp")), "the assembly to begin")
        assert worker.stop(signal.SIGTERM) in ENDED
        settle_once(api, media, job, "worker_direct")

    def test_sigterm_makes_the_worker_give_back_what_takes_too_long(
        self, start: Callable[..., Server], media: Path
    ) -> None:
        worker = start(WORKER, SHUTDOWN_GRACE_S="0.3", **SLOWER)
        api = start(API, USE_WORKER_IN_DEV="1", WORKER_URL_BASE=worker.url)
        job = post_job(api)["job_id"]
        wait_until(lambda: list(media.glob("**/*.tmp")), "the assembly to begin")
        began = time.monotonic()
        assert worker.stop(signal.SIGTERM) in ENDED
        assert time.monotonic() - began < 5
        assert [e["reason"] for e in worker.events(job) if "reason" in e] == ["shutting-down"]
        settle_once(api, media, job, "inline")
        (failed,) = (e for e in api.events(job) if e["event"] == "tasks.dev.worker_failed")
        assert (failed["reason"], failed["verdict"]) == ("http-503", "rejected")

    def test_sigterm_makes_the_api_give_back_its_inline_job(
        self, start: Callable[..., Server], media: Path, database_url: str
    ) -> None:
        api = start(API, SHUTDOWN_GRACE_S="0.3", DATABASE_URL=database_url, **SLOWER)
        job = post_job(api)["job_id"]
        wait_until(lambda: list(media.glob("**/*.tmp")), "the assembly to begin")
        assert api.stop(signal.SIGTERM) in ENDED
        assert manifests(media, job) == []
        settle_once(start(API, DATABASE_URL=database_url), media, job, "inline")
