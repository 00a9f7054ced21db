"""How quickly the scenarios come to their end on a machine: how many at once, and which of them first.

Most of a scenario is waiting: for a process that starts, for a time-out that is being verified. So more of them run at
once than there are processors, and those that wait longest begin first, while there is something else to be done.
"""

from __future__ import annotations

import os

import pytest

from harness.faults import Fault, Observed
from harness.plugin.state import SCENARIOS
from harness.scenario import info_of

AT_ONCE = 3
"""How many scenarios a processor is given."""


@pytest.hookimpl(optionalhook=True, tryfirst=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """``-n auto`` with nothing but scenarios: three times as many processes as there are processors."""
    if not only_scenarios(config) or os.environ.get("PYTEST_XDIST_AUTO_NUM_WORKERS"):
        return None
    return AT_ONCE * len(os.sched_getaffinity(0))


def only_scenarios(config: pytest.Config) -> bool:
    """Whether nothing but scenarios is asked for."""
    return bool(config.args) and all(
        str(argument).startswith(SCENARIOS.rstrip("/")) for argument in config.args
    )


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Hypothesis's plugin imports all of it to say that it has nothing to say: a third of a second, at the very end."""
    plugin = session.config.pluginmanager.get_plugin("hypothesispytest")
    if plugin is not None and only_scenarios(session.config):
        session.config.pluginmanager.unregister(plugin)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the scenarios that wait, whatever order they are in otherwise."""
    items.sort(key=lambda item: not _waits(item))


def _waits(item: pytest.Item) -> bool:
    """Whether a scenario is likely to wait for a time-out, a lease or a process that starts again."""
    if info_of(item) is None:
        return False
    given = getattr(item, "callspec", None)
    faults = given.params.values() if given is not None else ()
    hangs = any(isinstance(fault, Fault) and fault.observed is Observed.TIMEOUT for fault in faults)
    return hangs or item.nodeid.startswith(f"{SCENARIOS}once/")
