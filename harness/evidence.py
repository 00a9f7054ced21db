"""The run folder: what a run leaves on disk, from which every verdict can be read again.

    RUN/run.json                          what was run: identity, versions, selection, time
    RUN/evidence/SCENARIO/journal.jsonl   every observation, one JSON object a line
    RUN/evidence/SCENARIO/api.log …       what each process wrote, as it wrote it
    RUN/evidence/SCENARIO/context.json    what else the oracles were given: jobs, faults, expectations
    RUN/evidence/SCENARIO/verdict.json    the verdict, the checks that led to it, and the hashes of the files beside it
    RUN/requirements.json                 the list of requirements that it was judged by
    RUN/prove.json, RUN/canary.json       the kill matrix and the canary, where there are any
    RUN/canary/…                          the canary's own evidence
    RUN/SHA256SUMS                        the hash of every file above, as ``sha256sum --check`` reads it

Secrets that a run planted are masked in every file. Files are replaced in one step, so that none is half written;
``harness.sealed`` lists and checks the hashes.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import hashlib
import json
import os
import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic_core import from_json

from harness.errors import UsageError
from harness.identity import file_digest
from harness.ledger import Check
from harness.model import Observation, Verdict
from harness.oracles.secrets import MASK, mask

VERSION = 1
REQUIREMENTS = "requirements.json"
_LONGEST_FOLDER_NAME = 120  # file systems take 255 bytes


@dataclass(frozen=True, slots=True)
class ScenarioResult:
    """One scenario's verdict, as it stands in ``verdict.json``.

    Attributes:
        scenario: the scenario's id.
        node: how pytest names the test; what a person types to run it again.
        blame: who has to act: ``sut``, ``harness``, ``evidence``, or "" for a pass.
        message: what a person reads when it is not a pass.
        folder: the evidence folder's name.
        account: what a reader is shown of it; see ``harness.account``.
        figures: what it measured; see ``harness.ledger.Figure``.
        files: SHA-256 of each other file in the evidence folder, by name.
    """

    scenario: str
    node: str
    title: str
    requires: tuple[str, ...]
    level: str
    verdict: Verdict
    duration_s: float
    blame: str = ""
    message: str = ""
    checks: tuple[str, ...] = field(default=())
    folder: str = ""
    account: Mapping[str, Any] = field(default_factory=dict)
    figures: tuple[Mapping[str, Any], ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)


def write_text(path: Path, text: str) -> None:
    """Write a file in one step: whoever reads it meets the old content or the new, never a part.

    Raises:
        OSError: the disk is full, say; the old content is still there.
    """
    # What cannot be encoded is written as an escape: evidence of something odd must not be lost over it.
    write_bytes(path, text.encode("utf-8", "backslashreplace"))


def write_bytes(path: Path, content: bytes) -> None:
    """As ``write_text``, for what is encoded already."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        unfinished.write_bytes(content)
        unfinished.replace(path)
    except OSError:
        unfinished.unlink(missing_ok=True)
        raise


def write_json(path: Path, document: Mapping[str, Any]) -> None:
    """As ``write_text``, for a document."""
    write_text(path, json.dumps(document, ensure_ascii=False, indent=1) + "\n")


def new_run_name() -> str:
    """A name for a run: sorts by time, and is unique."""
    now = dt.datetime.now(tz=dt.UTC)
    return f"{now:%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}"


def folder_name(scenario: str, node: str) -> str:
    """The evidence folder of one test: the scenario's id and, where there is one, the parameter.

    Where the parameter is long or has characters that do not belong in a file's name, a digest keeps the name
    unique.
    """
    parameter = re.search(r"\[(.*)\]$", node)
    if parameter is None:
        return scenario
    name = f"{scenario}-{parameter[1]}"
    plain = re.sub(r"[^A-Za-z0-9_.-]+", "-", name).strip("-")[:_LONGEST_FOLDER_NAME]
    return plain if plain == name else f"{plain}-{hashlib.sha256(name.encode()).hexdigest()[:6]}"


