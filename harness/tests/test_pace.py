"""How many scenarios run at once, and which of them first."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from harness.plugin import pace
from harness.tests.conftest import Project

SUITE = """
    @scenario("PACE-01", requires=["PROD-05"])
    @pytest.mark.parametrize("fault", [faults.WORKER_UNAVAILABLE, faults.WORKER_HANGS, faults.WORKER_RESETS], ids=str)
    def test_a_fault(prod: System, fault: object) -> None:
        '''One of them waits for a time-out.'''


    @scenario("PACE-02", requires=["PROD-05"])
    def test_none(prod: System) -> None:
        '''Nothing to wait for.'''
"""


def at_once(*arguments: str) -> int | None:
    return pace.pytest_xdist_auto_num_workers(cast("Any", told(*arguments)))


def told(*arguments: str, **more: Any) -> SimpleNamespace:
    """What pytest makes of arguments that a person gives in the project's folder."""
    here = SimpleNamespace(dir=Path("/project"))
    return SimpleNamespace(args=list(arguments), rootpath=Path("/project"), invocation_params=here, **more)


@pytest.mark.parametrize(("processors", "processes"), [(1, 4), (2, 8), (4, 16), (8, 16), (40, 40)])
def test_scenarios_alone_are_given_more_processes_than_processors(
    monkeypatch: pytest.MonkeyPatch, processors: int, processes: int
) -> None:
    monkeypatch.delenv("PYTEST_XDIST_AUTO_NUM_WORKERS", raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(7, 7 + processors)))

    assert at_once("scenarios") == processes
    assert at_once("scenarios/prod", "/project/scenarios/dev/test_matrix.py::test_x") == processes


def test_other_tests_are_given_as_many_as_pytest_thinks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTEST_XDIST_AUTO_NUM_WORKERS", raising=False)

    assert at_once("harness", "scenarios") is None
    assert at_once("scenarios-of-mine") is None
    assert at_once("/elsewhere/scenarios") is None
    assert at_once() is None


def test_a_number_that_a_person_gives_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_XDIST_AUTO_NUM_WORKERS", "1")

    assert at_once("scenarios") is None


CROWD = """
    @scenario("PACE-03", requires=["ONCE-01"])
    def test_many(prod: System, crowd: int) -> None:
        '''Very many.'''


    @scenario("PACE-04", requires=["ONCE-01"])
    @pytest.mark.parametrize("clock", [faults.WORKER_CLOCK_AHEAD], ids=str)
    def test_a_clock(prod: System, clock: object) -> None:
        '''A cold start.'''
"""


def test_what_waits_is_mixed_with_the_rest_and_what_lasts_comes_first(project: Project) -> None:
    (project.folder / "scenarios" / "once").mkdir()
    project.write("test_a.py", SUITE)
    project.write("once/test_b.py", SUITE.replace("PACE", "PACEB"))
    project.write("once/test_c.py", CROWD)

    code, output = project.run("--collect-only")

    assert code == 0, output
    listed = [line.partition("/")[2] for line in output.splitlines() if "::" in line]
    assert listed == [
        "once/test_c.py::test_many",
        "once/test_c.py::test_a_clock[worker-clock-ahead]",
        "once/test_b.py::test_a_fault[worker-503]",
        "test_a.py::test_a_fault[worker-503]",
        "once/test_b.py::test_a_fault[worker-hangs]",
        "once/test_b.py::test_a_fault[worker-resets]",
        "once/test_b.py::test_none",
        "test_a.py::test_a_fault[worker-resets]",
        "test_a.py::test_a_fault[worker-hangs]",
        "test_a.py::test_none",
    ]


@pytest.mark.parametrize(
    ("arguments", "given", "chunk"),
    [(["scenarios"], None, 1), (["scenarios"], 5, 5), (["harness", "scenarios"], None, None)],
)
def test_scenarios_alone_are_dealt_out_one_by_one(
    arguments: list[str], given: int | None, chunk: int | None
) -> None:
    option = SimpleNamespace(maxschedchunk=given)
    config = told(*arguments, option=option, getoption=lambda name, _: getattr(option, name))

    pace.pytest_configure(cast("Any", config))

    assert option.maxschedchunk == chunk


def test_what_is_loaded_is_not_looked_through_again(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    monkeypatch.setattr(
        pace,
        "gc",
        SimpleNamespace(collect=lambda: done.append("collect"), freeze=lambda: done.append("freeze")),
    )
    for arguments in (["harness"], ["scenarios/prod"]):
        session = SimpleNamespace(config=told(*arguments))
        pace.pytest_collection_finish(cast("Any", session))

    assert done == ["collect", "freeze"]


@pytest.mark.parametrize(
    ("arguments", "left"), [(["scenarios/dev"], []), (["harness", "scenarios"], ["hypothesispytest"])]
)
def test_hypothesis_has_the_last_word_unless_nothing_but_scenarios_ran(
    arguments: list[str], left: list[str]
) -> None:
    plugins = pytest.PytestPluginManager()
    plugins.register(SimpleNamespace(), "hypothesispytest")
    config = told(*arguments, pluginmanager=plugins)

    pace.pytest_sessionfinish(cast("Any", SimpleNamespace(config=config)))

    assert [name for name, _ in plugins.list_name_plugin() if name == "hypothesispytest"] == left
