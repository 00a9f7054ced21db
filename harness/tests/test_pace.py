"""How many scenarios run at once, and which of them first."""

from __future__ import annotations

import os
import re
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


def at_once(*arguments: str, topology: str = "processes") -> int | None:
    return pace.pytest_xdist_auto_num_workers(
        cast("Any", told(*arguments, getoption={"dc_topology": topology}.get))
    )


def told(*arguments: str, **more: Any) -> SimpleNamespace:
    """What pytest makes of arguments that a person gives in the project's folder."""
    here = SimpleNamespace(dir=Path("/project"))
    return SimpleNamespace(args=list(arguments), rootpath=Path("/project"), invocation_params=here, **more)


@pytest.mark.parametrize(
    ("processors", "processes", "containers"),
    [(1, 5, 2), (2, 10, 3), (4, 16, 6), (8, 16, 12), (40, 40, 40)],
)
def test_scenarios_alone_are_given_more_processes_than_processors(
    monkeypatch: pytest.MonkeyPatch, processors: int, processes: int, containers: int
) -> None:
    monkeypatch.delenv("PYTEST_XDIST_AUTO_NUM_WORKERS", raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(7, 7 + processors)))

    assert at_once("scenarios") == processes
    assert at_once("scenarios", topology="containers") == containers
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


def collected(project: Project, *arguments: str) -> list[str]:
    (project.folder / "scenarios" / "once").mkdir()
    project.write("test_a.py", SUITE)
    project.write("test_d.py", SUITE.replace("PACE", "PACED"))
    project.write("once/test_b.py", SUITE.replace("PACE", "PACEB"))
    project.write("once/test_c.py", CROWD)
    code, output = project.run("--collect-only", *arguments)
    assert code == 0, output
    return [line.rpartition("/")[2].replace(".py::test", "") for line in output.splitlines() if "::" in line]


def test_what_lasts_comes_first_and_then_some_of_every_file(project: Project) -> None:
    assert collected(project) == [
        "test_c_many",
        "test_c_a_clock[worker-clock-ahead]",
        "test_b_a_fault[worker-503]",
        "test_b_a_fault[worker-hangs]",
        "test_a_a_fault[worker-503]",
        "test_d_a_fault[worker-503]",
        "test_b_a_fault[worker-resets]",
        "test_b_none",
        "test_a_a_fault[worker-resets]",
        "test_d_a_fault[worker-resets]",
        "test_a_a_fault[worker-hangs]",
        "test_d_a_fault[worker-hangs]",
        "test_a_none",
        "test_d_none",
    ]


def test_where_processes_share_them_the_cases_of_a_table_come_last(project: Project) -> None:
    project.write("test_a.py", SUITE)

    _, output = project.run("-n1", "-vv", "--tb=no")

    done = re.findall(r"^\[gw0\].* \S+\.py::(\S+)", output, re.MULTILINE)
    assert done == [
        "test_none",
        "test_a_fault[worker-hangs]",
        "test_a_fault[worker-503]",
        "test_a_fault[worker-resets]",
    ]


def test_what_decides_very_often_is_not_among_the_last(project: Project) -> None:
    project.write(
        "test_e.py",
        """
        @scenario("PACE-05", requires=["PROD-05"])
        def test_plain(prod: System) -> None:
            '''One job.'''


        @scenario("PACE-06", requires=["PROD-05"])
        def test_cells(decisions: object) -> None:
            '''Thousands.'''
        """,
    )

    _, output = project.run("--collect-only")

    assert output.index("test_cells") < output.index("test_plain")


def test_a_fault_that_a_test_names_itself_counts_as_well(project: Project) -> None:
    suite = "".join(
        f"""
        @scenario("PACE-{name.upper()}-01", requires=["PROD-05"])
        def test_{name}(prod: System) -> None:
            '''Names a fault.'''
            prod.inject(faults.{fault})
        """
        for name, fault in [
            ("first", "WORKER_REFUSES_CONNECTION"),
            ("second", "WORKER_REFUSES_CONNECTION"),
            ("hangs", "WORKER_HANGS"),
            ("clock", "WORKER_CLOCK_AHEAD"),
        ]
    )
    project.write("test_e.py", suite)

    _, output = project.run("--collect-only")

    assert re.findall(r"::test_(\w+)", output) == ["clock", "first", "hangs", "second"]


def test_among_other_tests_what_waits_comes_first_and_the_rest_stays_in_its_order(project: Project) -> None:
    listed = collected(project, "conftest.py")

    assert listed[-6:] == [
        *("test_a_a_fault[worker-503]", "test_a_a_fault[worker-resets]", "test_a_none"),
        *("test_d_a_fault[worker-503]", "test_d_a_fault[worker-resets]", "test_d_none"),
    ]
    assert len(listed) == 14


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
    monkeypatch.setattr(pace, "gc", SimpleNamespace(freeze=lambda: done.append("freeze")))
    for arguments in (["harness"], ["scenarios/prod"]):
        session = SimpleNamespace(config=told(*arguments))
        pace.pytest_collection_finish(cast("Any", session))

    assert done == ["freeze"]


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
