"""``dispatchcheck report merge``: joins the shards of one run into the account that one run would have given."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness import evidence, sealed
from harness.errors import UsageError
from harness.requirements import Requirements
from reports import proof
from reports.from_evidence import requirement_of, scenario_of, seal_of
from reports.results import results
from reports.schema import read_results
from reports.writing import write_reports


def merge(parts: Sequence[Mapping[str, Any]], *, seal: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The account of the whole run.

    Args:
        parts: the ``results.json`` documents of all shards, in any order.
        seal: how many files of evidence the merged folder has, and their hash.

    Raises:
        UsageError: a part is not a shard, shards are missing or doubled, or they do not belong together.
    """
    shards = _in_order(parts)
    _same(shards, "identity", lambda part: part["run"]["identity"])
    _same(
        shards, "plan of shards", lambda part: (part["run"]["shard"]["plan"], part["run"]["shard"]["total"])
    )
    _same(shards, "topology", lambda part: part["run"]["topology"])
    _same(shards, "list of requirements", lambda part: [_bare(row) for row in part["requirements"]])
    _disjoint(shards)
    runs = [part["run"] for part in shards]
    ends = [run["ended_at"] for run in runs]
    run = {
        **runs[0],
        "name": "+".join(run["name"] for run in runs)
        if len(runs) < 4
        else f"{runs[0]['name']}+{len(runs) - 1}",
        "began_at": min(run["began_at"] for run in runs),
        "ended_at": None if None in ends else max(ends),
        "pytest_exit": max(
            (run["pytest_exit"] for run in runs if run["pytest_exit"] is not None), default=None
        ),
        "interrupted": any(run["interrupted"] for run in runs),
        "shard": None,
        "selected": sorted(node for run in runs for node in run["selected"]),
        "merged": [run["name"] for run in runs],
    }
    scenarios = [scenario_of(given) for part in shards for given in part["scenarios"]]
    return results(
        run,
        sorted(scenarios, key=lambda scenario: (scenario.scenario, scenario.node)),
        Requirements(requirement_of(row) for row in shards[0]["requirements"]),
        seal=seal,
        prove=_prove(shards),
        canary=_canary(shards),
    )


def merge_folders(folders: Sequence[Path], out: Path) -> dict[str, Any]:
    """Join whole run folders, with their evidence, into a new one, and write every report there.

    Raises:
        UsageError: as ``merge``; or a folder was altered, or the new folder is there already.
    """
    if out.exists() and any(out.iterdir()):
        raise UsageError(f"{out} is not empty; name a new folder with --out")
    for folder in folders:
        altered = sealed.alterations(folder)
        if altered:
            raise UsageError(f"{folder} was altered: {'; '.join(altered[:3])}")
    parts = [read_results(folder / "results.json") for folder in folders]
    merged = merge(parts)  # refuses before anything is copied
    for folder in folders:
        shutil.copytree(folder / "evidence", out / "evidence", dirs_exist_ok=True)
    evidence.write_json(out / "run.json", merged["run"])
    listed = Requirements(map(requirement_of, merged["requirements"]))
    evidence.write_text(out / evidence.REQUIREMENTS, listed.as_json())
    for name in ("prove", "canary"):
        if merged[name] is not None:
            evidence.write_json(out / f"{name}.json", merged[name])
    sealed.seal(out)
    document = {**merged, "evidence": seal_of(out)}
    write_reports(out, document)
    return document


def _in_order(parts: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    if not parts:
        raise UsageError("nothing to merge")
    for part in parts:
        if not part["run"].get("shard"):
            raise UsageError(
                f"{part['run']['name']} is a whole run, not a shard; there is nothing to merge it with"
            )
    counts = sorted({part["run"]["shard"]["of"] for part in parts})
    if len(counts) > 1:
        raise UsageError(f"the shards are of different divisions: of {' and of '.join(map(str, counts))}")
    given = [part["run"]["shard"]["index"] for part in parts]
    doubled = sorted({index for index in given if given.count(index) > 1})
    missing = sorted(set(range(1, counts[0] + 1)) - set(given))
    if doubled:
        raise UsageError(f"shard {', '.join(map(str, doubled))} of {counts[0]} is there more than once")
    if missing:
        raise UsageError(f"shard {', '.join(map(str, missing))} of {counts[0]} is missing")
    return sorted(parts, key=lambda part: part["run"]["shard"]["index"])


def _same(shards: Sequence[Mapping[str, Any]], what: str, of: Any) -> None:
    first = of(shards[0])
    for shard in shards[1:]:
        if of(shard) != first:
            names = f"{shards[0]['run']['name']} and {shard['run']['name']}"
            raise UsageError(
                f"{names} differ in their {what}: they are not shards of one run{_where(first, of(shard))}"
            )


def _where(first: Any, second: Any) -> str:
    if not (isinstance(first, Mapping) and isinstance(second, Mapping)):
        return ""
    return f" ({', '.join(sorted(key for key in first if first[key] != second.get(key)))})"


def _disjoint(shards: Sequence[Mapping[str, Any]]) -> None:
    seen: dict[str, str] = {}
    for shard in shards:
        for node in {*shard["run"]["selected"], *(scenario["node"] for scenario in shard["scenarios"])}:
            other = seen.setdefault(node, shard["run"]["name"])
            if other != shard["run"]["name"]:
                raise UsageError(f"{node} is in {other} and in {shard['run']['name']}: the shards overlap")
    total = shards[0]["run"]["shard"]["total"]
    selected = sum(len(shard["run"]["selected"]) for shard in shards)
    if selected != total:
        raise UsageError(f"the shards have {selected} scenarios together, and the plan has {total}")


def _bare(row: Mapping[str, Any]) -> list[Any]:
    return [row[key] for key in ("id", "level", "capability", "text", "excluded")]


def _prove(shards: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The kill matrix, of which there is one at most; where shards have two, nobody can say which one counts."""
    given = [shard["prove"] for shard in shards if shard["prove"]]
    if any(prove != given[0] for prove in given):
        raise UsageError("the shards hold different kill matrices; add one to the merged run instead")
    return given[0] if given else None


def _canary(shards: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The canary that was not found, if there is one: one broken machine spoils the run."""
    canaries: list[Mapping[str, Any]] = [shard["canary"] for shard in shards if shard["canary"]]
    return next((canary for canary in canaries if not proof.found(canary)), canaries[0] if canaries else None)