def write_observations(
    folder: Path, observations: Sequence[Observation], planted: Iterable[str], *, mark: str = MASK
) -> None:
    """Write the journal and each process's log, with a mark where a secret stood."""
    hidden = list(planted)
    folder.mkdir(parents=True, exist_ok=True)
    journal = (json.dumps(_as_json(o), ensure_ascii=False, default=str) for o in observations)
    write_text(folder / "journal.jsonl", mask("".join(f"{line}\n" for line in journal), hidden, mark))
    for source in sorted({o.source for o in observations if o.kind == "log"}):
        lines = [o.text for o in observations if o.kind == "log" and o.source == source]
        write_text(folder / f"{source}.log", mask("\n".join(lines) + "\n", hidden, mark))


def _as_json(o: Observation) -> dict[str, object]:
    """Without the deep copy of ``dataclasses.asdict``, which took most of the time of writing evidence."""
    return {
        "seq": o.seq,
        "at_s": o.at_s,
        "source": o.source,
        "kind": o.kind,
        "text": o.text,
        "fields": dict(o.fields),
    }


def read_observations(folder: Path) -> list[Observation]:
    """The journal of a scenario as it was written: observations, with marks where secrets stood.

    Raises:
        UsageError: there is no journal, or a line of it cannot be read.
    """
    path = folder / "journal.jsonl"
    try:
        lines = path.read_text("utf-8").split("\n")[:-1]
    except OSError as problem:
        raise UsageError(f"no journal in {folder.name}: {problem.strerror}") from None
    return [_observation(line, f"{folder.name}/{path.name}, line {n}") for n, line in enumerate(lines, 1)]


def _observation(line: str, where: str) -> Observation:
    try:
        return Observation(**json.loads(line))
    except (ValueError, TypeError) as problem:
        raise UsageError(f"corrupt evidence: {where}: {problem}") from None


def write_result(run: Path, result: ScenarioResult, planted: Iterable[str] = ()) -> None:
    """Write ``verdict.json`` into the scenario's evidence folder, last of its files, with their hashes."""
    folder = run / "evidence" / result.folder
    folder.mkdir(parents=True, exist_ok=True)
    files = {
        path.name: file_digest(path)
        for path in sorted(folder.iterdir())
        if path.is_file() and path.name != "verdict.json" and not path.name.startswith(".")
    }
    document = {"version": VERSION, **dataclasses.asdict(result), "files": files}
    text = mask(json.dumps(document, ensure_ascii=False, default=str), planted)
    # A lone surrogate, from a dispatcher's JSON, is legal in no report: it becomes a question mark here, and stays as
    # it was in the journal.
    write_text(folder / "verdict.json", text.encode("utf-8", "replace").decode("utf-8") + "\n")


def read_results(run: Path) -> list[ScenarioResult]:
    """All verdicts of a run, by scenario id.

    Raises:
        UsageError: a file is not a verdict of this version.
    """
    results = [_read_result(path) for path in (run / "evidence").glob("*/verdict.json")]
    return sorted(results, key=lambda result: (result.scenario, result.node))


def _read_result(path: Path) -> ScenarioResult:
    try:
        document = from_json(path.read_bytes())
        version = document.pop("version")
        if version != VERSION:
            raise UsageError(
                f"{path.parent.name}/{path.name} has version {version!r}; this reads version {VERSION}"
            )
        lists = {key: tuple(document[key]) for key in ("requires", "checks")}
        lists["figures"] = tuple(document.get("figures", ()))  # evidence of old has none
        result = ScenarioResult(**{**document, **lists, "verdict": Verdict(document["verdict"])})
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as problem:
        raise UsageError(f"corrupt evidence: {path.parent.name}/{path.name}: {problem!r}") from None
    return result


def checks_as_text(checks: Iterable[Check]) -> tuple[str, ...]:
    """The checks as lines for ``verdict.json``."""
    return tuple(f"{'not met' if check.finding else 'met'}: {check.what}" for check in checks)


def write_run(run: Path, **facts: Any) -> None:
    """Write ``run.json``."""
    run.mkdir(parents=True, exist_ok=True)
    write_text(run / "run.json", json.dumps({"version": VERSION, **facts}, indent=2) + "\n")


def read_run(run: Path) -> dict[str, Any]:
    """Read ``run.json``.

    Raises:
        UsageError: there is none, or it cannot be read.
    """
    try:
        document: dict[str, Any] = json.loads((run / "run.json").read_text("utf-8"))
    except (OSError, ValueError) as problem:
        raise UsageError(f"{run} is not a run folder: {problem}") from None
    return document
