"""The core matrix in pytest: decisions in process for a scenario, and ``--cell``, which runs one cell alone."""

from __future__ import annotations

import shlex

import pytest

from harness.errors import NotApplicable, UsageError
from harness.matrix import Cells
from harness.model import Verdict
from harness.oracles.cells import Cell, cell
from harness.plugin.state import STATE, options_again
from harness.run import ScenarioRun
from harness.topologies.inprocess import InProcess

_OPTION = "dc_cell"


def pytest_addoption(parser: pytest.Parser) -> None:
    """The option."""
    parser.getgroup("dispatchcheck").addoption(
        "--cell",
        dest=_OPTION,
        metavar="CELL",
        help="of the core matrix run this cell only, as a disagreement prints it",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With ``--cell``: keep the scenarios that run the cell; that there is none is a usage error."""
    only = _only(config)
    if only is None:
        return
    kept = [item for item in items if _runs(item, only)]
    if not kept:
        raise pytest.UsageError(
            f"no scenario here runs the cell {only}: the core matrix does not have it, or it is in another file"
        )
    config.hook.pytest_deselected(items=[item for item in items if item not in kept])
    items[:] = kept


@pytest.fixture
def decisions(request: pytest.FixtureRequest, scenario_run: ScenarioRun) -> InProcess:
    """A dispatcher's decisions alone, in a process of the harness: thousands of cells."""
    try:
        return scenario_run.inprocess(only=_only(request.config), again=_again(request.node))
    except NotApplicable as reason:
        pytest.skip(f"{Verdict.NOT_APPLICABLE}: {reason}")


def _only(config: pytest.Config) -> Cell | None:
    name = config.getoption(_OPTION)
    try:
        return cell(name) if name else None
    except UsageError as problem:
        raise pytest.UsageError(str(problem)) from None


def _runs(item: pytest.Item, only: Cell) -> bool:
    given = getattr(item, "callspec", None)
    values = given.params.values() if given is not None else ()
    return any(only == each or (isinstance(each, Cells) and only in each.cells) for each in values)


def _again(item: pytest.Item) -> str:
    """The command that runs one cell of a scenario's file alone."""
    file = item.nodeid.split("::")[0]
    options = options_again(item.config, item.config.stash[STATE].target_of(item))
    return " ".join(["pytest", *options, shlex.quote(file), "--cell='{cell}'"])
