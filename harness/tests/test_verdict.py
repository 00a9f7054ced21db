from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import (
    Finding,
    HarnessError,
    Inconclusive,
    LastWords,
    SutFailed,
    UsageError,
    Violation,
)
from harness.ledger import Check, Ledger
from harness.model import Verdict

ORDER = [Verdict.PASS, Verdict.INCONCLUSIVE, Verdict.FAIL]
FINDING = Finding("a", "b")


@pytest.mark.parametrize(("low", "high"), list(itertools.combinations_with_replacement(ORDER, 2)))
def test_the_gravest_wins_in_any_order(low: Verdict, high: Verdict) -> None:
    assert Verdict.worst([low, high]) is high
    assert Verdict.worst([high, low]) is high


def test_no_verdict_is_inconclusive() -> None:
    assert Verdict.worst([]) is Verdict.INCONCLUSIVE
    assert Verdict.worst([Verdict.NOT_APPLICABLE] * 3) is Verdict.INCONCLUSIVE


@given(st.lists(st.sampled_from(Verdict)))
def test_it_is_a_pass_only_where_something_passed_and_nothing_else_happened(verdicts: list[Verdict]) -> None:
    told = set(verdicts) - {Verdict.NOT_APPLICABLE}

    assert (Verdict.worst(iter(verdicts)) is Verdict.PASS) == (told == {Verdict.PASS})
    assert (Verdict.worst(verdicts) is Verdict.FAIL) == (Verdict.FAIL in told)


def test_each_blame_has_its_exit_code() -> None:
    assert [e.exit_code for e in (Violation, SutFailed, Inconclusive, UsageError, HarnessError)] == [
        1,
        1,
        2,
        64,
        70,
    ]
    assert issubclass(Violation, AssertionError)
    assert not issubclass(Inconclusive, AssertionError | HarnessError)


def test_a_violation_says_both_sides() -> None:
    assert str(Violation(FINDING)) == "expected a; observed b"


def test_a_dead_process_has_last_words() -> None:
    said = SutFailed(FINDING, LastWords("api", ("one", "two")))
    mute = SutFailed(FINDING, LastWords("worker"))

    assert str(said) == "expected a; observed b\nlast lines of the api:\n    one\n    two"
    assert str(mute) == "expected a; observed b\nthe worker wrote nothing"


def test_the_ledger_keeps_what_was_met_and_what_was_not() -> None:
    told: list[Check] = []
    ledger = Ledger(on_check=told.append)

    ledger.judge("is accepted", None)
    with pytest.raises(Violation) as raised:
        ledger.judge("has one effect", FINDING)

    assert raised.value.finding is FINDING
    assert ledger.checks == told == [Check("is accepted"), Check("has one effect", FINDING)]


def test_the_ledger_keeps_figures_with_the_bounds_they_were_judged_by() -> None:
    ledger = Ledger()
    ledger.figure("jobs", 12)
    ledger.figure("throughput", 41.7, "jobs/s", at_least=20)

    assert [figure.as_json() for figure in ledger.figures] == [
        {"name": "jobs", "value": 12, "unit": ""},
        {"name": "throughput", "value": 41.7, "unit": "jobs/s", "at_least": 20},
    ]
    assert ledger.checks == []


@pytest.mark.parametrize(
    ("name", "value", "at_most"),
    [
        ("", 1, None),
        (" ", 1, None),
        ("jobs", 1, None),
        ("x", float("nan"), None),
        ("x", float("inf"), None),
        ("x", True, None),
        ("x", 1, float("inf")),
    ],
)
def test_a_figure_without_a_name_or_a_number_is_refused(
    name: str, value: float, at_most: float | None
) -> None:
    ledger = Ledger()
    ledger.figure("jobs", 12)

    with pytest.raises(ValueError, match="figure"):
        ledger.figure(name, value, at_most=at_most)
    assert len(ledger.figures) == 1
