"""However a run ends, no process of it is left."""

from __future__ import annotations

import os
import signal

import pytest

from harness.tests.conftest import WAITS, Project, descendants, wait_until_gone

_WAITS_BEFORE = """
    import threading


    @pytest.fixture
    def waiting(prod: System) -> System:
        prod.start()
        threading.Event().wait()


    @scenario("WAIT-02", requires=["PROD-01"])
    def test_never_begins(waiting: System) -> None:
        '''Both processes are started, and it does not come to more.'''
"""


@pytest.mark.parametrize("options", [(), ("-n", "2")], ids=["alone", "xdist"])
def test_kill_9_of_pytest_leaves_no_process(project: Project, options: tuple[str, ...]) -> None:
    project.write("test_waits.py", WAITS)
    pytest_process = project.start(*options)
    servers = project.wait_for_processes(2)
    everything = {*servers, *descendants(pytest_process.pid)}

    os.kill(pytest_process.pid, signal.SIGKILL)

    assert pytest_process.wait(timeout=10) == -signal.SIGKILL
    wait_until_gone(everything)


@pytest.mark.parametrize("body", [WAITS, _WAITS_BEFORE], ids=["in-a-scenario", "before-it"])
def test_ctrl_c_leaves_no_process_and_is_no_pass(project: Project, body: str) -> None:
    project.write("test_waits.py", body)
    pytest_process = project.start()
    everything = {*project.wait_for_processes(2), *descendants(pytest_process.pid)}

    os.killpg(pytest_process.pid, signal.SIGINT)  # as a terminal does: to the whole foreground group

    assert pytest_process.wait(timeout=30) == pytest.ExitCode.INTERRUPTED
    wait_until_gone(everything)
    assert project.results["verdict"] == "INCONCLUSIVE"
    assert "the run was interrupted" in project.results["reasons"]


def test_a_failing_fixture_leaves_no_process(project: Project) -> None:
    project.write(
        "test_fixture.py",
        """
        @pytest.fixture
        def broken(prod: System) -> System:
            prod.start()
            raise RuntimeError("the fixture is broken")


        @scenario("FIXTURE-01", requires=["PROD-01"])
        def test_never_runs(broken: System) -> None:
            '''Never runs.'''
        """,
    )

    code, output = project.run()

    assert code == 1
    assert "the fixture is broken" in output
    assert project.processes() == []
    assert project.verdicts() == {"FIXTURE-01": "INCONCLUSIVE"}
    assert project.results["scenarios"][0]["blame"] == "harness"


def test_what_the_system_under_test_started_goes_as_well(project: Project) -> None:
    """A process that an API started, in a session of its own, is found and ended with the run."""
    project.write(
        "test_child.py",
        """
        import subprocess
        import sys


        @scenario("CHILD-01", requires=["PROD-01"])
        def test_leaves_a_child(prod: System) -> None:
            '''A process that the dispatcher would leave behind.'''
            launcher = prod.ground.launcher
            code = "import os, subprocess, sys; subprocess.Popen(['sleep', '1000'], start_new_session=True)"
            launcher.start([sys.executable, "-c", code], env={"PATH": "/usr/bin:/bin"}, cwd=prod.folder,
                           on_line=lambda *_: None, warm=False).wait(20)
            prod.assemble().settle().must_be_accepted()
        """,
    )

    code, output = project.run()

    assert code == 0, output
    assert project.processes() == []
