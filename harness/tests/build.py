"""Hand-written journals: each helper makes one fact as the harness would record it; ``journal`` numbers them.

The facts speak of ``JOB`` unless another is named::

    journal(stimulus(), rpc("UNAVAILABLE"), request(), reply(500), effect(role="api"))
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from harness.logs.parse import parse_line
from harness.model import Effect, Job, Observation

TASK_PATH = "/api/tasks/assemble"
WORKER_URL = "http://127.0.0.1:9999" + TASK_PATH
SECRET_HEADER = "X-Tasks-Auth"
SECRET = "s3cr3t/Zm9vYmFy_x-Y+&"
CLOUD_TASKS_HEADER = "X-CloudTasks-TaskName"

CHECKING = "assemble.service.checking_cloud_tasks"
CHECKED = "assemble.service.cloud_tasks_check"
ENQUEUED = "tasks.cloud.enqueued"
ENQUEUE_FAILED = "tasks.cloud.enqueue_failed"
TRYING = "assemble.service.trying_worker_direct"
DISPATCHED = "assemble.service.worker_direct_dispatched"
DIRECT_FAILED = "assemble.service.worker_direct_failed"
FALLING_BACK = "assemble.service.falling_back_to_inline"
INLINE_FAILED = "assemble.inline.failed"
WORKER_START = "worker.assemble.start"


def new_job(number: int, *, seq: int = 1) -> Job:
    """An accepted job; ``seq`` is where its stimulus stands in the journal."""
    return Job(
        episode_id=f"ep-{number}",
        job_id=f"job-{number}",
        correlation_id=f"c-{number}",
        status=202,
        answer_s=0.1,
        expected_audio=f"audio-{number}",
        seq=seq,
    )


JOB = new_job(1)


@dataclass(frozen=True, slots=True)
class Fact:
    """An observation that has no place in a journal yet."""

    source: str
    kind: str
    text: str
    fields: Mapping[str, Any]


def journal(*facts: Fact) -> tuple[Observation, ...]:
    """The facts as observations, numbered from 1, a tenth of a second apart."""
    return tuple(
        Observation(seq, seq / 10, fact.source, fact.kind, fact.text, fact.fields)
        for seq, fact in enumerate(facts, start=1)
    )


def log(line: str, *, by: str = "api", stream: str = "stdout") -> Fact:
    """A log line, understood as the harness understands it."""
    read = parse_line(line)
    data = dict(read.fields)
    fields = {
        "stream": stream,
        "form": read.form.value,
        "event": read.event,
        "data": data,
        "problem": read.problem,
    }
    return Fact(by, "log", line, fields)


def event(name: str, *, by: str = "api", job: Job | None = JOB, **fields: str) -> Fact:
    """An event of a job, or of none, with its ids."""
    ids = {} if job is None else _ids(job)
    pairs = {"event": name, **ids, **fields}
    return log(" ".join(f"{key}={_value(value)}" for key, value in pairs.items()), by=by)


def stimulus(job: Job = JOB) -> Fact:
    """The harness asks for a job."""
    return Fact("harness", "stimulus", f"asks for the assembly of {job.episode_id}", {})


def answer(job: Job = JOB, *, body: str | None = None) -> Fact:
    """The API answers."""
    return Fact(
        "api", "answer", "answers 202 after 5 ms", {"body": json.dumps(_ids(job)) if body is None else body}
    )


def state(said: str = "done", *, job: Job = JOB, done: bool = True) -> Fact:
    """The API says what has become of a job."""
    text = f"says that job {job.job_id} is {said}" if said else f"does not know job {job.job_id}"
    fields = {"job_id": job.job_id, "episode_id": job.episode_id, "state": said, "done": done, "body": said}
    return Fact("api", "state", text, fields)


def starts(role: str = "api") -> Fact:
    """A process is started."""
    return Fact(role, "process", "starts", {"starts": role})


def ended(role: str = "api", *, status: int = -9) -> Fact:
    """A process has ended: killed, unless another status is given."""
    return Fact(role, "process", f"ended, status {status}", {"status": status})


def rpc(
    code: str = "OK", *, observed: str = "", method: str = "CreateTask", job: Job = JOB, **task: Any
) -> Fact:
    """A call at Cloud Tasks; ``task`` replaces members of the task, and ``None`` removes one."""
    http_request = {
        "url": WORKER_URL,
        "httpMethod": "POST",
        "headers": {"Content-Type": "application/json", SECRET_HEADER: SECRET},
        "body_text": json.dumps(_ids(job)),
    }
    whole = {"httpRequest": http_request, "dispatchDeadline": "1800s", **task}
    fields = {
        "method": method,
        "code": code,
        "observed": observed or ("reply" if code == "OK" else "error"),
        "request": {"task": {key: value for key, value in whole.items() if value is not None}},
        "task": f"queues/q/tasks/assemble-{job.job_id}" if code == "OK" else None,
        "applied": code == "OK",
        "fault": None,
    }
    return Fact("cloud_tasks", "rpc", f"{method} → {code}", fields)


def http_request(**changes: Any) -> dict[str, Any]:
    """The HTTP request inside a good task, with changes; ``None`` removes a member."""
    good: dict[str, Any] = dict(rpc().fields["request"]["task"]["httpRequest"])
    return {key: value for key, value in {**good, **changes}.items() if value is not None}


def delivered(job: Job = JOB) -> Fact:
    """Cloud Tasks sends a task to its URL."""
    task = f"queues/q/tasks/assemble-{job.job_id}"
    return Fact("cloud_tasks", "attempt.sent", "delivers", {"task": task, "number": 1, "url": WORKER_URL})


def request(
    id_: int = 1,
    *,
    job: Job = JOB,
    method: str = "POST",
    path: str = TASK_PATH,
    headers: Iterable[list[str]] | None = None,
    body: str | None = None,
    by_cloud_tasks: bool = False,
    retries: int = 0,
) -> Fact:
    """A request at the worker's gateway; one by Cloud Tasks is delivered after so many others."""
    sent = (
        [["content-type", "application/json"], [SECRET_HEADER.lower(), SECRET]]
        if headers is None
        else [*headers]
    )
    if by_cloud_tasks:
        sent.append([CLOUD_TASKS_HEADER, f"assemble-{job.job_id}"])
        sent.append(["X-CloudTasks-TaskRetryCount", str(retries)])
    text = json.dumps(_ids(job)) if body is None else body
    fields = {"id": id_, "method": method, "path": path, "headers": sent, "body_text": text}
    return Fact("worker_gateway", "request", f"{method} {path}", fields)


