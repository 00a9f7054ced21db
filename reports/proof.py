"""The kill matrix and the canary: what a report says of the suites' own power to fail, and that it was not run.

Both are made by running known-bad dispatchers, the mutants. ``prove.json`` holds the kill matrix and ``canary.json``
one mutant of the run itself; ``reports.schema`` has their shapes. What follows from them is worked out here and stored
nowhere, so that a terminal, a gate and a page cannot disagree.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from harness.errors import UsageError
from reports.schema import Mutant, Prove

NOT_RUN = "not run"
_SHAPES: Mapping[str, type[BaseModel]] = {"prove.json": Prove, "canary.json": Mutant}


def read(path: Path, *, name: str = "") -> dict[str, Any] | None:
    """``prove.json`` or ``canary.json``, or None where there is none.

    Args:
        path: the file.
        name: which of the two it is, where the file is called otherwise.

    Raises:
        UsageError: there is one, and it cannot be read or is not of its shape.
    """
    try:
        document = _SHAPES[name or path.name].model_validate(json.loads(path.read_text("utf-8")))
    except FileNotFoundError:
        return None
    except ValidationError as problem:
        first = problem.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise UsageError(f"{path.name} is not what it should be: {place}: {first['msg']}") from None
    except (OSError, ValueError) as problem:
        raise UsageError(f"cannot read {path.name}: {problem}") from None
    return document.model_dump(mode="json")


def problems(prove: Mapping[str, Any], identity: Mapping[str, Any]) -> Iterator[str]:
    """What keeps a kill matrix from being a proof, one line each; nothing where every bug was found as stated.

    Args:
        prove: the kill matrix.
        identity: the identity of the run beside which it stands, and whose suites it should speak of.
    """
    if strange := _strangeness(prove, identity):
        yield strange
    mutants, variants = prove["mutants"], prove["equivalent"]
    if not prove["complete"]:
        yield "the kill matrix is incomplete: it was cut off, or only a part was run"
    if not mutants:
        yield "the kill matrix has no known-bad dispatcher"
    for verdict, words in (
        ("survived", "{} known-bad dispatcher(s) survived, e.g. {}"),
        (
            "killed for another reason",
            "{} known-bad dispatcher(s) were found for another reason than stated, e.g. {}",
        ),
        ("not judged", "{} known-bad dispatcher(s) were not judged, e.g. {}"),
    ):
        if ids := [mutant["id"] for mutant in mutants if mutant["verdict"] == verdict]:
            yield words.format(len(ids), ids[0])
    for verdict, words in (
        ("false alarm", "{} false alarm(s) on harmless variants, e.g. {}"),
        ("not judged", "{} harmless variant(s) were not judged, e.g. {}"),
    ):
        if ids := [variant["id"] for variant in variants if variant["verdict"] == verdict]:
            yield words.format(len(ids), ids[0])


def _strangeness(prove: Mapping[str, Any], identity: Mapping[str, Any]) -> str:
    """Why a kill matrix does not speak of a run's suites; "" where it does.

    The dispatchers need not be the same: what is proved is that these suites, with this harness, find these bugs.
    """
    for name, words in (("suites", "other suites"), ("harness", "another version of dispatchcheck")):
        theirs = prove["identity"][name].get("digest", "")
        if not theirs or theirs != identity.get(name, {}).get("digest", ""):
            return f"the kill matrix was made with {words} than this run"
    return ""


def unique_kills(prove: Mapping[str, Any]) -> dict[str, list[str]] | None:
    """By scenario, the mutants that no other scenario kills for the stated reason.

    None where the scenarios stopped at the first kill: then nobody knows.
    """
    if not prove["full"]:
        return None
    found: dict[str, list[str]] = {}
    for mutant in prove["mutants"]:
        killers = [folder for folder, outcome in mutant["scenarios"].items() if outcome == "killed"]
        if len(killers) == 1:
            found.setdefault(killers[0], []).append(mutant["id"])
    return found


def kill_nothing(prove: Mapping[str, Any]) -> list[str] | None:
    """The scenarios that killed no mutant at all; None as for ``unique_kills``."""
    if not prove["full"]:
        return None
    killers = {
        folder
        for mutant in prove["mutants"]
        for folder, outcome in mutant["scenarios"].items()
        if outcome.startswith("killed")
    }
    return [column["folder"] for column in prove["scenarios"] if column["folder"] not in killers]


def found(canary: Mapping[str, Any]) -> bool:
    """Whether the canary was found, and for the reason it was expected to be."""
    return bool(canary["verdict"] == "killed")


def in_words(prove: Mapping[str, Any] | None) -> str:
    """One sentence on the kill matrix."""
    if prove is None:
        return f"The kill matrix: {NOT_RUN}. Nothing is claimed about bugs that these scenarios would miss."
    mutants, variants = prove["mutants"], prove["equivalent"]
    killed = sum(mutant["verdict"] == "killed" for mutant in mutants)
    alarms = sum(variant["verdict"] == "false alarm" for variant in variants)
    return (
        f"{killed} of {len(mutants)} known-bad dispatchers were found for the stated reason; "
        f"{alarms} false alarm(s) on {len(variants)} harmless variants."
    )


def canary_in_words(canary: Mapping[str, Any] | None) -> str:
    """One sentence on the canary."""
    if canary is None:
        return f"The canary: {NOT_RUN}."
    name = f"The canary {canary['id']}"
    if found(canary):
        by = (canary.get("killed_by") or {}).get("scenario", "")
        return f"{name} was found{f', by {by}' if by else ''}."
    if canary["verdict"] == "killed for another reason":
        return f"{name} was found for another reason than stated: the harness is broken."
    if canary["verdict"] == "not judged":
        return f"{name} was not judged ({canary.get('problem') or 'no reason given'}): the harness is broken."
    return f"{name} was NOT found: the harness is broken."
