"""What a person reads when a scenario fails: requirement, expected, observed, nearest, time line, how to go on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from harness.errors import Finding
from harness.model import Observation
from harness.requirements import Requirement

LONGEST_TIME_LINE = 20
_WIDEST = 150


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
    """At most 20 lines: who did what when. Where more was observed, the middle is left out and counted."""
    shown = [o for o in observations if _worth_a_line(o)]
    lines = [_line(o) for o in shown]
    if len(lines) > LONGEST_TIME_LINE:
        head = LONGEST_TIME_LINE // 2
        tail = LONGEST_TIME_LINE - head - 1
        left_out = len(lines) - head - tail
        lines = [*lines[:head], f"           … {left_out} more in journal.jsonl …", *lines[-tail:]]
    return lines or ["  nothing was observed"]


def _worth_a_line(o: Observation) -> bool:
    if o.kind == "log":
        return bool(o.fields.get("event")) or o.fields.get("form") == "unparsed"
    return o.kind not in {"task.gone", "queue"}


def _line(o: Observation) -> str:
    # A log may hold anything: escape what would break the line or steer the reader's terminal.
    fact = "".join(c if c.isprintable() else repr(c)[1:-1] for c in o.text)
    text = f"  {o.at_s:8.3f} {o.source:<14} {fact}"
    return text if len(text) <= _WIDEST else text[: _WIDEST - 1] + "…"


def _field(name: str, text: str) -> str:
    """A labelled text whose further lines stand under its first."""
    label = f"{name + ':':<11}" if len(name) < 10 else f"{name}: "
    first, *further = text.splitlines() or [""]
    return "\n".join([label + first, *(f"{'':11}{line}".rstrip() for line in further)])
