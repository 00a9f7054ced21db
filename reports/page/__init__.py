"""The page: one HTML file that needs nothing else, neither network nor neighbours.

What did not pass stands in the page as it is. What passed is packed, forty scenarios at a time, and unpacked by the
browser when it is opened: a run of thousands of scenarios stays a file that opens at once.

Nothing that a dispatcher wrote can act: the template escapes everything, and so do ``reports.detail``,
``reports.diagram`` and ``reports.matrix``, whose output alone is taken as it is. Should one of them ever miss
something, the page's own security policy admits no script but the page's.
"""

from __future__ import annotations

import base64
import datetime as dt
import gzip
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any

import jinja2
from markupsafe import Markup
from pydantic_core import to_json

from harness.requirements import tally
from reports import figures, proof
from reports.checklist import MOST_LINKS, gravest_first, verdicts_of
from reports.detail import detail, figure
from reports.matrix import kill_matrix
from reports.policy import Policy
from reports.release import release
from reports.text import anchor, escape, prose

_IN_A_CHUNK = 40
_LONGEST_LINE = 160
_VERDICTS = {
    "FAIL": "failed",
    "INCONCLUSIVE": "inconclusive",
    "PASS": "passed",
    "NOT_APPLICABLE": "not applicable",
}
_ORDER = {verdict: number for number, verdict in enumerate(_VERDICTS)}


