"""The release checklist in Markdown: what a release manager reads and signs."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from harness.requirements import tally
from reports import figures, proof
from reports.policy import Policy
from reports.release import release

_MARK = {
    "PASS": "x",
    "FAIL": " ",
    "INCONCLUSIVE": " ",
    "NOT VERIFIED": " ",
    "NOT_APPLICABLE": "-",
    "EXCLUDED": "-",
}
_GRAVITY = ("FAIL", "INCONCLUSIVE", "PASS", "NOT_APPLICABLE")
MOST_LINKS = 3
_CODE = re.compile(r"(`[^`|\\<>]+`)")
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|!&])")


def checklist(results: Mapping[str, Any], policy: Policy | None = None) -> str:
    """The checklist as Markdown, from the document of ``results.json``."""
    run = results["run"]
    document = release(results, policy)
    verdicts = verdicts_of(results)
    began = dt.datetime.fromtimestamp(run["began_at"], tz=dt.UTC)
    lines = [
        f"# Release checklist: {plain(run['profile'])}",
        "",
        *_decision(document["decision"]),
        f"**Verdict: {results['verdict']}** ({results['summary']})",
        "",
        *(f"- {plain(reason)}" for reason in results["reasons"]),
        *([""] if results["reasons"] else []),
        f"Run {run['name']}, begun {began:%Y-%m-%d %H:%M:%S} UTC, {_duration(run)}.",
        f"Python {run['python']} on {plain(run['platform'])}.",
        "",
        *_identity(document),
        "## Requirements",
        "",
        "A requirement marked NOT VERIFIED has no scenario in this run: nothing is claimed about it.",
        "",
        "| | requirement | level | verdict | shown by | text |",
        "| --- | --- | --- | --- | --- | --- |",
        *(row(entry, verdicts) for entry in results["requirements"]),
        "",
        *_excluded(document["excluded"]),
        *_figures(results),
        *_not_passed(results),
        "## Can the suites fail?",
        "",
        f"- {plain(proof.in_words(document['prove']))}",
        f"- {plain(proof.canary_in_words(document['canary']))}",
        *(f"- {plain(problem)}" for problem in document["proof"]["problems"]),
        "",
        *_kills(document),
        "## To be done by a person",
        "",
        *(f"- [ ] {plain(item['text'])}. {plain(item['how'])}" for item in document["by_person"]),
        "",
        "Name, date: ______________________",
        "",
        "## Limits of the claim",
        "",
        *(f"- {plain(limit)}" for limit in document["limits"]),
        "",
        *_evidence(results, verdicts),
    ]
    return "\n".join(lines)


def _decision(decision: Mapping[str, Any]) -> list[str]:
    lines = [f"**Release: {decision['word']}**", ""]
    lines += [f"- failed: {plain(reason)}" for reason in decision["failures"]]
    lines += [f"- unknown: {plain(reason)}" for reason in decision["unknowns"]]
    lines += [f"- excused: {plain(reason)}" for reason in decision["excused"]]
    return [*lines, ""] if lines[2:] else lines


def _duration(run: Mapping[str, Any]) -> str:
    ended_at = run.get("ended_at")
    return "not ended" if ended_at is None else f"took {ended_at - run['began_at']:.1f} s"


def _identity(document: Mapping[str, Any]) -> list[str]:
    run, rows = document["run"], []
    for name, identity in run.get("identity", {}).items():
        facts = " ".join(str(identity[key]) for key in ("name", "version", "digest") if identity.get(key))
        rows.append(f"| {plain(name)} | {plain(facts)} |")
    seal = document["evidence"]
    if seal:
        rows.append(f"| evidence | {seal['files']} files, SHA256SUMS {seal['digest']} |")
    packages = run.get("environment", {}).get("packages", {})
    if packages:
        rows.append(
            f"| packages | {plain(', '.join(f'{name} {version}' for name, version in packages.items()))} |"
        )
    known = [name for name in ("topology", "seed") if run.get(name) is not None]
    rows += [f"| {name} | {plain(str(run[name]))} |" for name in known]
    if not rows:
        return []
    return ["## What was judged, and by what", "", "| | |", "| --- | --- |", *rows, ""]


def _excluded(excluded: Sequence[Mapping[str, Any]]) -> list[str]:
    if not excluded:
        return []
    return ["## Excluded", "", *(f"- {row['id']}: {plain(row['because'])}" for row in excluded), ""]


def verdicts_of(results: Mapping[str, Any]) -> dict[str, str]:
    """The verdict of each scenario, by its folder."""
    return {scenario["folder"]: scenario["verdict"] for scenario in results["scenarios"]}


def gravest_first(folders: Iterable[str], verdicts: Mapping[str, str]) -> list[str]:
    """Scenarios in the order in which a reader wants to see them: what failed stands before what passed."""
    return sorted(folders, key=lambda folder: _GRAVITY.index(verdicts[folder]))


def row(entry: Mapping[str, Any], verdicts: Mapping[str, str], *, links: bool = True) -> str:
    """One requirement as a row of a table.

    Args:
        entry: the requirement.
        verdicts: of the run's scenarios, by their folders.
        links: link to the evidence of the first scenarios that show it; a report that lies elsewhere cannot.
    """
    aside = {folder for folder, verdict in verdicts.items() if verdict == "NOT_APPLICABLE"}
    shown_by = tally(entry["passed"], entry["scenarios"], aside)
    if links and entry["scenarios"]:
        first = gravest_first(entry["scenarios"], verdicts)[:MOST_LINKS]
        more = len(entry["scenarios"]) - len(first)
        shown_by += f": {_links(first)}" + (f" and {more} more" if more else "")
    return (
        f"| [{_MARK[entry['verdict']]}] | {entry['id']} | {entry['level']} | {entry['verdict']} | {shown_by} "
        f"| {_prose(entry['text'])} |"
    )


def _links(folders: Iterable[str]) -> str:
    return ", ".join(f"[{plain(folder)}](evidence/{folder}/)" for folder in folders)


def _evidence(results: Mapping[str, Any], verdicts: Mapping[str, str]) -> list[str]:
    """Where the table leaves some out: all scenarios that show a requirement."""
    rows = [entry for entry in results["requirements"] if len(entry["scenarios"]) > MOST_LINKS]
    if not rows:
        return []
    lines = (f"- {entry['id']}: {_links(gravest_first(entry['scenarios'], verdicts))}" for entry in rows)
    return ["## All evidence, by requirement", "", *lines, ""]


def _kills(document: Mapping[str, Any]) -> list[str]:
    """The kill matrix in words: what became of each known-bad dispatcher, and what each scenario adds."""
    prove = document["prove"]
    if not prove or not prove["mutants"]:
        return []
    lines = [
        "| | known-bad dispatcher | must turn red | verdict | found by |",
        "| --- | --- | --- | --- | --- |",
    ]
    for mutant in prove["mutants"]:
        mark = "x" if mutant["verdict"] == "killed" else " "
        title = f"{mutant['id']}: {mutant['title']}" if mutant.get("title") else mutant["id"]
        wanted = " ".join(part for part in (mutant["requirement"], mutant.get("oracle", "")) if part)
        by = (mutant.get("killed_by") or {}).get("scenario", "") or mutant.get("problem", "") or "-"
        cells = " | ".join(plain(cell) for cell in (title, wanted, mutant["verdict"], by))
        lines.append(f"| [{mark}] | {cells} |")
    bad = [variant for variant in prove["equivalent"] if variant["verdict"] != "green"]
    lines += ["", *(f"- harmless variant {plain(v['id'])}: {v['verdict']}" for v in bad)]
    known = document["proof"]
    if known["unique_kills"] is not None:
        for folder, ids in known["unique_kills"].items():
            lines.append(f"- only {plain(folder)} kills {plain(', '.join(ids))}")
        lines += [f"- {plain(folder)} kills nothing" for folder in known["kill_nothing"]]
    return [*lines, ""] if lines[-1] else lines


def _figures(results: Mapping[str, Any]) -> list[str]:
    rows = []
    for shown in figures.overview(results):
        bound = plain(figures.bound_in_words(shown.figure)) or "-"
        name, value = plain(shown.figure["name"]), plain(figures.in_words(shown.figure))
        more = len(shown.folders) - 1
        link = _links(shown.folders[:1]) + (f" and {more} more" if more else "")
        rows.append(f"| {name} | {value} | {bound} | {link} |")
    if not rows:
        return []
    head = ["| what was measured | value | bound | scenario |", "| --- | ---: | --- | --- |"]
    return ["## Figures", "", *head, *rows, ""]


def _not_passed(results: Mapping[str, Any]) -> list[str]:
    lines: list[str] = []
    for scenario in results["scenarios"]:
        if scenario["verdict"] in {"PASS", "NOT_APPLICABLE"}:
            continue
        fence = "`" * max(3, _longest_run_of_backticks(scenario["message"]) + 1)
        lines += [
            f"## {scenario['verdict']}: {plain(scenario['folder'])}",
            "",
            fence,
            scenario["message"],
            fence,
            "",
        ]
    return lines


def _longest_run_of_backticks(text: str) -> int:
    return max((len(run) for run in re.findall("`+", text)), default=0)


def _prose(text: str) -> str:
    """A sentence of ours: as ``plain``, but what stands between backticks is code."""
    parts = _CODE.split(" ".join(text.split()))
    return "".join(part if _CODE.fullmatch(part) else _SPECIAL.sub(r"\\\1", part) for part in parts)


def plain(text: str) -> str:
    """Text that Markdown shows as it is, on one line."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))
