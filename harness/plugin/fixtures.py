"""What a scenario is given: its run, and a system under test in development or in production."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from harness import allure_report, context
from harness.model import Mode, Verdict
from harness.plugin.state import RUN, STATE, evidence_folder
from harness.run import ScenarioRun
from harness.scenario import info_of
from harness.topologies.system import System


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Not applicable: a scenario of another topology, or of a capability that the profile does not claim."""
    info = info_of(item)
    if info is None:
        return
    state = item.config.stash[STATE]
    if info.topology not in {"", state.topology}:
        pytest.skip(
            f"{Verdict.NOT_APPLICABLE}: it needs {info.topology}: run with --topology={info.topology}"
        )
    claimed = state.workshop(item).profile.profile.capabilities
    needed = {state.requirements[id_].capability for id_ in info.requires} - {""}
    missing = sorted(needed - set(claimed))
    if missing:
        pytest.skip(f"{Verdict.NOT_APPLICABLE}: the profile does not claim {', '.join(missing)}")


@pytest.fixture
def scenario_run(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ScenarioRun]:
    """The run of the scenario that asks for it."""
    state = request.config.stash[STATE]
    workshop = state.workshop(request.node)
    workshop.use_workers_again(tmp_path_factory.getbasetemp() / "berths")
    # Not tmp_path: that fails, and the session's end with it, where Ctrl-C comes before the scenario itself.
    folder = tmp_path_factory.mktemp(re.sub(r"\W", "_", request.node.name)[:30])
    run = request.node.stash[RUN] = ScenarioRun(workshop, folder)
    run.ledger.on_check = allure_report.step
    yield run
    try:
        run.stop()
    finally:
        with state.evidence_is_kept():
            context.write(
                evidence_folder(request.node), run.records(), run.ledger.calls, judged=len(run.ledger.checks)
            )
        run.clean_up()


@pytest.fixture
def dev(scenario_run: ScenarioRun) -> System:
    """A system under test in development mode, with the worker switched on in its environment file."""
    return scenario_run.system(Mode.DEV)


@pytest.fixture
def prod(scenario_run: ScenarioRun) -> System:
    """A system under test in production mode, fully configured."""
    return scenario_run.system(Mode.PROD)


@pytest.fixture
def crowd(pytestconfig: pytest.Config) -> int:
    """How many jobs make a crowd: ``--crowd``."""
    count: int = pytestconfig.getoption("dc_crowd")
    return count
