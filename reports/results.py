"""``results.json``: the canonical account of a run, from which every other report is derived."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic_core import to_json  # several times as fast as json on a large run

from harness.evidence import ScenarioResult
from harness.model import Verdict
from harness.requirements import Requirement, Requirements

VERSION = 1
NOT_VERIFIED = "NOT VERIFIED"
EXCLUDED = "EXCLUDED"
CANARY = "the harness is broken: the canary"
_CANARY_FATE = {
    "killed for another reason": "was found for another reason than stated",
    "not judged": "was not judged",
}
FIELDS = tuple(field.name for field in dataclasses.fields(ScenarioResult))


def results(
    run: Mapping[str, Any],
    scenarios: Sequence[ScenarioResult],
    requirements: Requirements,
    *,
    seal: Mapping[str, Any] | None = None,
    prove: Mapping[str, Any] | None = None,
    canary: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The account of a run.

    The verdict is the gravest of the scenarios'. It fails closed: a run in which nothing ran, nothing was
    applicable, or a selected scenario left no verdict is never a pass, nor is one that did not come to its end.

    Args:
        run: ``run.json``.
        scenarios: every ``verdict.json``.
        requirements: the list; each of them is in the account, verified or not.
        seal: how many files of evidence there are, and the hash of the list of their hashes.
        prove: the kill matrix, where known-bad dispatchers were run; None means "not run".
        canary: the known-bad dispatcher that must be found in this run; None means "not run".
    """
    missing = sorted(set(run["selected"]) - {scenario.node for scenario in scenarios})
    rows = _rows(requirements, scenarios)
    unproved = [row["id"] for row in rows if row["verdict"] == NOT_VERIFIED] if run.get("whole") else []
    verdict, reasons = _verdict(run, scenarios, missing, unproved, canary)
    verified = sum(row["verdict"] == Verdict.PASS for row in rows)
    return {
        "version": VERSION,
        "run": dict(run),
        "complete": not (missing or _cut_off(run) or not scenarios),
        "verdict": verdict.value,
        "reasons": reasons,
        "summary": f"{_counts(scenarios, len(missing))}; {verified} of {len(rows)} requirements verified",
        "evidence": dict(seal) if seal else None,
        "prove": dict(prove) if prove else None,
        "canary": dict(canary) if canary else None,
        "requirements": rows,
        "missing": missing,
        "scenarios": [entry(s) for s in scenarios],
    }


def as_json(document: Mapping[str, Any]) -> str:
    """The document as text: one line for each scenario and requirement, so that two runs compare line by line."""
    return as_bytes(document).decode()


def as_bytes(document: Mapping[str, Any]) -> bytes:
    """The same, in UTF-8: a large run's is tens of megabytes, which are copied no oftener than needed."""
    return b"".join(_lines(document))


def _lines(document: Mapping[str, Any]) -> Iterator[bytes]:
    opening = b"{\n"
    for key, value in document.items():
        yield b'%b"%b": ' % (opening, key.encode())
        if isinstance(value, list) and value:
            between = b"[\n"
            for item in value:
                yield between
                yield to_json(item)
                between = b",\n"
            yield b"\n]"
        else:
            yield json.dumps(value, ensure_ascii=False).encode()
        opening = b",\n"
    yield b"\n}\n"


def entry(scenario: ScenarioResult) -> dict[str, Any]:
    """A scenario as it stands in the document."""
    return {name: getattr(scenario, name) for name in FIELDS} | {
        "verdict": scenario.verdict.value,
        "requires": list(scenario.requires),
        "checks": list(scenario.checks),
        "figures": list(scenario.figures),
    }


def _cut_off(run: Mapping[str, Any]) -> str:
    if run["interrupted"]:
        return "the run was interrupted"
    if run.get("pytest_exit") not in {
        None,
        0,
        1,
    }:  # 0: all passed, 1: some failed; the rest are its own troubles
        return f"pytest ended with the exit code {run['pytest_exit']}: the run cannot be trusted to be whole"
    if run.get("ended_at", 0) is None:
        return "the run did not come to its end: it is still going on, or it crashed"
    return ""


def _verdict(
    run: Mapping[str, Any],
    scenarios: Sequence[ScenarioResult],
    missing: Sequence[str],
    unproved: Sequence[str],
    canary: Mapping[str, Any] | None,
) -> tuple[Verdict, list[str]]:
    verdict = Verdict.worst(s.verdict for s in scenarios)
    reasons = []
    if not scenarios:
        reasons.append("no scenario left a verdict")
    elif all(s.verdict is Verdict.NOT_APPLICABLE for s in scenarios):
        reasons.append("no scenario was applicable")
    if missing:
        reasons.append(f"{len(missing)} selected scenario(s) left no verdict, e.g. {missing[0]}")
    if unproved:
        reasons.append(f"no scenario, and no stated reason why there is none, for: {', '.join(unproved)}")
    if cut_off := _cut_off(run):
        reasons.append(cut_off)
    if canary is not None and canary.get("verdict") != "killed":
        reasons.append(
            f"{CANARY} {canary.get('id', '')} {_CANARY_FATE.get(str(canary.get('verdict')), 'was not found')}"
        )
    if reasons:
        verdict = Verdict.worst([verdict, Verdict.INCONCLUSIVE])
    reasons += [
        f"{s.verdict}: {s.folder}" + (" (the harness is broken)" if s.blame == "harness" else "")
        for s in scenarios
        if s.verdict in (Verdict.FAIL, Verdict.INCONCLUSIVE)
    ]
    return verdict, reasons


def _rows(requirements: Requirements, scenarios: Sequence[ScenarioResult]) -> list[dict[str, Any]]:
    by_requirement: dict[str, list[ScenarioResult]] = {id_: [] for id_ in requirements}
    for scenario in scenarios:
        for id_ in dict.fromkeys(scenario.requires):
            if id_ in by_requirement:
                by_requirement[id_].append(scenario)
    return [_row(requirement, by_requirement[id_]) for id_, requirement in requirements.items()]


def _row(requirement: Requirement, mine: Sequence[ScenarioResult]) -> dict[str, Any]:
    if requirement.excluded:
        verdict = EXCLUDED
    elif not mine:
        verdict = NOT_VERIFIED
    elif all(s.verdict is Verdict.NOT_APPLICABLE for s in mine):
        verdict = Verdict.NOT_APPLICABLE.value
    else:
        verdict = Verdict.worst(s.verdict for s in mine).value
    return {
        "id": requirement.id,
        "level": requirement.level.value,
        "capability": requirement.capability,
        "text": requirement.text,
        "excluded": requirement.excluded,
        "verdict": verdict,
        "passed": sum(s.verdict is Verdict.PASS for s in mine),
        "scenarios": [s.folder for s in mine],
    }


def _counts(scenarios: Sequence[ScenarioResult], missing: int) -> str:
    parts = [f"{len(scenarios)} scenarios"]
    for verdict in Verdict:
        count = sum(s.verdict is verdict for s in scenarios)
        if count:
            parts.append(f"{count} {verdict.value.lower().replace('_', ' ')}")
    if missing:
        parts.append(f"{missing} without a verdict")
    return ", ".join(parts)
