"""Several launchers from one process that has imported what is slow to import."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.clock import Deadline, wait
from harness.errors import HarnessError
from harness.logs.capture import LogPump
from harness.tests.conftest import Project
from harness.topologies.process import Launcher
from harness.topologies.zygote import Zygote

PRELOAD = ["wave"]
SAYS = """
import os, sys
print("wave" in sys.modules, os.getppid(), os.environ.get("NAME"))
sys.stdout.flush()
os.kill(os.getpid(), 9) if os.environ["NAME"] == "killed" else os.read(0, 1)
"""


@pytest.fixture
def pump() -> Iterator[LogPump]:
    made = LogPump()
    yield made
    made.close()


@pytest.fixture
def zygote() -> Iterator[Zygote]:
    made = Zygote()
    yield made
    made.close()


def says(launcher: Launcher, folder: Path, name: str = "x") -> tuple[list[str], int | None]:
    """What a module says that is started warm, and its status."""
    (folder / "says.py").write_text(SAYS)
    lines: list[str] = []
    environment = {"PYTHONPATH": str(folder), "NAME": name}
    process = launcher.start(
        [sys.executable, "-m", "says"],
        env=environment,
        cwd=folder,
        on_line=lambda _, line: lines.append(line),
        warm=True,
    )
    status = process.wait(10)
    assert process.drained(10)
    return lines[0].split(), status


def test_each_launcher_is_a_process_of_its_own(zygote: Zygote, pump: LogPump, tmp_path: Path) -> None:
    launchers = [Launcher(PRELOAD, pump, zygote.address) for _ in range(2)]
    try:
        said = [says(launcher, tmp_path, name=str(n)) for n, launcher in enumerate(launchers)]
    finally:
        for launcher in launchers:
            launcher.close()
    assert [(preloaded, name, status) for (preloaded, _, name), status in said] == [
        ("True", "0", 0),
        ("True", "1", 0),
    ]
    assert len({parent for (_, parent, _), _ in said}) == 2


def test_how_a_process_ends_is_known(zygote: Zygote, pump: LogPump, tmp_path: Path) -> None:
    launcher = Launcher(PRELOAD, pump, zygote.address)
    try:
        assert says(launcher, tmp_path, name="killed")[1] == -signal.SIGKILL
        assert says(launcher, tmp_path)[1] == 0
    finally:
        launcher.close()


def test_who_needs_other_modules_gets_a_launcher_without_the_zygote(
    zygote: Zygote, pump: LogPump, tmp_path: Path
) -> None:
    launchers = [Launcher(modules, pump, zygote.address) for modules in (PRELOAD, [])]
    try:
        assert [says(launcher, tmp_path)[0][0] for launcher in launchers] == ["True", "False"]
    finally:
        for launcher in launchers:
            launcher.close()


def test_where_no_zygote_is_any_more_a_launcher_needs_none(pump: LogPump, tmp_path: Path) -> None:
    zygote = Zygote()
    zygote.close()
    assert not Path(zygote.address).parent.exists()
    launcher = Launcher(PRELOAD, pump, zygote.address)
    try:
        assert says(launcher, tmp_path)[0][0] == "True"
    finally:
        launcher.close()


def test_a_module_that_is_missing_is_named_to_everyone(zygote: Zygote, pump: LogPump) -> None:
    for _ in range(2):
        with pytest.raises(HarnessError, match="no_such_module_at_all"):
            Launcher(["no_such_module_at_all"], pump, zygote.address)


def test_the_test_processes_of_a_run_share_one(project: Project) -> None:
    project.write(
        "test_shares.py",
        """
        import os
        from pathlib import Path


        @scenario("SHARES-01", requires=["PROD-01"])
        @pytest.mark.parametrize("number", range(4))
        def test_shares(prod: System, number: int) -> None:
            '''The launcher is a fork of the zygote, and not started for this process alone.'''
            prod.assemble().settle().must_be_accepted()
            own = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
            assert not [pid for pid in own if "launcher.py" in Path(f"/proc/{pid}/cmdline").read_text()]
        """,
    )

    code, output = project.run("-n", "2")

    assert code == 0, output
    assert project.verdicts() == {"SHARES-01": "PASS"}


def test_an_owner_that_is_killed_leaves_nothing(tmp_path: Path) -> None:
    """Neither the zygote nor its folder."""
    script = tmp_path / "owner.py"
    script.write_text(
        "import os, signal\n"
        "from harness.topologies.zygote import Zygote\n"
        "zygote = Zygote()\n"
        f"open({str(tmp_path / 'told')!r}, 'w').write(f'{{zygote.address}} {{zygote._process.pid}}')\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert os.spawnv(os.P_WAIT, sys.executable, [sys.executable, str(script)]) == -signal.SIGKILL
    address, pid = (tmp_path / "told").read_text().split()

    def gone() -> bool | None:
        return True if not (Path(address).parent.exists() or _runs(int(pid))) else None

    wait(gone, Deadline(10), lambda: f"{address} or process {pid} is there")


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
