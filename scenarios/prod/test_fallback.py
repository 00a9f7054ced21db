"""Production, something fails: the next route takes the job, and the log says why."""

from __future__ import annotations

import pytest

from harness import Fault, Route, Setting, System, faults, scenario


@scenario("PROD-FALLBACK-01", requires=["PROD-03", "ONCE-01", "LOG-02", "LOG-03"])
@pytest.mark.parametrize("fault", faults.CLOUD_TASKS_REFUSES, ids=str)
def test_the_worker_is_called_directly_when_cloud_tasks_refuses(prod: System, fault: Fault) -> None:
    """A task that was certainly not created goes to the worker directly, and the log says why."""
    prod.cloud_tasks.inject(fault)

    outcome = prod.assemble().settle()

    outcome.must_take(Route.CLOUD_TASKS.failed, Route.WORKER_DIRECT)
    outcome.must_call_the_worker_once()
    outcome.must_have_one_effect(on=Route.WORKER_DIRECT)
    outcome.must_log_the_reason("tasks.cloud.enqueue_failed", fault.reason)
    outcome.must_log_a_reason_before("assemble.service.trying_worker_direct")
    outcome.must_log_in_order(
        "assemble.service.trying_worker_direct", "assemble.service.worker_direct_dispatched"
    )
    outcome.must_not_log("assemble.service.falling_back_to_inline")


@scenario("PROD-FALLBACK-02", requires=["PROD-04"])
@pytest.mark.parametrize("setting", [Setting.QUEUE, Setting.PROJECT, Setting.LOCATION], ids=str)
def test_cloud_tasks_is_not_configured(prod: System, setting: Setting) -> None:
    """Without a queue, project or location Cloud Tasks is not tried, the check says why, and the worker is called."""
    prod.config.unset(setting)

    outcome = prod.assemble().settle()

    outcome.must_take(Route.CLOUD_TASKS.skipped, Route.WORKER_DIRECT)
    outcome.must_log_a_reason_before("assemble.service.trying_worker_direct")
    outcome.must_have_one_effect(on=Route.WORKER_DIRECT)
    outcome.must_not_reach_cloud_tasks()


@scenario("PROD-FALLBACK-03", requires=["PROD-04", "PROD-12"])
def test_the_client_library_is_missing(prod: System) -> None:
    """Without the client library the API starts, and the worker is called directly."""
    prod.inject(faults.CLIENT_LIBRARY_MISSING)

    outcome = prod.assemble().settle()

    outcome.must_take(Route.CLOUD_TASKS.skipped, Route.WORKER_DIRECT)
    outcome.must_log_a_reason_before("assemble.service.trying_worker_direct")
    outcome.must_have_one_effect(on=Route.WORKER_DIRECT)


@scenario("PROD-FALLBACK-04", requires=["PROD-05", "ONCE-01", "LOG-02"])
@pytest.mark.parametrize("fault", faults.WORKER_FAILS, ids=str)
def test_inline_only_after_the_worker_failed_too(prod: System, fault: Fault) -> None:
    """Only when the worker fails as well does the job run inline, and it completes, once."""
    prod.cloud_tasks.inject(faults.CLOUD_TASKS_UNAVAILABLE)
    prod.worker.inject(fault)

    outcome = prod.assemble().settle()

    outcome.must_take(Route.CLOUD_TASKS.failed, Route.WORKER_DIRECT.failed, Route.INLINE)
    outcome.must_log_in_order(
        "assemble.service.trying_worker_direct", "assemble.service.falling_back_to_inline"
    )
    outcome.must_log_the_reason("assemble.service.worker_direct_failed", fault.reason)
    outcome.must_log_a_reason_before("assemble.service.falling_back_to_inline")
    outcome.must_have_one_effect(on=Route.INLINE)


