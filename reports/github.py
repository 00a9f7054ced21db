"""What GitHub shows of a run: the job's summary, kept under its size limit, and annotations.

Source: GitHub Docs, Workflow commands: a step's summary holds 1 MiB; ten annotations of each kind are shown for a
step.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from reports import proof
from reports.checklist import plain, row, verdicts_of
from reports.figures import bound_in_words, in_words, overview
from reports.policy import Policy, decide, default_policy

LIMIT_BYTES = 1_000_000
_MOST_ANNOTATIONS = 10
_LONGEST_MESSAGE = 4000


def summary(results: Mapping[str, Any], policy: Policy | None = None) -> str:
    """The job's summary in Markdown; where it would be too long, it ends early and says so."""
    decision = decide(results, policy or default_policy())
    verdicts, prove = verdicts_of(results), results.get("prove")
    lines = [
        f"## {'✅ GO' if decision.go else '⛔ NO-GO'}: {plain(results['run'].get('profile', ''))}",
        "",
        f"Verdict **{results['verdict']}**: {results['summary']}",
        "",
        *(f"- {plain(reason)}" for reason in decision.reasons),
        *(f"- excused: {plain(reason)}" for reason in decision.excused),
        "",
        "| | requirement | level | verdict | shown by | text |",
        "| --- | --- | --- | --- | --- | --- |",
        *(row(entry, verdicts, links=False) for entry in results["requirements"]),
        "",
        plain(proof.in_words(prove)),
        "",
        plain(proof.canary_in_words(results.get("canary"))),
        "",
        *(
            f"- {plain(problem)}"
            for problem in (proof.problems(prove, results["run"].get("identity", {})) if prove else ())
        ),
        *_figures(results),
    ]
    for scenario in _gravest(results["scenarios"]):
        lines += [f"<details><summary>{scenario['verdict']}: {plain(scenario['folder'])}</summary>", ""]
        lines += [f"    {line}" for line in scenario["message"][:_LONGEST_MESSAGE].splitlines()]
        lines += ["", "</details>", ""]
    return _within(lines, LIMIT_BYTES)


def _figures(results: Mapping[str, Any]) -> list[str]:
    rows = [
        " | ".join(
            plain(text) or "-"
            for text in (
                shown.figure["name"],
                in_words(shown.figure),
                bound_in_words(shown.figure),
                _from(shown.folders),
            )
        )
        for shown in overview(results)
    ]
    if not rows:
        return []
    head = ["", "| what was measured | value | bound | scenario |", "| --- | ---: | --- | --- |"]
    return [*head, *(f"| {row} |" for row in rows), ""]


def _from(folders: Sequence[str]) -> str:
    return folders[0] if len(folders) == 1 else f"{len(folders)} scenarios"


def _within(lines: Sequence[str], limit: int) -> str:
    kept: list[str] = []
    size = 0
    last = "\nThe rest is left out: GitHub shows no more. See checklist.html.\n"
    for line in lines:
        size += len(line.encode()) + 1
        if size > limit - len(last):
            return "\n".join([*kept, last])
        kept.append(line)
    return "\n".join(kept)


def workflow_commands(results: Mapping[str, Any]) -> str:
    """Workflow commands, one a line, to be printed in a step: the gravest scenarios, and an incomplete run."""
    lines = []
    if not results.get("complete", True):
        lines.append(_command("error", {"title": "The run is incomplete"}, "; ".join(results["reasons"])))
    for scenario in _gravest(results["scenarios"])[: _MOST_ANNOTATIONS - len(lines)]:
        title = f"{scenario['verdict']}: {scenario['folder']}"
        place = {"file": scenario["node"].partition("::")[0], "title": title}
        lines.append(_command("error", place, scenario["message"][:_LONGEST_MESSAGE]))
    return "".join(f"{line}\n" for line in lines)


def _gravest(scenarios: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    order = ("FAIL", "INCONCLUSIVE")
    return sorted((s for s in scenarios if s["verdict"] in order), key=lambda s: order.index(s["verdict"]))


def _command(name: str, properties: Mapping[str, str], message: str) -> str:
    """A workflow command; escaped, so that a message can neither end it nor begin another."""
    given = ",".join(f"{key}={_escaped(value, ':,')}" for key, value in properties.items())
    return f"::{name} {given}::{_escaped(message)}"


def _escaped(text: str, more: str = "") -> str:
    for letter in f"%\r\n{more}":
        text = text.replace(letter, f"%{ord(letter):02X}")
    return text
