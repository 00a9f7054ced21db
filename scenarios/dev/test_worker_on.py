"""Development with the worker switched on: a job is sent to the worker server."""

from __future__ import annotations

import pytest

from harness import Fault, Route, System, faults, scenario


@scenario("DEV-WORKER-01", requires=["DEV-01", "DEV-02", "WORK-01"])
def test_the_worker_assembles(dev: System) -> None:
    """With the flag on and a valid configuration, one POST with the secret makes the worker assemble."""
    outcome = dev.assemble().settle()

    outcome.must_be_accepted()
    outcome.must_take(Route.WORKER_DIRECT)
    outcome.must_call_the_worker_once()
    outcome.must_log_once("worker.assemble.start", by="worker")
    outcome.must_have_one_effect(on=Route.WORKER_DIRECT)
    outcome.must_not_reach_cloud_tasks()


@scenario("DEV-WORKER-02", requires=["DEV-03", "DEV-04"])
def test_the_console_shows_the_decision(dev: System) -> None:
    """The banner shows what was checked, raw and parsed, and the next line says where the job goes."""
    outcome = dev.assemble().settle()

    outcome.must_print_banner(
        "path=/api/tasks/assemble",
        "USE_WORKER_IN_DEV=true (parsed=True)",
        f"WORKER_URL_BASE={dev.worker.url}",
        "is_worker_task=True",
        "Will use worker: True",
    )
    outcome.must_print(
        "DEV MODE WORKER CHECK:",
        f"DEV MODE: Sending /api/tasks/assemble to worker server at {dev.worker.task_url}",
    )


@scenario("DEV-WORKER-03", requires=["DEV-07", "ONCE-01"])
@pytest.mark.parametrize("fault", faults.WORKER_FAILS, ids=str)
def test_a_failing_worker_does_not_lose_the_job(dev: System, fault: Fault) -> None:
    """When the configured worker fails, the log says why and the job completes locally, once."""
    dev.worker.inject(fault)

    outcome = dev.assemble().settle()

    outcome.must_be_answered_within_the_bound()
    outcome.must_take(Route.WORKER_DIRECT.failed, Route.INLINE)
    outcome.must_log_a_reason_before("dev.local_start")
    outcome.must_have_one_effect(on=Route.INLINE)
