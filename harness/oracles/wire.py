"""What a hand-over looked like on the wire: the call to the worker, and the task given to Cloud Tasks."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from harness.errors import Finding
from harness.model import Job, Observation

_ORACLE = "wire"


@dataclass(frozen=True, slots=True)
class ExpectedCall:
    """What a hand-over must look like, whichever route makes it."""

    url: str
    secret_header: str
    secret: str
    job: Job


def one_call(requests: Sequence[Observation], expected: ExpectedCall) -> Finding | None:
    """Exactly one request, and it is the expected one."""
    if len(requests) != 1:
        return _finding("one request at the worker", ", ".join(r.text for r in requests) or "none")
    fields = requests[0].fields
    path = urlsplit(expected.url).path
    if (fields["method"], fields["path"]) != ("POST", path):
        return _finding(f"POST {path}", f"{fields['method']} {fields['path']}")
    return _headers(fields["headers"], expected) or _body(str(fields.get("body_text", "")), expected)


def one_task(
    calls: Sequence[Observation], expected: ExpectedCall, *, longest_assembly_s: float
) -> Finding | None:
    """Exactly one task was accepted, and it asks for the expected call, at once and with time enough."""
    accepted = [call for call in calls if call.fields["code"] == "OK"]
    if len(accepted) != 1:
        return _finding("one task that Cloud Tasks accepts", ", ".join(c.text for c in calls) or "no call")
    task: Mapping[str, Any] = accepted[0].fields["request"].get("task", {})
    request: Mapping[str, Any] = task.get("httpRequest", {})
    if request.get("url") != expected.url:
        return _finding(f"a task for {expected.url}", f"{request.get('url')!r}")
    if request.get("httpMethod", "POST") != "POST":
        return _finding("a task that is POSTed", f"{request['httpMethod']}")
    if "scheduleTime" in task:
        return _finding("a task that is due at once", f"scheduled for {task['scheduleTime']}")
    deadline_s = float(str(task.get("dispatchDeadline", "600s")).removesuffix("s"))
    if deadline_s < longest_assembly_s:
        return _finding(f"a dispatch deadline of {longest_assembly_s:g} s or more", f"{deadline_s:g} s")
    headers = list(request.get("headers", {}).items())
    return _headers(headers, expected) or _body(str(request.get("body_text", "")), expected)


def retried(ends: Sequence[Observation], times: int) -> Finding | None:
    """The attempts of one task: ``times`` failures, each followed by a longer wait, then a success."""
    outcomes = [end.fields["outcome"] for end in ends]
    waits = [end.fields["retry_in_s"] for end in ends[:-1]]
    if outcomes == ["failed"] * times + ["success"] and all(
        earlier < later for earlier, later in itertools.pairwise(waits)
    ):
        return None
    return _finding(
        f"{times} failed attempts with growing waits, then a success",
        f"{', '.join(map(str, outcomes)) or 'no attempt'}; waits in seconds: {waits}",
    )


def same_payload(observations: Sequence[Observation]) -> Finding | None:
    """Every call that hands the job over, through Cloud Tasks or directly, has the same body and key."""
    seen: dict[tuple[str, str], str] = {}
    for o in observations:
        if o.kind == "rpc" and o.fields["method"] == "CreateTask":
            request = o.fields["request"].get("task", {}).get("httpRequest", {})
            headers, body = list(request.get("headers", {}).items()), str(request.get("body_text", ""))
        elif o.kind == "request":
            headers, body = o.fields["headers"], str(o.fields.get("body_text", ""))
        else:
            continue
        keys = [value for name, value in headers if name.lower() == "idempotency-key"]
        seen.setdefault((body, keys[0] if keys else ""), o.source)
    if len(seen) == 1:
        return None
    listed = "; ".join(f"{source}: key {key!r}, body {body}" for (body, key), source in seen.items())
    return _finding("the same body and key on every route", listed or "no hand-over at all")


def _headers(headers: Iterable[Sequence[str]], expected: ExpectedCall) -> Finding | None:
    found = {name.lower(): value for name, value in headers}
    sent = found.get(expected.secret_header.lower())
    if sent != expected.secret:
        names = ", ".join(sorted(found))
        what = "another secret" if sent is not None else f"only the headers {names}"
        return _finding(f"the secret in the header {expected.secret_header}", what)
    if not found.get("content-type", "").startswith("application/json"):
        return _finding("content-type application/json", repr(found.get("content-type")))
    return None


def _body(text: str, expected: ExpectedCall) -> Finding | None:
    try:
        document = json.loads(text)
    except ValueError:
        return _finding("a JSON body", repr(text[:200]))
    if not isinstance(document, dict) or expected.job.episode_id not in document.values():
        return _finding(f"a JSON object that names the episode {expected.job.episode_id}", repr(text[:200]))
    return None


def _finding(expected: str, observed: str) -> Finding:
    return Finding(expected, observed, oracle=_ORACLE)
