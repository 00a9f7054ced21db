"""``dispatchcheck prove`` as a person runs it: what it says, what it leaves, and how it ends."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.clock import Deadline, wait
from harness.proving import zoo
from harness.tests.conftest import ROOT, Commands, command_of, descendants, wait_until_gone

_MUTANTS = ROOT / "reference_impl" / "mutants"
_NOTHING_IS_WRONG = """\
--- a/reference_impl/shutdown.py
+++ b/reference_impl/shutdown.py
@@ -1,3 +1,3 @@
 import signal
-import threading
+import threading  # with a comment
 import time
"""
_TWO_OF_DEV = (
    "scenarios/dev/test_worker_on.py::test_the_worker_assembles",
    "scenarios/dev/test_worker_on.py::test_the_console_shows_the_decision",
)


class Proof(Commands):
    """One run of the command, on a zoo of its own."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.zoo = folder / "zoo"
        self._out = folder / "out"
        self.temporary = folder / "tmp"
        self.temporary.mkdir()
        (self.zoo / "equivalent").mkdir(parents=True)

    def add(self, id_: str, **changes: str) -> None:
        """Put a mutant of the real zoo into this one, with changes to its head."""
        text = (_MUTANTS / f"{id_}.patch").read_text("utf-8")
        for key, value in changes.items():
            old = next(line for line in text.splitlines() if line.startswith(f"{key}:"))
            text = text.replace(old, f"{key}: {value}", 1)
        (self.zoo / f"{id_}.patch").write_text(text, encoding="utf-8")

    def add_a_harmless_one(self, folder: str = ".", *, diff: str = _NOTHING_IS_WRONG) -> None:
        """A mutant with nothing wrong, or, in ``equivalent``, a variant."""
        if folder == "equivalent":
            head = "---\nid: harmless\ntitle: T\nwhy: W\n---\n"
        else:
            head = "---\nid: harmless\ntitle: T\nincident: I\nrequirement: PROD-02\noracle: route\n---\n"
        (self.zoo / folder / "harmless.patch").write_text(head + diff, encoding="utf-8")

    def start(self, *options: str) -> subprocess.Popen[str]:
        """Start the command and return at once."""
        return self.begin(
            "from harness.cli import main; sys.exit(main())",
            "prove",
            f"--zoo={self.zoo}",
            f"--out={self._out}",
            *options,
            cwd=ROOT,
            variables={"COLUMNS": "200", "TMPDIR": str(self.temporary)},
        )

    def run(self, *options: str) -> tuple[int, str]:
        """Run the command to its end; its exit code and what it printed."""
        process = self.start(*options)
        output, _ = process.communicate(timeout=110)
        return process.returncode, output

    @property
    def matrix(self) -> dict[str, Any]:
        (path,) = self._out.glob("*/prove.json")
        document: dict[str, Any] = json.loads(path.read_text("utf-8"))
        return document

    def verdicts(self) -> dict[str, str]:
        return {row["id"]: row["verdict"] for row in (*self.matrix["mutants"], *self.matrix["equivalent"])}


@pytest.fixture
def proof(tmp_path: Path) -> Iterator[Proof]:
    made = Proof(tmp_path)
    yield made
    made.end()


def test_mutants_are_killed_for_the_stated_reason_and_variants_are_left_alone(proof: Proof) -> None:
    proof.add("inline-straight-after-cloud-tasks-fails", scenarios="[PROD-HEALTHY-01]")
    proof.add("fallback-on-success")
    proof.add_a_harmless_one("equivalent")

    code, output = proof.run("-j", "2", "scenarios/prod/test_healthy.py", "scenarios/prod/test_network.py")

    assert code == 0, output
    assert proof.verdicts() == {
        "inline-straight-after-cloud-tasks-fails": "killed",
        "fallback-on-success": "killed",
        "harmless": "green",
    }
    assert (
        "2 of 2 known-bad dispatchers found for the stated reason, 1 of 1 equivalent ones left alone"
        in output
    )
    matrix = proof.matrix
    assert not matrix["complete"], "only a part of the scenarios was run"
    ran = {row["id"]: row["scenarios"] for row in matrix["mutants"]}
    assert ran["inline-straight-after-cloud-tasks-fails"] == {
        "PROD-HEALTHY-01": "passed",
        "PROD-NETWORK-03": "killed",
    }
    assert matrix["equivalent"][0]["ran"] == len(matrix["scenarios"]), "the only variant is dealt everything"


def test_survivors_other_reasons_and_false_alarms_are_findings(proof: Proof) -> None:
    proof.add_a_harmless_one()
    proof.add("fallback-on-success", oracle="secrets", scenarios="[PROD-HEALTHY-03]")
    worst = (_MUTANTS / "fallback-order-swapped.patch").read_text("utf-8").split("\n---\n")[1]
    (proof.zoo / "equivalent" / "bad.patch").write_text(
        f"---\nid: bad\ntitle: T\nwhy: W\n---\n{worst}", encoding="utf-8"
    )

    code, output = proof.run("-j", "2", "scenarios/prod/test_healthy.py")

    assert code == 1, output
    assert proof.verdicts() == {
        "harmless": "survived",
        "fallback-on-success": "killed for another reason",
        "bad": "false alarm",
    }
    assert "survived: harmless: T" in output
    assert "found:   PROD-HEALTHY-03, oracle route" in output
    assert "false alarm: bad: PROD-HEALTHY-01" in output


