"""The files in ``examples/ci`` are what GitHub and GitLab accept, and use only what the command knows."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from harness import cli

FOLDER = Path(__file__).resolve().parent.parent.parent / "examples" / "ci"
SCHEMAS = {"github-actions.yml": "vendor.github-workflows", "gitlab-ci.yml": "vendor.gitlab-ci"}


def test_every_example_is_linted() -> None:
    assert {path.name for path in FOLDER.iterdir()} == set(SCHEMAS)


@pytest.mark.parametrize(("name", "schema"), SCHEMAS.items())
def test_the_example_satisfies_the_vendors_schema(name: str, schema: str) -> None:
    options = (
        ["--builtin-schema", schema, "--data-transform", "gitlab-ci"]
        if "gitlab" in schema
        else ["--builtin-schema", schema]
    )
    lint = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", *options, str(FOLDER / name)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert lint.returncode == 0, lint.stdout + lint.stderr


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_example_calls_commands_that_exist(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = (FOLDER / name).read_text("utf-8")
    commands = re.findall(r"dispatchcheck ((?:verify|gate|digest|report \w+)[^\n|)]*)", text)
    assert {command.split()[0] for command in commands} == {"verify", "gate", "digest", "report"}
    for command in commands:
        words = command.split()
        names = words[:2] if words[0] == "report" else words[:1]
        with pytest.raises(SystemExit) as ended:
            cli.main([*names, "--help"])
        assert ended.value.code == 0
        known = capsys.readouterr().out
        for option in re.findall(r"--[\w-]+", command):
            assert option in known, f"{' '.join(names)} has no {option}"


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_gate_always_runs(name: str) -> None:
    gate = (FOLDER / name).read_text("utf-8").partition("\n  gate:" if "github" in name else "\ngate:")[2]
    assert re.search(r"(if: always\(\)|when: always)", gate)
