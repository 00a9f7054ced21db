"""What scenarios measured is in the results, and every report says it in the same words."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest

from reports import figures
from reports.checklist import checklist
from reports.diff import diff
from reports.github import summary
from reports.merge import merge
from reports.results import as_json
from reports.schema import Results, json_schema
from reports.tests import made

THROUGHPUT = {"name": "throughput", "value": 41.72, "unit": "jobs/s", "at_least": 20}
SLOWEST = {"name": "slowest answer", "value": 0.25, "unit": "s", "at_most": 1.5}


def measured(*given: dict[str, Any], **run: Any) -> dict[str, Any]:
    return made.document(made.scenario("LOAD-01", figures=given), made.scenario("B-01"), **run)


def test_they_satisfy_the_schema_and_are_read_back() -> None:
    document = json.loads(as_json(measured(THROUGHPUT, SLOWEST)))
    assert document["scenarios"][0]["figures"] == [THROUGHPUT, SLOWEST]
    jsonschema.validate(document, json_schema(), cls=jsonschema.Draft202012Validator)
    Results.model_validate(document)


def test_results_from_before_there_were_figures_are_read() -> None:
    document = json.loads(as_json(measured()))
    for scenario in document["scenarios"]:
        del scenario["figures"]
    Results.model_validate(document)
    assert list(figures.of_run(document)) == []
    assert "## Figures" not in checklist(document)


@pytest.mark.parametrize(
    ("value", "unit", "words"),
    [
        (12, "", "12"),
        (12_000, "jobs", "12,000 jobs"),
        (41.72, "jobs/s", "41.7 jobs/s"),
        (0.00042, "s", "0.00042 s"),
        (12345.6, "bytes", "12,346 bytes"),
        (99.5, "%", "99.5%"),
    ],
)
def test_values_read_well(value: float, unit: str, words: str) -> None:
    assert figures.in_words({"name": "x", "value": value, "unit": unit}) == words


def test_counts_of_many_scenarios_are_added_up_and_nothing_else_is() -> None:
    count = {"name": "cells", "value": 3, "unit": "", "at_least": None, "at_most": None}
    bounded, rate = {**count, "name": "b", "at_least": 2}, {**count, "name": "r", "value": 1.5}
    other_unit = {**count, "unit": "jobs"}
    given = (count, bounded, rate)
    names = ("A-01", "B-01", "C-01")
    parts = [made.scenario(name, figures=given) for name in names]
    document = json.loads(as_json(made.document(*parts, made.scenario("D-01", figures=(other_unit,)))))
    found = [(s.figure["name"], s.figure["value"], list(s.folders)) for s in figures.overview(document)]
    assert found[0] == ("cells", 9, list(names))
    assert found[1:-1] == [each for name in names for each in (("b", 3, [name]), ("r", 1.5, [name]))][:6]
    assert found[-1] == ("cells", 3, ["D-01"])
    assert "| cells | 9 | - | [A-01](evidence/A-01/) and 2 more |" in checklist(document).splitlines()
    assert "| cells | 9 | - | 3 scenarios |" in summary(document).splitlines()


def test_the_checklist_lists_them_with_their_bounds() -> None:
    lines = checklist(measured(THROUGHPUT, SLOWEST)).splitlines()
    assert "| throughput | 41.7 jobs/s | at least 20 jobs/s | [LOAD-01](evidence/LOAD-01/) |" in lines
    assert "| slowest answer | 0.25 s | at most 1.5 s | [LOAD-01](evidence/LOAD-01/) |" in lines


def test_the_summary_of_a_pipeline_lists_them() -> None:
    lines = summary(measured(THROUGHPUT)).splitlines()
    assert "| throughput | 41.7 jobs/s | at least 20 jobs/s | LOAD-01 |" in lines
    assert "what was measured" not in summary(measured())


def test_runs_are_compared_by_them() -> None:
    before = measured(THROUGHPUT, SLOWEST)
    assert diff(before, measured({**THROUGHPUT, "value": 30.0}, SLOWEST)) == []
    assert diff(before, measured({**THROUGHPUT, "value": 20.0})) == [
        "figure: LOAD-01: throughput: 41.7 jobs/s → 20 jobs/s",
        "figure: LOAD-01: slowest answer: 0.25 s → absent",
    ]


def test_shards_keep_them() -> None:
    shard = {"plan": "", "total": 2, "of": 1, "index": 1}
    merged = merge([json.loads(as_json(measured(THROUGHPUT, shard=shard)))])
    assert list(figures.of_run(merged)) == list(figures.of_run(measured(THROUGHPUT)))[:1]
