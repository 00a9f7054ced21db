"""A worker meets the end of its time, its memory or its disk: the job completes, once."""

from __future__ import annotations

from harness import Route, System, faults, scenario


@scenario("NET-FREEZE-01", requires=["ONCE-03", "ONCE-01"], topology="containers")
def test_a_frozen_worker_changes_nothing_when_it_thaws(prod: System) -> None:
    """The worker is frozen in the middle of a job, inline does it, and the worker thaws: one effect."""
    prod.config.slow_assembly(seconds=1.0)
    prod.cloud_tasks.inject(faults.CLOUD_TASKS_UNAVAILABLE)
    job = prod.assemble()
    prod.wait_for_work(job)

    prod.inject(faults.WORKER_FROZEN)
    prod.wait_for("assemble.inline.done", by="api")
    prod.heal()
    outcome = job.settle()

    outcome.must_take(Route.CLOUD_TASKS.failed, Route.WORKER_DIRECT.failed, Route.INLINE)
    outcome.must_have_one_effect(on=Route.INLINE)


@scenario("NET-MEMORY-01", requires=["WORK-04", "ONCE-01"], topology="containers")
def test_a_worker_that_is_out_of_memory_loses_nothing(prod: System) -> None:
    """The kernel ends the worker at its memory limit in the middle of a job: the next worker does it, once."""
    prod.config.slow_assembly(seconds=2.0)
    job = prod.assemble()
    prod.wait_for("worker.assemble.start", by="worker")

    prod.inject(faults.WORKER_OUT_OF_MEMORY)
    prod.worker.start()
    outcome = job.settle()

    outcome.must_have_one_effect(on=Route.CLOUD_TASKS)


@scenario("NET-DISK-01", requires=["WORK-01", "WORK-04", "ONCE-01"], topology="containers")
def test_a_full_volume_costs_time_and_no_job(prod: System) -> None:
    """The volume is full to the last byte in the middle of a job; when there is room again, it is done, once."""
    prod.config.slow_assembly(seconds=1.0)
    prod.inject(faults.STORAGE_FULL.at(faults.logged("worker.assemble.start", by="worker")))
    job = prod.assemble()
    prod.wait_until(faults.DELIVERY_FAILED)

    prod.heal()
    outcome = job.settle()

    outcome.must_be_accepted()
    outcome.must_have_one_effect()


@scenario("NET-DISK-02", requires=["PROD-05", "ONCE-01"], topology="containers")
def test_a_read_only_volume_costs_a_route_and_no_job(prod: System) -> None:
    """The worker's volume turns read-only, and inline does the job; when it can be written again, the worker does."""
    prod.start()
    prod.cloud_tasks.inject(faults.CLOUD_TASKS_UNAVAILABLE)
    prod.inject(faults.WORKER_STORAGE_READ_ONLY)
    during = prod.assemble().settle()

    prod.heal()
    after = prod.assemble().settle()

    during.must_take(Route.CLOUD_TASKS.failed, Route.WORKER_DIRECT.failed, Route.INLINE)
    during.must_have_one_effect(on=Route.INLINE)
    after.must_take(Route.CLOUD_TASKS.failed, Route.WORKER_DIRECT)
    after.must_have_one_effect(on=Route.WORKER_DIRECT)


@scenario("NET-WORKERS-01", requires=["WORK-04", "ONCE-01"])
def test_one_of_two_workers_dies_in_the_middle_of_a_job(prod: System) -> None:
    """Two workers stand behind one name, and the one that has the job dies: the other does it, once."""
    prod.config.slow_assembly(seconds=0.8)
    prod.inject(faults.WORKER_STARTED_TWICE)
    job = prod.assemble()
    prod.wait_for("worker.assemble.start", by="worker")

    prod.inject(faults.WORKER_KILLED)
    outcome = job.settle()

    outcome.must_take(Route.CLOUD_TASKS)
    outcome.must_have_one_effect(on=Route.CLOUD_TASKS)
