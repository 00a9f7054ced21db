"""What a reader is shown of a scenario: who said what to whom and when, the way taken, expected against observed.

A pure function of the records; reports draw their diagrams and time lines from it. It is kept in ``verdict.json``
and in ``results.json``, so it is short: long texts are cut, and of a very long run the middle is left out.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from harness import journal as journals
from harness.context import SystemRecord
from harness.errors import Finding
from harness.ledger import Check
from harness.model import Observation
from harness.oracles import route
from harness.oracles.secrets import MASK, mask

LONGEST_STORY = 120
LONGEST_TEXT = 300
_LOST = {"hang", "reset", "garbage"}
_QUIET = {"queue", "task.gone"}
_SENSITIVE = re.compile(r"secret|token|passw|auth|credential|private|api_?key", re.IGNORECASE)


def account(
    systems: Sequence[SystemRecord],
    checks: Sequence[Check],
    finding: Finding | None = None,
    *,
    closing: bool = False,
) -> dict[str, Any]:
    """The account of one scenario, as JSON.

    Args:
        systems: what was recorded.
        checks: the scenario's expectations and their outcomes.
        finding: what the verdict rests on, where it is not a pass.
        closing: whether the scenario came to its end, and what is wrong is wrong in every scenario.
    """
    entries = [entry for number, system in enumerate(systems) for entry in _story(system, number, finding)]
    return {
        "story": _shortened(entries),
        "observations": sum(len(system.observations) for system in systems),
        "jobs": [job for number, system in enumerate(systems) for job in _jobs(system, number)],
        "faults": sorted({fault for system in systems for fault in _faults(system)}),
        "settings": sorted({setting for system in systems for setting in _settings(system)}),
        "modes": [system.mode.value for system in systems],
        "environment": [_environment(system) for system in systems],
        "expectations": [_check(check) for check in checks],
        "finding": _finding(finding) if finding else None,
        "judged_by": "closing" if closing else "expectation" if checks and checks[-1].finding else "",
    }


def _jobs(system: SystemRecord, number: int) -> list[dict[str, Any]]:
    jobs = []
    for job in (job for job in system.jobs if not job.in_crowd):  # of a crowd, the figures tell
        mine = journals.of_job(system.observations, job)
        effects = journals.effects(mine)
        jobs.append(
            {
                "system": number,
                "episode_id": job.episode_id,
                "job_id": job.job_id,
                "status": job.status,
                "answer_s": round(job.answer_s, 4),
                "effects": len(effects),
                "wire": [str(step) for step in route.from_wire(mine, effects)],
                "logs": [str(step) for step in route.from_logs(mine)],
                "ended_s": _ended_s(mine, job.seq),
            }
        )
    return jobs


def _ended_s(mine: Sequence[Observation], seq: int) -> float | None:
    """Seconds from the request to the job's last effect; None where it had none."""
    began = next((o.at_s for o in mine if o.seq == seq), None)
    ends = [o.at_s for o in mine if o.kind == "effect"]
    return round(ends[-1] - began, 4) if ends and began is not None else None


def _faults(system: SystemRecord) -> list[str]:
    return [str(o.fields["name"]) for o in system.observations if o.kind == "fault" and o.fields.get("name")]


def _settings(system: SystemRecord) -> list[str]:
    return [str(o.fields["setting"]) for o in system.observations if o.kind == "setting"]


def _environment(system: SystemRecord) -> dict[str, dict[str, str]]:
    return {
        where: {name: MASK if _SENSITIVE.search(name) and value else value for name, value in given.items()}
        for where, given in system.environment.items()
    }


def _check(check: Check) -> dict[str, Any]:
    return {"what": check.what, **(_finding(check.finding) if check.finding else {})}


def _finding(finding: Finding) -> dict[str, str]:
    given = {
        "expected": finding.expected,
        "observed": finding.observed,
        "nearest": finding.nearest,
        "oracle": finding.oracle,
    }
    return {name: text for name, text in given.items() if text}


def _story(system: SystemRecord, number: int, finding: Finding | None) -> list[dict[str, Any]]:
    asked = [o.seq for o in system.observations if o.kind == "stimulus"]
    sent = route.tasks_sent(system.observations)
    callers: dict[object, str] = {}
    forwarded = {
        o.fields.get("id") for o in system.observations if o.kind == "reply" and o.fields.get("forwarded")
    }
    entries = []
    for o in system.observations:
        if o.kind in _QUIET:
            continue
        entry: dict[str, Any] = {
            "at_s": round(o.at_s, 4),
            "source": o.source,
            "kind": o.kind,
            "text": _cut(mask(o.text, [system.secret])),
        }
        entry |= {name: value for name, value in _facts(o, asked, sent, callers).items() if value}
        if o.kind == "request" and o.fields.get("id") in forwarded:
            entry["forwarded"] = True
        if number:
            entry["system"] = number
        if finding is not None and _names(finding, o):
            entry["marked"] = True
        entries.append(entry)
    return entries


def _facts(  # noqa: PLR0911 - one return for each kind
    o: Observation, asked: Sequence[int], sent: Collection[str], callers: dict[object, str]
) -> dict[str, Any]:
    """What the drawing needs: events, faults, who called, whether the caller could know what happened."""
    f: Mapping[str, Any] = o.fields
    match o.kind:
        case "log":
            return {"event": f.get("event"), "unparsed": f.get("form") == "unparsed"}
        case "rpc":
            lost = f.get("observed") in _LOST or (f.get("applied") and f.get("observed") != "reply")
            return {
                "label": f.get("method"),
                "reply": f.get("code") or f.get("observed"),
                "fault": f.get("fault"),
                "ambiguous": bool(lost),
            }
        case "request":
            by_task = route.delivered_by_cloud_tasks(o, sent)
            caller = "cloud_tasks" if by_task else "api" if any(s < o.seq for s in asked) else "harness"
            callers[f.get("id")] = caller
            return {"label": f"{f.get('method')} {f.get('path')}", "caller": caller}
        case "reply":
            lost = f.get("observed") in _LOST or (f.get("forwarded") and f.get("observed") != "reply")
            return {
                "caller": callers.get(f.get("id"), "api"),
                "reply": str(f.get("status") or f.get("observed")),
                "forwarded": f.get("forwarded"),
                "fault": f.get("fault"),
                "ambiguous": bool(lost),
            }
        case "attempt.ended":
            return {"failed": f.get("outcome") != "success"}
        case "fault":
            return {"fault": f.get("name")}
        case "effect":
            return {"role": f.get("role")}
        case _:
            return {}


def _names(finding: Finding, o: Observation) -> bool:
    """Whether the finding speaks of this observation: its event's name, or its whole text."""
    said = f"{finding.expected}\n{finding.observed}\n{finding.nearest}"
    event = o.fields.get("event")
    if event:
        return re.search(rf"(?<![\w.]){re.escape(str(event))}(?![\w.])", said) is not None
    return len(o.text) > 12 and o.text in said


def _shortened(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The story, without its middle where it is very long; marked entries always stay."""
    if len(entries) <= LONGEST_STORY:
        return entries
    half = LONGEST_STORY // 2
    middle = entries[half:-half]
    kept = [entry for entry in middle if entry.get("marked")][:half]
    left_out = {
        "at_s": middle[0]["at_s"],
        "source": "harness",
        "kind": "left out",
        "text": f"{len(middle) - len(kept)} more observations are in journal.jsonl",
    }
    return [*entries[:half], left_out, *kept, *entries[-half:]]


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST_TEXT else text[: LONGEST_TEXT - 1] + "…"
