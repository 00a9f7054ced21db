"""Production, the network or whoever sits in it goes wrong: the job completes, and the log names the cause."""

from __future__ import annotations

import pytest

from harness import Fault, Route, System, faults, scenario


@scenario("PROD-NETWORK-01", requires=["PROD-05", "ONCE-01", "LOG-02"])
@pytest.mark.parametrize("fault", faults.WORKER_UNREACHABLE, ids=str)
def test_no_request_reaches_the_worker(prod: System, fault: Fault) -> None:
    """Whatever keeps the call from the worker, on any layer below HTTP, is a failed route with its reason."""
    prod.cloud_tasks.inject(faults.CLOUD_TASKS_UNAVAILABLE)
    prod.worker.inject(fault)

    outcome = prod.assemble().settle()

    outcome.must_be_answered_within_the_bound()
    outcome.must_take(Route.CLOUD_TASKS.failed, Route.WORKER_DIRECT.failed, Route.INLINE)
    outcome.must_log_the_reason("assemble.service.worker_direct_failed", fault.reason)
    outcome.must_have_one_effect(on=Route.INLINE)


@scenario("PROD-NETWORK-02", requires=["PROD-05", "ONCE-01", "LOG-03"])
@pytest.mark.parametrize("fault", [*faults.WORKER_LIES, faults.WORKER_HALF_ASKED_TIMEOUT], ids=str)
def test_an_answer_that_is_not_the_workers_word_confirms_nothing(prod: System, fault: Fault) -> None:
    """A 200 of somebody else, or a request that arrived by half, is no confirmation: the job runs inline."""
    prod.cloud_tasks.inject(faults.CLOUD_TASKS_UNAVAILABLE)
    prod.worker.inject(fault)

    outcome = prod.assemble().settle()

    outcome.must_take(Route.CLOUD_TASKS.failed, Route.WORKER_DIRECT.failed, Route.INLINE)
    outcome.must_log_the_reason("assemble.service.worker_direct_failed", fault.reason)
    outcome.must_have_one_effect(on=Route.INLINE)


@scenario("PROD-NETWORK-03", requires=["PROD-03", "PROD-05", "ONCE-01"])
def test_a_dead_proxy_is_a_failed_route(prod: System) -> None:
    """Proxy variables that name a dead proxy cut off Cloud Tasks and the worker alike; the job runs inline."""
    prod.inject(faults.DEAD_PROXY)

    outcome = prod.assemble().settle()

    outcome.must_be_answered_within_the_bound()
    outcome.must_take(Route.CLOUD_TASKS.failed, Route.WORKER_DIRECT.failed, Route.INLINE)
    outcome.must_log_a_reason_before("assemble.service.falling_back_to_inline")
    outcome.must_have_one_effect(on=Route.INLINE)
