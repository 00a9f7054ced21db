"""One trial: which scenario comes next, when it is over, and what it has shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.proving.judges import Collected, Said
from harness.proving.trials import Cell, MutantTrial, VariantTrial, in_turn, scenarios_that_do_not_exist
from harness.proving.zoo import Mutant, MutantHead, Variant, VariantHead

COSTS = {"EXPECTED-01": 9.0, "STATED-01": 1.0, "STATED-02": 2.0, "OTHER-01": 0.1, "OTHER-02": 0.2}
KILLED = Said("FAIL", "sut", "", 0.5, "route", "expected a; observed b")
OTHERWISE = Said("FAIL", "sut", "", 0.5, "events", "expected c; observed d")
PASSED = Said("PASS", "", "", 0.5, "", "")
DOUBT = Said("INCONCLUSIVE", "evidence", "", 0.5, "", "")
BROKEN = Said("FAIL", "evidence", "", 0.5, "route", "")


def _tests() -> list[Collected]:
    stated = {"EXPECTED-01", "STATED-01", "STATED-02"}
    return [
        Collected(
            f"scenarios/prod/test_x.py::{id_}", id_, id_, "", ("PROD-03",) if id_ in stated else ("LOG-01",)
        )
        for id_ in sorted(COSTS)
    ]


def trial(*, full: bool = False, scenarios: tuple[str, ...] = ("EXPECTED-01",)) -> MutantTrial:
    head = MutantHead(
        id="a-mutant", title="A", incident="B", requirement="PROD-03", oracle="route", scenarios=scenarios
    )
    return MutantTrial(Mutant(Path(), "", head), _tests(), full)


def variant() -> VariantTrial:
    return VariantTrial(Variant(Path(), "", VariantHead(id="a-variant", title="A", why="B")), _tests())


def cost(test: Collected) -> float:
    return COSTS[test.scenario]


def run(of: MutantTrial | VariantTrial, said: dict[str, Said]) -> list[str]:
    """Run a trial to its end, one scenario at a time; what ran, in order."""
    ran = []
    while (test := of.next(cost)) is not None:
        ran.append(test.scenario)
        of.learn(test, said.get(test.scenario, PASSED))
    assert of.over
    return ran


def test_what_is_expected_comes_first_then_the_requirements_scenarios_then_the_rest_cheapest_first() -> None:
    of = trial()

    assert run(of, {}) == ["EXPECTED-01", "STATED-01", "STATED-02", "OTHER-01", "OTHER-02"]
    assert of.row()["verdict"] == "survived"
    assert of.row()["killed_by"] is None


def test_it_ends_with_the_first_kill_for_the_stated_reason() -> None:
    of = trial()

    assert run(of, {"STATED-01": KILLED}) == ["EXPECTED-01", "STATED-01"]
    assert of.row() | {"duration_s": 0} == {
        "id": "a-mutant",
        "title": "A",
        "incident": "B",
        "requirement": "PROD-03",
        "oracle": "route",
        "verdict": "killed",
        "killed_by": {
            "scenario": "STATED-01",
            "requirement": "PROD-03",
            "oracle": "route",
            "reason": "expected a; observed b",
        },
        "scenarios": {"EXPECTED-01": "passed", "STATED-01": "killed"},
        "problem": "",
        "duration_s": 0,
    }


def test_another_oracle_is_another_reason_and_the_stated_one_is_still_looked_for() -> None:
    of = trial()

    assert run(of, {"EXPECTED-01": OTHERWISE, "STATED-02": KILLED}) == [
        "EXPECTED-01",
        "STATED-01",
        "STATED-02",
    ]
    assert of.row()["verdict"] == "killed"
    assert of.row()["killed_by"]["scenario"] == "STATED-02"
    assert of.cells["EXPECTED-01"] is Cell.OTHER


def test_where_nobody_gives_the_stated_reason_it_is_another_one_and_the_rest_need_not_run() -> None:
    of = trial()

    assert run(of, {"STATED-01": OTHERWISE}) == ["EXPECTED-01", "STATED-01", "STATED-02"]
    assert of.row()["verdict"] == "killed for another reason"
    assert of.row()["killed_by"]["oracle"] == "events"


def test_a_scenario_of_another_requirement_finds_it_for_another_reason_whatever_its_oracle() -> None:
    of = trial()

    assert run(of, {"OTHER-01": KILLED})[-1] == "OTHER-01"
    assert of.row()["verdict"] == "killed for another reason"
    assert of.row()["killed_by"]["requirement"] == "LOG-01"


@pytest.mark.parametrize("said", [DOUBT, BROKEN], ids=["inconclusive", "the-harness's-own-fault"])
def test_what_shows_nothing_is_no_kill(said: Said) -> None:
    of = trial()

    run(of, dict.fromkeys(COSTS, said))

    assert set(of.cells.values()) == {Cell.INCONCLUSIVE}
    assert of.row()["verdict"] == "survived"


def test_what_is_not_applicable_is_no_cell() -> None:
    of = trial()

    run(of, {"STATED-01": Said("NOT_APPLICABLE", "", "", 0, "", "")})

    assert "STATED-01" not in of.cells


def test_one_scenario_at_a_time_unless_everything_is_asked_for() -> None:
    one, all_ = trial(), trial(full=True)

    assert one.next(cost) is not None
    assert one.next(cost) is None
    assert not one.over
    assert [all_.next(cost) is not None for _ in range(6)] == [True] * 5 + [False]


def test_everything_runs_also_after_a_kill_where_that_is_asked_for() -> None:
    of = trial(full=True)

    assert len(run(of, {"EXPECTED-01": KILLED, "OTHER-01": OTHERWISE})) == 5
    assert of.row()["verdict"] == "killed"


def test_what_was_cut_off_or_cannot_be_judged_says_so() -> None:
    cut_off, broken = trial(), trial()
    cut_off.next(cost)
    broken.next(cost)

    broken.give_up("the harness broke")

    assert (cut_off.row()["verdict"], cut_off.row()["problem"]) == ("not judged", "the proof was cut off")
    assert (broken.row()["verdict"], broken.row()["problem"]) == ("not judged", "the harness broke")
    assert broken.over


def test_a_variant_runs_everything_the_longest_first_and_is_green() -> None:
    of = variant()

    assert run(of, {}) == ["EXPECTED-01", "STATED-02", "STATED-01", "OTHER-02", "OTHER-01"]
    assert (of.row()["verdict"], of.row()["ran"], of.row()["alarms"]) == ("green", 5, [])


@pytest.mark.parametrize("said", [KILLED, DOUBT], ids=["red", "inconclusive"])
def test_whatever_is_not_green_on_a_variant_is_a_false_alarm(said: Said) -> None:
    of = variant()

    run(of, {"OTHER-01": said})

    assert of.row()["verdict"] == "false alarm"
    assert [alarm["scenario"] for alarm in of.row()["alarms"]] == ["OTHER-01"]


def test_a_variant_that_was_cut_off_is_not_green() -> None:
    of = variant()
    test = of.next(cost)
    assert test is not None
    of.learn(test, PASSED)

    assert of.row()["verdict"] == "not judged"


def test_scenarios_that_a_mutant_expects_and_that_do_not_exist_are_named() -> None:
    of = trial(scenarios=("EXPECTED-01", "GONE-01"))

    assert scenarios_that_do_not_exist([of.animal], of.tests) == {"a-mutant": ["GONE-01"]}
    assert scenarios_that_do_not_exist([trial().animal], of.tests) == {}


def _parameters(scenario: str, count: int) -> list[Collected]:
    return [
        Collected(f"{scenario}[{n}]", f"{scenario}-{n}", scenario, "", ("PROD-01",)) for n in range(count)
    ]


@pytest.mark.parametrize("count", [1, 2, 3, 4, 7, 12])
def test_the_parameters_of_a_scenario_are_dealt_out_and_none_is_left_over(count: int) -> None:
    tests = [*_parameters("ONE-01", count), *_parameters("TWO-01", 2)]

    dealt = [in_turn(tests, number, 4) for number in range(4)]

    assert {test.node for hand in dealt for test in hand} == {test.node for test in tests}
    for hand in dealt:
        assert {test.scenario for test in hand} == {"ONE-01", "TWO-01"}
        assert len(hand) <= -(-count // 4) + 1


def test_a_single_variant_gets_everything() -> None:
    tests = _parameters("ONE-01", 3)

    assert in_turn(tests, 0, 1) == tests
