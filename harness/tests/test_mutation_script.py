"""What is said of a run of the mutation tool: a change that nobody minds is a finding unless a reason is stated."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from harness.tests.conftest import ROOT

_SHOWN = """\
# reference_impl.values.x_parse__mutmut_2: survived
--- reference_impl/values.py
+++ reference_impl/values.py
@@ -1,2 +1,2 @@
 def parse(raw):
-    return raw or ""
+    return raw and ""
"""
_ACCEPTED = """\
[[accepted]]
function = 'reference_impl.values.x_parse'
before = 'return raw or ""'
after = 'return raw and ""'
because = 'both are empty'
"""


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location("mutation_script", ROOT / "scripts" / "mutation.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    vars(module)["ACCEPTED"] = tmp_path / "mutmut.toml"
    monkeypatch.setattr(sys, "argv", ["mutation.py"])
    return module


def say(script: ModuleType, monkeypatch: pytest.MonkeyPatch, *, killed: int, last: str) -> None:
    """Let mutmut have run, with one change at last and so many that were minded before it."""
    lines = [f"    reference_impl.values.x_other__mutmut_{n}: killed" for n in range(killed)]
    listed = "\n".join([*lines, f"    reference_impl.values.x_parse__mutmut_2: {last}"])
    monkeypatch.setattr(script, "_mutmut", lambda what, *_: listed if what == "results" else _SHOWN)


@pytest.mark.parametrize("last", ["survived", "no tests"])
def test_a_change_that_nobody_minds_is_a_finding(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], last: str
) -> None:
    say(script, monkeypatch, killed=99, last=last)

    assert script.main() == 1
    said = capsys.readouterr().out
    assert "before = '''return raw or \"\"'''" in said
    assert "# no test minds reference_impl.values.x_parse__mutmut_2\n" in said
    assert "99.0% were minded" in said


@pytest.mark.parametrize("last", ["not checked", "suspicious"])
def test_a_change_that_was_not_judged_is_a_finding_even_where_no_test_could_mind_it(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], last: str
) -> None:
    script.ACCEPTED.write_text(_ACCEPTED)
    say(script, monkeypatch, killed=99, last=last)

    assert script.main() == 1
    assert f"# not judged: reference_impl.values.x_parse__mutmut_2 ({last})" in capsys.readouterr().out


def test_a_share_below_the_aim_fails_with_its_findings_named(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    say(script, monkeypatch, killed=18, last="survived")

    assert script.main() == 1
    assert "of 19 that a test can mind, 94.7% were minded" in capsys.readouterr().out


def test_a_change_that_no_test_can_mind_is_accepted_with_its_reason(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    script.ACCEPTED.write_text(_ACCEPTED)
    say(script, monkeypatch, killed=99, last="survived")

    assert script.main() == 0
    assert "of 99 that a test can mind, 100.0% were minded" in capsys.readouterr().out


def test_an_entry_that_a_test_minds_by_now_is_a_finding(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    script.ACCEPTED.write_text(_ACCEPTED)
    say(script, monkeypatch, killed=99, last="killed")

    assert script.main() == 1
    assert "take it out of mutmut.toml" in capsys.readouterr().out


@pytest.mark.parametrize(("times", "status"), [(1, 1), (2, 0), (3, 1)])
def test_an_entry_stands_for_as_many_changes_as_it_says(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch, times: int, status: int
) -> None:
    """The same can be done to several places of a function, and a test may be able to mind one of them."""
    script.ACCEPTED.write_text(f"{_ACCEPTED}times = {times}\n")
    listed = "\n".join(f"    reference_impl.values.x_parse__mutmut_{n}: survived" for n in (2, 3))
    killed = "\n".join(f"    reference_impl.values.x_other__mutmut_{n}: killed" for n in range(99))
    monkeypatch.setattr(
        script, "_mutmut", lambda what, *_: listed + "\n" + killed if what == "results" else _SHOWN
    )

    assert script.main() == status


def test_a_reason_is_asked_for(script: ModuleType) -> None:
    script.ACCEPTED.write_text(_ACCEPTED.replace("both are empty", " "))

    with pytest.raises(SystemExit, match="say why no test can mind"):
        script.accepted(script.ACCEPTED)


def test_each_entry_is_about_lines_that_are_there(script: ModuleType) -> None:
    """A run of the tool says it, too, but takes much longer."""
    for each in script.accepted(ROOT / "reference_impl" / "mutants" / "mutmut.toml"):
        module = each.function.rpartition(".")[0].replace(".", "/")
        lines = {line.strip() for line in (ROOT / f"{module}.py").read_text("utf-8").splitlines()}
        assert set(each.before.splitlines()) <= lines, f"take it out of mutmut.toml, or renew it:\n{each}"


def test_where_nothing_was_run_nothing_is_said(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(script, "_mutmut", lambda *_: "")

    assert script.main() == 64


@pytest.mark.parametrize(
    ("catches", "says"),
    [("OSError", "it took longer than 0.5 s to take the job"), ("BaseException", "")],
    ids=["an error of its own", "everything"],
)
def test_a_change_that_hangs_is_minded_by_the_cells_whatever_it_catches(catches: str, says: str) -> None:
    """In a process of its own, as the tool has one for each change."""
    hanging = f"""
import sys, pytest
from reference_impl.assembler import Assembler

def dispatch(*_):
    while True:
        try:
            while True:
                pass
        except {catches}:
            pass

Assembler.dispatch = dispatch
sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", "harness/tests/cells_here.py", "-k", "prod-queue"]))
"""
    environ = {**os.environ, "DISPATCHCHECK_CELL_WITHIN_S": "0.5"}
    done = subprocess.run(
        [sys.executable, "-c", hanging],
        cwd=ROOT,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )

    assert done.returncode == 1, done.stdout + done.stderr
    assert says in done.stdout
    assert ("1 failed" in done.stdout) == bool(says)
