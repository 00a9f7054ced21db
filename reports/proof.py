"""The kill matrix and the canary: what a report says of the suites' own power to fail, and that it was not run.

``prove.json``, which ``results.json`` takes in as ``prove``::

    {"version": 1,
     "mutants": [{"id": …, "incident": …, "requirement": …, "oracle": …, "verdict": "killed" | "killed for another
                  reason" | "survived", "scenarios": {"PROD-FALLBACK-01": "killed", …}}, …],
     "equivalent": [{"id": …, "verdict": "green" | "false alarm"}, …]}

``canary`` is ``{"mutant": …, "red": true | false, "scenario": …}``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

from harness.errors import UsageError

NOT_RUN = "not run"
_CELL, _LEFT, _TOP = 14, 300, 150
_SIGNS = {"killed": ("k", "●"), "killed for another reason": ("o", "◐"), "survived": ("s", "○")}


def read(path: Path) -> dict[str, Any] | None:
    """``prove.json`` or ``canary.json``, or None where there is none.

    Raises:
        UsageError: there is one and it cannot be read.
    """
    try:
        document: dict[str, Any] = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as problem:
        raise UsageError(f"cannot read {path.name}: {problem}") from None
    if not isinstance(document, dict):
        raise UsageError(f"{path.name} is not a JSON object")
    return document


def in_words(prove: Mapping[str, Any] | None) -> str:
    """One sentence on the kill matrix."""
    if prove is None:
        return f"The kill matrix: {NOT_RUN}. Nothing is claimed about bugs that these scenarios would miss."
    mutants, equivalent = prove["mutants"], prove["equivalent"]
    killed = sum(mutant["verdict"] == "killed" for mutant in mutants)
    alarms = sum(variant["verdict"] != "green" for variant in equivalent)
    return (
        f"{killed} of {len(mutants)} known-bad dispatchers were found for the stated reason; "
        f"{alarms} false alarm(s) on {len(equivalent)} harmless variants."
    )


def canary_in_words(canary: Mapping[str, Any] | None) -> str:
    """One sentence on the canary."""
    if canary is None:
        return f"The canary: {NOT_RUN}."
    if canary.get("red"):
        return f"The canary {canary.get('mutant', '')} was found, by {canary.get('scenario', 'a scenario')}."
    return f"The canary {canary.get('mutant', '')} was NOT found: the harness is broken."


def matrix(prove: Mapping[str, Any]) -> str:
    """The kill matrix as a drawing: a row for each known-bad dispatcher, a column for each scenario."""
    mutants = prove["mutants"]
    columns = sorted({scenario for mutant in mutants for scenario in mutant.get("scenarios", {})})
    width, height = _LEFT + _CELL * len(columns) + 110, _TOP + 16 * len(mutants) + 10
    size = f'viewBox="0 0 {width} {height}" width="{width}"'
    parts = [f'<svg class="matrix" {size} role="img" aria-label="Kill matrix. {escape(in_words(prove))}">']
    for number, scenario in enumerate(columns):
        x = _LEFT + _CELL * number + 10
        parts.append(
            f'<text class="t" transform="translate({x} {_TOP - 8}) rotate(-60)">{escape(scenario)}</text>'
        )
    for number, mutant in enumerate(mutants):
        y = _TOP + 16 * number + 12
        kind = _SIGNS.get(mutant["verdict"], _SIGNS["survived"])[0]
        name = escape(f"{mutant['id']} → {mutant.get('requirement', '')}")
        parts.append(f'<text class="row-{kind}" x="{_LEFT - 6}" y="{y}" text-anchor="end">{name}</text>')
        for place, scenario in enumerate(columns):
            outcome = mutant.get("scenarios", {}).get(scenario)
            if outcome:
                kind, sign = _SIGNS.get(outcome, _SIGNS["survived"])
                parts.append(
                    f'<text class="cell-{kind}" x="{_LEFT + _CELL * place + 2}" y="{y}">{sign}</text>'
                )
    return "".join([*parts, "</svg>"])
