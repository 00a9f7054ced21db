"""The shape of ``results.json``, and reading one that may come from anywhere.

``results.schema.json`` is made from these models; a test keeps the two alike.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from harness.errors import UsageError
from reports.results import VERSION

Verdict = Literal["PASS", "INCONCLUSIVE", "FAIL", "NOT_APPLICABLE"]
Digest = Field(pattern=r"^(sha256:[0-9a-f]{64})?$")


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Identity(_Part):
    """Who or what, by name, version and digest; "" where unknown."""

    name: str = ""
    version: str = ""
    digest: str = Digest


class Identities(_Part):
    """What was judged, and by what."""

    sut: Identity
    profile: Identity
    suites: Identity
    harness: Identity


class Shard(_Part):
    """Which part of a divided run this is."""

    index: int = Field(ge=1)
    of: int = Field(ge=1)
    plan: str = Digest
    total: int = Field(ge=0)


class Run(_Part):
    """When, where and how it was run."""

    version: Literal[1]
    name: str
    profile: str
    arguments: list[str]
    identity: Identities
    environment: dict[str, Any]
    python: str
    platform: str
    topology: str
    seed: int | None
    began_at: float = Field(description="unix seconds")
    ended_at: float | None = Field(description="unix seconds; null for a run that did not come to its end")
    pytest_exit: int | None
    interrupted: bool
    shard: Shard | None
    selected: list[str]
    whole: bool = Field(default=False, description="all scenarios were meant to run")
    merged: list[str] = Field(default=[], description="names of the runs that this one was merged from")


class Requirement(_Part):
    """One requirement and what came of it."""

    id: str
    level: Literal["core", "extended"]
    capability: str
    text: str
    excluded: str
    verdict: Verdict | Literal["NOT VERIFIED", "EXCLUDED"]
    passed: int = Field(ge=0)
    scenarios: list[str]


class Entry(_Part):
    """One line of a scenario's story."""

    at_s: float
    source: str
    kind: str
    text: str
    event: str = ""
    unparsed: bool = False
    label: str = ""
    reply: str = ""
    caller: str = ""
    forwarded: bool = False
    failed: bool = False
    fault: str = ""
    ambiguous: bool = False
    role: str = ""
    marked: bool = False
    system: int = 0


class JobAccount(_Part):
    """One job and the way it took, by both witnesses."""

    system: int
    episode_id: str
    job_id: str
    status: int
    answer_s: float
    effects: int
    wire: list[str]
    logs: list[str]
    ended_s: float | None


class Finding(_Part):
    """Expected against observed."""

    expected: str = ""
    observed: str = ""
    nearest: str = ""
    oracle: str = ""


class Expectation(Finding):
    """One expectation; what was expected and observed only where it was not met."""

    what: str


class Account(_Part):
    """What a reader is shown of a scenario; empty where it was never set up."""

    story: list[Entry] = []
    observations: int = 0
    jobs: list[JobAccount] = []
    faults: list[str] = []
    settings: list[str] = Field(default=[], description="what the scenario configured in another way")
    modes: list[str] = []
    environment: list[dict[str, dict[str, str]]] = []
    expectations: list[Expectation] = []
    finding: Finding | None = None
    judged_by: Literal["", "expectation", "closing"] = ""


class Figure(_Part):
    """A number that a scenario measured; shown, not judged."""

    name: str = Field(min_length=1)
    value: int | float
    unit: str = Field(default="", description='"" for a count')
    at_least: int | float | None = Field(
        default=None, description="the bound that an expectation set from below"
    )
    at_most: int | float | None = Field(default=None, description="the same from above")


class Scenario(_Part):
    """One scenario's verdict."""

    scenario: str
    node: str
    title: str
    requires: list[str]
    level: Literal["core", "extended"]
    verdict: Verdict
    duration_s: float
    blame: Literal["", "sut", "harness", "evidence"]
    message: str
    checks: list[str]
    folder: str
    account: Account
    figures: list[Figure] = []
    files: dict[str, str]


class Seal(_Part):
    """How many files of evidence there are, and the hash of the list of their hashes."""

    files: int
    digest: str = Digest


class Kill(_Part):
    """One scenario that turned red."""

    scenario: str = Field(description="its folder")
    requirement: str = ""
    oracle: str = ""
    reason: str = ""


class Mutant(_Part):
    """One known-bad dispatcher and what came of it."""

    id: str = Field(min_length=1)
    title: str = ""
    incident: str = Field(default="", description="what it imitates")
    requirement: str = Field(description="the requirement that must turn red")
    oracle: str = Field(default="", description="the oracle that is expected to say so")
    verdict: Literal["killed", "killed for another reason", "survived", "not judged"]
    killed_by: Kill | None = Field(default=None, description="the kill that decided the verdict")
    scenarios: dict[str, Literal["killed", "killed for another reason", "passed", "inconclusive"]] = Field(
        default={}, description="by folder: the scenarios that ran on it"
    )
    problem: str = Field(default="", description="why it was not judged")
    duration_s: float = 0.0


class Variant(_Part):
    """One harmless variant of the dispatcher, on which every scenario must stay green."""

    id: str = Field(min_length=1)
    title: str = ""
    verdict: Literal["green", "false alarm", "not judged"]
    ran: int = Field(default=0, ge=0, description="how many scenarios ran on it")
    alarms: list[Kill] = []
    problem: str = Field(default="", description="why it was not judged")
    duration_s: float = 0.0


class Column(_Part):
    """One scenario of the kill matrix."""

    folder: str
    scenario: str
    suite: str
    title: str = ""
    requires: list[str] = []


class Prove(_Part):
    """The kill matrix: which known-bad dispatchers the suites find, and that harmless ones disturb them not."""

    version: Literal[1]
    complete: bool = Field(
        description="false: cut off, or only a part of the zoo or of the scenarios was run"
    )
    full: bool = Field(description="true: every scenario ran on every mutant, also after the first kill")
    began_at: float = Field(description="unix seconds")
    duration_s: float
    zoo: str = Digest
    identity: Identities
    scenarios: list[Column]
    mutants: list[Mutant]
    equivalent: list[Variant] = []


class Results(_Part):
    """The canonical account of a run; every report is derived from it."""

    version: Literal[1]
    run: Run
    complete: bool
    verdict: Verdict
    reasons: list[str]
    summary: str
    evidence: Seal | None
    prove: Prove | None = Field(description="null: not run")
    canary: Mutant | None = Field(
        description="the known-bad dispatcher that must be found in the same run; null: not run"
    )
    requirements: list[Requirement]
    missing: list[str] = Field(description="tests that were selected and left no verdict")
    scenarios: list[Scenario]


def json_schema() -> dict[str, Any]:
    """The JSON schema, draft 2020-12."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Results.model_json_schema()}


def read_results(path: Path) -> dict[str, Any]:
    """Read a ``results.json`` that may come from another machine.

    Raises:
        UsageError: no such file, not JSON, another version, or not of this shape; the message names the place.
    """
    try:
        document: Any = json.loads(path.read_text("utf-8"))
    except OSError as problem:
        raise UsageError(f"cannot read the results {str(path)!r}: {problem.strerror}") from None
    except ValueError as problem:
        raise UsageError(f"{path} is not JSON: {problem}") from None
    version = document.get("version") if isinstance(document, dict) else None
    if version != VERSION:
        raise UsageError(f"{path} has version {version!r}; this reads version {VERSION}")
    try:
        Results.model_validate(document)
    except ValidationError as problem:
        first = problem.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise UsageError(f"{path} is not a results.json: {place}: {first['msg']}") from None
    return dict(document)
