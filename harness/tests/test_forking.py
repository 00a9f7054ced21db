"""The processes of pytest-xdist are forked from one that has imported everything, and nobody can tell."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import execnet
import pytest

from harness.plugin import fork_server, forking
from harness.tests.conftest import ROOT, WAITS, Project, command_of, descendants, wait_until_gone

_SUITE = """
    @scenario("FORK-01", requires=["PROD-01"])
    @pytest.mark.parametrize("number", range(2))
    def test_a_job(prod: System, number: int) -> None:
        '''A healthy job.'''
        prod.assemble().settle().must_take(Route.CLOUD_TASKS)
    """
_WITHOUT_SERVER = """
def pytest_xdist_setupnodes():
    children = pathlib.Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    (child,) = map(int, children)  # the fork server: nothing else is there yet
    os.kill(child, signal.SIGKILL)
"""
_CONFTEST = """
import atexit, faulthandler, gc, json, logging.handlers, multiprocessing.util, os, pathlib, re, signal, sys, threading
import warnings, weakref

import pytest

import ours

HERE = pathlib.Path(__file__).parent
logging.getLogger().addHandler(logging.NullHandler())


def portrait():
    main = sys.modules["__main__"]
    links = [os.readlink(f"/proc/self/fd/{name}") if os.path.exists(f"/proc/self/fd/{name}") else ""
             for name in os.listdir("/proc/self/fd")]
    streams = [(sys.stdin, sys.__stdin__), (sys.stdout, sys.__stdout__), (sys.stderr, sys.__stderr__)]
    return {
        "argv": sys.argv, "path": sys.path, "flags": str(sys.flags), "folder": os.getcwd(), "umask": os.umask(0o22),
        "environment": {k: v for k, v in os.environ.items() if k != "MAIN" and "XDIST" not in k},
        "signals": {int(n): str(signal.getsignal(n)).partition(" at ")[0] for n in signal.valid_signals()},
        "open": sorted(re.sub(r"[0-9]+", "N", link) for link in links),
        "threads": sorted(re.sub(r"[0-9]+", "N", each.name) for each in threading.enumerate()),
        "logging": [str(logging.getLogger().handlers), logging.getLogger().level],
        "warnings": str(warnings.filters), "options": sys.warnoptions,
        "main": [main.__name__, hasattr(main, "__file__"), hasattr(main, "serve")],
        "streams": [[new is old, old.encoding, old.errors, old.line_buffering, old.write_through, str(type(old.buffer))]
                    for new, old in streams],
        "collector": [gc.isenabled(), gc.get_threshold()], "bytecode": sys.dont_write_bytecode,
        "finalizers": len(weakref.finalize._registry), "tracer": str(sys.gettrace()),
        "faults": faulthandler.is_enabled(),
    }


def at_exit(name, what):
    with (HERE / f"{name}.end").open("a") as file:
        file.write(what + "\\n")


def pytest_configure(config):
    if hasattr(config, "workerinput"):
        name = config.workerinput["workerid"]
        drawn = {"portrait": portrait(), "parent": os.getppid(), "pid": os.getpid(), "imported in": ours.PID,
                 "main": int(os.environ["MAIN"])}
        (HERE / f"{name}.json").write_text(json.dumps(drawn))
        atexit.register(at_exit, name, "atexit")
        weakref.finalize(config, at_exit, name, "weakref")
        multiprocessing.util.Finalize(None, at_exit, (name, "multiprocessing"), exitpriority=1)
        threading.Thread(target=lambda: (threading.main_thread().join(), at_exit(name, "thread"))).start()
        last = logging.handlers.MemoryHandler(9, target=logging.FileHandler(HERE / f"{name}.end"))
        last.buffer.append(logging.makeLogRecord({"msg": "logging"}))
        logging.getLogger("ours").addHandler(last)
    else:
        atexit.register(at_exit, "main", "atexit")
        weakref.finalize(ours, at_exit, "main", "weakref")
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        logging.getLogger().setLevel(1)
        os.environ["MAIN"] = str(os.getpid())


def pytest_sessionstart(session):
    os.environ["LATE"] = "for the processes of the session"
