"""Exactly one effect: replies break on their way, come too late, or promise what is not so."""

from __future__ import annotations

import pytest

from harness import Fault, Route, System, faults, scenario


@scenario("ONCE-REPLY-01", requires=["ONCE-03", "ONCE-01", "PROD-05"], level="extended")
@pytest.mark.parametrize("fault", faults.WORKER_REPLY_BROKEN, ids=str)
def test_the_workers_reply_breaks_on_its_way(prod: System, fault: Fault) -> None:
    """A reply that hangs, drips, is reset or ends in its middle says nothing; inline finds the job done."""
    prod.cloud_tasks.inject(faults.CLOUD_TASKS_UNAVAILABLE)
    prod.worker.inject(fault)

    outcome = prod.assemble().settle()

    outcome.must_take(Route.CLOUD_TASKS.failed, Route.WORKER_DIRECT.failed, Route.INLINE)
    outcome.must_log_the_reason("assemble.service.worker_direct_failed", fault.reason)
    outcome.must_have_recovered_its_effect()


@scenario("ONCE-LATE-01", requires=["ONCE-03", "ONCE-01"], level="extended")
@pytest.mark.parametrize("fault", faults.WORKER_STRADDLES_THE_DEADLINE, ids=str)
def test_the_worker_straddles_the_callers_deadline(prod: System, fault: Fault) -> None:
    """An answer, or even the work itself, that comes just after the caller gave up: still one effect."""
    prod.cloud_tasks.inject(faults.CLOUD_TASKS_UNAVAILABLE)
    prod.worker.inject(fault)

    outcome = prod.assemble().settle()

    outcome.must_take(Route.CLOUD_TASKS.failed, Route.WORKER_DIRECT.failed, Route.INLINE)
    outcome.must_log_the_reason("assemble.service.worker_direct_failed", fault.reason)
    outcome.must_have_one_effect()


@scenario("ONCE-LATE-02", requires=["ONCE-02", "ONCE-01"], level="extended")
def test_the_task_is_created_just_after_the_caller_gave_up(prod: System) -> None:
    """A task that appears when the API has just given up on it changes nothing: one effect."""
    prod.cloud_tasks.inject(faults.CLOUD_TASKS_CREATES_LATE)

    outcome = prod.assemble().settle()

    outcome.must_be_answered_within_the_bound()
    outcome.must_take(Route.CLOUD_TASKS.failed, Route.WORKER_DIRECT)
    outcome.must_have_one_effect(on=Route.WORKER_DIRECT)


@scenario("ONCE-ENQUEUE-02", requires=["ONCE-02", "ONCE-01"], level="extended")
@pytest.mark.parametrize(("first", "second"), faults.CLOUD_TASKS_HALF_DONE, ids=str)
def test_a_task_that_will_never_run_is_not_relied_on(prod: System, first: Fault, second: Fault) -> None:
    """Nothing was created, or a name without a task, and nobody can tell: the worker is called, once per job."""
    prod.cloud_tasks.inject(first.once())
    prod.cloud_tasks.inject(second.once())

    one = prod.assemble().settle()
    two = prod.assemble().settle()

    one.must_take(Route.CLOUD_TASKS.failed, Route.WORKER_DIRECT)
    one.must_log_the_reason("tasks.cloud.enqueue_failed", first.reason)
    one.must_have_one_effect(on=Route.WORKER_DIRECT)
    two.must_take(Route.CLOUD_TASKS.failed, Route.WORKER_DIRECT)
    two.must_log_the_reason("tasks.cloud.enqueue_failed", second.reason)
    two.must_have_one_effect(on=Route.WORKER_DIRECT)


@scenario("ONCE-ENQUEUE-03", requires=["ONCE-06", "ONCE-01"], level="extended")
@pytest.mark.parametrize("fault", faults.CLOUD_TASKS_LIES, ids=str)
def test_a_task_that_was_confirmed_and_never_runs_is_missed(prod: System, fault: Fault) -> None:
    """A job that was handed over and has no effect in time is taken up again, and done once."""
    prod.config.doubt_soon()
    prod.cloud_tasks.inject(fault.once())

    outcome = prod.assemble().settle()

    outcome.must_take(Route.CLOUD_TASKS, Route.WORKER_DIRECT)
    outcome.must_have_one_effect(on=Route.WORKER_DIRECT)
