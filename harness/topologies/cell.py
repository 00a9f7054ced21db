"""One cell of the decision table, run by a whole system under test: real processes, real faults."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness import faults
from harness.faults import Fault
from harness.model import Route
from harness.oracles.cells import CLIENT, CLOUD_TASKS, WORKER, Cell
from harness.oracles.model import decide
from harness.outcome import Outcome
from harness.topologies import classes

if TYPE_CHECKING:
    from harness.topologies.system import System

_NAMES = {"worker-reset": "worker-resets", "cloud-tasks-reset": "cloud-tasks-resets"}


def run(system: System, cell: Cell) -> Outcome:
    """Configure the API as the cell says, bring about what it says, and have one episode assembled.

    Raises:
        KeyError: the fault catalogue has nothing that brings a class of the cell about.
        Inconclusive, SutFailed: as ``System.assemble`` and ``System.settle``.
    """
    given = classes.settings(cell, worker_url=system.worker.url, secret=system.secret)
    for setting, value in given.items():
        system.config.unset(setting)
        if value is not None:
            system.config.set_in_process(setting, value)
    _bring_about(system, cell)
    title = classes.title(cell)
    submission = system.assemble() if title is None else system.assemble(title=title)
    return submission.settle()


def _bring_about(system: System, cell: Cell) -> None:
    """Inject the cell's faults, as far as the job comes their way: a fault that strikes nothing shows nothing."""
    way = decide(cell).way
    if not CLIENT[cell.client].served:
        system.cloud_tasks.inject(faults.CLOUD_TASKS_NO_CREDENTIALS)
    elif not CLOUD_TASKS[cell.cloud_tasks].served and Route.CLOUD_TASKS.failed in way:
        system.cloud_tasks.inject(_fault("cloud-tasks", cell.cloud_tasks))
    if not WORKER[cell.worker].served and {Route.CLOUD_TASKS.served, Route.WORKER_DIRECT.failed} & set(way):
        # Once: a task is delivered again until it is done, and a direct call is made once anyway.
        system.worker.inject(_fault("worker", cell.worker).once())


def _fault(party: str, name: str) -> Fault:
    full = f"{party}-{name}"
    return faults.CATALOGUE[_NAMES.get(full, full)]