"""


@pytest.fixture
def traced_by_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Coverage measures the tests, and a process that is measured is started as ever."""
    for name in ("COVERAGE_PROCESS_CONFIG", "COVERAGE_PROCESS_START"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def drawing(project: Project, traced_by_nobody: None) -> Project:  # noqa: ARG001 - for what it does
    """A project whose processes say what they are like."""
    project.write("test_fork.py", _SUITE)
    (project.folder / "scenarios" / "conftest.py").write_text(_CONFTEST)
    (project.folder / "ours.py").write_text("import os\nPID = os.getpid()\n")
    return project


def drawn(project: Project, *options: str) -> dict[str, dict[str, Any]]:
    """What each process of a run says, of which all do at their end what they have to."""
    folder = project.folder / "scenarios"
    for old in (*folder.glob("*.json"), *folder.glob("*.end")):
        old.unlink()
    code, output = project.run("-n=2", *options)
    assert code == 0, output
    assert "Traceback" not in output
    ends = {path.stem: set(path.read_text().split()) for path in folder.glob("*.end")}
    each = {"atexit", "weakref", "multiprocessing", "thread", "logging"}
    assert ends == {"main": {"atexit", "weakref"}, "gw0": each, "gw1": each}
    assert (folder / "main.end").read_text().count("atexit") == 1
    return {path.stem: json.loads(path.read_text()) for path in folder.glob("gw*.json")}


def test_a_forked_process_is_like_one_that_was_started(drawing: Project) -> None:
    forked = drawn(drawing)
    started = drawn(drawing, "-pno:harness.plugin.forking", f"--run-folder={drawing.folder / 'other'}")

    assert forked.keys() == started.keys() == {"gw0", "gw1"}
    assert len({each["parent"] for each in forked.values()}) == 1
    assert all(each["parent"] != each["main"] for each in forked.values())
    assert all(each["parent"] == each["main"] for each in started.values())
    for name, each in forked.items():
        assert each["imported in"] == each["pid"], "what is the project's is imported by each"
        assert each["portrait"] == started[name]["portrait"]


def test_without_its_server_it_is_started(drawing: Project) -> None:
    with (drawing.folder / "scenarios" / "conftest.py").open("a", encoding="utf-8") as file:
        file.write(_WITHOUT_SERVER)

    assert all(each["parent"] == each["main"] for each in drawn(drawing).values())


@pytest.mark.parametrize(
    ("differs", "why"),
    [
        ({}, ""),
        ({"args": ["harness/tests"]}, "what else is tested may have imported and begun anything"),
        ({"traced": True}, "this process is traced: coverage, or a debugger"),
        ({"monitored": "coverage"}, "this process is traced: coverage, or a debugger"),
        ({"threads": 2}, "a copy has one thread, and the locks of all"),
        ({"allure_report_dir": "results"}, "Allure's plugin has begun"),
        ({"plugins": ["pytest-xdist", "pytest-cov"]}, "unknown: pytest-cov"),
    ],
)
def test_where_a_copy_would_have_what_a_new_process_has_not_there_is_none(
    monkeypatch: pytest.MonkeyPatch, differs: dict[str, Any], why: str
) -> None:
    distributions = [(None, SimpleNamespace(project_name=name)) for name in differs.get("plugins", ["anyio"])]
    config = SimpleNamespace(
        args=differs.get("args", ["scenarios/prod"]),
        rootpath=ROOT,
        invocation_params=SimpleNamespace(dir=ROOT),
        getoption=lambda name, default=None: differs.get(name, default),
        pluginmanager=SimpleNamespace(list_plugin_distinfo=lambda: distributions),
    )
    monkeypatch.setattr(sys, "gettrace", lambda: differs.get("traced"))
    tools = {1: differs.get("monitored")}
    monkeypatch.setattr(sys, "monitoring", SimpleNamespace(get_tool=tools.get), raising=False)
    monkeypatch.setattr(threading, "active_count", lambda: differs.get("threads", 1))

    assert forking._why_not(config) == why  # type: ignore[arg-type]


def test_what_is_asked_for_in_another_way_is_left_alone(tmp_path: Path) -> None:
    """Another Python, another folder, another environment, another machine."""
    plain = "popen"
    others = [
        "popen//python=python3.9",
        "popen//chdir=there",
        "popen//env:NAME=value",
        "ssh=there",
        "popen//via=gw9",
    ]
    specs = [execnet.XSpec(text) for text in (plain, *others)]
    config = SimpleNamespace(stash={forking._SERVER: None, forking._ADDRESS: tmp_path / "a b" / "socket"})

    forking.pytest_xdist_setupnodes(config, specs)  # type: ignore[arg-type]

    first, *rest = specs
    assert shlex.split(first.python)[-1] == str(tmp_path / "a b" / "socket")
    assert [spec.python for spec in rest] == ["python3.9", None, None, None, None]


def test_a_server_that_cannot_be_made_leaves_nothing_open(tmp_path: Path) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))

    with pytest.raises(OSError, match="No such file"):
        fork_server.ForkServer(tmp_path / "no such folder" / "socket")

    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_who_is_killed_by_its_client_leaves_nothing(drawing: Project) -> None:
    """Of the two, xdist knows the client, and kills that."""
    pids, everything, pytest_process = waiting(drawing)
    clients = [pid for pid in everything if any("fork_client" in word for word in words_of(pid))]
    assert len(clients) == len(pids) == 2

    for client in clients:
        os.kill(client, signal.SIGKILL)

    wait_until_gone(pids)
    os.killpg(pytest_process.pid, signal.SIGINT)
    pytest_process.wait(timeout=30)


def test_kill_9_of_pytest_leaves_nothing(drawing: Project) -> None:
    pids, everything, pytest_process = waiting(drawing)
    assert {*pids} < {*everything}
    address = next(Path(word) for pid in everything for word in words_of(pid) if "dispatchcheck-fork" in word)
    assert address.is_socket()

    os.kill(pytest_process.pid, signal.SIGKILL)

    wait_until_gone(everything)
    assert not address.parent.exists()


def test_ctrl_c_ends_everything(drawing: Project) -> None:
    _, everything, pytest_process = waiting(drawing)

    os.killpg(pytest_process.pid, signal.SIGINT)  # as a terminal does: to the whole foreground group

    assert pytest_process.wait(timeout=30) == pytest.ExitCode.INTERRUPTED
    wait_until_gone(everything)
    assert drawing.results["verdict"] == "INCONCLUSIVE"


def test_where_temporary_files_go_may_have_any_name(
    drawing: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    far = tmp_path / ("far-away-" * 12)
    far.mkdir()
    monkeypatch.setenv("TMPDIR", str(far))

    assert all(each["parent"] != each["main"] for each in drawn(drawing).values())


def words_of(pid: int) -> list[str]:
    return command_of(pid).decode().split("\0")


def waiting(project: Project) -> tuple[list[int], set[int], subprocess.Popen[str]]:
    """The test processes of a run that waits in a scenario, all of its processes, and pytest."""
    project.write("test_fork.py", WAITS)
    process = project.start("-n=2")
    everything = {*project.wait_for_processes(2), *descendants(process.pid)}
    drawn = [json.loads(path.read_text()) for path in (project.folder / "scenarios").glob("gw*.json")]
    return [each["pid"] for each in drawn], everything, process
