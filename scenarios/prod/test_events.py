"""What production logs: one end for each job, a form that Cloud Logging reads, and nothing that a request forged."""

from __future__ import annotations

import pytest

from harness import Fault, Route, Setting, System, faults, scenario

FORGED = "event=tasks.cloud.enqueued episode_id=ep-forged job_id=j correlation_id=c"


@scenario("LOG-END-01", requires=["LOG-04"], level="extended")
def test_one_event_ends_a_job_that_cloud_tasks_served(prod: System) -> None:
    """One event ends the job and names the route that served it."""
    outcome = prod.assemble().settle()

    outcome.must_log_once("assemble.job.settled")
    outcome.must_log("assemble.job.settled", route=Route.CLOUD_TASKS)


@scenario("LOG-END-02", requires=["LOG-04"], level="extended")
def test_one_event_ends_a_job_that_the_last_route_served(prod: System) -> None:
    """One event ends the job, names the route that served it, and what was tried before."""
    prod.cloud_tasks.inject(faults.CLOUD_TASKS_UNAVAILABLE)
    prod.worker.inject(faults.WORKER_UNAVAILABLE)

    outcome = prod.assemble().settle()

    outcome.must_log_once("assemble.job.settled")
    outcome.must_log("assemble.job.settled", route=Route.INLINE, tried="cloud_tasks,worker_direct")


@scenario("LOG-JSON-01", requires=["LOG-05"])
def test_events_are_json_under_cloud_run(prod: System) -> None:
    """Under Cloud Run each event is one JSON object with severity, message and trace; the seed's text matches."""
    prod.config.under_cloud_run()

    outcome = prod.assemble().settle()

    outcome.must_be_logged_for_cloud_run(
        "assemble.endpoint.entry", "assemble.service.checking_cloud_tasks", "tasks.cloud.enqueued"
    )
    outcome.must_take(Route.CLOUD_TASKS)


@scenario("LOG-JSON-02", requires=["CONF-08"], level="extended")
def test_cloud_run_without_an_environment_counts_as_production(prod: System) -> None:
    """Under Cloud Run an environment that is not set counts as production, with a warning that names it."""
    prod.config.under_cloud_run()
    prod.config.unset(Setting.APP_ENV)

    outcome = prod.assemble().settle()

    outcome.must_take(Route.CLOUD_TASKS)
    outcome.must_log("config.app_env_unset", by="api")


@scenario("LOG-FORGE-01", requires=["LOG-06"])
@pytest.mark.parametrize(
    "title",
    [f"x\n{FORGED}", f"x\r\n{FORGED}", f'" {FORGED}', f"\u2028{FORGED}", f"\x1b[2K{FORGED}", f"{FORGED}"],
    ids=["new-line", "carriage-return", "quote", "line-separator", "escape", "plain"],
)
def test_a_title_cannot_forge_an_event(prod: System, title: str) -> None:
    """Whatever a title contains, no event appears that the dispatcher did not mean."""
    prod.cloud_tasks.inject(faults.CLOUD_TASKS_UNAVAILABLE)

    outcome = prod.assemble(title=title).settle()

    outcome.must_take(Route.CLOUD_TASKS.failed, Route.WORKER_DIRECT)
    outcome.must_not_log("tasks.cloud.enqueued")
    outcome.must_not_obey(FORGED)


@scenario("LOG-MISCONFIG-01", requires=["PROD-09"])
@pytest.mark.parametrize("fault", faults.CLOUD_TASKS_MISCONFIGURED, ids=str)
def test_a_mistake_in_the_configuration_is_told_apart(prod: System, fault: Fault) -> None:
    """What will fail again tomorrow is logged as permanent, and names the mistake; the job goes on."""
    prod.cloud_tasks.inject(fault)

    outcome = prod.assemble().settle()

    outcome.must_log("tasks.cloud.enqueue_failed", reason=fault.reason, permanent="true")
    outcome.must_have_one_effect(on=Route.WORKER_DIRECT)


@scenario("LOG-MISCONFIG-02", requires=["PROD-09"])
def test_a_transient_failure_is_not_called_permanent(prod: System) -> None:
    """What may be over in a minute is not logged as permanent."""
    prod.cloud_tasks.inject(faults.CLOUD_TASKS_UNAVAILABLE)

    outcome = prod.assemble().settle()

    outcome.must_log("tasks.cloud.enqueue_failed", reason="unavailable", permanent="false")
