"""How quickly the scenarios come to their end on a machine: how many at once, and in which order.

Most of a scenario is waiting: for a process that starts or ends, for a time-out that is being verified. So more of them
run at once than there are processors, and those that wait for long are mixed with those that compute.
"""

from __future__ import annotations

import gc
import math
import os
from collections import Counter
from pathlib import Path

import pytest

from harness import faults
from harness.faults import Fault, Layer, Observed
from harness.plugin.state import SCENARIOS
from harness.scenario import info_of

AT_ONCE = {"processes": 5, "containers": 1.5}
"""How many scenarios a processor is given, by topology: to start a container means seconds of computing."""
MANY = 16
"""More processes than that only where there are more processors: each has fakes and a worker of its own to start."""
_EARLY = 0.7
"""Within which part of all scenarios those that take longer begin: who is late at the end is late alone."""


@pytest.hookimpl(optionalhook=True, tryfirst=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """``-n auto`` with nothing but scenarios: more processes than there are processors."""
    if not only_scenarios(config) or os.environ.get("PYTEST_XDIST_AUTO_NUM_WORKERS"):
        return None
    processors = len(os.sched_getaffinity(0))
    each = AT_ONCE.get(config.getoption("dc_topology"), 1)  # another one is a mistake, which is said later
    return min(math.ceil(each * processors), max(MANY, processors))


def pytest_configure(config: pytest.Config) -> None:
    """With nothing but scenarios, xdist deals them out one by one: the order counts, and few wait behind what lasts."""
    if only_scenarios(config) and config.getoption("maxschedchunk", 0) is None:
        config.option.maxschedchunk = 1


def only_scenarios(config: pytest.Config) -> bool:
    """Whether nothing but scenarios is asked for."""
    here, suites = config.invocation_params.dir, config.rootpath / SCENARIOS
    return bool(config.args) and all(
        (here / argument.partition("::")[0]).is_relative_to(suites) for argument in config.args
    )


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """First what lasts longest; then some of every file in turn, so that at any time some wait and some compute.

    What waits and what decides thousands of cells begins early. In a file, and for those that wait, the order stays,
    unless several processes share them: then the cases of a table, which are many and quick, come last. Among other
    tests, which may share what is made for their file, the scenarios that wait come first and the rest stays in its
    order.
    """
    if not only_scenarios(config):
        items.sort(key=lambda item: not _waits(item))
        return
    # A process of pytest-xdist; a person who looks at one process alone keeps the order of the file.
    if hasattr(config, "workerinput"):
        cases = Counter(map(_table, items))
        items.sort(key=lambda item: cases[_table(item)])
    groups: dict[str | Path, list[pytest.Item]] = {}
    for item in items:
        kind = "waits" if _waits(item) else "decides" if _decides(item) else item.path
        groups.setdefault(kind, []).append(item)
    place: dict[pytest.Item, float] = {}
    for kind, group in groups.items():
        part = _EARLY if isinstance(kind, str) else 1.0
        place |= {item: part * (number + 0.5) / len(group) for number, item in enumerate(group)}
    place |= {item: 0.0 for item in items if _lasts(item)}
    items.sort(key=place.__getitem__)


def _waits(item: pytest.Item) -> bool:
    """Whether a scenario is likely to wait for a time-out, a lease or a process that starts again."""
    if info_of(item) is None:
        return False
    hangs = any(fault.observed is Observed.TIMEOUT for fault in _faults_of(item))
    return hangs or item.nodeid.startswith(f"{SCENARIOS}once/")


def _table(item: pytest.Item) -> str:
    """What the cases of one test have in common."""
    return item.nodeid.partition("[")[0]


def _decides(item: pytest.Item) -> bool:
    """Whether it is about many decisions, in process."""
    return "decisions" in getattr(item, "fixturenames", ())


def _lasts(item: pytest.Item) -> bool:
    """Whether it is one of the few that last longest: a crowd, or a process with a clock of its own: it starts cold."""
    clock = any(fault.layer is Layer.TIME for fault in _faults_of(item))
    return clock or "crowd" in getattr(item, "fixturenames", ())


def _faults_of(item: pytest.Item) -> list[Fault]:
    """The faults that a test is given, and those that it names itself."""
    given = getattr(getattr(item, "callspec", None), "params", {})
    code = getattr(getattr(item, "obj", None), "__code__", None)
    named = (getattr(faults, name, None) for name in getattr(code, "co_names", ()))
    return [each for each in (*given.values(), *named) if isinstance(each, Fault)]


@pytest.hookimpl(trylast=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """What is loaded now stays to the end: the garbage collector need not look through it again and again."""
    if only_scenarios(session.config):
        gc.freeze()  # what is garbage now as well: to look for it takes longer than a scenario


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Hypothesis's plugin imports all of it to say that it has nothing to say: a third of a second, at the very end."""
    plugin = session.config.pluginmanager.get_plugin("hypothesispytest")
    if plugin is not None and only_scenarios(session.config):
        session.config.pluginmanager.unregister(plugin)
