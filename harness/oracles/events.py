"""Which events were logged: present, absent, counted, in order, with reasons, under one correlation id."""

from __future__ import annotations

import difflib
import json
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence

from harness.errors import Finding
from harness.logs.parse import BANNER_RULE, BANNER_TITLE
from harness.model import Event, Job, Observation

_ORACLE = "events"
_TRACE = "logging.googleapis.com/trace"
_SEVERITIES = {"DEBUG", "INFO", "NOTICE", "WARNING", "ERROR", "CRITICAL", "ALERT", "EMERGENCY"}
FALSE = frozenset({"false", "0", "no", "off", ""})
"""How a log may spell that something is not so, in lower case."""
FAILURE_INDICATORS = (
    "assemble.service.trying_worker_direct",
    "assemble.service.falling_back_to_inline",
    "dev.worker_not_used",
    "dev.local_start",
)


def present(
    events: Sequence[Event], name: str, fields: Mapping[str, str] | None = None, *, source: str | None = None
) -> Finding | None:
    """The event was logged, by ``source`` where one is named, with at least these fields."""
    named = [e for e in events if e.name == name and source in (None, e.source)]
    if any(_has(e, fields or {}) for e in named):
        return None
    wanted = " ".join([f"event={name}", *(f"{k}={v}" for k, v in (fields or {}).items())])
    return Finding(
        expected=f"{wanted} in the log" + (f" of the {source}" if source else ""),
        observed=_listed(named or events),
        nearest=_nearest(name, events),
        oracle=_ORACLE,
    )


def absent(events: Sequence[Event], names: Iterable[str]) -> Finding | None:
    """None of the events was logged."""
    unwanted = set(names)
    found = [e for e in events if e.name in unwanted]
    if not found:
        return None
    return Finding(
        expected=f"no {' and no '.join(f'event={name}' for name in sorted(unwanted))}",
        observed=_listed(found),
        oracle=_ORACLE,
    )


def counted(events: Sequence[Event], name: str, count: int, *, source: str | None = None) -> Finding | None:
    """The event was logged exactly ``count`` times."""
    found = [e for e in events if e.name == name and source in (None, e.source)]
    if len(found) == count:
        return None
    return Finding(
        expected=f"event={name} exactly {count} time(s)",
        observed=f"{len(found)} time(s): {_listed(found)}",
        nearest=_nearest(name, events) if not found else "",
        oracle=_ORACLE,
    )


def once_each(events: Sequence[Event], name: str, jobs: Sequence[Job]) -> Finding | None:
    """The event was logged exactly once for each of many jobs."""
    counts = Counter(event.fields.get("job_id", "") for event in events if event.name == name)
    wrong = [f"{counts[job.job_id]} time(s) for job {job.job_id}" for job in jobs if counts[job.job_id] != 1]
    if jobs and not wrong:
        return None
    return Finding(
        expected=f"event={name} exactly once for each of {len(jobs)} jobs",
        observed=f"not so for {len(wrong)}, for example {wrong[0]}" if wrong else "no job was asked for",
        oracle=_ORACLE,
    )


def in_order(events: Sequence[Event], names: Sequence[str]) -> Finding | None:
    """The events were logged in this order; others may stand between them."""
    position = 0
    for event in events:
        if position < len(names) and event.name == names[position]:
            position += 1
    if position == len(names):
        return None
    missing = names[position]
    return Finding(
        expected=f"in this order: {', '.join(names)}",
        observed=_listed(events)
        + (f"\n{missing} was logged, but too early" if missing in {e.name for e in events} else ""),
        nearest=_nearest(missing, [e for e in events if e.name not in names[:position]]),
        oracle=_ORACLE,
    )


def reason_before(events: Sequence[Event], later: str) -> Finding | None:
    """Before the event ``later``, the log says why the route before it did not take the job.

    What counts is the last event before it that says a route failed or was skipped: the reason that it gives. A
    reason for a success (``enabled=true reason=configured``), or for an earlier route, explains nothing.
    """
    names = [e.name for e in events]
    if later not in names:
        return present(events, later)
    told = [e for e in events[: names.index(later)] if _tells_of_a_failure(e)]
    if told and told[-1].fields.get("reason"):
        return None
    return Finding(
        expected=f"an event of a failed or skipped route with reason=… before event={later}",
        observed=_listed(events),
        nearest=str(told[-1]) if told else "",
        oracle=_ORACLE,
    )


def for_cloud_run(lines: Sequence[Observation], names: Sequence[str]) -> Finding | None:
    """Each event's line is one JSON object as Cloud Logging reads it, and its message reads as in the seed.

    Source: Cloud Run, structured logging: ``severity``, ``message`` and ``logging.googleapis.com/trace``.
    """
    for name in names:
        mine = [line for line in lines if line.fields["event"] == name]
        if not mine:
            return Finding(f"event={name}", "no such event", oracle=_ORACLE)
        for line in mine:
            missing = _missing_for_cloud_run(line.text, name)
            if missing:
                return Finding(f"{missing} in the line of event={name}", repr(line.text), oracle=_ORACLE)
    return None


