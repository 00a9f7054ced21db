"""When the processes of pytest-xdist are forked, and when they are started as ever."""

from __future__ import annotations

import contextlib
import shlex
import shutil
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from harness.plugin.fork_server import ForkServer
from harness.plugin.pace import only_scenarios
from harness.topologies.zygote import folder_for_a_socket

_CLIENT = Path(__file__).with_name("fork_client.py")
_SERVER = pytest.StashKey[ForkServer]()
_ADDRESS = pytest.StashKey[Path]()
_KNOWN = {"allure-pytest", "anyio", "hypothesis", "platformdirs", "respx"} | {
    f"pytest-{name}" for name in ("randomly", "timeout", "xdist")
}
"""Plugins that keep nothing in their modules before a session begins; allure-pytest where no results are asked for."""


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Make the fork server as late as everything is imported, and before the session begins."""
    if not config.getoption("tx", None) or hasattr(config, "workerinput") or _why_not(config):
        return
    # Where there is no room for a folder or a process there is no server, and they are started.
    with contextlib.suppress(OSError):
        address = folder_for_a_socket("dispatchcheck-fork-") / "socket"
        config.stash[_SERVER], config.stash[_ADDRESS] = ForkServer(address), address


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes(config: pytest.Config, specs: Sequence[Any]) -> None:
    """Have xdist start the client of the fork server wherever it would start this Python, here."""
    if _SERVER not in config.stash:
        return
    command = [sys.executable, "-I", "-S", str(_CLIENT), str(config.stash[_ADDRESS])]
    for spec in specs:
        if spec.popen and not (spec.python or spec.chdir or spec.via or spec.env):
            spec.python = shlex.join(command)


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """End the fork server."""
    if _SERVER in config.stash:
        config.stash[_SERVER].close()
        shutil.rmtree(config.stash[_ADDRESS].parent, ignore_errors=True)  # where it was killed


def _why_not(config: pytest.Config) -> str:
    """What a fork would copy that a new process does not have; empty where there is nothing."""
    if not only_scenarios(config):
        return "what else is tested may have imported and begun anything"
    if sys.gettrace() or sys.getprofile() or _is_monitored():
        return "this process is traced: coverage, or a debugger"
    if threading.active_count() > 1:
        return "a copy has one thread, and the locks of all"
    if config.getoption("allure_report_dir", None):
        return "Allure's plugin has begun"
    plugins = {distribution.project_name for _, distribution in config.pluginmanager.list_plugin_distinfo()}
    return f"unknown: {', '.join(sorted(plugins - _KNOWN))}" if plugins - _KNOWN else ""


def _is_monitored() -> bool:
    """Whether a tool uses ``sys.monitoring``, which is there from Python 3.12 on and has room for six."""
    monitoring = getattr(sys, "monitoring", None)
    return monitoring is not None and any(monitoring.get_tool(number) for number in range(6))
