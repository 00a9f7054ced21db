"""Faults of time: what comes too late, and clocks that are wrong."""

from __future__ import annotations

from harness.faults.fault import Applied, Fault, Layer, Means, Observed, Party

CLOUD_TASKS_CREATES_LATE = Fault(
    "cloud-tasks-creates-late",
    Layer.TIME,
    Party.CLOUD_TASKS,
    Applied.YES,
    Observed.TIMEOUT,
    "the call waits in a queue, and the task is created when the caller has just given up",
    reason="deadline-exceeded",
    late="request",
)
WORKER_ANSWERS_LATE = Fault(
    "worker-answers-late",
    Layer.TIME,
    Party.WORKER,
    Applied.YES,
    Observed.TIMEOUT,
    "the answer comes just after the caller's time-out",
    reason="timeout",
    late="reply",
)
WORKER_STARTS_WORK_LATE = Fault(
    "worker-starts-work-late",
    Layer.TIME,
    Party.WORKER,
    Applied.YES,
    Observed.TIMEOUT,
    "the request waits in a proxy, and reaches the worker when the caller has just given up",
    reason="timeout",
    late="request",
)

WORKER_STRADDLES_THE_DEADLINE = (WORKER_ANSWERS_LATE, WORKER_STARTS_WORK_LATE)
"""The job is done, and the caller has given up just before it could learn that."""

WORKER_CLOCK_AHEAD = Fault(
    "worker-clock-ahead",
    Layer.TIME,
    Party.WORKER,
    Applied.YES,
    Observed.SUCCESS,
    "a host without time synchronisation, an hour ahead",
    means=Means.CLOCK,
    clock_s=3600.0,
)
WORKER_CLOCK_BEHIND = Fault(
    "worker-clock-behind",
    Layer.TIME,
    Party.WORKER,
    Applied.YES,
    Observed.SUCCESS,
    "a virtual machine that was resumed from a snapshot, an hour behind",
    means=Means.CLOCK,
    clock_s=-3600.0,
)
API_CLOCK_STEPS_BACK = Fault(
    "api-clock-steps-back",
    Layer.TIME,
    Party.API,
    Applied.YES,
    Observed.SUCCESS,
    "time synchronisation corrects a wrong clock in one step",
    means=Means.CLOCK,
    clock_s=-3600.0,
)

CLOCKS_DISAGREE = (WORKER_CLOCK_AHEAD, WORKER_CLOCK_BEHIND)
"""The API and the worker share a store, and not the time."""
