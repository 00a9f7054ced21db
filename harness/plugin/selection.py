"""Which scenarios run: they name known requirements, have ids of their own, and may be divided into shards."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness import sharding
from harness.errors import UsageError
from harness.plugin.state import PLAN_OUTPUT, PROBLEM_OUTPUT, SCENARIOS, STATE, say
from harness.scenario import info_of


class Sharder:
    """Keeps the tests of one shard; comes last, so that the shards divide what was selected otherwise."""

    def __init__(self, config: pytest.Config) -> None:
        self._shard = sharding.parse(config.getoption("dc_shard"))
        durations = config.getoption("dc_shard_durations")
        self._durations_s = sharding.read_durations(Path(durations)) if durations else {}

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Deselect what belongs to other shards."""
        plan = sharding.plan([item.nodeid for item in items], self._durations_s, self._shard.of)
        mine = set(plan.parts[self._shard.index - 1])
        state = config.stash[STATE]
        state.shard = {
            "index": self._shard.index,
            "of": self._shard.of,
            "plan": plan.digest,
            "total": plan.total,
        }
        config.hook.pytest_deselected(items=[item for item in items if item.nodeid not in mine])
        items[:] = [item for item in items if item.nodeid in mine]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Learn from an xdist worker how the tests were divided, and why it could not go on."""
    output = getattr(node, "workeroutput", {})
    if problem := output.get(PROBLEM_OUTPUT):
        say(node.config, f"{node.gateway.id}: {problem}")
    plan = output.get(PLAN_OUTPUT)
    if plan is not None:
        node.config.stash[STATE].shard = plan


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Every scenario names known requirements, and no two tests share an id."""
    state = config.stash[STATE]
    owners: dict[str, str] = {}
    for item in items:
        info = info_of(item)
        if info is None:
            if item.nodeid.startswith(SCENARIOS):
                raise pytest.UsageError(f"{item.nodeid} is not a scenario; declare it with @scenario(...)")
            continue
        try:
            state.requirements.check_known(info.requires, user=info.id)
        except UsageError as problem:
            raise pytest.UsageError(str(problem)) from None
        test = item.nodeid.split("[")[0]
        if owners.setdefault(info.id, test) != test:
            raise pytest.UsageError(f"the scenario id {info.id} is used by {owners[info.id]} and {test}")


def pytest_collection_finish(session: pytest.Session) -> None:
    """Remember which scenarios were selected, to notice those that leave no verdict."""
    state = session.config.stash[STATE]
    state.selected.update(
        item.nodeid for item in session.items if info_of(item) and state.target_of(item) == state.target
    )
    state.begin(session.config)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_node_collection_finished(node: Any, ids: list[str]) -> None:
    """The same under xdist, whose main process collects nothing itself."""
    state = node.config.stash[STATE]
    state.selected.update(id_ for id_ in ids if id_.startswith(SCENARIOS))
    state.begin(node.config)
