"""The command: its fakes, its usage errors, its exit codes."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from harness import cli, requirements
from harness.run_folder import RunFolder
from harness.tests.conftest import ROOT


def test_a_fake_runs_alone_and_ends_when_asked() -> None:
    command = [sys.executable, "-m", "harness.cli", "fake", "cloud-tasks", "--grpc-port", "0"]
    with subprocess.Popen(command, cwd=ROOT, env=dict(os.environ), stdout=subprocess.PIPE, text=True) as fake:
        assert fake.stdout is not None
        ready = json.loads(fake.stdout.readline())

        assert httpx.get(ready["control"] + "/control/health", trust_env=False).status_code == 200
        fake.send_signal(signal.SIGTERM)
        assert fake.wait(10) == 0
        assert fake.stdout.read() == ""  # the ready line was all


@pytest.mark.parametrize("words", [[], ["verfiy"], ["verify", "--no-such-option"], ["gate"], ["report"]])
def test_wrong_usage_has_its_own_exit_code(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main(words)

    assert stop.value.code == 64
    assert "usage: dispatchcheck" in capsys.readouterr().err


def test_a_mistake_in_the_profile_is_wrong_usage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    profile = tmp_path / "dispatchcheck.toml"
    profile.write_text('[profile]\nname = "x"\n', encoding="utf-8")

    assert cli.main(["verify", "--profile", str(profile)]) == 64
    assert "[api]: is missing" in capsys.readouterr().err


def test_a_source_without_the_system_is_wrong_usage(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["verify", f"--out={tmp_path}", "--source", str(ROOT / "reference_impl")]) == 64
    assert "there is no such file in" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_scenarios_that_do_not_exist_are_wrong_usage(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["verify", f"--out={tmp_path}", "scenarios/prod", "scenarios/nope.py::test_x"]) == 64
    assert "no scenarios 'scenarios/nope.py': there is no such file" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_filter_that_matches_nothing_is_no_pass(tmp_path: Path) -> None:
    assert (
        cli.main(["verify", f"--out={tmp_path}", "-n", "0", "-k", "no_such_scenario", "scenarios/prod"]) == 2
    )


def test_the_digest_of_a_source_is_the_one_that_a_run_names(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    profile = ROOT / "reference_impl" / "dispatchcheck.toml"
    shutil.copytree(
        ROOT / "reference_impl",
        tmp_path / "reference_impl",
        ignore=shutil.ignore_patterns("tests", "mutants", "__pycache__"),
    )
    run = RunFolder(
        tmp_path / "run",
        requirements=requirements.load(ROOT / "scenarios" / "requirements.toml"),
        profile_path=profile,
        source=tmp_path,
        suites=ROOT / "scenarios",
    )

    def digest() -> str:
        assert cli.main(["digest", "--profile", str(profile), "--source", str(tmp_path)]) == 0
        return capsys.readouterr().out

    before = digest()
    assert before == run.identities()["sut"]["digest"] + "\n"
    with (tmp_path / "reference_impl" / "job.py").open("a", encoding="utf-8") as file:
        file.write("# another one\n")
    assert digest() == run.identities()["sut"]["digest"] + "\n" != before


def test_there_is_no_digest_of_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["digest", "--source", str(tmp_path)]) == 64
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "there is no such file in" in captured.err
