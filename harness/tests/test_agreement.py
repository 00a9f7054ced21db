"""Whether many cells agree with the table: every one, none left out, and what is said of those that do not."""

from __future__ import annotations

from typing import Any

import pytest

from harness.errors import Inconclusive
from harness.model import Route, Setting
from harness.oracles import agreement, conduct
from harness.oracles.conduct import Conduct, Told
from harness.oracles.model import CHECKED, CHECKING, ENQUEUED
from harness.tests.build import Fact, journal

GOOD = Conduct(
    wire=(Route.CLOUD_TASKS.served,),
    logs=(Route.CLOUD_TASKS.served,),
    told=(Told(CHECKING), Told(CHECKED, "configured"), Told(ENQUEUED)),
    done_by=("worker",),
)
LOST = Conduct(wire=GOOD.wire, logs=GOOD.logs, told=GOOD.told)
AGAIN = "pytest scenarios/prod/test_matrix.py --cell='{cell}'"


def asked(*cells: str) -> Fact:
    return Fact("harness", "stimulus", "asks", {"cells": list(cells), "again": AGAIN})


def treated(seen: Conduct, *cells: int) -> Fact:
    return Fact("api", "conduct", "treats", {"cells": list(cells), "conduct": conduct.to_json(seen)})


def judge(*facts: Fact) -> Any:
    return agreement.judge(journal(*facts), variables=dict.fromkeys(Setting, "X"), reasons={})


def test_cells_that_all_agree_are_fine() -> None:
    facts = [
        asked("app_env=prod", "app_env=staging"),
        treated(GOOD, 0, 1),
        asked("app_env=prod"),
        treated(GOOD, 0),
    ]

    assert judge(*facts) is None
    assert agreement.count(journal(*facts)) == 3


def test_a_disagreement_prints_the_cell_both_answers_and_the_command() -> None:
    finding = judge(asked("app_env=prod", "app_env=staging"), treated(GOOD, 0), treated(LOST, 1))

    assert finding.expected == "what the decision table says, in 2 cells"
    assert finding.observed.splitlines() == [
        "1 of them disagree",
        "",
        "app_env=staging",
        "  the job is lost",
        "  the table:",
        "    the way: cloud_tasks served",
        f"    logged: {CHECKING}, {CHECKED}, {ENQUEUED}",
        "    one effect, in the worker",
        "  the dispatcher:",
        "    from the wire: cloud_tasks served",
        "    from the logs: cloud_tasks served",
        f"    logged: {CHECKING}, {CHECKED} reason=configured, {ENQUEUED}",
        "    no effect: the job is lost",
        "  alone: pytest scenarios/prod/test_matrix.py --cell='app_env=staging'",
    ]


def test_of_many_disagreements_three_are_shown_and_the_others_named_and_counted() -> None:
    names = [f"app_env=prod,worker_flag={flag}" for flag in ("unset", "true", "1", "YES", "false")]
    names += [
        f"app_env=prod,worker={status}" for status in (301, 307, 400, 401, 403, 404, 408, 413, 429, 500, 502)
    ]

    text = judge(asked(*names), treated(LOST, *range(len(names)))).observed

    assert text.count("alone:") == 3
    assert "16 of them disagree" in text
    assert text.splitlines()[-2:] == ["  app_env=prod,worker=500", "  and 1 more"]


def test_no_cell_at_all_shows_nothing() -> None:
    with pytest.raises(Inconclusive, match="no cell was run"):
        judge()
    with pytest.raises(Inconclusive, match="no cell was run"):
        judge(asked())


def test_a_cell_that_was_never_judged_is_no_pass() -> None:
    with pytest.raises(Inconclusive, match="1 of 2 cells were never judged; the first is app_env=staging"):
        judge(asked("app_env=prod", "app_env=staging"), treated(GOOD, 0))


def test_a_disagreement_counts_although_others_were_not_judged() -> None:
    finding = judge(asked("app_env=prod", "app_env=staging"), treated(LOST, 0))

    assert finding.observed.endswith("1 cells were not tried after that")


@pytest.mark.parametrize("position", [2, -1, 0])
def test_an_answer_that_nobody_asked_for_is_noticed(position: int) -> None:
    with pytest.raises(
        Inconclusive, match=f"the cell number {position}, which was not asked for, or not again"
    ):
        judge(asked("app_env=prod", "app_env=staging"), treated(GOOD, 0, 1), treated(GOOD, position))
