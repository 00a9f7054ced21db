"""What the real processes make of requests that they must refuse, and of input that cannot be assembled."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import httpx
import pytest

from reference_impl.tests.conftest import SECRET
from reference_impl.tests.processes import API, WORKER, Server, job_state, post_job, wait_settled

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class TestInput:
    @pytest.fixture
    def worker(self, start: Callable[..., Server]) -> Server:
        return start(WORKER)

    @pytest.fixture
    def task(self) -> dict[str, Any]:
        return {"job_id": "j1", "episode_id": "ep1", "correlation_id": "c1"}

    @pytest.mark.parametrize(
        ("headers", "reason"),
        [
            ({}, "secret-missing"),
            ({"X-Tasks-Auth": "wrong"}, "secret-wrong"),
            ({"X-Tasks-Auth": ""}, "secret-wrong"),
        ],
    )
    def test_without_the_secret_nothing_happens(
        self, worker: Server, task: dict[str, Any], media: Path, headers: dict[str, str], reason: str
    ) -> None:
        response = httpx.post(f"{worker.url}/api/tasks/assemble", json=task, headers=headers)
        assert response.status_code == 401
        assert [(e["event"], e["reason"]) for e in worker.events()] == [("worker.auth.rejected", reason)]
        assert not list(media.glob("**/assembled/*"))

    def test_a_bad_body_names_the_field_and_the_worker_keeps_serving(
        self, worker: Server, task: dict[str, Any], media: Path
    ) -> None:
        def send(content: bytes) -> tuple[int, str]:
            reply = httpx.post(
                f"{worker.url}/api/tasks/assemble", content=content, headers={"X-Tasks-Auth": SECRET}
            )
            return reply.status_code, reply.json().get("error", {}).get("field", "")

        assert send(b"{") == (400, "body")
        assert send(b"[" * 10_000) == (400, "body")
        assert send(b"[]") == (422, "body")
        for name in task:
            assert send(json.dumps({k: v for k, v in task.items() if k != name}).encode()) == (422, name)
            assert send(json.dumps(task | {name: 7}).encode()) == (422, name)
            assert send(json.dumps(task | {name: "a/../b"}).encode()) == (422, name)
        assert send(json.dumps(task | {"title": []}).encode()) == (422, "title")
        assert send(json.dumps(task | {"title": "x" * 201}).encode()) == (422, "title")
        assert send(json.dumps(task | {"title": "\ud800"}).encode()) == (422, "title")
        assert send(json.dumps(task | {"title": "a\0b"}).encode()) == (422, "title")
        assert send(json.dumps(task | {"title": "x" * 20_000}).encode()) == (413, "body")
        assert not list(media.glob("**/assembled/*"))
        assert "worker.assemble.start" not in worker.names()
        assert send(json.dumps(task | {"more": 1}).encode()) == (200, "")
        assert send(json.dumps(task | {"episode_id": "ep2"}).encode()) == (409, "job_id")

    def test_the_api_names_what_is_wrong_with_a_request(self, start: Callable[..., Server]) -> None:
        api = start(API)

        def send(episode_id: str, content: bytes = b"") -> tuple[int, str]:
            reply = httpx.post(f"{api.url}/api/episodes/{quote(episode_id)}/assemble", content=content)
            return reply.status_code, reply.json().get("error", {}).get("field", "")

        assert send("unknown") == (404, "episode_id")
        assert send("event=forged\nx") == (422, "episode_id")
        assert send("ep1", b"{") == (400, "body")
        assert send("ep1", b"7") == (422, "body")
        assert send("ep1", b'{"title": 7}') == (422, "title")
        assert send("ep1", rb'{"title": "a\u0000b"}') == (422, "title")
        assert send("ep1", b'{"title": "' + b"x" * 20_000 + b'"}') == (413, "body")
        assert send("ep1", b'{"title": "fine"}') == (202, "")
        assert httpx.get(f"{api.url}/api/episodes/unknown").status_code == 404
        assert "forged" not in api.log().replace("event\\u003dforged", "")

    @pytest.mark.parametrize("app", [API, WORKER])
    def test_what_there_is_not_is_refused_in_the_form_of_every_error(
        self, start: Callable[..., Server], app: str
    ) -> None:
        url = start(app).url
        nowhere, wrong_method = httpx.get(f"{url}/api/nowhere"), httpx.post(f"{url}/healthz")
        assert (nowhere.status_code, nowhere.json()) == (404, {"error": {"message": "Not Found"}})
        assert (wrong_method.status_code, wrong_method.json()) == (
            405,
            {"error": {"message": "Method Not Allowed"}},
        )
        assert wrong_method.headers["allow"]

    def test_segments_that_cannot_be_joined_end_the_job(
        self, start: Callable[..., Server], media: Path, production: dict[str, str]
    ) -> None:
        (media / "episodes/ep1/segments/00.wav").write_bytes(b"no WAV")
        worker = start(WORKER)
        api = start(API, WORKER_URL_BASE=worker.url, **production)
        job = post_job(api)["job_id"]
        settled = wait_settled(api, job)
        assert (settled["outcome"], settled["route"]) == ("failed", "cloud_tasks")
        assert worker.names(job) == ["worker.assemble.start", "worker.assemble.failed"]
        assert job_state(api, job)["state"] == "failed"
