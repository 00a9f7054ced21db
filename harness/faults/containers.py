"""Faults that need a network and a kernel's bounds around a process: only containers have them."""

from __future__ import annotations

from harness.faults.fault import Applied, Fault, Layer, Means, Observed, Party

API_PARTITIONED = Fault(
    "api-partitioned",
    Layer.NETWORK,
    Party.API,
    Applied.PARTLY,
    Observed.TIMEOUT,
    "the host of the API loses its network",
    reason="timeout",
    means=Means.DISCONNECT,
    needs="containers",
)
WORKER_PARTITIONED = Fault(
    "worker-partitioned",
    Layer.NETWORK,
    Party.WORKER,
    Applied.PARTLY,
    Observed.TIMEOUT,
    "the host of the worker loses its network, and works on",
    reason="timeout",
    means=Means.DISCONNECT,
    needs="containers",
)
NAMES_FAIL = Fault(
    "names-fail",
    Layer.NETWORK,
    Party.API,
    Applied.NO,
    Observed.ERROR,
    "the name server has lost its zone, and answers SERVFAIL",
    reason="dns",
    means=Means.NAMES,
    needs="containers",
)
NAMES_GONE = Fault(
    "names-gone",
    Layer.NETWORK,
    Party.API,
    Applied.NO,
    Observed.GARBAGE,
    "the zone was deleted by mistake: no name exists any more",
    reason="dns",
    means=Means.NAMES,
    needs="containers",
)
NAMES_SILENT = Fault(
    "names-silent",
    Layer.NETWORK,
    Party.API,
    Applied.NO,
    Observed.TIMEOUT,
    "a firewall drops what is sent to the name server",
    reason="dns",
    means=Means.NAMES,
    needs="containers",
)

NAMES_STOP = (NAMES_FAIL, NAMES_GONE, NAMES_SILENT)
"""No name resolves any more, neither Google's nor the worker's."""

WORKER_FROZEN = Fault(
    "worker-frozen",
    Layer.PROCESS,
    Party.WORKER,
    Applied.YES,
    Observed.TIMEOUT,
    "the platform takes the worker's processor away in the middle of a job, and gives it back later",
    reason="timeout",
    means=Means.FREEZE,
    needs="containers",
)
WORKER_MOVES = Fault(
    "worker-moves",
    Layer.NETWORK,
    Party.WORKER,
    Applied.YES,
    Observed.SUCCESS,
    "the worker is started again on another host: its name has another address from now on",
    means=Means.MOVE,
    needs="containers",
)
WORKER_REPLIES_VANISH = Fault(
    "worker-replies-vanish",
    Layer.NETWORK,
    Party.WORKER,
    Applied.YES,
    Observed.TIMEOUT,
    "a tunnel on the way back has a smaller packet size and nobody says so: connections are made, replies vanish",
    reason="timeout",
    means=Means.SMALL_PACKETS,
    needs="containers",
)
WORKER_LINK_SLOW = Fault(
    "worker-link-slow",
    Layer.NETWORK,
    Party.WORKER,
    Applied.YES,
    Observed.TIMEOUT,
    "what the worker sends goes around the world: seconds later than what it receives",
    reason="timeout",
    means=Means.NETEM,
    netem="delay 1500ms",
    needs="containers",
)
WORKER_LINK_LOSSY = Fault(
    "worker-link-lossy",
    Layer.NETWORK,
    Party.WORKER,
    Applied.YES,
    Observed.SUCCESS,
    "a bad cable: one packet in five that the worker sends is lost, and TCP sends it again",
    means=Means.NETEM,
    netem="loss 20%",
    needs="containers",
)

WORKER_LINK_BAD = (WORKER_LINK_SLOW, WORKER_LINK_LOSSY)
"""What the worker receives is well, what it sends is late or lost."""

STORAGE_FULL = Fault(
    "storage-full",
    Layer.PROCESS,
    Party.WORKER,
    Applied.NO,
    Observed.ERROR,
    "the volume that the API and the worker share is full to the last byte",
    means=Means.FULL_VOLUME,
    needs="containers",
)
WORKER_STORAGE_READ_ONLY = Fault(
    "worker-storage-read-only",
    Layer.PROCESS,
    Party.WORKER,
    Applied.NO,
    Observed.ERROR,
    "the kernel of the worker's host meets a bad block, and makes the volume read-only",
    means=Means.READ_ONLY,
    needs="containers",
)
WORKER_OUT_OF_MEMORY = Fault(
    "worker-out-of-memory",
    Layer.PROCESS,
    Party.WORKER,
    Applied.PARTLY,
    Observed.RESET,
    "the worker's container reaches its memory limit, and the kernel kills the server in it",
    means=Means.MEMORY,
    needs="containers",
)
