"""What the real processes make of their configuration: when it is read, what ends them, what never leaves them."""

from __future__ import annotations

import base64
import json
import signal
from typing import TYPE_CHECKING
from urllib.parse import quote

import httpx
import pytest

from reference_impl.tests.conftest import SECRET
from reference_impl.tests.processes import (
    API,
    WORKER,
    Server,
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


class TestConfiguration:
    def test_the_file_is_read_at_start_up_only_and_the_environment_wins(
        self, start: Callable[..., Server], tmp_path: Path, media: Path
    ) -> None:
        folder = tmp_path / "run"
        folder.mkdir()
        worker = start(WORKER)
        env_file = folder / ".env.local"
        env_file.write_text(f"USE_WORKER_IN_DEV='yes'\nWORKER_URL_BASE={worker.url}/\nTASKS_AUTH=wrong\n")
        api = start(API)
        settle_once(api, media, post_job(api)["job_id"], "worker_direct")
        env_file.write_text("USE_WORKER_IN_DEV=no\n")
        settle_once(api, media, post_job(api)["job_id"], "worker_direct")
        api.stop()
        api = start(API)
        settle_once(api, media, post_job(api)["job_id"], "inline")

    @pytest.mark.parametrize(
        ("variables", "env_file", "says"),
        [
            ({"APP_ENV": "produktion"}, "", "APP_ENV='produktion' is not known; use one of dev, development"),
            ({"JOB_LEASE_S": "soon"}, "", "JOB_LEASE_S='soon' is not a number"),
            ({}, "A='open\n", ".env.local line 1 is not NAME=value"),
        ],
    )
    def test_what_cannot_be_read_ends_the_process_with_one_line(
        self,
        start: Callable[..., Server],
        tmp_path: Path,
        variables: dict[str, str],
        env_file: str,
        says: str,
    ) -> None:
        folder = tmp_path / "run"
        folder.mkdir()
        (folder / ".env.local").write_text(env_file)
        for app in (API, WORKER):
            server = start(app, wait=False, **variables)
            assert server.ended() == 1
            (line,) = server.log().splitlines()
            assert line.startswith("configuration error: ")
            assert says in line

    def test_under_cloud_run_every_line_is_one_object(
        self, start: Callable[..., Server], media: Path, production: dict[str, str]
    ) -> None:
        worker = start(WORKER, K_SERVICE="worker", APP_ENV="production")
        api = start(API, WORKER_URL_BASE=worker.url, K_SERVICE="api", **production)
        trace = "0123456789abcdef" * 2
        job = post_job(api, headers={"X-Cloud-Trace-Context": f"{trace}/1;o=1"})["job_id"]
        wait_until(lambda: "assemble.job.settled" in api.log(), "the end")
        api.stop(signal.SIGTERM)
        entries = [json.loads(line) for line in api.log().splitlines()]
        mine = [entry for entry in entries if entry.get("job_id") == job]
        assert len(mine) == 5
        assert {entry["logging.googleapis.com/trace"] for entry in mine} == {f"projects/proj/traces/{trace}"}
        assert all(entry["message"].startswith(f"event={entry['event']} ") for entry in mine)
        assert all({"severity", "message", "time"} <= entry.keys() for entry in entries)
        assert len(manifests(media, job)) == 1

    def test_the_secret_is_nowhere(
        self,
        start: Callable[..., Server],
        production: dict[str, str],
        cloud_tasks: CloudTasksStub,
        tmp_path: Path,
        media: Path,
    ) -> None:
        leak = f"{SECRET} {quote(SECRET, safe='')} {base64.b64encode(SECRET.encode()).decode()}"
        worker = HttpStub(lambda _: (500, leak.encode()))
        try:
            cloud_tasks.always = Trouble("PERMISSION_DENIED", leak)
            api = start(API, WORKER_URL_BASE=worker.url, **production)
            answers = httpx.post(f"{api.url}/api/episodes/ep1/assemble").text
            job = json.loads(answers)["job_id"]
            wait_settled(api, job)
            answers += httpx.get(f"{api.url}/api/episodes/ep1").text
        finally:
            worker.close()
        assert "***" in api.log()
        written = [
            path for folder in (tmp_path / "run", media) for path in folder.rglob("*") if path.is_file()
        ]
        text = answers + "".join(path.read_bytes().decode("latin-1") for path in written)
        for shape in leak.split():
            assert shape not in text
