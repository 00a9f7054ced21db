"""The worker in hardship: half requests, a late start, a full disk, a log that nobody reads."""

from __future__ import annotations

from harness import Route, System, faults, scenario


@scenario("WORK-RETRY-03", requires=["WORK-04", "WORK-03", "ONCE-01"])
def test_requests_that_arrive_by_half_harm_nothing(prod: System) -> None:
    """Requests that break off in their middle have no effect; Cloud Tasks tries again until one arrives whole."""
    prod.worker.inject(faults.WORKER_HALF_ASKED_ERROR.once())
    prod.worker.inject(faults.WORKER_HALF_ASKED_RESET.once())
    prod.worker.inject(faults.WORKER_HALF_ASKED_GARBAGE.once())

    outcome = prod.assemble().settle()

    outcome.must_take(Route.CLOUD_TASKS)
    outcome.must_be_retried_with_back_off(3)
    outcome.must_log_once("worker.assemble.start", by="worker")
    outcome.must_have_one_effect(on=Route.CLOUD_TASKS)


@scenario("WORK-RETRY-04", requires=["WORK-04", "ONCE-01"])
def test_a_worker_that_starts_late_is_waited_for(prod: System) -> None:
    """A task that comes before the worker has opened its port is tried again, and done when it has."""
    prod.inject(faults.WORKER_STARTS_LATE)
    job = prod.assemble()
    prod.wait_until(faults.DELIVERY_FAILED)

    prod.heal()
    outcome = job.settle()

    outcome.must_take(Route.CLOUD_TASKS)
    outcome.must_have_one_effect(on=Route.CLOUD_TASKS)


@scenario("WORK-DISK-01", requires=["WORK-01", "WORK-04", "ONCE-01"])
def test_a_full_disk_is_a_failure_that_says_so(prod: System) -> None:
    """A worker without room logs the failure, leaves nothing behind, and does the job when there is room again."""
    prod.inject(faults.WORKER_DISK_FULL)
    job = prod.assemble()
    prod.wait_for("worker.assemble.failed", by="worker")

    prod.heal()
    outcome = job.settle()

    outcome.must_have_one_effect(on=Route.CLOUD_TASKS)
    outcome.must_take(Route.CLOUD_TASKS)


@scenario("WORK-LOG-01", requires=["ONCE-01", "WORK-04"])
def test_a_log_collector_that_dies_takes_no_job_with_it(prod: System) -> None:
    """Neither the API nor the worker dies, hangs or fails because nobody is there to read its log."""
    prod.inject(faults.API_LOG_CLOSED)
    prod.inject(faults.WORKER_LOG_CLOSED)

    outcome = prod.assemble().settle()

    outcome.must_be_accepted()
    outcome.must_have_one_effect(on=Route.CLOUD_TASKS)


@scenario("WORK-LOG-02", requires=["ONCE-01", "PROD-05"])
def test_a_worker_that_blocks_on_its_log_is_a_worker_that_hangs(prod: System) -> None:
    """A worker whose log nobody reads may stand still: the job runs inline, and once only when it goes on."""
    prod.cloud_tasks.inject(faults.CLOUD_TASKS_UNAVAILABLE)
    prod.inject(faults.WORKER_LOG_UNREAD)
    job = prod.assemble()
    prod.wait_for("assemble.inline.done", by="api")

    prod.heal()
    outcome = job.settle()

    outcome.must_take(Route.CLOUD_TASKS.failed, Route.WORKER_DIRECT.failed, Route.INLINE)
    outcome.must_have_one_effect(on=Route.INLINE)
