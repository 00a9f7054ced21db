"""One scenario's part of the page: expected and observed, the drawing, the time line with its logs, the environment.

Plain string building, because a run can have thousands of these; every text is escaped as it is put in.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

from reports.diagram import diagram
from reports.text import escape


def detail(scenario: Mapping[str, Any]) -> str:
    """The inner HTML of a scenario's ``details`` element, below its summary."""
    return "".join(_parts(scenario))


def _parts(scenario: Mapping[str, Any]) -> Iterator[str]:
    account: Mapping[str, Any] = scenario.get("account") or {}
    folder = quote(scenario["folder"])
    yield from _finding(scenario, account)
    yield from _expectations(account)
    yield from _ways(account)
    story = account.get("story") or []
    if story:
        name = escape(scenario["folder"])
        yield f'<h3>Sequence</h3><div class="scroll" tabindex="0" role="region" aria-label="Sequence of {name}">'
        yield f"{diagram(story)}</div>"
        yield f'<h3>Time line and logs</h3><ol class="log">{"".join(map(_line, story))}</ol>'
    else:
        yield "<p>Nothing was observed.</p>"
    yield from _environment(account)
    files = "".join(
        f'<li><a href="evidence/{folder}/{quote(name)}">{escape(name)}</a></li>'
        for name in scenario.get("files", ())
    )
    yield (
        f'<h3>Evidence</h3><ul class="files">{files}'
        f'<li><a href="evidence/{folder}/verdict.json">verdict.json</a></li></ul>'
        f'<p class="again">Again: <code>pytest {escape(repr(scenario["node"]))}</code></p>'
    )


def _finding(scenario: Mapping[str, Any], account: Mapping[str, Any]) -> Iterator[str]:
    finding = account.get("finding")
    if finding:
        oracle = f" (oracle: {escape(finding['oracle'])})" if finding.get("oracle") else ""
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
        yield f'<li><span class="v {kind}" title="{word}">{sign} {word}</span> {escape(check["what"])}</li>'
    yield "</ul>"


def _ways(account: Mapping[str, Any]) -> Iterator[str]:
    jobs = account.get("jobs") or []
    if not jobs:
        return
    yield '<h3>Ways taken</h3><ul class="ways">'
    for job in jobs:
        wire, logs = (" → ".join(job[witness]) or "no route" for witness in ("wire", "logs"))
        ended = f", effect after {job['ended_s']:.2f} s" if job.get("ended_s") is not None else ""
        yield (
            f"<li>job <code>{escape(job['job_id'] or '(not accepted)')}</code>: wire: {escape(wire)}; "
            f"logs: {escape(logs)}; answered {job['status']} in {job['answer_s']:.3f} s; "
            f"{job['effects']} effect(s){ended}</li>"
        )
    yield "</ul>"


def _line(entry: Mapping[str, Any]) -> str:
    text, notes = escape(entry["text"]), ""
    if entry.get("marked"):
        text = f"<mark>{text}</mark>"
    if entry.get("fault"):
        notes = f' <span class="v FAIL">⚡ {escape(entry["fault"])}</span>'
    if entry.get("ambiguous"):
        notes += ' <span class="v INCONCLUSIVE">? ambiguous</span>'
    kind = "l" if entry["kind"] == "log" else "w"
    return (
        f'<li class="{kind}"><b>{entry["at_s"]:.3f}</b> <i>{escape(entry["source"])}</i> {text}{notes}</li>'
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
