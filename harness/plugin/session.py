"""The run as a whole: xdist's workers learn which it is; in the end the evidence becomes results."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness import allure_report
from harness.model import Verdict
from harness.plugin.state import IMAGE_INPUT, PLAN_OUTPUT, PROBLEM_OUTPUT, RUN_INPUT, STATE, ZYGOTE_INPUT, say
from harness.terminal import print_summary


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell an xdist worker which run it belongs to, which image was made for it, and where its zygote is."""
    node.workerinput[RUN_INPUT] = str(node.config.stash[STATE].run)
    node.workerinput[IMAGE_INPUT] = node.config.stash[STATE].image
    node.workerinput[ZYGOTE_INPUT] = node.config.stash[STATE].zygote()


# Last, because an interrupted test is torn down by pytest's own hook, which needs what we close.
@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """End what the scenarios shared; in the main process, turn the evidence into results."""
    state = session.config.stash[STATE]
    state.close()
    output: dict[str, object] | None = getattr(session.config, "workeroutput", None)
    if output is not None:
        output[PLAN_OUTPUT] = state.shard
        output[PROBLEM_OUTPUT] = state.problem
    if not state.is_controller or session.config.getoption("collectonly"):
        return
    if not state.selected:
        return
    try:
        results = state.folder.end(
            state.selected,
            shard=state.shard,
            pytest_exit=int(exitstatus),
            interrupted=exitstatus == pytest.ExitCode.INTERRUPTED,
        )
    except OSError as problem:
        say(
            session.config,
            f"cannot write the reports: {problem}; those in {state.run} say that the run is incomplete",
        )
        session.exitstatus = pytest.ExitCode.INTERRUPTED
        return
    if folder := session.config.getoption("allure_report_dir", None):
        allure_report.environment(Path(folder), results["run"])
    if exitstatus == pytest.ExitCode.OK and results["verdict"] != Verdict.PASS:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """The table by requirement, the verdict, and where the reports are."""
    state = config.stash[STATE]
    if (state.run / "results.json").is_file():
        print_summary(state.run, terminalreporter, everything=config.getoption("dc_lines"))
