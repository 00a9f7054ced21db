"""Exactly one effect: an answer was lost, and nobody can know from it whether the job was taken."""

from __future__ import annotations

import pytest

from harness import Fault, Route, System, faults, scenario


@scenario("ONCE-ENQUEUE-01", requires=["ONCE-02", "ONCE-01", "ONCE-07"], level="extended")
@pytest.mark.parametrize("fault", faults.CLOUD_TASKS_REPLY_LOST, ids=str)
def test_the_task_was_created_and_the_reply_was_lost(prod: System, fault: Fault) -> None:
    """The next route takes the job although Cloud Tasks has it too: same key, same payload, one effect."""
    prod.cloud_tasks.inject(fault)

    outcome = prod.assemble().settle()

    outcome.must_be_answered_within_the_bound()
    outcome.must_take(Route.CLOUD_TASKS.failed, Route.WORKER_DIRECT)
    outcome.must_log_the_reason("tasks.cloud.enqueue_failed", fault.reason)
    outcome.must_have_one_effect(on=Route.WORKER_DIRECT)
    outcome.must_carry_the_same_payload_everywhere()


@scenario("ONCE-ENQUEUE-04", requires=["ONCE-02", "LOG-03"], level="extended")
def test_a_task_that_is_there_already_is_a_task(prod: System) -> None:
    """Where Cloud Tasks says that the job's task exists, the job is handed over, and nobody else is called."""
    prod.cloud_tasks.inject(faults.CLOUD_TASKS_CREATED_BY_A_RETRY)

    outcome = prod.assemble().settle()

    outcome.must_take(Route.CLOUD_TASKS)
    outcome.must_have_one_effect(on=Route.CLOUD_TASKS)


@scenario("ONCE-DIRECT-01", requires=["ONCE-03", "ONCE-01"], level="extended")
@pytest.mark.parametrize("fault", faults.WORKER_REPLY_LOST, ids=str)
def test_the_worker_did_the_job_and_its_answer_was_lost(prod: System, fault: Fault) -> None:
    """The inline route finds the job done by the worker: one effect, and it is the worker's."""
    prod.cloud_tasks.inject(faults.CLOUD_TASKS_UNAVAILABLE)
    prod.worker.inject(fault)

    outcome = prod.assemble().settle()

    outcome.must_take(Route.CLOUD_TASKS.failed, Route.WORKER_DIRECT.failed, Route.INLINE)
    outcome.must_have_recovered_its_effect()
    outcome.must_log_the_reason("assemble.service.worker_direct_failed", fault.reason)
    outcome.must_log_a_reason_before("assemble.service.falling_back_to_inline")


@scenario("ONCE-DIRECT-02", requires=["ONCE-03", "ONCE-01"], level="extended")
def test_the_next_route_runs_while_the_worker_works(prod: System) -> None:
    """The worker takes longer than the caller waits: inline waits for it, and does nothing itself."""
    prod.config.slow_assembly(seconds=3.5)
    prod.cloud_tasks.inject(faults.CLOUD_TASKS_UNAVAILABLE)

    outcome = prod.assemble().settle()

    outcome.must_take(Route.CLOUD_TASKS.failed, Route.WORKER_DIRECT.failed, Route.INLINE)
    outcome.must_have_one_effect(on=Route.WORKER_DIRECT)


@scenario("ONCE-DEV-01", requires=["ONCE-03", "DEV-07"], level="extended")
@pytest.mark.parametrize("fault", faults.WORKER_REPLY_LOST, ids=str)
def test_the_same_holds_in_development(dev: System, fault: Fault) -> None:
    """In development too, a local run after a lost answer finds the job done."""
    dev.worker.inject(fault)

    outcome = dev.assemble().settle()

    outcome.must_take(Route.WORKER_DIRECT.failed, Route.INLINE)
    outcome.must_have_recovered_its_effect()


@scenario("ONCE-DELIVERY-01", requires=["ONCE-04"], level="extended")
@pytest.mark.parametrize("fault", faults.CLOUD_TASKS_DELIVERS_TWICE, ids=str)
def test_cloud_tasks_delivers_twice(prod: System, fault: Fault) -> None:
    """A task that is delivered twice, one after the other or at the same time, has one effect."""
    prod.config.slow_assembly(seconds=0.3)
    prod.cloud_tasks.inject(fault)

    outcome = prod.assemble().settle()

    outcome.must_take(Route.CLOUD_TASKS)
    outcome.must_reach_the_worker(2)
    outcome.must_have_one_effect(on=Route.CLOUD_TASKS)


@scenario("ONCE-REQUEST-01", requires=["ONCE-05", "ONCE-01"], level="extended")
def test_two_requests_for_one_episode(prod: System) -> None:
    """Two requests for the same episode in quick succession are two separate jobs, each with one effect."""
    first = prod.assemble()
    second = prod.assemble(again=first)

    earlier, later = first.settle(), second.settle()

    later.must_be_another_job_than(earlier.job_id)
    earlier.must_have_one_effect()
    later.must_have_one_effect()
