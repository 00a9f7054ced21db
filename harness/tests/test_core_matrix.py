"""The core matrix: which cells it has, that each is run by one scenario, and that the selection is pairwise."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable

import pytest

from harness import matrix
from harness.model import Mode
from harness.oracles.cells import CLOUD_TASKS, DIMENSIONS, WORKER, Cell
from harness.oracles.model import decide

CELLS = [at for group in matrix.everything() for at in group.cells]


def test_there_are_thousands_and_each_is_there_once() -> None:
    assert len(CELLS) > 10_000
    assert all(group.cells for group in matrix.everything())
    rules = {
        at for mode in Mode for cells in (matrix._first(mode), *matrix._second(mode).values()) for at in cells
    }
    assert len(CELLS) == len(rules) + sum(len(group.cells) for group in matrix.strict())
    assert [at for at, times in Counter(CELLS).items() if times > 1] == []


@pytest.mark.parametrize("dimension", DIMENSIONS)
def test_every_class_of_every_dimension_is_in_it(dimension: str) -> None:
    assert {getattr(at, dimension) for at in CELLS} == set(DIMENSIONS[dimension])


def test_every_outcome_of_cloud_tasks_meets_every_one_of_the_worker_under_every_odd_setting() -> None:
    odd = {"worker_flag": "maybe", "worker_url": "no-host", "secret": "unset", "queue": "no-project"}
    odd |= {"client": "no-credentials", "request": "hostile-title"}
    wanted = [
        Cell("production", **{dimension: name}, cloud_tasks=queue, worker=worker)
        for dimension, name in odd.items()
        for queue, worker in itertools.product(CLOUD_TASKS, set(WORKER) - matrix._ONE_OF_A_KIND)
    ]
    wanted += [
        Cell(cloud_tasks=queue, worker=worker) for queue, worker in itertools.product(CLOUD_TASKS, WORKER)
    ]

    assert set(wanted) <= set(CELLS)


@pytest.mark.parametrize("mode", Mode)
def test_any_two_settings_are_odd_together_in_a_cell(mode: Mode) -> None:
    names = ["worker_flag", "worker_url", "secret", "queue", "client", "request"]
    pairs = {
        (one, getattr(at, one), other, getattr(at, other))
        for at in CELLS
        if at.mode is mode
        for one, other in itertools.combinations(names, 2)
    }
    missing = [
        (one, first, other, second)
        for one, other in itertools.combinations(names, 2)
        for first, second in itertools.product(DIMENSIONS[one], DIMENSIONS[other])
        if (one, first, other, second) not in pairs
    ]
    assert missing == []


@pytest.mark.parametrize(
    "groups", [matrix.outcomes, matrix.configurations], ids=["outcomes", "configurations"]
)
def test_what_asks_for_a_capability_has_groups_of_its_own(
    groups: Callable[[Mode], list[matrix.Cells]],
) -> None:
    cells = [at for mode in Mode for group in groups(mode) for at in group.cells]

    assert not any(decide(at).doubtful for at in cells)
    assert not {at.app_env for at in cells} & {"misspelt", "unset-on-cloud-run"}


def test_a_lost_answer_is_named_by_whose_it_is() -> None:
    groups = {group.name: group.cells for group in matrix.lost_answers(Mode.PROD)}

    assert set(groups) == {"worker", "cloud_tasks", "cloud_tasks-and-worker"}
    assert all(decide(at).doubtful for cells in groups.values() for at in cells)


@pytest.mark.parametrize("mode", Mode)
def test_the_selection_for_processes_is_pairwise_within_each_block(mode: Mode) -> None:
    chosen = matrix.selected(mode)
    for block in matrix._IN_PROCESSES[mode]:
        for one, other in itertools.combinations(block, 2):
            for first, second in itertools.product(matrix._written_out(one), matrix._written_out(other)):
                assert any({first, second} <= said(at) for at in chosen), f"{first} never meets {second}"
    assert len(set(chosen)) == len(chosen)
    assert {at.mode for at in chosen} == {mode}


def said(at: Cell) -> set[str]:
    return {f"{dimension}={getattr(at, dimension)}" for dimension in DIMENSIONS}
