"""A run that is cut off leaves an account that says so, and never a go."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from harness import cli, context, evidence, identity, run_folder, sealed
from harness.clock import Deadline, pause
from harness.model import Verdict
from harness.run_folder import RunFolder
from reports.policy import decide, default_policy
from reports.schema import read_results
from reports.tests import made

ROOT = Path(__file__).resolve().parent.parent.parent
WAIT_S = 60


def begun(tmp_path: Path) -> RunFolder:
    folder = RunFolder(
        tmp_path / "run",
        requirements=made.REQUIREMENTS,
        profile_path=ROOT / "reference_impl" / "dispatchcheck.toml",
        source=None,
        suites=ROOT / "scenarios",
    )
    folder.begin([made.node("A-01")], arguments=["scenarios"], seed=7)
    return folder


def account_in(run: Path) -> dict[str, Any]:
    document = read_results(run / "results.json")
    assert document["verdict"] != "PASS"
    assert not document["complete"]
    assert not decide(document, default_policy()).go
    assert "**Release: NO-GO**" in (run / "checklist.md").read_text("utf-8")
    return document


def test_the_first_account_says_incomplete_and_who_is_judged(tmp_path: Path) -> None:
    begun(tmp_path)
    document = account_in(tmp_path / "run")
    assert any("did not come to its end" in reason for reason in document["reasons"])
    identity = document["run"]["identity"]
    assert all(entry["digest"].startswith("sha256:") for entry in identity.values())
    assert (document["run"]["seed"], document["run"]["topology"]) == (7, "processes")


def test_the_harness_is_named_by_all_of_its_code() -> None:
    folder = ROOT / "harness"
    own = {path for path in folder.rglob("*.py") if "tests" not in path.relative_to(folder).parts}
    assert set(identity.files_of(folder, run_folder.own_code())) == own


def test_the_last_account_replaces_it(tmp_path: Path) -> None:
    folder, run = begun(tmp_path), tmp_path / "run"
    evidence.write_result(run, made.scenario("A-01"))
    document = folder.end([made.node("A-01")], shard=None, pytest_exit=0, interrupted=False)
    assert (document["verdict"], document["complete"]) == ("PASS", True)
    assert read_results(run / "results.json")["complete"]
    assert sealed.alterations(run) == []


def test_a_full_disk_leaves_the_first_account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, run = begun(tmp_path), tmp_path / "run"
    evidence.write_result(run, made.scenario("A-01"))

    def full(*_: object, **__: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        folder.end([made.node("A-01")], shard=None, pytest_exit=0, interrupted=False)
    monkeypatch.undo()
    account_in(run)


_FULL = """
import resource, signal, sys
from pathlib import Path
from reports import write_all
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # the write then fails, as on a full disk
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), int(sys.argv[2])))
write_all(Path(sys.argv[1]))
"""


@pytest.mark.parametrize("largest", ["results.json", "checklist.html"])
def test_where_one_report_has_no_room_none_is_replaced(tmp_path: Path, largest: str) -> None:
    folder, run = begun(tmp_path), tmp_path / "run"
    before = {path.name: path.read_bytes() for path in run.iterdir() if path.is_file()}
    room = len(before[largest])
    evidence.write_result(
        run, made.scenario("A-01", Verdict.FAIL, message="m" * (room if largest == "results.json" else 9))
    )
    command = [sys.executable, "-c", _FULL, str(run), str(room)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=WAIT_S, check=False)
    assert "File too large" in ended.stderr
    assert {path.name: path.read_bytes() for path in run.iterdir() if path.is_file()} == before
    account_in(run)
    folder.end([made.node("A-01")], shard=None, pytest_exit=1, interrupted=False)
    assert read_results(run / "results.json")["complete"]


@pytest.mark.timeout(5 * WAIT_S)
@pytest.mark.parametrize("parallel", [[], ["-n", "1"]], ids=["alone", "xdist"])
def test_evidence_that_cannot_be_written_ends_the_run(tmp_path: Path, parallel: list[str]) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "evidence").write_text("not a folder", encoding="utf-8")
    command = [
        sys.executable, "-m", "pytest", "scenarios/worker", "-q", "-p", "no:cacheprovider", f"--run-folder={run}",
        *parallel,
    ]  # fmt: skip
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=4 * WAIT_S, check=False)
    assert ended.returncode == 2, ended.stdout
    assert "cannot write evidence: [Errno 20] Not a directory" in ended.stdout
    assert "INTERNALERROR" not in ended.stdout
    assert account_in(run)["missing"]


def test_a_report_of_a_run_that_was_cut_off_can_be_built(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    begun(tmp_path)
    evidence.write_result(tmp_path / "run", made.scenario("A-01"))
    assert cli.main(["report", "build", str(tmp_path / "run")]) == 2
    assert "1 pass" in capsys.readouterr().out
    account_in(tmp_path / "run")


@pytest.mark.parametrize("parallel", [[], ["-n", "1"]], ids=["alone", "xdist"])
@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGINT], ids=["killed", "ctrl-c"])
def test_a_run_that_is_ended_from_outside_is_no_go(
    tmp_path: Path, sign: signal.Signals, parallel: list[str]
) -> None:
    run = tmp_path / "run"
    command = [
        sys.executable,
        "-m",
        "pytest",
        "scenarios",
        "-q",
        "-p",
        "no:cacheprovider",
        "--run-folder",
        str(run),
        *parallel,
    ]
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PYTEST_", "COV_"))}
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    ) as process:
        deadline = Deadline(WAIT_S)
        while not (run / "statement.json").exists():  # the last file of the first account
            assert process.poll() is None, process.communicate()[0]
            assert not deadline.passed, "the run wrote no first account"
            pause(0.02)
        process.send_signal(sign)
        process.communicate(timeout=WAIT_S)
    document = account_in(run)
    assert document["missing"]
    assert cli.main(["gate", str(run / "results.json")]) in {1, 2}


@pytest.mark.timeout(300)
def test_ctrl_c_keeps_what_was_seen_up_to_then(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "harness.cli",
        "verify",
        "--out",
        str(tmp_path),
        "-n",
        "2",
        "scenarios/dev",
    ]
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PYTEST_", "COV_"))}
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        start_new_session=True,
    ) as process:  # fmt: skip
        deadline = Deadline(2 * WAIT_S)
        while not list(tmp_path.glob("*/evidence/*/verdict.json")):
            assert process.poll() is None, process.communicate()[0]
            assert not deadline.passed, "no scenario left a verdict"
            pause(0.02)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the whole foreground group
        said, _ = process.communicate(timeout=2 * WAIT_S)
    assert process.returncode == 2, said.decode()
    (run,) = tmp_path.iterdir()
    document = account_in(run)
    assert document["scenarios"]
    assert document["missing"]
    assert "the run was interrupted" in document["reasons"]


def test_a_run_folder_is_used_once(tmp_path: Path) -> None:
    evidence.write_result(tmp_path, made.scenario("OLD-02", Verdict.PASS))
    command = [
        sys.executable,
        "-m",
        "pytest",
        "scenarios",
        "--collect-only",
        "-q",
        "--run-folder",
        str(tmp_path),
    ]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=WAIT_S, check=False)
    assert ended.returncode == 4
    assert "holds the evidence of another run" in ended.stderr


def test_shards_select_everything_once(tmp_path: Path) -> None:
    found: list[str] = []
    for index in (1, 2):
        command = [
            sys.executable, "-m", "pytest", "scenarios/worker", "--collect-only", "-q", "--shard", f"{index}/2",
            "--run-folder", str(tmp_path / str(index)), "-p", "no:randomly",
        ]  # fmt: skip
        ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=WAIT_S, check=False)
        assert ended.returncode == 0, ended.stdout
        found += [line for line in ended.stdout.splitlines() if line.startswith("scenarios/")]
    command = [
        sys.executable,
        "-m",
        "pytest",
        "scenarios/worker",
        "--collect-only",
        "-q",
        "-p",
        "no:randomly",
    ]
    whole = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=WAIT_S, check=False
    ).stdout
    assert sorted(found) == sorted(line for line in whole.splitlines() if line.startswith("scenarios/"))


def test_what_cannot_be_encoded_spoils_no_report(tmp_path: Path) -> None:
    folder, run = begun(tmp_path), tmp_path / "run"
    odd = made.log(9, "api", 'lone: "\ud800"', "odd.\udfff", episode_id="\ud800")
    system = made.record(odd)
    account = made.shown(system, closing=True)
    result = made.scenario("A-01", Verdict.FAIL, message="\ud800", account=account)
    made.run_folder(run, {"A-01": (result, system, [])})
    document = folder.end([made.node("A-01")], shard=None, pytest_exit=1, interrupted=False)
    assert document["verdict"] == "FAIL"
    assert context.read(run / "evidence" / "A-01").systems[0].observations[-1] == odd
