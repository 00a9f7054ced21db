"""The options, and what is read before any scenario: a mistake in it is a usage error, said once."""

from __future__ import annotations

import argparse

import pytest

from harness.errors import Inconclusive, UsageError
from harness.plugin.canary import Canary
from harness.plugin.selection import Sharder
from harness.plugin.state import PROFILE, PROPERTY, STATE, State
from harness.scenario import MARK
from harness.terminal import Progress
from harness.topologies.crowd import CROWD, CROWD_OF_A_RELEASE


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options."""
    group = parser.getgroup("dispatchcheck")
    group.addoption(
        "--profile", dest="dc_profile", metavar="FILE", help=f"the system under test (default: {PROFILE})"
    )
    group.addoption(
        "--source", dest="dc_source", metavar="DIR", help="judge the source in DIR instead of the profile's"
    )
    group.addoption(
        "--run-folder",
        dest="dc_run_folder",
        metavar="DIR",
        help="where evidence and reports go (default: reports/out/RUN)",
    )
    group.addoption(
        "--topology",
        dest="dc_topology",
        metavar="NAME",
        default="processes",
        help="how the system under test is run: processes (default), or containers, from the image that is shipped",
    )
    group.addoption("--shard", dest="dc_shard", metavar="I/N", help="run only part I of N, alike everywhere")
    group.addoption(
        "--shard-durations",
        dest="dc_shard_durations",
        metavar="FILE",
        help="results.json of an earlier run: parts take equally long by its durations",
    )
    group.addoption(
        "--crowd",
        dest="dc_crowd",
        metavar="N",
        type=_at_least_100,
        default=CROWD,
        help=f"how many jobs make a crowd (default: {CROWD}, for a desk; a release is asked for {CROWD_OF_A_RELEASE})",
    )
    group.addoption(
        "--whole",
        dest="dc_whole",
        action="store_true",
        help="all scenarios are meant to run: a requirement without one, and without a stated reason, is no pass",
    )
    group.addoption(
        "--canary",
        dest="dc_canary",
        metavar="PATCH",
        help="judge this known-bad dispatcher too: where it is not found, the harness is broken",
    )
    group.addoption(
        "--lines", dest="dc_lines", action="store_true", help="one line per scenario instead of pytest's dots"
    )


def _at_least_100(text: str) -> int:
    if not text.isdecimal() or int(text) < 100:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of jobs from 100 on: fewer are no crowd")
    return int(text)


def pytest_configure(config: pytest.Config) -> None:
    """Read what all scenarios need; a mistake in it is a usage error, said once."""
    config.addinivalue_line("markers", f"{MARK}(info): an executable proof of requirements")
    try:
        state = config.stash[STATE] = State(config)
        if config.getoption("dc_shard"):
            config.pluginmanager.register(Sharder(config), "dispatchcheck-sharder")
        if config.getoption("dc_canary"):  # after the sharder: the canary is in every shard
            config.pluginmanager.register(Canary(config), "dispatchcheck-canary")
    except (UsageError, Inconclusive) as problem:
        raise pytest.UsageError(str(problem)) from None
    if state.is_controller and config.getoption("dc_lines"):
        config.pluginmanager.register(
            Progress(config, PROPERTY, MARK, state.selected), "dispatchcheck-progress"
        )
