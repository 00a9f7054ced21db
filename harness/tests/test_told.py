"""What the API says of its jobs is heard, and held against what lies in storage."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from harness.errors import Inconclusive
from harness.journal import Journal
from harness.oracles import closing
from harness.profile import Status
from harness.tests.build import JOB, SECRET, journal, new_job, state
from harness.topologies import told

STATUS = Status(path="/of/{episode_id}", ended=("done", "failed"), done=("done",))


class Api:
    """Answers every GET with the same bytes."""

    def __init__(self) -> None:
        api = self
        self.answer = b""
        self.asked: list[str] = []

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                api.asked.append(self.path)
                self.send_response(200)
                self.send_header("Content-Length", str(len(api.answer)))
                self.end_headers()
                self.wfile.write(api.answer)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def api() -> Iterator[Api]:
    made = Api()
    yield made
    made.close()


@pytest.mark.parametrize(
    ("status", "says", "done"),
    [
        (STATUS, "done", True),
        (STATUS, "failed", False),
        (STATUS.model_copy(update={"done": ()}), "failed", True),
        (STATUS, "running", False),
    ],
)
def test_what_the_api_says_is_recorded(api: Api, status: Status, says: str, *, done: bool) -> None:
    api.answer = json.dumps({"jobs": [{"job_id": JOB.job_id, "state": says}]}).encode()
    seen = Journal()

    told.record(seen, status, api.url, [JOB, new_job(2)])

    assert sorted(api.asked) == ["/of/ep-1", "/of/ep-2"]
    by_job = {o.fields["job_id"]: o for o in seen.observations}
    assert (by_job["job-1"].text, by_job["job-1"].fields["done"]) == (f"says that job job-1 is {says}", done)
    assert (by_job["job-2"].text, by_job["job-2"].fields["done"]) == ("does not know job job-2", False)


@pytest.mark.parametrize("answer", [b"<html>", b"[]", b'{"jobs": [{"id": "x"}]}', b'{"jobs": 7}'])
def test_an_api_that_does_not_say_leaves_no_evidence(api: Api, answer: bytes) -> None:
    api.answer = answer
    with pytest.raises(Inconclusive, match=r"GET /of/ep-1 does not tell how the job is doing, as \[status\]"):
        told.record(Journal(), STATUS, api.url, [JOB])


def test_a_secret_in_what_the_api_says_is_found() -> None:
    assert closing.secret_kept(journal(state()), [SECRET]) is None
    assert closing.secret_kept(journal(state(f"done by {SECRET}")), [SECRET]) is not None
