"""Exactly one effect: very many jobs come in while one thing after another breaks and is mended."""

from __future__ import annotations

import pytest

from harness import Fault, System, faults, scenario

REFUSES = faults.CLOUD_TASKS_UNAVAILABLE
TIMES_OUT, SAYS_UNAVAILABLE, *_ = faults.CLOUD_TASKS_REPLY_LOST
A_BAD_DAY: tuple[list[Fault], ...] = (
    [],
    [REFUSES],
    [REFUSES, faults.WORKER_KILLED],
    [SAYS_UNAVAILABLE, faults.WORKER_KILLED],
    [SAYS_UNAVAILABLE],
    [],
    [faults.WORKER_TERMINATED],
    [TIMES_OUT.for_calls(20)],
    [faults.CLOUD_TASKS_HANGS.for_calls(20), faults.WORKER_KILLED],
    [],
)


@scenario("ONCE-LOAD-01", requires=["ONCE-01", "ONCE-02", "ONCE-03", "LOG-04", "PROD-07"], level="extended")
@pytest.mark.timeout(600)
def test_a_crowd_on_a_bad_day(prod: System, crowd: int) -> None:
    """A crowd comes in while Cloud Tasks fails and heals and the worker dies and returns: each job is done, once."""
    outcome = prod.assemble_many(crowd, troubles=A_BAD_DAY).settle()

    outcome.must_all_be_answered_within_the_bound()
    outcome.must_have_one_effect_each()
    outcome.must_log_once_each("assemble.job.settled")
    outcome.must_log("tasks.cloud.enqueued")
    outcome.must_log("assemble.service.worker_direct_dispatched")
    outcome.must_log("assemble.service.falling_back_to_inline")
