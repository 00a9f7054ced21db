"""The temporary folder of a proof: who was killed leaves it, and the next proof removes it; who lives keeps it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.proving import scratch
from harness.tests.conftest import ROOT

_HOLDS_ONE = (
    "import sys; from harness.proving import scratch\n"
    "with scratch.folder() as folder:\n"
    "    (folder / 'judge-0').mkdir(); (folder / 'judge-0' / 'judge.log').write_text('x')\n"
    "    print(folder, flush=True); sys.stdin.read()\n"
)


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary folders are made, by us and by whom we start."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


@pytest.fixture
def other(temporary: Path) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """A process that works in a folder of its own, and the folder."""
    with subprocess.Popen(
        [sys.executable, "-c", _HOLDS_ONE],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        folder = Path(process.stdout.readline().strip())
        assert folder.parent == temporary
        yield process, folder
        process.kill()


def test_it_goes_with_the_block(temporary: Path) -> None:
    with scratch.folder() as mine:
        (mine / "judge-0").mkdir()
        (mine / "judge-0" / "judge.log").write_text("x")
        assert mine.parent == temporary

    assert list(temporary.iterdir()) == []


def test_what_a_killed_process_left_is_removed(other: tuple[subprocess.Popen[str], Path]) -> None:
    process, left = other
    process.kill()
    process.wait()
    assert left.exists()

    with scratch.folder():
        assert not left.exists()


def test_what_somebody_works_in_stays(other: tuple[subprocess.Popen[str], Path]) -> None:
    process, theirs = other

    with scratch.folder() as mine:
        assert mine != theirs
        assert (theirs / "judge-0" / "judge.log").exists()

    process.communicate("")
    assert not theirs.exists(), "it has removed its own"


def test_a_folder_that_is_only_just_being_made_stays(temporary: Path) -> None:
    new = temporary / "dispatchcheck-prove-new"
    new.mkdir()
    (new / "new.lock").touch()

    with scratch.folder():
        assert new.exists()
