from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from harness.errors import UsageError
from harness.model import Level
from harness.scenario import MARK, ScenarioInfo, info_of, scenario

if TYPE_CHECKING:
    from collections.abc import Callable


def specified() -> None:
    """The worker is called
    directly,   once.

    More that is not part of the title.
    """


def silent() -> None:
    pass


def marks_of(test: Callable[..., object]) -> list[pytest.Mark]:
    marks: list[pytest.Mark] = vars(test)["pytestmark"]
    return marks


def item(*marks: pytest.Mark) -> pytest.Item:
    """As much of a collected test as is looked at."""
    closest: dict[str, pytest.Mark] = {mark.name: mark for mark in marks}
    return cast("pytest.Item", SimpleNamespace(get_closest_marker=closest.get))


def fresh() -> Callable[[], None]:
    def test() -> None:
        """One sentence."""

    return test


def test_a_scenario_says_what_it_is() -> None:
    test = scenario("PROD-FALLBACK-02", requires=["PROD-03", "ONCE-01"])(specified)

    (mark,) = marks_of(test)
    assert test is specified
    assert mark.name == MARK
    assert mark.args == (
        ScenarioInfo(
            "PROD-FALLBACK-02", "The worker is called directly, once.", ("PROD-03", "ONCE-01"), Level.CORE
        ),
    )


def test_the_level_may_be_extended() -> None:
    (mark,) = marks_of(scenario("A-01", requires=["X"], level="extended")(fresh()))

    assert mark.args[0].level is Level.EXTENDED


@pytest.mark.parametrize("id_", ["A-01", "PROD-FALLBACK-02", "DEV-WORKER-2-10", "PROD-01-02"])
def test_good_ids(id_: str) -> None:
    (mark,) = marks_of(scenario(id_, requires=["X"])(fresh()))

    assert mark.args[0].id == id_


@pytest.mark.parametrize(
    "id_", ["", "01", "A", "A-1", "A-001", "a-01", "A_01", "A-01 ", "A-01\n", "A--01", "-A-01", "É-01"]
)
def test_bad_ids(id_: str) -> None:
    with pytest.raises(
        UsageError, match="is not a scenario id; write capitals and a number, like PROD-FALLBACK-02"
    ):
        scenario(id_, requires=["X"])


def test_no_requirement() -> None:
    with pytest.raises(UsageError, match="A-01 names no requirement"):
        scenario("A-01", requires=[])


@pytest.mark.parametrize("level", ["", "CORE", "gold"])
def test_an_unknown_level(level: str) -> None:
    with pytest.raises(UsageError, match=rf"A-01: '{level}' is not a level; known are core, extended"):
        scenario("A-01", requires=["X"], level=level)


def blank() -> None:
    """ """


@pytest.mark.parametrize("test", [silent, blank])
def test_no_docstring(test: Callable[[], None]) -> None:
    with pytest.raises(UsageError, match="A-01 has no docstring; write the specification in one sentence"):
        scenario("A-01", requires=["X"])(test)


def test_info_of_a_collected_test() -> None:
    (mark,) = marks_of(scenario("A-01", requires=["X"])(fresh()))

    assert info_of(item(mark)) == mark.args[0]


@pytest.mark.parametrize("marks", [[], [getattr(pytest.mark, MARK).mark]])
def test_what_is_no_scenario_has_no_info(marks: list[Any]) -> None:
    assert info_of(item(*marks)) is None


def test_a_mark_that_was_put_by_hand_is_no_scenario() -> None:
    mark = getattr(pytest.mark, MARK)("A-01").mark

    assert info_of(item(mark)) is None
