"""Exactly one effect: processes die, and what was accepted is done all the same."""

from __future__ import annotations

import pytest

from harness import Route, System, faults, scenario


@scenario("ONCE-CRASH-01", requires=["ONCE-06", "ONCE-01"], level="extended")
def test_the_api_dies_before_the_job_is_handed_over(prod: System) -> None:
    """A job that was accepted is found and handed over after a restart, although nobody had taken it."""
    prod.cloud_tasks.inject(faults.CLOUD_TASKS_HANGS)
    prod.inject(faults.API_KILLED.at(faults.CREATE_TASK_CALLED))
    job = prod.assemble()
    prod.wait_until(faults.CREATE_TASK_CALLED)

    prod.cloud_tasks.heal()
    prod.restart()
    outcome = job.settle()

    outcome.must_have_one_effect(on=Route.CLOUD_TASKS)


@scenario("ONCE-CRASH-02", requires=["ONCE-06", "ONCE-01"], level="extended")
def test_the_api_dies_in_the_middle_of_an_inline_job(prod: System) -> None:
    """A job that died with the API is done after a restart, once."""
    prod.config.slow_assembly(seconds=1.0)
    prod.cloud_tasks.inject(faults.CLOUD_TASKS_UNAVAILABLE)
    prod.worker.inject(faults.WORKER_UNAVAILABLE)
    job = prod.assemble()
    prod.wait_for_work(job)

    prod.inject(faults.API_KILLED)
    prod.cloud_tasks.heal()
    prod.worker.heal()
    prod.restart()
    outcome = job.settle()

    outcome.must_have_one_effect()


@scenario("ONCE-CRASH-05", requires=["ONCE-06", "ONCE-01"], level="extended")
def test_the_api_dies_as_soon_as_it_has_accepted(prod: System) -> None:
    """The API dies with its answer, before or while it dispatches: what it has promised is done after a restart."""
    prod.inject(faults.API_KILLED.at(faults.logged("assemble.endpoint.entry", by="api")))
    job = prod.assemble()

    prod.restart()
    outcome = job.settle()

    outcome.must_be_accepted()
    outcome.must_have_one_effect(on=Route.CLOUD_TASKS)


@scenario("WORK-RETRY-01", requires=["WORK-04", "ONCE-01"])
def test_cloud_tasks_retries_a_worker_that_fails(prod: System) -> None:
    """When the worker answers 5xx, Cloud Tasks tries again with back-off, and the job is done, once."""
    prod.worker.inject(faults.WORKER_INTERNAL_ERROR.for_calls(2))

    outcome = prod.assemble().settle()

    outcome.must_take(Route.CLOUD_TASKS)
    outcome.must_be_retried_with_back_off(2)
    outcome.must_have_one_effect(on=Route.CLOUD_TASKS)


@scenario("WORK-RETRY-02", requires=["WORK-04", "ONCE-01"])
def test_cloud_tasks_retries_a_worker_that_died(prod: System) -> None:
    """When the worker dies in the middle of a job, Cloud Tasks tries again, and the job is done, once."""
    prod.config.slow_assembly(seconds=0.8)
    job = prod.assemble()
    prod.wait_for_work(job)

    prod.inject(faults.WORKER_KILLED)
    prod.worker.start()
    outcome = job.settle()

    outcome.must_have_one_effect(on=Route.CLOUD_TASKS)


@scenario("WORK-STOP-01", requires=["WORK-05", "ONCE-01"])
@pytest.mark.parametrize("seconds", [0.8, 2.5], ids=["soon-done", "not-soon-done"])
def test_a_worker_that_is_asked_to_stop_loses_nothing(prod: System, seconds: float) -> None:
    """On SIGTERM the worker finishes or gives back what it is doing; the job is done, once."""
    prod.config.slow_assembly(seconds)
    job = prod.assemble()
    prod.wait_for_work(job)

    prod.inject(faults.WORKER_TERMINATED)
    prod.worker.start()
    outcome = job.settle()

    outcome.must_have_one_effect(on=Route.CLOUD_TASKS)
