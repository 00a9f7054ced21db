"""From a run folder to the document of ``results.json``, and whether a ``results.json`` is what its evidence says."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from harness import evidence, requirements, sealed
from harness.evidence import ScenarioResult
from harness.model import Level, Verdict
from harness.requirements import Requirement, Requirements
from reports import proof
from reports.results import FIELDS, entry, results

_DERIVED = ("complete", "verdict", "reasons", "requirements", "missing", "summary")


def account(run: Path, listed: Requirements | None = None) -> dict[str, Any]:
    """The account of a run, from what stands in its folder.

    Args:
        run: the folder.
        listed: the requirements, where the folder does not say by which it was judged.

    Raises:
        UsageError: the evidence cannot be read.
    """
    own = run / evidence.REQUIREMENTS
    if listed is None or own.is_file():
        listed = requirements.load(own)
    return results(
        evidence.read_run(run),
        evidence.read_results(run),
        listed,
        seal=seal_of(run),
        prove=proof.read(run / "prove.json"),
        canary=proof.read(run / "canary.json"),
    )


def seal_of(run: Path) -> dict[str, Any] | None:
    """How many files the list of hashes names, and the hash of the list itself; None where there is none."""
    try:
        text = (run / sealed.SEAL).read_bytes()
    except OSError:
        return None
    return {"files": text.count(b"\n"), "digest": f"sha256:{hashlib.sha256(text).hexdigest()}"}


def contradictions(document: Mapping[str, Any]) -> Iterator[str]:
    """Where a ``results.json`` does not follow from its own scenarios: it was edited, or something went wrong."""
    again = results(
        document["run"],
        [scenario_of(scenario) for scenario in document["scenarios"]],
        Requirements(map(requirement_of, document["requirements"])),
        prove=document["prove"],
        canary=document["canary"],
    )
    for key in _DERIVED:
        if again[key] != document[key]:
            yield f"results.json contradicts itself: {_difference(key, document[key], again[key])}"
            return


def unsupported(run: Path, document: Mapping[str, Any]) -> Iterator[str]:
    """Where a ``results.json`` is not what the evidence beside it says; nothing where there is none beside it.

    Raises:
        UsageError: the evidence cannot be read.
    """
    if not (run / sealed.SEAL).is_file():
        return
    if altered := sealed.alterations(run):
        more = f" and {len(altered) - 1} more" if len(altered) > 1 else ""
        yield f"the evidence was altered since it was written: {altered[0]}{more}"
        return
    again = account(run, Requirements(map(requirement_of, document["requirements"])))
    given = {**document, "scenarios": [entry(scenario_of(scenario)) for scenario in document["scenarios"]]}
    for key in ("evidence", "run", "prove", "canary", "scenarios", *_DERIVED):
        if again[key] != given[key]:
            yield f"results.json is not what its evidence says: {_difference(key, given[key], again[key])}"
            return


def scenario_of(given: Mapping[str, Any]) -> ScenarioResult:
    """A scenario of ``results.json`` as the harness knows it; what an older version did not write has its default."""
    known = {key: value for key, value in given.items() if key in FIELDS}
    lists = {key: tuple(given.get(key, ())) for key in ("requires", "checks", "figures")}
    return ScenarioResult(**{**known, **lists, "verdict": Verdict(given["verdict"])})


def requirement_of(row: Mapping[str, Any]) -> Requirement:
    """A requirement of ``results.json`` as the harness knows it."""
    return Requirement(row["id"], Level(row["level"]), row["text"], row["capability"], row["excluded"])


def _difference(key: str, given: Any, right: Any) -> str:
    if isinstance(given, Mapping) and isinstance(right, Mapping):
        return (
            f"{key}: {', '.join(name for name in {**given, **right} if given.get(name) != right.get(name))}"
        )
    if not isinstance(given, list) or not isinstance(right, list):
        shown = f" ({given!r}, and {right!r} follows)" if isinstance(given, str | bool) else ""
        return f"{key}{shown}"
    for mine, other in zip(given, right, strict=False):
        if mine != other:
            if isinstance(mine, Mapping):
                name = mine.get("id") or mine.get("folder") or ""
                fields = [field for field in mine if mine[field] != other.get(field)]
                return f"{key}, {name}: {', '.join(fields)}"
            return key
    return f"{key} ({len(given)}, and there should be {len(right)})"
