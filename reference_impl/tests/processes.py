"""Real API and worker processes for tests: start, wait, read their log, kill."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, TypeVar

import httpx

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_T = TypeVar("_T")
API = "reference_impl.api:app"
WORKER = "reference_impl.worker:app"
_PORT = re.compile(r"Uvicorn running on http://127\.0\.0\.1:(\d+)")
_END_WITHIN_S = 60.0  # measured by coverage, it still has its data to write
_PASSED_ON = ("PATH", "HOME", "LANG", "TMPDIR", "COVERAGE_PROCESS_START", "COVERAGE_PROCESS_CONFIG")


def wait_until(look: Callable[[], _T], what: str, timeout_s: float = 20.0) -> _T:
    """Poll until `look` answers something true; a test's only wait, and always with a deadline."""
    deadline = time.monotonic() + timeout_s
    while not (seen := look()):
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {timeout_s} s; last seen {seen!r}")
        time.sleep(0.02)
    return seen


class Zygote:
    """The process that servers are forked from; one per test process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "reference_impl.tests.zygote"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, command: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin
        assert self._process.stdout
        with self._lock:
            self._process.stdin.write(json.dumps(command) + "\n")
            self._process.stdin.flush()
            answer: dict[str, Any] = json.loads(self._process.stdout.readline())
            return answer

    def close(self) -> None:
        assert self._process.stdin
        assert self._process.stdout
        # Asked, and not only left alone: the end of a pipe comes late while anything else still refers to it.
        self._process.stdin.write("\n")
        self._process.stdin.close()
        self._process.wait(timeout=_END_WITHIN_S)
        self._process.stdout.close()


class Server:
    """One server process. Its standard output and error go to one file."""

    def __init__(self, zygote: Zygote, app: str, env: dict[str, str], folder: Path) -> None:
        self._zygote = zygote
        folder.mkdir(parents=True, exist_ok=True)
        self.log_file = folder / f"{app.partition(':')[0]}-{time.monotonic_ns()}.log"
        inherited = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        command = {"app": app, "env": inherited | env, "cwd": str(folder), "log": str(self.log_file)}
        self.pid: int = zygote.ask({"start": command})["pid"]

    def ready(self) -> Server:
        wait_until(lambda: _PORT.search(self.log()) or self.status() is not None, "the server to be ready")
        assert _PORT.search(self.log()), self.log()
        return self

    @property
    def url(self) -> str:
        match = _PORT.search(self.log())
        assert match, self.log()
        return f"http://127.0.0.1:{match[1]}"

    def status(self) -> int | None:
        status: int | None = self._zygote.ask({"status": self.pid})["status"]
        return status

    def log(self) -> str:
        return self.log_file.read_text(encoding="utf-8") if self.log_file.exists() else ""

    def events(self, job_id: str = "") -> list[dict[str, str]]:
        """The logfmt events, parsed; of one job when its id is given."""
        parsed = [parse_event(line) for line in self.log().splitlines() if line.startswith("event=")]
        return [event for event in parsed if not job_id or event.get("job_id") == job_id]

    def names(self, job_id: str = "") -> list[str]:
        return [event["event"] for event in self.events(job_id)]

    def send(self, number: signal.Signals) -> None:
        if self.status() is None:
            os.kill(self.pid, number)

    def stop(self, number: signal.Signals = signal.SIGKILL) -> int:
        self.send(number)
        return self.ended()

    def ended(self) -> int:
        """Wait for the process to end; its exit status."""
        wait_until(lambda: self.status() is not None, "the server to end")
        status = self.status()
        assert status is not None
        return status


def parse_event(line: str) -> dict[str, str]:
    """A logfmt line as a dict; JSON strings are decoded."""
    decoder = json.JSONDecoder()
    fields: dict[str, str] = {}
    while line:
        key, _, line = line.partition("=")
        if line.startswith('"'):
            value, end = decoder.raw_decode(line)
            line = line[end + 1 :]
        else:
            value, _, line = line.partition(" ")
        fields[key] = value
    return fields


def post_job(api: Server, episode_id: str = "ep1", **options: Any) -> dict[str, str]:
    """Submit one job and return the answer."""
    response = httpx.post(f"{api.url}/api/episodes/{episode_id}/assemble", timeout=10, **options)
    assert response.status_code == 202, response.text
    answer: dict[str, str] = response.json()
    return answer


def job_state(api: Server, job_id: str, episode_id: str = "ep1") -> dict[str, Any]:
    jobs = httpx.get(f"{api.url}/api/episodes/{episode_id}", timeout=10).json()["jobs"]
    return next(job for job in jobs if job["job_id"] == job_id)


def wait_settled(api: Server, job_id: str, timeout_s: float = 20.0) -> dict[str, str]:
    """Wait for the event that ends the job, and return it."""
    settled = wait_until(
        lambda: [e for e in api.events(job_id) if e["event"] == "assemble.job.settled"],
        f"job {job_id} to settle; log so far:\n{shlex.quote(str(api.log_file))}",
        timeout_s,
    )
    return settled[0]


def free_port() -> int:
    """A port to start, kill and start again on; a server that is started once takes 0.

    It is below those that the kernel gives to outgoing connections, one of which could take it meanwhile.
    """
    while True:
        port = 10_000 + secrets.randbelow(20_000)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


def manifests(media: Path, job_id: str) -> list[dict[str, Any]]:
    """The effects of a job, from disk."""
    found = media.glob(f"episodes/*/assembled/{job_id}.*.json")
    return [json.loads(path.read_text(encoding="utf-8")) for path in found]


def all_manifests(media: Path) -> Iterator[dict[str, Any]]:
    for path in media.glob("episodes/*/assembled/*.json"):
        yield json.loads(path.read_text(encoding="utf-8"))


def settle_once(api: Server, media: Path, job_id: str, route: str) -> dict[str, str]:
    """Wait for the end and check that there is one end, one effect, and one answer about both."""
    settled = wait_settled(api, job_id)
    (manifest,) = manifests(media, job_id)
    assert (settled["route"], settled["outcome"]) == (route, "done")
    assert manifest["route"] == route
    state = job_state(api, job_id)
    assert (state["state"], state["route"], state["checksum"]) == ("done", route, manifest["checksum"])
    return settled