def test_in_full_each_scenarios_own_kills_are_told_and_who_kills_nothing(proof: Proof) -> None:
    proof.add("fallback-on-success")
    proof.add("console-names-the-wrong-url")

    code, output = proof.run("-j", "2", "--full", "scenarios/prod/test_healthy.py", *_TWO_OF_DEV)

    assert code == 0, output
    assert "only DEV-WORKER-02 finds: console-names-the-wrong-url" in output
    (idle,) = [line for line in output.splitlines() if line.startswith("kill nothing: ")]
    assert "DEV-WORKER-01" in idle
    assert "PROD-HEALTHY-03" not in idle
    assert all(len(row["scenarios"]) == 6 for row in proof.matrix["mutants"])


def test_a_stale_patch_stops_it_before_anything_runs(proof: Proof) -> None:
    proof.add("fallback-on-success")
    proof.add_a_harmless_one(diff=_NOTHING_IS_WRONG.replace("-import threading", "-import threads"))

    code, output = proof.run()

    assert code == 64
    assert "harmless.patch does not fit reference_impl/shutdown.py" in output


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--mutant=nobody"], "no such mutant: nobody; known are fallback-on-success"),
        (["-j", "0"], "must be 1 or more"),
        (["--nonsense"], "unrecognized arguments"),
    ],
    ids=["mutant", "processes", "option"],
)
def test_wrong_usage_is_64(proof: Proof, options: list[str], words: str) -> None:
    proof.add("fallback-on-success")

    code, output = proof.run(*options)

    assert (code, words in output) == (64, True), output


def test_a_mutant_that_expects_a_scenario_which_does_not_exist_is_64(proof: Proof) -> None:
    proof.add("fallback-on-success", scenarios="[PROD-GONE-01]")

    code, output = proof.run("-j", "1")

    assert code == 64, output
    assert "fallback-on-success: PROD-GONE-01" in output


def test_scenarios_that_cannot_be_collected_are_70(proof: Proof, tmp_path: Path) -> None:
    proof.add("fallback-on-success")

    code, output = proof.run("-j", "1", str(tmp_path / "nowhere"))

    assert code == 70, output
    assert "nowhere" in output


def test_ctrl_c_leaves_no_process_and_a_matrix_that_says_so(proof: Proof) -> None:
    proof.add("no-deadline-for-cloud-tasks", scenarios="[PROD-FALLBACK-08]")
    process = proof.start("-j", "1", "scenarios/prod/test_fallback.py")
    everything = _wait_for_servers(process.pid)

    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=30)

    assert process.returncode == 2, output
    wait_until_gone(everything)
    (row,) = proof.matrix["mutants"]
    assert (row["verdict"], row["problem"]) == ("not judged", "the proof was cut off")
    assert not proof.matrix["complete"]
    assert "(incomplete)" in output


def test_kill_9_leaves_no_process_and_a_folder_that_the_next_one_removes(proof: Proof) -> None:
    proof.add("no-deadline-for-cloud-tasks", scenarios="[PROD-FALLBACK-08]")
    process = proof.start("-j", "1", "scenarios/prod/test_fallback.py")
    everything = _wait_for_servers(process.pid)

    process.kill()

    wait_until_gone(everything)
    assert proof.verdicts() == {"no-deadline-for-cloud-tasks": "not judged"}
    assert len(list(proof.temporary.glob("dispatchcheck-prove-*"))) == 1
    proof.run("-j", "1", "scenarios/nowhere")
    assert list(proof.temporary.glob("dispatchcheck-prove-*")) == []


def test_a_judge_that_dies_is_the_harness_broken(proof: Proof) -> None:
    proof.add("no-deadline-for-cloud-tasks", scenarios="[PROD-FALLBACK-08]")
    process = proof.start("-j", "1", "scenarios/prod/test_fallback.py")
    _wait_for_servers(process.pid)
    (judge,) = [pid for pid in descendants(process.pid) if b"--serve=" in command_of(pid)]

    os.kill(judge, signal.SIGKILL)
    output, _ = process.communicate(timeout=30)

    assert process.returncode == 70, output
    assert proof.verdicts() == {"no-deadline-for-cloud-tasks": "not judged"}


def test_the_whole_zoo_names_scenarios_that_exist() -> None:
    suites = [path.read_text("utf-8") for path in (ROOT / "scenarios").rglob("test_*.py")]
    ids = {id_ for text in suites for id_ in re.findall(r'^@scenario\(\s*"([^"]+)"', text, re.MULTILINE)}
    expected = {name for mutant in zoo.load(_MUTANTS).mutants for name in mutant.head.scenarios}
    assert {
        name for name in expected if not any(name == id_ or name.startswith(f"{id_}-") for id_ in ids)
    } == set()


def _wait_for_servers(pid: int) -> list[int]:
    """Wait until an API and a worker run below the process, and return everything below it."""

    def found() -> list[int] | None:
        below = descendants(pid)
        return below if sum(map(_is_a_server, below)) >= 2 else None

    return wait(found, Deadline(60), lambda: f"{[command_of(p)[:80] for p in descendants(pid)]}")


def _is_a_server(pid: int) -> bool:
    """Whether it is a warm process of the system under test: a fork of the launcher, in a folder of its own."""
    try:
        return (Path("/proc") / str(pid) / "cwd").readlink().name in {"api", "worker"}
    except OSError:
        return False