def page(results: Mapping[str, Any], policy: Policy | None = None) -> str:
    """The page, from the document of ``results.json``."""
    document = release(results, policy)
    scenarios, chunks = _scenarios(results["scenarios"])
    script = _file("page.js")
    tiles = _tiles(results)
    prove, canary = document["prove"], document["canary"]
    verdicts = [scenario["verdict"] for scenario in results["scenarios"]]
    shown = frozenset(scenario["folder"] for scenario in results["scenarios"])
    ids = [row["id"] for row in document["requirements"]]
    return _template().render(
        decision=document["decision"],
        results={**results, "complete": document["complete"]},
        run=document["run"],
        brief=list(_brief(document)),
        rows=list(_rows(results)),
        board=_board(document["requirements"]),
        by_person=document["by_person"],
        excluded=document["excluded"],
        limits=document["limits"],
        facts=list(_facts(document)),
        figures=_figures(results),
        tiles=tiles,
        bar_words=", ".join(f"{tile['count']} {tile['word']}" for tile in tiles),
        verdicts=[(verdict, verdicts.count(verdict)) for verdict in _VERDICTS],
        suites=sorted({_suite(scenario) for scenario in results["scenarios"]}),
        scenarios=scenarios,
        chunks=chunks,
        prove_words=proof.in_words(prove),
        proof_problems=document["proof"]["problems"],
        canary_words=proof.canary_in_words(canary),
        canary_kind="NOT_APPLICABLE" if canary is None else "PASS" if proof.found(canary) else "FAIL",
        matrix=Markup(kill_matrix(prove, ids, shown)) if prove else "",  # noqa: S704 - escaped where it is made
        style=Markup(_file("page.css")),  # noqa: S704 - our own file
        script=Markup(script),  # noqa: S704 - our own file
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    environment.filters["anchor"] = anchor
    environment.filters["prose"] = lambda text: Markup(prose(text))  # noqa: S704 - escaped there
    return environment.from_string(_file("page.html.j2"))


@cache
def _file(name: str) -> str:
    return resources.files(__name__).joinpath(name).read_text("utf-8")


def _scenarios(scenarios: Sequence[Mapping[str, Any]]) -> tuple[Markup, list[str]]:
    """The rows, those that did not pass first, and the packed parts of those that passed."""
    rows: list[str] = []
    chunks: list[str] = []
    waiting: list[str] = []
    for scenario in sorted(scenarios, key=lambda s: (_ORDER[s["verdict"]], s["folder"])):
        inner = detail(scenario)
        if scenario["verdict"] in {"PASS", "NOT_APPLICABLE"}:
            rows.append(_row(scenario, "", packed=f' data-packed="{len(chunks)}.{len(waiting)}"'))
            waiting.append(inner)
        else:
            rows.append(_row(scenario, inner))
        if len(waiting) == _IN_A_CHUNK:
            chunks.append(_pack(waiting))
            waiting = []
    if waiting:
        chunks.append(_pack(waiting))
    return Markup("".join(rows)), chunks  # noqa: S704 - escaped where it is made


def _row(scenario: Mapping[str, Any], inner: str, *, packed: str = "") -> str:
    """One scenario of the list; not in the template, which takes several times as long for thousands of them."""
    verdict, took = scenario["verdict"], f"{scenario['duration_s']:.2f}"
    chips = "".join(f' <span class="chip">{escape(id_)}</span>' for id_ in scenario["requires"])
    chips += "".join(
        f' <span class="chip fault-chip">⚡ {escape(fault)}</span>'
        for fault in (scenario.get("account") or {}).get("faults", ())
    )
    return (
        f'<details class="scenario" id="s-{anchor(scenario["folder"])}" data-verdict="{verdict}" data-took="{took}" '
        f'data-suite="{escape(_suite(scenario))}"{packed}>'
        f'<summary><span class="v {verdict}">{verdict.replace("_", " ")}</span> <span class="id">'
        f'<b>{escape(scenario["folder"])}</b>{chips}</span> <span class="took">{took} s</span> '
        f'<span class="title">{escape(scenario["title"])}</span>{_why(scenario)}</summary>'
        f'<div class="detail">{inner}</div></details>\n'
    )


def _why(scenario: Mapping[str, Any]) -> str:
    """What was found, in one line: forty scenarios that failed tell at a look whether it was one cause."""
    finding = (scenario.get("account") or {}).get("finding") or {}
    parts = []
    for name in ("expected", "observed"):
        line = next(iter(finding.get(name, "").splitlines()), "")
        if line:
            parts.append(
                f"<b>{name}</b> {escape(line if len(line) <= _LONGEST_LINE else line[:_LONGEST_LINE] + '…')}"
            )
    return f'<span class="why">{" ".join(parts)}</span>' if parts else ""


def _suite(scenario: Mapping[str, Any]) -> str:
    """The folder of scenarios that it is from."""
    parts = scenario["node"].partition("::")[0].split("/")
    return str(parts[-2]) if len(parts) > 1 else ""


def _figures(results: Mapping[str, Any]) -> Markup:
    cards = []
    for shown in figures.overview(results):
        first, more = shown.folders[0], len(shown.folders) - 1
        of = f'<a href="#s-{anchor(first)}">{escape(first)}</a>'
        cards.append(figure(shown.figure, of=of + (f"<small>and {more} more</small>" if more else "")))
    return Markup("".join(cards))  # noqa: S704 - escaped where it is made


def _rows(results: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The requirements with what their rows say of their scenarios."""
    verdicts = verdicts_of(results)
    aside = {folder for folder, verdict in verdicts.items() if verdict == "NOT_APPLICABLE"}
    for row in results["requirements"]:
        folders = gravest_first(row["scenarios"], verdicts)
        yield {**row, "first": folders[:MOST_LINKS], "tally": tally(row["passed"], folders, aside)}


def _board(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    """The requirements by family, for a look at all of them at once."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        found.setdefault(row["id"].rpartition("-")[0], []).append(row)
    return found


def _pack(parts: Sequence[str]) -> str:
    packed = gzip.compress(to_json(parts), compresslevel=2, mtime=0)
    return base64.b64encode(packed).decode()


def _tiles(results: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The numbers at the top; those with a share make up the bar below them."""
    verdicts = [scenario["verdict"] for scenario in results["scenarios"]]
    tiles: list[dict[str, Any]] = [
        {"kind": kind, "word": word, "count": verdicts.count(kind), "share": verdicts.count(kind)}
        for kind, word in _VERDICTS.items()
        if verdicts.count(kind) or kind == "PASS"
    ]
    if missing := len(results["missing"]):
        tiles.append(
            {"kind": "INCONCLUSIVE", "word": "without a verdict", "count": missing, "share": missing}
        )
    rows = [row["verdict"] for row in results["requirements"]]
    tiles.append(_tile("plain", "requirements verified", f"{rows.count('PASS')}/{len(rows)}"))
    for kind, word in (("NOT VERIFIED", "requirements not verified"), ("EXCLUDED", "requirements excluded")):
        if count := rows.count(kind):
            tiles.append(_tile(kind.replace(" ", "_"), word, str(count)))
    if prove := results.get("prove"):
        killed = sum(mutant["verdict"] == "killed" for mutant in prove["mutants"])
        alarms = any(variant["verdict"] == "false alarm" for variant in prove["equivalent"])
        doubtful = any(proof.problems(prove, results["run"].get("identity", {})))
        wrong = killed < len(prove["mutants"]) or alarms
        kind = "FAIL" if wrong else "INCONCLUSIVE" if doubtful else "PASS"
        tiles.append(_tile(kind, "known-bad dispatchers found", f"{killed}/{len(prove['mutants'])}"))
    return tiles


def _tile(kind: str, word: str, count: str) -> dict[str, Any]:
    return {"kind": kind, "word": word, "count": count, "share": 0}


def _brief(document: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What a reader wants to know first: which run, when, and of what."""
    facts = dict(_facts(document))
    for name in ("run", "begun", "took"):
        yield name, facts[name]
    digest = document["run"].get("identity", {}).get("sut", {}).get("digest")
    if digest:
        yield "digest of the system under test", f"{digest[:19]}…"


def _facts(document: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    run = document["run"]
    yield "run", str(run["name"])
    yield "begun", f"{dt.datetime.fromtimestamp(run['began_at'], tz=dt.UTC):%Y-%m-%d %H:%M:%S} UTC"
    ended_at = run.get("ended_at")
    yield "took", "not ended" if ended_at is None else f"{ended_at - run['began_at']:.1f} s"
    names = {"sut": "system under test", "harness": "dispatchcheck"}
    for name, identity in run.get("identity", {}).items():
        yield (
            names.get(name, name),
            " ".join(str(identity[k]) for k in ("name", "version", "digest") if identity.get(k)),
        )
    seal = document["evidence"]
    if seal:
        yield "evidence", f"{seal['files']} files; SHA256SUMS has {seal['digest']}"
    prove = document["prove"]
    if prove and prove.get("zoo"):
        yield "known-bad dispatchers", prove["zoo"]
    for name in ("topology", "seed", "python", "platform"):
        if run.get(name) is not None:
            yield name, str(run[name])
    if run.get("shard"):
        yield "shard", f"{run['shard']['index']} of {run['shard']['of']}"
    if run.get("merged"):
        yield "merged from", " ".join(run["merged"])
    environment = run.get("environment", {})
    yield (
        "packages",
        " ".join(f"{name} {version}" for name, version in environment.get("packages", {}).items()),
    )
    for name, value in environment.get("ci", {}).items():
        yield name, value
