from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from harness import profile
from harness.errors import UsageError
from harness.model import Setting
from harness.profile import PLACEHOLDERS

GOOD = r"""
[profile]
name = "example"
source = "src"
capabilities = ["durable"]

[start]
ready_s = 2.5

[api]
command = ["{python}", "-m", "api", "--port", "0"]
ready_log = 'on port (?P<port>\d+)'

[worker]
command = ["{source}/worker"]
ready_log = 'on port (?P<port>\d+)'
environment = { MODE = "{run}" }

[environment]
BRACES = "{{literal}}"

[dev]
URL = "{worker_url}/x"

[trigger]
path = "/api/{episode_id}"

[status]
path = "/api/{episode_id}/status"

[inprocess]
entry = "pkg.decide:dispatcher"
confirmation = { id = "{job_id}" }
environment = { PATIENCE = "60" }

[storage]
segment = "in/{episode_id}/{number:02}.wav"
manifests = "out/*.json"
"""
VALUES = {name: f"<{name}>" for name in PLACEHOLDERS}


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return path


def load(tmp_path: Path, text: str = GOOD, *, source: Path | None = None) -> profile.Profile:
    return profile.load(write(tmp_path, text), source=source)


def mistakes(tmp_path: Path, old: str, new: str) -> list[str]:
    assert old in GOOD
    with pytest.raises(UsageError) as raised:
        load(tmp_path, GOOD.replace(old, new, 1))
    first, *lines = str(raised.value).splitlines()
    assert first == f"mine.toml has {len(lines)} mistake(s):"
    return lines


def test_a_good_profile(tmp_path: Path) -> None:
    read = load(tmp_path)

    assert (read.name, read.source, read.path) == ("example", tmp_path / "src", tmp_path / "mine.toml")
    assert read.profile.capabilities == ("durable",)
    assert (read.start.ready_s, read.start.stop_s) == (2.5, 10)
    assert read.api.command == ("{python}", "-m", "api", "--port", "0")
    assert (read.trigger.method, read.trigger.accepted) == ("POST", 202)
    assert read.status.ended == ("done", "failed")


def test_every_setting_has_a_variable(tmp_path: Path) -> None:
    read = load(tmp_path, GOOD + '[settings]\nworker_url = "UPSTREAM"\n')

    assert read.variable(Setting.WORKER_URL) == "UPSTREAM"
    assert read.variable(Setting.APP_ENV) == "APP_ENV"
    assert len({read.variable(setting) for setting in Setting}) == len(Setting)


def test_placeholders_are_filled_in(tmp_path: Path) -> None:
    read = load(tmp_path)

    assert read.fill(read.environment, VALUES) == {"BRACES": "{literal}"}
    assert read.fill(read.dev, VALUES) == {"URL": "<worker_url>/x"}
    assert read.fill(read.worker.environment, VALUES) == {"MODE": "<run>"}


@pytest.mark.parametrize("name", PLACEHOLDERS)
def test_every_documented_placeholder_is_known(tmp_path: Path, name: str) -> None:
    assert f"{{{name}}}" in str(profile.__doc__)

    read = load(tmp_path, GOOD.replace("{worker_url}", f"{{{name}}}"))
    assert read.fill(read.dev, VALUES) == {"URL": f"<{name}>/x"}


def test_another_source_may_be_judged(tmp_path: Path) -> None:
    other = tmp_path / "patched"

    assert load(tmp_path, source=other).source == other
    assert load(tmp_path, GOOD.replace('source = "src"\n', ""), source=other).source == other
    assert load(tmp_path, GOOD.replace('source = "src"\n', "")).source == tmp_path


def test_a_source_without_the_systems_files_cannot_be_run(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD)
    with pytest.raises(UsageError, match=r"there is no such file in '.*src'"):
        profile.load_to_run(path)
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "worker").write_text("#!/bin/sh\n", encoding="utf-8")
    assert profile.load_to_run(path) == profile.load(path)


