"""Development: the console, letter for letter, and where a job goes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from reference_impl import tasks_client
from reference_impl.job import Job
from reference_impl.routes import Attempt
from reference_impl.tests.bench import (
    DEVELOPMENT,
    LOST,
    PRODUCTION,
    REFUSED,
    TIMED_OUT,
    YES,
    Bench,
    StandIn,
)
from reference_impl.tests.processes import parse_event

if TYPE_CHECKING:
    from collections.abc import Callable

    from reference_impl.settings import Settings


class TestDevelopment:
    """The console, letter for letter."""

    def test_the_worker_is_used_when_configured(self, bench: Callable[..., Bench]) -> None:
        it = bench(DEVELOPMENT)
        *plain, event = it.run()
        assert "\n".join(plain) == (
            "================================================================================\n"
            "DEV MODE WORKER CHECK:\n"
            "  path=/api/tasks/assemble\n"
            "  USE_WORKER_IN_DEV=true (parsed=True)\n"
            "  WORKER_URL_BASE=https://assemble.example\n"
            "  is_worker_task=True\n"
            "  Will use worker: True\n"
            "================================================================================\n"
            "DEV MODE: Sending /api/tasks/assemble to worker server at "
            "https://assemble.example/api/tasks/assemble"
        )
        assert parse_event(event) == {
            "event": "tasks.dev.worker_dispatched",
            "episode_id": "ep1",
            "job_id": "j1",
            "correlation_id": "c1",
            "url": "https://assemble.example/api/tasks/assemble",
            "status": "200",
        }
        assert (it.cloud_tasks.asked, it.worker.asked, it.inline.asked) == ([], ["j1"], [])

    @pytest.mark.parametrize(
        "wrong",
        [
            {"USE_WORKER_IN_DEV": "false"},
            {"USE_WORKER_IN_DEV": "perhaps"},
            {"WORKER_URL_BASE": ""},
            {"WORKER_URL_BASE": "assemble.example"},
            {"TASKS_AUTH": ""},
        ],
    )
    def test_otherwise_the_job_runs_locally(self, bench: Callable[..., Bench], wrong: dict[str, str]) -> None:
        it = bench(DEVELOPMENT | wrong)
        lines = it.run()
        assert lines[-4:] == [
            "  Will use worker: False",
            "=" * 80,
            "DEV MODE: Worker config invalid or not a worker task",
            "DEV MODE assemble start for episode ep1",
        ]
        assert (it.cloud_tasks.asked, it.worker.asked, it.inline.asked) == ([], [], ["j1"])
        assert it.state() == (True, ())

    @pytest.mark.parametrize("failure", [REFUSED, LOST, TIMED_OUT])
    def test_a_worker_that_fails_is_logged_and_the_job_runs_locally(
        self, bench: Callable[..., Bench], failure: Attempt
    ) -> None:
        it = bench(DEVELOPMENT, worker=StandIn(failure))
        *_, event, start = it.run()
        said = parse_event(event)
        assert (said["event"], said["job_id"]) == ("tasks.dev.worker_failed", "j1")
        assert (said["reason"], said["verdict"]) == (failure.reason, failure.verdict)
        assert said.get("detail", "") == failure.detail
        assert start == "DEV MODE assemble start for episode ep1"
        assert (it.worker.asked, it.inline.asked) == (["j1"], ["j1"])
        assert it.state() == (True, ("worker_direct",))

    def test_another_task_never_goes_to_the_worker(
        self, settings: Callable[..., Settings], capsys: pytest.CaptureFixture[str]
    ) -> None:
        worker = StandIn(YES)
        attempt = tasks_client._dispatch_local_task(
            "/api/tasks/transcribe",
            Job("j1", "ep1", "c1"),
            settings(**DEVELOPMENT),
            worker,  # type: ignore[arg-type]
        )
        assert attempt is None
        assert worker.asked == []
        out = capsys.readouterr().out
        assert "  is_worker_task=False\n  Will use worker: False\n" in out
        assert out.endswith("DEV MODE: Worker config invalid or not a worker task\n")

    def test_a_raw_value_cannot_break_the_banner(
        self, settings: Callable[..., Settings], capsys: pytest.CaptureFixture[str]
    ) -> None:
        odd = settings(
            USE_WORKER_IN_DEV="true\nevent=forged", WORKER_URL_BASE="http://u:pw@h\n", TASKS_AUTH="x"
        )
        tasks_client._dispatch_local_task("/api/tasks/assemble", Job("j", "e", "c"), odd, StandIn(YES))  # type: ignore[arg-type]
        out = capsys.readouterr().out
        assert len(out.splitlines()) == 9
        assert r"USE_WORKER_IN_DEV='true\nevent=forged' (parsed=False)" in out
        assert "pw" not in out


def test_development_is_a_reason_of_its_own_and_everything_that_is_missing_is_named(
    settings: Callable[..., Settings],
) -> None:
    check = tasks_client.check_cloud_tasks(settings(**PRODUCTION | {"APP_ENV": "dev"}))
    assert check == tasks_client.CloudTasksCheck(enabled=False, reason="development-mode")
    check = tasks_client.check_cloud_tasks(settings(**PRODUCTION | {"TASKS_LOCATION": "", "TASKS_QUEUE": ""}))
    assert check == tasks_client.CloudTasksCheck(
        enabled=False, reason="not-configured", detail="TASKS_LOCATION, TASKS_QUEUE not set"
    )


@pytest.mark.parametrize(
    ("variables", "expected"),
    [(PRODUCTION, True), (PRODUCTION | {"TASKS_QUEUE": ""}, False), (PRODUCTION | {"APP_ENV": "dev"}, False)],
)
def test_should_use_cloud_tasks(
    settings: Callable[..., Settings],
    variables: dict[str, str],
    expected: bool,  # noqa: FBT001
) -> None:
    assert tasks_client.should_use_cloud_tasks(settings(**variables)) is expected