@scenario("PROD-FALLBACK-05", requires=["PROD-06"])
@pytest.mark.parametrize("setting", [Setting.WORKER_URL, Setting.SECRET], ids=str)
def test_the_worker_is_not_configured(prod: System, setting: Setting) -> None:
    """Without a worker configuration the job runs inline, and an event says why no worker was called."""
    prod.config.unset(setting)

    outcome = prod.assemble().settle()

    outcome.must_take(Route.CLOUD_TASKS.skipped, Route.WORKER_DIRECT.skipped, Route.INLINE)
    outcome.must_log_a_reason_before("assemble.service.falling_back_to_inline")
    outcome.must_have_one_effect(on=Route.INLINE)
    outcome.must_not_reach_the_worker()


@scenario("PROD-FALLBACK-06", requires=["PROD-07"])
def test_the_answer_does_not_wait_for_the_worker(prod: System) -> None:
    """The API answers within its bound even while the worker hangs."""
    prod.cloud_tasks.inject(faults.CLOUD_TASKS_UNAVAILABLE)
    prod.worker.inject(faults.WORKER_HANGS)

    outcome = prod.assemble().settle()

    outcome.must_be_accepted()
    outcome.must_be_answered_before_the_worker_ends()
    outcome.must_have_one_effect()


@scenario("PROD-FALLBACK-07", requires=["PROD-10"])
def test_cloud_tasks_is_used_again_after_it_recovers(prod: System) -> None:
    """When Cloud Tasks works again, the next job uses it without a restart."""
    prod.cloud_tasks.inject(faults.CLOUD_TASKS_UNAVAILABLE.once())

    during = prod.assemble().settle()
    after = prod.assemble().settle()

    during.must_take(Route.CLOUD_TASKS.failed, Route.WORKER_DIRECT)
    after.must_take(Route.CLOUD_TASKS)
    after.must_have_one_effect(on=Route.CLOUD_TASKS)


@scenario("PROD-FALLBACK-08", requires=["PROD-08"])
def test_a_hanging_enqueue_is_cut_off(prod: System) -> None:
    """A call to Cloud Tasks that hangs is cut off before the API's bound, and the worker is called."""
    prod.cloud_tasks.inject(faults.CLOUD_TASKS_HANGS)

    outcome = prod.assemble().settle()

    outcome.must_be_answered_within_the_bound()
    outcome.must_take(Route.CLOUD_TASKS.failed, Route.WORKER_DIRECT)
    outcome.must_have_one_effect(on=Route.WORKER_DIRECT)


@scenario("PROD-FALLBACK-09", requires=["PROD-12"])
def test_a_client_without_credentials_is_a_failed_route(prod: System) -> None:
    """Without credentials no client can be made: the API starts all the same, and the worker is called."""
    prod.cloud_tasks.inject(faults.CLOUD_TASKS_NO_CREDENTIALS)

    outcome = prod.assemble().settle()

    outcome.must_take(Route.CLOUD_TASKS.failed, Route.WORKER_DIRECT)
    outcome.must_log_a_reason_before("assemble.service.trying_worker_direct")
    outcome.must_have_one_effect(on=Route.WORKER_DIRECT)


@scenario("PROD-FALLBACK-10", requires=["PROD-03", "PROD-05"])
def test_the_worker_is_called_again_after_it_recovers(prod: System) -> None:
    """A worker that did not answer in time once is called again for a later job, without a restart."""
    prod.cloud_tasks.inject(faults.CLOUD_TASKS_UNAVAILABLE)
    prod.worker.inject(faults.WORKER_HANGS.once())

    during = prod.assemble().settle()
    after = prod.assemble().settle()

    during.must_take(Route.CLOUD_TASKS.failed, Route.WORKER_DIRECT.failed, Route.INLINE)
    after.must_take(Route.CLOUD_TASKS.failed, Route.WORKER_DIRECT)
    after.must_have_one_effect(on=Route.WORKER_DIRECT)


@scenario("PROD-STORE-01", requires=["ONCE-01"])
def test_a_job_that_cannot_be_kept_is_refused(prod: System) -> None:
    """When the API's disk is full a job is either done or refused, and never accepted and lost."""
    prod.inject(faults.API_DISK_FULL)

    outcome = prod.assemble().settle()

    outcome.must_be_answered_within_the_bound()
    outcome.must_not_be_lost()
