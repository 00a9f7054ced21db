"""The command that shows how the configuration is read."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from reference_impl import check_config
from reference_impl.settings import EnvFile, Settings

if TYPE_CHECKING:
    from pathlib import Path

WORKER = {"WORKER_URL_BASE": "https://w.example/", "TASKS_AUTH": "hush-hush"}
QUEUE = {"GOOGLE_CLOUD_PROJECT": "p", "TASKS_LOCATION": "l", "TASKS_QUEUE": "q"}


def examine(environ: dict[str, str], tmp_path: Path, supplied: set[str] | None = None) -> check_config.Report:
    env_file = EnvFile(tmp_path / ".env.local", frozenset(supplied or ()))
    return check_config.examine(Settings.from_environ(environ), environ, env_file)


@pytest.mark.parametrize(
    ("environ", "routes"),
    [
        ({}, ("inline",)),
        (WORKER, ("inline",)),
        (WORKER | {"USE_WORKER_IN_DEV": "1"}, ("worker_direct", "inline")),
        ({"USE_WORKER_IN_DEV": "1", "TASKS_AUTH": "x"}, ("inline",)),
        (QUEUE | WORKER | {"APP_ENV": "prod"}, ("cloud_tasks", "worker_direct", "inline")),
        (WORKER | {"APP_ENV": "prod"}, ("worker_direct", "inline")),
        (QUEUE | {"APP_ENV": "prod"}, ("inline",)),
    ],
)
def test_the_routes_a_job_would_take(
    environ: dict[str, str], routes: tuple[str, ...], tmp_path: Path
) -> None:
    report = examine(environ, tmp_path)
    assert report.routes == routes
    assert report.worker_reachable == (routes != ("inline",))


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:hush-too@db/jobs",
        "postgresql://me@/jobs?password=hush-too",
        "postgresql://me@/jobs?sslkey=k&sslpassword=hush-too",
    ],
)
def test_a_databases_password_is_not_shown(url: str, tmp_path: Path) -> None:
    row = next(
        row for row in examine({"DATABASE_URL": url}, tmp_path).variables if row.name == "DATABASE_URL"
    )
    assert "hush-too" not in row.raw + row.parsed
    assert row.raw.startswith("postgresql://me")


def test_where_a_value_came_from_and_how_it_was_understood(tmp_path: Path) -> None:
    environ = WORKER | {
        "USE_WORKER_IN_DEV": " YES ",
        "DATABASE_URL": "postgresql://me:secret-too@db/jobs",
    }
    rows = {row.name: row for row in examine(environ, tmp_path, {"TASKS_AUTH"}).variables}
    assert rows["USE_WORKER_IN_DEV"].parsed == "True"
    assert (rows["WORKER_URL_BASE"].raw, rows["WORKER_URL_BASE"].parsed) == (
        "https://w.example/",
        "https://w.example",
    )
    assert (rows["TASKS_AUTH"].source, rows["TASKS_AUTH"].raw) == (".env.local", "***")
    assert "secret-too" not in rows["DATABASE_URL"].raw + rows["DATABASE_URL"].parsed
    assert rows["USE_WORKER_IN_DEV"].source == "environment"
    assert rows["JOB_LEASE_S"].source == "default"
    assert "secret-too" not in repr(rows)


def test_what_is_wrong_is_named(tmp_path: Path) -> None:
    problems = " ".join(examine({"USE_WORKER_IN_DEV": "maybe", "WORKER_URL_BASE": "w"}, tmp_path).problems)
    assert "USE_WORKER_IN_DEV" in problems
    assert "worker-url-no-scheme" in problems


def run(tmp_path: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "reference_impl.check_config", *arguments],
        cwd=tmp_path,
        env={"PATH": ""} | environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_command(tmp_path: Path) -> None:
    (tmp_path / ".env.local").write_text("TASKS_AUTH=hush-hush\nUSE_WORKER_IN_DEV=true\n")
    bad = run(tmp_path)
    assert bad.returncode == 1
    assert "problem: the worker cannot be called: worker-url-not-set" in bad.stdout
    good = run(tmp_path, WORKER_URL_BASE="https://w.example")
    assert (good.returncode, good.stderr) == (0, "")
    assert "a job would take: worker_direct → inline" in good.stdout
    as_json = run(tmp_path, "--json", WORKER_URL_BASE="https://w.example")
    report = json.loads(as_json.stdout)
    assert report["worker_reachable"] is True
    assert {"name", "source", "raw", "parsed", "meaning"} == set(report["variables"][0])
    assert "hush-hush" not in bad.stdout + good.stdout + as_json.stdout
    unreadable = run(tmp_path, APP_ENV="nowhere")
    assert unreadable.returncode == 1
    assert unreadable.stderr.startswith("configuration error: APP_ENV='nowhere'")
