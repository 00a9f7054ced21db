"""Faults of processes: they start late or twice, are paused, or end; their disk is full, or their log."""

from __future__ import annotations

from harness.faults.fault import Applied, Fault, Layer, Means, Observed, Party

API_KILLED = Fault(
    "api-killed",
    Layer.PROCESS,
    Party.API,
    Applied.PARTLY,
    Observed.RESET,
    "the kernel kills the API because the machine is out of memory",
    means=Means.SIGKILL,
)
WORKER_KILLED = Fault(
    "worker-killed",
    Layer.PROCESS,
    Party.WORKER,
    Applied.PARTLY,
    Observed.RESET,
    "the worker's spot instance is taken away",
    means=Means.SIGKILL,
)
WORKER_TERMINATED = Fault(
    "worker-terminated",
    Layer.PROCESS,
    Party.WORKER,
    Applied.PARTLY,
    Observed.ERROR,
    "a deployment replaces the worker",
    means=Means.SIGTERM,
)
WORKER_PAUSED = Fault(
    "worker-paused",
    Layer.PROCESS,
    Party.WORKER,
    Applied.YES,
    Observed.TIMEOUT,
    "the worker's virtual machine is migrated, and wakes up long after its lease",
    reason="timeout",
    means=Means.SIGSTOP,
)
WORKER_STARTS_LATE = Fault(
    "worker-starts-late",
    Layer.PROCESS,
    Party.WORKER,
    Applied.NO,
    Observed.ERROR,
    "the worker loads a model before it opens its port",
    means=Means.LATE_START,
)
WORKER_DISK_FULL = Fault(
    "worker-disk-full",
    Layer.PROCESS,
    Party.WORKER,
    Applied.NO,
    Observed.ERROR,
    "the worker's volume is full",
    reason="os-error",
    means=Means.FULL_DISK,
)
API_DISK_FULL = Fault(
    "api-disk-full",
    Layer.PROCESS,
    Party.API,
    Applied.NO,
    Observed.ERROR,
    "the volume with the API's own files is full",
    reason="os-error",
    means=Means.FULL_DISK,
)
API_LOG_CLOSED = Fault(
    "api-log-closed",
    Layer.PROCESS,
    Party.API,
    Applied.YES,
    Observed.SUCCESS,
    "the log collector of the API crashes",
    means=Means.CLOSED_LOG,
)
WORKER_LOG_CLOSED = Fault(
    "worker-log-closed",
    Layer.PROCESS,
    Party.WORKER,
    Applied.YES,
    Observed.SUCCESS,
    "the log collector of the worker crashes",
    means=Means.CLOSED_LOG,
)
WORKER_LOG_UNREAD = Fault(
    "worker-log-unread",
    Layer.PROCESS,
    Party.WORKER,
    Applied.YES,
    Observed.TIMEOUT,
    "the log collector hangs, and the pipe is full",
    reason="timeout",
    means=Means.UNREAD_LOG,
)
API_STARTED_TWICE = Fault(
    "api-started-twice",
    Layer.PROCESS,
    Party.API,
    Applied.YES,
    Observed.SUCCESS,
    "during a deployment the old and the new instance run side by side",
    means=Means.TWICE,
)
WORKER_STARTED_TWICE = Fault(
    "worker-started-twice",
    Layer.PROCESS,
    Party.WORKER,
    Applied.YES,
    Observed.SUCCESS,
    "a supervisor starts a second worker",
    means=Means.TWICE,
)
