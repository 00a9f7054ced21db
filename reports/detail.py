"""One scenario's part of the page: expected and observed, the drawing, the time line with its logs, the environment.

Plain string building, because a run can have thousands of these; every text is escaped as it is put in.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from reports import figures
from reports.diagram import diagram
from reports.text import escape

_SOURCES = {"api", "worker", "cloud_tasks", "worker_gateway", "storage"}  # those with a colour


def detail(scenario: Mapping[str, Any]) -> str:
    """The inner HTML of a scenario's ``details`` element, below its summary."""
    return "".join(_parts(scenario))


def _parts(scenario: Mapping[str, Any]) -> Iterator[str]:
    account: Mapping[str, Any] = scenario.get("account") or {}
    yield from _finding(scenario, account)
    if scenario.get("figures"):
        yield f'<h3>Figures</h3><div class="figures">{"".join(map(figure, scenario["figures"]))}</div>'
    yield '<div class="two"><div>'
    yield from _expectations(account)
    yield "</div><div>"
    yield from _ways(account)
    yield "</div></div>"
    story = account.get("story") or []
    if story:
        name = escape(scenario["folder"])
        yield f'<h3>Sequence</h3><div class="scroll" tabindex="0" role="region" aria-label="Sequence of {name}">'
        yield f"{diagram(story)}</div>"
        yield f'<h3>Time line and logs</h3><ol class="log">{"".join(map(_line, story))}</ol>'
    else:
        yield "<p>Nothing was observed.</p>"
    yield '<div class="two"><div>'
    yield from _evidence(scenario)
    yield "</div><div>"
    yield from _environment(account)
    yield "</div></div>"


def _evidence(scenario: Mapping[str, Any]) -> Iterator[str]:
    folder = quote(scenario["folder"])
    files = "".join(
        f'<li><a href="evidence/{folder}/{quote(name)}">{escape(name)}</a></li>'
        for name in (*scenario.get("files", ()), "verdict.json")
    )
    yield f'<h3>Evidence</h3><ul class="files">{files}</ul>'
    yield f'<p class="again">Again: <code>pytest {escape(repr(scenario["node"]))}</code></p>'


def figure(given: Mapping[str, Any], *, of: str = "") -> str:
    """A figure as a small card.

    Args:
        given: the figure.
        of: HTML that says of what it is, where that is not plain.
    """
    bound = figures.bound_in_words(given)
    gauge = ""
    limit = given.get("at_most") or given.get("at_least")
    if limit and limit > 0 and given["value"] >= 0:
        scale = 100 / (max(given["value"], limit) * 1.25)
        words = escape(f"{figures.in_words(given)}, {bound}")
        gauge = (
            f'<div class="gauge" role="img" aria-label="{words}">'
            f'<span style="width:{given["value"] * scale:.1f}%"></span><i style="left:{limit * scale:.1f}%"></i></div>'
        )
    return (
        f'<div class="figure"><small>{escape(given["name"])}</small><b>{escape(figures.in_words(given))}</b>'
        f"{gauge}<small>{escape(bound)}</small>{of}</div>"
    )


def _finding(scenario: Mapping[str, Any], account: Mapping[str, Any]) -> Iterator[str]:
    finding = account.get("finding")
    if finding:
        oracle = f" <small>oracle: {escape(finding['oracle'])}</small>" if finding.get("oracle") else ""
        yield f'<div class="finding"><h3>Expected against observed{oracle}</h3><dl>'
        for name in ("expected", "observed", "nearest"):
            if finding.get(name):
                yield f"<dt>{name}</dt><dd><pre>{escape(finding[name])}</pre></dd>"
        yield "</dl></div>"
    elif scenario["message"]:
        yield f'<div class="finding"><h3>What was reported</h3><pre>{escape(scenario["message"])}</pre></div>'


def _expectations(account: Mapping[str, Any]) -> Iterator[str]:
    expectations = account.get("expectations") or []
    if not expectations:
        return
    yield '<h3>Expectations</h3><ul class="checks">'
    for check in expectations:
        failed = "expected" in check
        sign, word = ("✗", "not met") if failed else ("✓", "met")
        kind = "FAIL" if failed else "PASS"
        yield f'<li><span class="v {kind}">{sign} {word}</span> {escape(check["what"])}</li>'
    yield "</ul>"


_STEPS = {"served": "PASS", "failed": "FAIL", "skipped": "NOT_APPLICABLE"}


def _ways(account: Mapping[str, Any]) -> Iterator[str]:
    jobs = account.get("jobs") or []
    if not jobs:
        return
    yield "<h3>Ways taken</h3>"
    for job in jobs:
        ended = f", the last after {job['ended_s']:.2f} s" if job.get("ended_s") is not None else ""
        effects = f"{job['effects']} effect{'' if job['effects'] == 1 else 's'}{ended}"
        yield (
            f'<div class="job"><p class="way"><i>wire</i>{_way(job["wire"])}</p>'
            f'<p class="way"><i>logs</i>{_way(job["logs"])}</p>'
            f'<p class="soft">job <code>{escape(job["job_id"] or "(not accepted)")}</code>, '
            f"answered {job['status']} in {job['answer_s'] * 1000:.0f} ms, {effects}</p></div>"
        )


def _way(steps: Sequence[str]) -> str:
    if not steps:
        return '<span class="v NOT_APPLICABLE">no route</span>'
    return " → ".join(
        f'<span class="v {_STEPS.get(step.rpartition(" ")[2], "NOT_APPLICABLE")}">{escape(step)}</span>'
        for step in steps
    )


def _line(entry: Mapping[str, Any]) -> str:
    text, notes = escape(entry["text"]), ""
    if entry.get("event") and text.startswith("event="):
        name, space, rest = text.partition(" ")
        text = f"<strong>{name}</strong>{space}{rest}"
    if entry.get("marked"):
        text = f"<mark>{text}</mark>"
    if entry.get("fault"):
        notes = f' <span class="v FAIL">⚡ {escape(entry["fault"])}</span>'
    if entry.get("ambiguous"):
        notes += ' <span class="v INCONCLUSIVE">? ambiguous</span>'
    source = entry["source"]
    kind = "w" if entry["kind"] != "log" else "e" if entry.get("event") else "l"
    colour = f" {source}" if source in _SOURCES else ""
    return (
        f'<li class="{kind}{colour}"><b>{entry["at_s"]:.3f}</b> <i>{escape(source)}</i> '
        f"<span>{text}{notes}</span></li>"
    )


def _environment(account: Mapping[str, Any]) -> Iterator[str]:
    systems = account.get("environment") or []
    for number, system in enumerate(systems):
        of = f" of system {number + 1}" if len(systems) > 1 else ""
        yield f'<details class="env"><summary>Environment{of}, secrets masked</summary><dl>'
        for where, variables in system.items():
            for name, value in variables.items():
                yield f"<dt>{escape(name)} <small>{escape(where)}</small></dt><dd><code>{escape(value)}</code></dd>"
        yield "</dl></details>"