def test_a_relative_source_is_relative_to_the_profile_and_an_override_to_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")

    assert load(tmp_path).source == tmp_path / "src"
    assert load(tmp_path, source=Path("copy")).source == tmp_path / "here" / "copy"


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ('name = "example"', "", "[profile] name: is missing"),
        (
            'name = "example"',
            'name = ""',
            "[profile] name: String should have at least 1 character (found '')",
        ),
        ('name = "example"', "name = 5", "[profile] name: Input should be a valid string (found 5)"),
        (
            'name = "example"',
            'name = "x"\nnmae = "y"',
            "[profile] nmae: is not known here; valid are: name, source, files, version, capabilities",
        ),
        (
            '["durable"]',
            '["durabel"]',
            "[profile] capabilities[0]: unknown capability 'durabel'; known are idempotent, durable, settled-event, ",
        ),
        ("ready_s = 2.5", "ready_s = 0", "[start] ready_s: Input should be greater than 0 (found 0)"),
        ("ready_s = 2.5", 'ready_s = "soon"', "[start] ready_s: Input should be a valid number"),
        (
            "ready_s",
            "ready",
            "[start] ready: is not known here; valid are: preload, ready_s, stop_s, env_file",
        ),
        ('command = ["{source}/worker"]', "", "[worker] command: is missing"),
        (
            '"pkg.decide:dispatcher"',
            '"pkg.decide"',
            "[inprocess] entry: write it as module:function, as in my_package.decisions:dispatcher",
        ),
        (
            '"{job_id}"',
            '"{job}"',
            "[inprocess.confirmation] id: unknown placeholder {job}; known are job_id, episode_id",
        ),
        (
            'command = ["{source}/worker"]',
            "command = []",
            "[worker] command: Tuple should have at least 1 item",
        ),
        ('["{source}/worker"]', '"{source}/worker"', "[worker] command: Input should be a valid tuple"),
        (
            "{source}/worker",
            "{home}/worker",
            "[worker] command[0]: unknown placeholder {home}; known are source, python, run, storage, worker_url, ",
        ),
        ("{source}/worker", "{}/worker", "[worker] command[0]: unknown placeholder {}; known are"),
        ("{worker_url}/x", "{worker_url/x", "[dev] URL: '{worker_url/x': expected '}' before end of string"),
        ("{worker_url}/x", "{run.name}", "[dev] URL: unknown placeholder {run.name}"),
        (
            "{worker_url}/x",
            "{run:>{width}}",
            "[dev] URL: '{run:>{width}}': a placeholder is a name in braces",
        ),
        ("{worker_url}/x", "{run!z}", "[dev] URL: '{run!z}': a placeholder is a name in braces"),
        ("MODE = ", "MODE = 1, X = ", "[worker.environment] MODE: Input should be a valid string (found 1)"),
        ("(?P<port>\\d+)", "(\\d+)", "[api] ready_log: needs a group (?P<port>…)"),
        ("(?P<port>\\d+)", "(?P<port>", "[api] ready_log: not a regular expression"),
        (
            "/api/{episode_id}",
            "/api/{episode}",
            "[trigger] path: unknown placeholder {episode}; known are episode_id",
        ),
        (
            "{episode_id}/status",
            "{job}/status",
            "[status] path: unknown placeholder {job}; known are episode_id",
        ),
        (
            "{number:02}",
            "{n:02}",
            "[storage] segment: unknown placeholder {n}; known are episode_id, number (found",
        ),
        (
            "[profile]",
            "[teh_api]\nx = 1\n[profile]",
            "[teh_api]: is not known here; valid are: profile, settings, start, api, worker, ",
        ),
        (
            '[dev]\nURL = "{worker_url}/x"',
            "[settle]\nwithin_s = -1",
            "[settle] within_s: Input should be greater",
        ),
    ],
)
def test_each_mistake_is_one_line_that_names_it(tmp_path: Path, old: str, new: str, line: str) -> None:
    (found,) = mistakes(tmp_path, old, new)

    assert found.startswith(f"  {line}")


def test_a_missing_section_is_named(tmp_path: Path) -> None:
    start = GOOD.index("[trigger]")
    end = GOOD.index("[status]")

    assert mistakes(tmp_path, GOOD[start:end], "") == ["  [trigger]: is missing"]


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    assert len(mistakes(tmp_path, 'name = "example"\nsource = "src"', "nmae = 1\nversion = 2")) == 3


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match=r"cannot read the profile '.*none\.toml': No such file.*Name one with"
    ):
        profile.load(tmp_path / "none.toml")
    with pytest.raises(UsageError, match="cannot read the profile"):
        profile.load(tmp_path)
    with pytest.raises(UsageError, match=r"mine\.toml is not TOML: "):
        load(tmp_path, "[profile")
    (tmp_path / "bytes.toml").write_bytes(b'name = "\xff"')
    with pytest.raises(UsageError, match=r"bytes\.toml is not TOML: "):
        profile.load(tmp_path / "bytes.toml")


@pytest.mark.parametrize("text", ["profile = 1", "profile = []", 'profile = "x"'])
@pytest.mark.parametrize("source", [None, Path("elsewhere")])
def test_a_section_that_is_no_table_is_a_mistake(tmp_path: Path, text: str, source: Path | None) -> None:
    with pytest.raises(UsageError, match=r"\[profile\]: Input should be a valid dict"):
        load(tmp_path, text, source=source)


def test_the_text_of_the_test_is_a_profile() -> None:
    document: dict[str, Any] = tomllib.loads(GOOD)

    assert len(document) == 10