def _missing_for_cloud_run(text: str, name: str) -> str:
    try:
        document = json.loads(text)
    except ValueError:
        return "one JSON object"
    if document.get("severity") not in _SEVERITIES:
        return "a severity"
    if f"event={name}" not in str(document.get("message", "")):
        return f"a message with event={name}"
    if not re.fullmatch(r"projects/[^/]+/traces/[0-9a-f]{32}", str(document.get(_TRACE, ""))):
        return _TRACE
    return ""


def _tells_of_a_failure(event: Event) -> bool:
    if event.name == "assemble.service.cloud_tasks_check":
        return event.fields.get("enabled", "true").lower() in FALSE
    # A setting that was refused at start-up is why a route is skipped later: the seed's own line says no reason.
    return event.name.startswith("config.invalid_") or event.name.endswith(("_failed", ".failed", "_skipped"))


def names_variable(events: Sequence[Event], variable: str) -> Finding | None:
    """An event names the environment variable, so that a person knows what to correct."""
    if any(
        variable in event.fields.values() or variable in event.fields.get("detail", "") for event in events
    ):
        return None
    return Finding(
        expected=f"an event that names the variable {variable}",
        observed=_listed(events),
        oracle=_ORACLE,
    )


def one_correlation_id(events: Sequence[Event], correlation_id: str) -> Finding | None:
    """Every event carries the same correlation id, the one that the API answered."""
    strangers = [e for e in events if e.fields.get("correlation_id") != correlation_id]
    if not strangers and correlation_id and events:
        return None
    return Finding(
        expected=f"correlation_id={correlation_id or '(one that the API answers)'} in every event of the job",
        observed=_listed(strangers) if events else "no event at all",
        oracle=_ORACLE,
    )


def not_forged(lines: Iterable[Observation], text: str) -> Finding | None:
    """No line of a log holds what a request said where a reader looks for an event.

    A text that stands quoted in a field of an event is told from an event, and is no forgery.

    Args:
        lines: log lines, as they were understood.
        text: what stood in the request, from ``event=`` on.
    """
    name = text.removeprefix("event=").split(" ", 1)[0]
    forged = [
        line
        for line in lines
        if text in line.text and (line.fields["form"] == "unparsed" or line.fields["event"] == name)
    ]
    if not forged:
        return None
    return Finding(
        expected=f"no line that reads like event={name} and is the request's",
        observed="; ".join(f"{line.source}: {line.text!r}" for line in forged),
        oracle=_ORACLE,
    )


def of_strangers(events: Iterable[Event], known: Collection[str]) -> Finding | None:
    """No event is about an episode that nobody asked for."""
    strangers = [e for e in events if e.fields.get("episode_id") and e.fields["episode_id"] not in known]
    if not strangers:
        return None
    return Finding(
        expected="events about episodes that somebody asked for",
        observed=", ".join(map(str, strangers)),
        oracle=_ORACLE,
    )


def banner(lines: Sequence[str], values: Sequence[str]) -> Finding | None:
    """The seed's banner stands in the lines of one stream, line for line and unbroken."""
    wanted = [BANNER_RULE, BANNER_TITLE, *(f"  {value}" for value in values), BANNER_RULE]
    size = len(wanted)
    blocks = [list(lines[i : i + size]) for i in range(len(lines) - size + 1)]
    if wanted in blocks:
        return None
    closest = max(blocks, key=lambda block: difflib.SequenceMatcher(None, block, wanted).ratio(), default=[])
    return Finding(
        expected="this banner:\n" + "\n".join(wanted),
        observed="no such banner" if not closest else "nearest lines:\n" + "\n".join(closest),
        oracle=_ORACLE,
    )


def printed(lines: Sequence[str], wanted: Sequence[str]) -> Finding | None:
    """The lines were printed in this order, letter for letter; others may stand between them."""
    position = 0
    for line in lines:
        if position < len(wanted) and line == wanted[position]:
            position += 1
    if position == len(wanted):
        return None
    close = difflib.get_close_matches(wanted[position], lines, n=1, cutoff=0.5)
    return Finding(
        expected="the line(s), in order:\n" + "\n".join(wanted),
        observed=f"{wanted[position]!r} is not among the lines that follow the earlier ones",
        nearest=close[0] if close else "",
        oracle=_ORACLE,
    )


def _has(event: Event, fields: Mapping[str, str]) -> bool:
    return all(event.fields.get(key) == value for key, value in fields.items())


def _nearest(name: str, events: Iterable[Event]) -> str:
    by_name = {e.name: e for e in events}
    close = difflib.get_close_matches(name, by_name, n=1, cutoff=0.5)
    return str(by_name[close[0]]) if close else ""


def _listed(events: Sequence[Event]) -> str:
    return ", ".join(f"{e.source}:{e.name}" for e in events) or "no event"
