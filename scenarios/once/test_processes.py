"""Exactly one effect: processes die at the worst moments, are paused, run twice, and disagree about the time."""

from __future__ import annotations

import pytest

from harness import Fault, Point, Route, Setting, System, faults, scenario


@scenario("ONCE-CRASH-03", requires=["ONCE-06", "ONCE-01"], level="extended")
def test_the_api_dies_between_the_commit_and_the_reply_of_cloud_tasks(prod: System) -> None:
    """Cloud Tasks has the task, and the API dies before it can know: one effect, whoever starts again."""
    prod.inject(faults.API_KILLED.at(faults.CREATE_TASK_CALLED))
    job = prod.assemble()

    prod.restart()
    outcome = job.settle()

    outcome.must_have_one_effect(on=Route.CLOUD_TASKS)


@scenario("ONCE-CRASH-04", requires=["ONCE-06", "ONCE-01"], level="extended")
@pytest.mark.parametrize(
    "point",
    [faults.WORKER_REQUESTED, faults.logged("worker.assemble.start", by="worker")],
    ids=["as-the-request-arrives", "while-the-worker-works"],
)
def test_the_api_dies_while_the_worker_has_its_request(prod: System, point: Point) -> None:
    """The API dies after it has called the worker and before it has an answer: one effect after its restart."""
    prod.config.slow_assembly(seconds=0.3)
    prod.cloud_tasks.inject(faults.CLOUD_TASKS_UNAVAILABLE.once())
    prod.inject(faults.API_KILLED.at(point))
    job = prod.assemble()

    prod.restart()
    outcome = job.settle()

    outcome.must_have_one_effect(on=Route.CLOUD_TASKS)


@scenario("ONCE-PAUSE-01", requires=["ONCE-03", "ONCE-01"], level="extended")
def test_a_worker_that_sleeps_beyond_its_lease_changes_nothing(prod: System) -> None:
    """The worker is paused in the middle of a job, inline does it, and the worker wakes up: one effect."""
    prod.config.slow_assembly(seconds=1.0)
    prod.cloud_tasks.inject(faults.CLOUD_TASKS_UNAVAILABLE)
    job = prod.assemble()
    prod.wait_for_work(job)

    prod.inject(faults.WORKER_PAUSED)
    prod.wait_for("assemble.inline.done", by="api")
    prod.heal()
    outcome = job.settle()

    outcome.must_take(Route.CLOUD_TASKS.failed, Route.WORKER_DIRECT.failed, Route.INLINE)
    outcome.must_have_one_effect(on=Route.INLINE)


@scenario("ONCE-TWICE-01", requires=["ONCE-05", "ONCE-01"], level="extended")
def test_two_apis_share_a_store(prod: System) -> None:
    """Two APIs run side by side: each job is dispatched by one of them, and has one effect."""
    prod.inject(faults.API_STARTED_TWICE)
    first = prod.assemble()
    second = prod.assemble()

    earlier, later = first.settle(), second.settle()

    earlier.must_take(Route.CLOUD_TASKS)
    earlier.must_have_one_effect(on=Route.CLOUD_TASKS)
    later.must_take(Route.CLOUD_TASKS)
    later.must_have_one_effect(on=Route.CLOUD_TASKS)


@scenario("ONCE-TWICE-02", requires=["ONCE-04", "ONCE-01"], level="extended")
def test_two_workers_get_the_same_task_at_once(prod: System) -> None:
    """A task that two workers get at the same time has one effect."""
    prod.config.slow_assembly(seconds=0.3)
    prod.inject(faults.WORKER_STARTED_TWICE)
    prod.cloud_tasks.inject(faults.CLOUD_TASKS_DELIVERS_TWICE_AT_ONCE)

    outcome = prod.assemble().settle()

    outcome.must_take(Route.CLOUD_TASKS)
    outcome.must_reach_the_worker(2)
    outcome.must_have_one_effect(on=Route.CLOUD_TASKS)


@scenario("ONCE-CLOCK-01", requires=["ONCE-03", "ONCE-01"], level="extended")
@pytest.mark.parametrize("fault", faults.CLOCKS_DISAGREE, ids=str)
def test_the_api_and_the_worker_disagree_about_the_time(prod: System, fault: Fault) -> None:
    """The worker's clock is an hour wrong, and inline runs while it works: at worst work is wasted, one effect."""
    prod.config.slow_assembly(seconds=2.5)
    prod.cloud_tasks.inject(faults.CLOUD_TASKS_UNAVAILABLE)
    prod.inject(fault)

    outcome = prod.assemble().settle()

    outcome.must_be_answered_within_the_bound()
    outcome.must_have_one_effect()


@scenario("ONCE-CLOCK-02", requires=["ONCE-01", "PROD-06"])
def test_the_clock_of_the_api_steps_back_in_the_middle_of_a_job(prod: System) -> None:
    """The wall clock of the API steps back an hour while a job runs: that job and the next are done, once each."""
    prod.config.unset(Setting.WORKER_URL)
    prod.config.slow_assembly(seconds=1.5)
    prod.inject(faults.API_CLOCK_STEPS_BACK.at(faults.logged("assemble.inline.start", by="api")))

    during = prod.assemble().settle()
    after = prod.assemble().settle()

    during.must_take(Route.CLOUD_TASKS.skipped, Route.WORKER_DIRECT.skipped, Route.INLINE)
    during.must_have_one_effect(on=Route.INLINE)
    after.must_take(Route.CLOUD_TASKS.skipped, Route.WORKER_DIRECT.skipped, Route.INLINE)
    after.must_have_one_effect(on=Route.INLINE)
