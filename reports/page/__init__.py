"""The page: one HTML file that needs nothing else, neither network nor neighbours.

What did not pass stands in the page as it is. What passed is packed, forty scenarios at a time, and unpacked by the
browser when it is opened: a run of thousands of scenarios stays a file that opens at once.

Nothing that a dispatcher wrote can act: the template escapes everything, and so do ``reports.detail`` and
``reports.diagram``, whose output alone is taken as it is. Should one of them ever miss something, the page's own
security policy admits no script but the page's.
"""

from __future__ import annotations

import base64
import datetime as dt
import gzip
import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any

import jinja2
from markupsafe import Markup
from pydantic_core import to_json

from reports import proof
from reports.detail import detail
from reports.policy import Policy
from reports.release import release
from reports.text import escape

_IN_A_CHUNK = 40
_VERDICTS = ("FAIL", "INCONCLUSIVE", "PASS", "NOT_APPLICABLE")


def page(results: Mapping[str, Any], policy: Policy | None = None) -> str:
    """The page, from the document of ``results.json``."""
    document = release(results, policy)
    scenarios, chunks = _scenarios(results["scenarios"])
    script = _file("page.js")
    tiles = _tiles(results)
    prove = document["prove"]
    return _template().render(
        decision=document["decision"],
        results={**results, "complete": document["complete"]},
        run=document["run"],
        rows=document["requirements"],
        by_person=document["by_person"],
        limits=document["limits"],
        facts=list(_facts(document)),
        tiles=tiles,
        bar_words=", ".join(f"{tile['count']} {tile['word']}" for tile in tiles),
        verdicts=_VERDICTS,
        scenarios=scenarios,
        chunks=chunks,
        prove_words=proof.in_words(prove),
        canary_words=proof.canary_in_words(document["canary"]),
        matrix=Markup(proof.matrix(prove)) if prove else "",  # noqa: S704 - escaped where it is made
        style=Markup(_file("page.css")),  # noqa: S704 - our own file
        script=Markup(script),  # noqa: S704 - our own file
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )


def anchor(folder: str) -> str:
    """A scenario's name as it stands in a link within the page."""
    return re.sub(r"[^A-Za-z0-9_.-]", "-", folder)


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    environment.filters["anchor"] = anchor
    return environment.from_string(_file("page.html.j2"))


@cache
def _file(name: str) -> str:
    return resources.files(__name__).joinpath(name).read_text("utf-8")


def _scenarios(scenarios: Sequence[Mapping[str, Any]]) -> tuple[Markup, list[str]]:
    """The rows, those that did not pass first, and the packed parts of those that passed."""
    rows: list[str] = []
    chunks: list[str] = []
    waiting: list[str] = []
    for scenario in sorted(scenarios, key=lambda s: (_VERDICTS.index(s["verdict"]), s["folder"])):
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
    verdict = scenario["verdict"]
    faults = "".join(f" · {escape(fault)}" for fault in (scenario.get("account") or {}).get("faults", ()))
    return (
        f'<details class="scenario" id="s-{anchor(scenario["folder"])}" data-verdict="{verdict}"{packed}>'
        f'<summary><span class="v {verdict}">{verdict.replace("_", " ")}</span> <b>{escape(scenario["folder"])}</b> '
        f'<span class="title">{escape(scenario["title"])}</span> '
        f"<small>{escape(' '.join(scenario['requires']))}{faults} · {scenario['duration_s']:.2f} s</small></summary>"
        f'<div class="detail">{inner}</div></details>\n'
    )


def _pack(parts: Sequence[str]) -> str:
    packed = gzip.compress(to_json(parts), compresslevel=2, mtime=0)
    return base64.b64encode(packed).decode()


def _tiles(results: Mapping[str, Any]) -> list[dict[str, Any]]:
    verdicts = [scenario["verdict"] for scenario in results["scenarios"]]
    words = {
        "FAIL": "failed",
        "INCONCLUSIVE": "inconclusive",
        "PASS": "passed",
        "NOT_APPLICABLE": "not applicable",
    }
    tiles: list[dict[str, Any]] = [
        {"kind": kind, "word": word, "count": verdicts.count(kind), "share": verdicts.count(kind)}
        for kind, word in words.items()
        if verdicts.count(kind) or kind in {"PASS", "FAIL"}
    ]
    rows = results["requirements"]
    for kind, word in (("NOT VERIFIED", "requirements not verified"), ("EXCLUDED", "requirements excluded")):
        count = sum(row["verdict"] == kind for row in rows)
        tiles.append({"kind": kind.replace(" ", "_"), "word": word, "count": count, "share": 0})
    return tiles


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
    for name in ("topology", "seed", "python", "platform"):
        if run.get(name) is not None:
            yield name, str(run[name])
    if run.get("shard"):
        yield "shard", f"{run['shard']['index']} of {run['shard']['of']}"
    environment = run.get("environment", {})
    yield (
        "packages",
        " ".join(f"{name} {version}" for name, version in environment.get("packages", {}).items()),
    )
    for name, value in environment.get("ci", {}).items():
        yield name, value