def reply(
    status: int | None = 200,
    *,
    id_: int = 1,
    observed: str = "reply",
    body: str = "",
    forwarded: bool = True,
    fault: str | None = None,
    upstream_error: str | None = None,
) -> Fact:
    """The gateway's answer; ``upstream_error`` is why it has none of the worker's."""
    fields = {
        "id": id_,
        "status": status,
        "observed": observed,
        "forwarded": forwarded,
        "fault": fault,
        "upstream_error": upstream_error,
        "reply_body_text": body,
    }
    return Fact("worker_gateway", "reply", f"answers {status or observed}", fields)


def effect(
    job: Job = JOB, *, role: str = "worker", audio: str = "", checksum: str = "sum", claimed: str = "sum"
) -> Fact:
    """A finished assembly was found in storage."""
    fields = {
        "job_id": job.job_id,
        "episode_id": job.episode_id,
        "role": role,
        "audio": audio or job.expected_audio,
        "checksum": checksum,
        "claimed_checksum": claimed,
    }
    return Fact("storage", "effect", f"job {job.job_id} assembled in the {role}", fields)


def unexpected(why: str = "no such path") -> Fact:
    """A fake could not serve what it was asked."""
    return Fact("worker_gateway", "unexpected", why, {"why": why})


def effects_of(*facts: Fact) -> list[Effect]:
    """The effects among the facts, as oracles take them."""
    return [Effect(**o.fields, seq=o.seq) for o in journal(*facts)]


def _ids(job: Job) -> dict[str, str]:
    return {"job_id": job.job_id, "episode_id": job.episode_id, "correlation_id": job.correlation_id}


def _value(value: str) -> str:
    plain = value and not set(value) & set(' "=\\')
    return value if plain else json.dumps(value)
