"""Production, everything works: a job goes through Cloud Tasks to the worker."""

from __future__ import annotations

from harness import Route, System, scenario

LONGEST_ASSEMBLY_S = 1800


@scenario("PROD-HEALTHY-01", requires=["PROD-01", "WORK-01"])
def test_a_job_goes_through_cloud_tasks(prod: System) -> None:
    """One task is enqueued, Cloud Tasks calls the worker, and the worker assembles."""
    outcome = prod.assemble().settle()

    outcome.must_be_accepted()
    outcome.must_take(Route.CLOUD_TASKS)
    outcome.must_have_one_effect(on=Route.CLOUD_TASKS)
    outcome.must_log_in_order(
        "assemble.service.checking_cloud_tasks", "assemble.service.cloud_tasks_check", "tasks.cloud.enqueued"
    )
    outcome.must_log_in_order("worker.assemble.start", "worker.assemble.done")
    outcome.must_log_once("worker.assemble.start", by="worker")


@scenario("PROD-HEALTHY-02", requires=["PROD-01", "PROD-11"])
def test_the_task_says_all_that_the_worker_needs(prod: System) -> None:
    """The task is a POST to the worker with a JSON body and the secret, due at once, with time enough."""
    outcome = prod.assemble().settle()

    outcome.must_enqueue_one_task(longest_assembly_s=LONGEST_ASSEMBLY_S)
    outcome.must_call_the_worker_once()


@scenario("PROD-HEALTHY-03", requires=["PROD-02"])
def test_nothing_else_is_tried(prod: System) -> None:
    """No other route is tried, and no failure is logged."""
    outcome = prod.assemble().settle()

    outcome.must_take(Route.CLOUD_TASKS)
    outcome.must_not_log_a_failure()


@scenario("PROD-HEALTHY-04", requires=["LOG-01", "LOG-07"])
def test_every_event_says_which_job_it_is_about(prod: System) -> None:
    """From the entry on, every event of the job carries one correlation id, in the API and in the worker."""
    outcome = prod.assemble().settle()

    outcome.must_log_in_order("assemble.endpoint.entry", "assemble.service.checking_cloud_tasks")
    outcome.must_log("worker.assemble.start", by="worker")
    outcome.must_carry_one_correlation_id()
