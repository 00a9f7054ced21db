"""A job: its one key, and the one payload that it carries on every route."""

from __future__ import annotations

import json
import re
import uuid
from enum import StrEnum
from typing import NamedTuple

EPISODE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
JOB_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")  # also fits a Cloud Tasks task id, which allows no dot
CORRELATION_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
TITLE_MAX_CHARS = 200


class Route(StrEnum):
    """The ways a job can get done, in the order in which production tries them."""

    CLOUD_TASKS = "cloud_tasks"
    WORKER_DIRECT = "worker_direct"
    INLINE = "inline"


class Job(NamedTuple):
    """One accepted request to assemble one episode. A deliberate re-run is another job with another id.

    `trace` is Cloud Run's trace id when the request had one; it ties log lines together and is not payload.
    """

    job_id: str
    episode_id: str
    correlation_id: str
    title: str | None = None
    trace: str = ""

    @classmethod
    def new(
        cls, episode_id: str, *, correlation_id: str | None = None, title: str | None = None, trace: str = ""
    ) -> Job:
        """A job with a fresh key; the correlation id is the caller's if well-formed, else fresh too."""
        if correlation_id is None or not CORRELATION_ID.fullmatch(correlation_id):
            correlation_id = uuid.uuid4().hex
        return cls(uuid.uuid4().hex, episode_id, correlation_id, title, trace)

    @property
    def task_id(self) -> str:
        """The Cloud Tasks task id: the key again, so that a second enqueue of the job is ALREADY_EXISTS."""
        return f"assemble-{self.job_id}"

    def body(self) -> bytes:
        """The request body, byte for byte the same on every route."""
        payload = {
            "job_id": self.job_id,
            "episode_id": self.episode_id,
            "correlation_id": self.correlation_id,
        }
        if self.title is not None:
            payload["title"] = self.title
        return json.dumps(payload, separators=(",", ":"), sort_keys=True).encode()

    def headers(self, secret: str) -> dict[str, str]:
        """The request headers, the same on every route. The secret travels here and never in a URL."""
        return {
            "Content-Type": "application/json",
            "Idempotency-Key": self.job_id,
            "X-Correlation-Id": self.correlation_id,
            "X-Tasks-Auth": secret,
        }
