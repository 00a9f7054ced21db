"""Asks the API what has become of jobs: what its store says, beside what lies in storage."""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx

from harness.errors import Inconclusive
from harness.journal import Journal
from harness.model import Job
from harness.profile import Status
from harness.topologies import http

_CLIENTS = 8
_TIMEOUT_S = 10.0


def record(journal: Journal, status: Status, url: str, jobs: Sequence[Job]) -> None:
    """Record what the API at the URL says of each accepted job.

    Raises:
        Inconclusive: it does not answer, or not as the profile says.
    """
    accepted = [job for job in jobs if job.job_id]
    with ThreadPoolExecutor(min(_CLIENTS, len(accepted) or 1)) as clients:
        for _ in clients.map(lambda job: _record(journal, status, url, job), accepted):
            pass


def _record(journal: Journal, status: Status, url: str, job: Job) -> None:
    path = status.path.format(episode_id=job.episode_id)
    try:
        reply = http.client().get(url + path, timeout=_TIMEOUT_S)
        states = _states(reply.text, status)
    except (httpx.HTTPError, ValueError, KeyError, TypeError) as problem:
        raise Inconclusive(
            f"GET {path} does not tell how the job is doing, as [status] of the profile says: {problem!r}"
        ) from None
    state = states.get(job.job_id, "")
    says = f"says that job {job.job_id} is {state}" if state else f"does not know job {job.job_id}"
    done = state in (status.done or status.ended)
    about = {"job_id": job.job_id, "episode_id": job.episode_id}
    journal.record("api", "state", says, state=state, done=done, body=reply.text, **about)


def _states(text: str, status: Status) -> dict[str, str]:
    document: Any = json.loads(text)
    return {str(entry[status.job_id]): str(entry[status.state]) for entry in document[status.jobs]}
