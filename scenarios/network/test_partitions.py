"""Containers, the network is cut, shaped or renamed: the job completes once, and the log names the cause."""

from __future__ import annotations

import pytest

from harness import Fault, Route, System, faults, scenario


@scenario("NET-PARTITION-01", requires=["PROD-05", "ONCE-01", "ONCE-03"], topology="containers")
def test_the_api_is_cut_off_while_the_worker_works(prod: System) -> None:
    """The API loses its network while the worker has its job: one effect, whoever ends it."""
    prod.config.slow_assembly(seconds=1.7)
    prod.cloud_tasks.inject(faults.CLOUD_TASKS_UNAVAILABLE)
    job = prod.assemble()
    prod.wait_for("worker.assemble.start", by="worker")

    prod.inject(faults.API_PARTITIONED)
    prod.wait_for("assemble.job.settled", by="api")
    prod.heal()
    outcome = job.settle()

    outcome.must_take(Route.CLOUD_TASKS.failed, Route.WORKER_DIRECT.failed, Route.INLINE)
    outcome.must_log_the_reason("assemble.service.worker_direct_failed", faults.API_PARTITIONED.reason)
    outcome.must_have_one_effect()


@scenario("NET-PARTITION-02", requires=["PROD-05", "ONCE-01", "ONCE-03"], topology="containers")
def test_the_worker_is_cut_off_and_works_on(prod: System) -> None:
    """The worker loses its network in the middle of a job and works on, and inline runs beside it: one effect."""
    prod.config.slow_assembly(seconds=1.7)
    prod.cloud_tasks.inject(faults.CLOUD_TASKS_UNAVAILABLE)
    job = prod.assemble()
    prod.wait_for("worker.assemble.start", by="worker")

    prod.inject(faults.WORKER_PARTITIONED)
    prod.wait_for("assemble.job.settled", by="api")
    prod.heal()
    outcome = job.settle()

    outcome.must_take(Route.CLOUD_TASKS.failed, Route.WORKER_DIRECT.failed, Route.INLINE)
    outcome.must_log_the_reason("assemble.service.worker_direct_failed", faults.WORKER_PARTITIONED.reason)
    outcome.must_have_one_effect()


@scenario("NET-PARTITION-03", requires=["WORK-04", "ONCE-01"], topology="containers")
def test_cloud_tasks_reaches_a_worker_that_is_back_on_the_network(prod: System) -> None:
    """A task for a worker that cannot be reached is tried again, and done when the worker is back."""
    prod.start()
    prod.inject(faults.WORKER_PARTITIONED)
    job = prod.assemble()
    prod.wait_until(faults.DELIVERY_FAILED)

    prod.heal()
    outcome = job.settle()

    outcome.must_take(Route.CLOUD_TASKS)
    outcome.must_have_one_effect(on=Route.CLOUD_TASKS)


@scenario("NET-NAMES-01", requires=["PROD-03", "PROD-05", "ONCE-01"], topology="containers")
@pytest.mark.parametrize("fault", faults.NAMES_STOP, ids=str)
def test_no_name_resolves(prod: System, fault: Fault) -> None:
    """Without names both routes fail and the job runs inline; with them the next job is handed over again."""
    prod.inject(fault)
    during = prod.assemble().settle()

    prod.heal()
    after = prod.assemble().settle()

    during.must_be_answered_within_the_bound()
    during.must_take(Route.CLOUD_TASKS.failed, Route.WORKER_DIRECT.failed, Route.INLINE)
    during.must_log_the_reason("assemble.service.worker_direct_failed", fault.reason)
    during.must_have_one_effect(on=Route.INLINE)
    after.must_not_log("assemble.service.falling_back_to_inline")
    after.must_have_one_effect()


@scenario("NET-MOVE-01", requires=["PROD-01", "PROD-03", "ONCE-01"], topology="containers")
def test_the_worker_moves_to_another_address(prod: System) -> None:
    """The worker's name leads elsewhere from one job to the next: whoever calls it finds it there, by either route."""
    before = prod.assemble().settle()
    prod.inject(faults.WORKER_MOVES)

    delivered = prod.assemble().settle()
    prod.cloud_tasks.inject(faults.CLOUD_TASKS_UNAVAILABLE)
    called = prod.assemble().settle()

    before.must_take(Route.CLOUD_TASKS)
    delivered.must_take(Route.CLOUD_TASKS)
    delivered.must_have_one_effect(on=Route.CLOUD_TASKS)
    called.must_take(Route.CLOUD_TASKS.failed, Route.WORKER_DIRECT)
    called.must_have_one_effect(on=Route.WORKER_DIRECT)


@scenario("NET-LINK-01", requires=["PROD-05", "ONCE-01", "ONCE-03"], topology="containers")
def test_what_the_worker_answers_vanishes(prod: System) -> None:
    """Connections are made, and no answer comes back: inline finds the job done by the worker."""
    prod.cloud_tasks.inject(faults.CLOUD_TASKS_UNAVAILABLE)
    prod.inject(faults.WORKER_REPLIES_VANISH)
    job = prod.assemble()
    prod.wait_for("assemble.job.settled", by="api")

    prod.heal()
    outcome = job.settle()

    outcome.must_take(Route.CLOUD_TASKS.failed, Route.WORKER_DIRECT.failed, Route.INLINE)
    outcome.must_log_the_reason("assemble.service.worker_direct_failed", "timeout")
    outcome.must_have_one_effect(on=Route.WORKER_DIRECT)


@scenario("NET-LINK-02", requires=["PROD-05", "ONCE-01", "ONCE-03"], topology="containers")
@pytest.mark.parametrize("fault", faults.WORKER_LINK_BAD, ids=str)
def test_what_the_worker_sends_is_late_or_lost(prod: System, fault: Fault) -> None:
    """On a link that is bad in one direction the job completes, once, whichever route ends it."""
    prod.cloud_tasks.inject(faults.CLOUD_TASKS_UNAVAILABLE)
    prod.inject(fault)

    outcome = prod.assemble().settle()

    outcome.must_be_answered_within_the_bound()
    outcome.must_have_one_effect()
