"""What a person reads when a scenario fails: requirement, expected, observed, nearest, time line, how to go on."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from harness.errors import Finding
from harness.model import Observation
from harness.requirements import Requirement

LONGEST_TIME_LINE = 20
_WIDEST = 150
_OFTEN = 3


def render(
    *,
    scenario: str,
    title: str,
    requirements: Iterable[Requirement],
    finding: Finding,
    observations: Sequence[Observation],
    evidence: str,
    rerun: str,
) -> str:
    """The failure as text; plain, so that it reads the same in a terminal, a log and a report."""
    parts = [f"{scenario}: {title}", ""]
    parts += [f"requirement {r.id} ({r.level}): {r.text}" for r in requirements]
    parts += ["", _field("expected", finding.expected), _field("observed", finding.observed)]
    if finding.nearest:
        parts.append(_field("nearest", finding.nearest))
    parts += ["", "time line (seconds since the run began):", *time_line(observations)]
    parts += ["", f"evidence:  {evidence}", f"again:     {rerun}"]
    return "\n".join(parts)


def render_doubt(
    *, scenario: str, title: str, doubt: str, observations: Sequence[Observation], evidence: str, rerun: str
) -> str:
    """The same for a scenario that shows nothing either way."""
    parts = [f"{scenario}: {title}", "", _field("inconclusive", doubt)]
    parts += ["", "time line (seconds since the run began):", *time_line(observations)]
    parts += ["", f"evidence:  {evidence}", f"again:     {rerun}"]
    return "\n".join(parts)


def time_line(observations: Sequence[Observation]) -> list[str]:
    """At most 20 lines: who did what when. Where more was observed, the middle is left out and counted.

    What the events have in common, such as the job's id, is said once above them: the lines have room for what
    tells them apart.
    """
    shown = [o for o in observations if _worth_a_line(o)]
    shared = _shared([o.fields["data"] for o in shown if _is_readable_event(o)])
    lines = [_line(o, shared) for o in shown]
    room = LONGEST_TIME_LINE - bool(shared)
    if len(lines) > room:
        head = LONGEST_TIME_LINE // 2
        tail = room - head - 1
        left_out = len(lines) - head - tail
        lines = [*lines[:head], f"           … {left_out} more in journal.jsonl …", *lines[-tail:]]
    if shared:
        lines.insert(0, _cut(f"  {'':8} {'in common':<14} {_pairs(shared)}"))
    return lines or ["  nothing was observed"]


def _worth_a_line(o: Observation) -> bool:
    if o.kind == "log":
        return bool(o.fields.get("event")) or o.fields.get("form") == "unparsed"
    return o.kind not in {"task.gone", "queue", "setting"}


def _is_readable_event(o: Observation) -> bool:
    return o.kind == "log" and o.fields.get("form") in {"logfmt", "json"} and bool(o.fields.get("event"))


def _shared(events: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """The fields that at least three events carry and that have one value in all of them."""
    values: dict[str, list[str]] = defaultdict(list)
    for fields in events:
        for key, value in fields.items():
            values[key].append(value)
    return {key: them[0] for key, them in values.items() if len(them) >= _OFTEN and len(set(them)) == 1}


def _line(o: Observation, shared: Mapping[str, str]) -> str:
    text = o.text
    if _is_readable_event(o):
        own = {key: value for key, value in o.fields["data"].items() if key not in shared}
        text = f"event={o.fields['event']} {_pairs(own)}".rstrip()
    # A log may hold anything: escape what would break the line or steer the reader's terminal.
    fact = "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
    return _cut(f"  {o.at_s:8.3f} {o.source:<14} {fact}")


def _pairs(fields: Mapping[str, str]) -> str:
    return " ".join(f"{key}={_quoted(value)}" for key, value in fields.items())


def _quoted(value: str) -> str:
    plain = value and not any(c.isspace() or c in '"=' for c in value)
    return value if plain else json.dumps(value, ensure_ascii=False)


def _cut(text: str) -> str:
    return text if len(text) <= _WIDEST else text[: _WIDEST - 1] + "…"


def _field(name: str, text: str) -> str:
    """A labelled text whose further lines stand under its first."""
    label = f"{name + ':':<11}" if len(name) < 10 else f"{name}: "
    first, *further = text.splitlines() or [""]
    return "\n".join([label + first, *(f"{'':11}{line}".rstrip() for line in further)])
