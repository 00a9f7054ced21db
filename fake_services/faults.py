"""Scripted misbehaviour: what a fake does to an operation (applied) and what its caller sees (observed)."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal, get_args

__all__ = ["DELIVERY_MODES", "GRPC_CODES", "Applied", "Delivery", "Fault", "FaultBook", "Late", "Observed"]

Applied = Literal["no", "yes", "partly"]
Observed = Literal["error", "timeout", "reset", "garbage", "success"]
Delivery = Literal["", "twice", "twice_at_once", "delayed", "newest_first", "before_reply"]

QueueAction = Literal["", "pause", "delete"]
Late = Literal["", "request", "reply"]

DELIVERY_MODES = get_args(Delivery)

# Here rather than taken from grpc, so that the gateway and a reader of faults need no grpc.
GRPC_CODES: dict[str, int] = {
    "OK": 0,
    "CANCELLED": 1,
    "UNKNOWN": 2,
    "INVALID_ARGUMENT": 3,
    "DEADLINE_EXCEEDED": 4,
    "NOT_FOUND": 5,
    "ALREADY_EXISTS": 6,
    "PERMISSION_DENIED": 7,
    "RESOURCE_EXHAUSTED": 8,
    "FAILED_PRECONDITION": 9,
    "ABORTED": 10,
    "OUT_OF_RANGE": 11,
    "UNIMPLEMENTED": 12,
    "INTERNAL": 13,
    "UNAVAILABLE": 14,
    "DATA_LOSS": 15,
    "UNAUTHENTICATED": 16,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One deliberate misbehaviour.

    Attributes:
        name: What journal entries call it.
        applied: Whether the operation takes effect. "partly": a batch does its first half; a single
            CreateTask takes the name but never runs the task; the gateway passes on half of the body.
        observed: What the caller sees. "timeout" never answers; "reset" drops the connection; "garbage"
            answers what no client can read; "success" claims that all went well.
        method: Which operations it hits, a glob: at Cloud Tasks an RPC's name ("CreateTask"), or exactly
            "deliver" for attempts; at the gateway the request's path.
        match: Hits only operations whose subject contains this text (a task's or queue's name; a path).
        times: How many operations it hits; None means until it is cleared.
        skip: How many matching operations it lets pass first.
        grpc_code: Name of the code that Cloud Tasks answers.
        http_status: The status that the gateway, or Cloud Tasks over REST, answers (over gRPC, what a client
            makes of that status); for "deliver", what Cloud Tasks is answered.
        message: The error's text.
        delay_s: Seconds to wait before anything else happens.
        retry_after_s: Seconds, sent as a Retry-After header; over gRPC as google.rpc.RetryInfo.
        body: The reply's body, at the gateway or over REST.
        delivery: For method "deliver": "twice" (again after the first ended), "twice_at_once", "delayed" by
            delay_s, "newest_first" (the newest due task overtakes). For "CreateTask", "before_reply": the
            target has the task before its creator has the reply.
        queue: At Cloud Tasks, what else happens to the operation's queue: "pause" or "delete".
        late: What happens only when the caller has given up: "request", the operation itself; "reply" (gateway
            only), its answer.
        midway: At the gateway, "timeout", "reset" and "garbage" strike when the head and half of the body of the
            reply have been sent; "garbage" is then a reply that ends too early.
        drip_s: At the gateway, seconds between two bytes of a reply that is sent byte by byte; with "timeout".
    """

    name: str
    applied: Applied = "no"
    observed: Observed = "error"
    method: str = "*"
    match: str = ""
    times: int | None = 1
    skip: int = 0
    grpc_code: str = ""
    http_status: int = 0
    message: str = ""
    delay_s: float = 0.0
    retry_after_s: float | None = None
    body: str = ""
    delivery: Delivery = ""
    queue: QueueAction = ""
    late: Late = ""
    midway: bool = False
    drip_s: float = 0.0

    def __post_init__(self) -> None:
        _one_of("applied", self.applied, get_args(Applied))
        _one_of("observed", self.observed, get_args(Observed))
        _one_of("delivery", self.delivery, DELIVERY_MODES)
        _one_of("queue", self.queue, get_args(QueueAction))
        _one_of("late", self.late, get_args(Late))
        if self.grpc_code:
            _one_of("grpc_code", self.grpc_code, tuple(GRPC_CODES))
        if not self.name:
            raise ValueError("a fault needs a name, so that the journal can say which one fired")
        if self.times is not None and self.times < 1:
            raise ValueError(f"times must be at least 1, or null for 'until cleared'; got {self.times!r}")
        if self.skip < 0 or self.delay_s < 0:
            raise ValueError(f"skip and delay_s cannot be negative; got {self.skip!r} and {self.delay_s!r}")
        if self.late and self.applied == "no":
            raise ValueError(
                "late says when an operation takes effect or is answered: applied cannot be 'no'"
            )
        if self.drip_s < 0 or (self.drip_s and self.observed != "timeout"):
            raise ValueError(
                f"drip_s makes a reply too slow: it needs observed 'timeout'; got {self.observed!r}"
            )
        if self.midway and self.observed not in {"timeout", "reset", "garbage"}:
            raise ValueError(f"midway needs observed 'timeout', 'reset' or 'garbage', not {self.observed!r}")
        if self.http_status and not 200 <= self.http_status <= 599:
            raise ValueError(f"http_status must be between 200 and 599; got {self.http_status!r}")

    def to_json(self) -> dict[str, object]:
        """Only what differs from the defaults, so that it reads as it was written."""
        found: dict[str, object] = {"name": self.name, "applied": self.applied, "observed": self.observed}
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.name not in found and value != field.default:
                found[field.name] = value
        return found

    @classmethod
    def from_json(cls, data: object) -> Fault:
        """The opposite of `to_json`.

        Raises:
            ValueError: Not an object, an unknown key, a wrong type or a value that is not allowed; the
                message names the key and lists what is valid.
        """
        if not isinstance(data, Mapping):
            raise ValueError(f"a fault is a JSON object, not {data!r}")  # noqa: TRY004  # from_json raises one kind
        known = {field.name for field in dataclasses.fields(cls)}
        for key in data:
            if key not in known:
                raise ValueError(f"unknown key {key!r} in a fault; valid are {', '.join(sorted(known))}")
        checked: dict[str, object] = {}
        for key, value in data.items():
            checked[key] = _typed(key, value)
        if "name" not in checked:
            checked["name"] = "unnamed"
        return cls(**checked)  # type: ignore[arg-type]  # every value was checked just above


_TYPES: dict[str, tuple[type, ...]] = {
    "times": (int, type(None)),
    "skip": (int,),
    "http_status": (int,),
    "delay_s": (int, float),
    "retry_after_s": (int, float, type(None)),
    "midway": (bool,),
    "drip_s": (int, float),
}


def _typed(key: str, value: object) -> object:
    wanted = _TYPES.get(key, (str,))
    if not isinstance(value, wanted) or (isinstance(value, bool) and bool not in wanted):
        names = " or ".join("null" if kind is type(None) else kind.__name__ for kind in wanted)
        raise ValueError(f"{key} must be {names}, not {value!r}")  # from_json raises one kind
    return value


def _one_of(key: str, value: str, valid: tuple[str, ...]) -> None:
    if value not in valid:
        raise ValueError(f"{key} must be one of {', '.join(repr(name) for name in valid)}; got {value!r}")


class _Entry:
    __slots__ = ("fault", "fired", "passed")

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self.fired = 0
        self.passed = 0

    @property
    def spent(self) -> bool:
        return self.fault.times is not None and self.fired >= self.fault.times


class FaultBook:
    """The scripted faults of one fake, in the order in which they were added. Thread-safe."""

    def __init__(self, check: Callable[[Fault], None] | None = None) -> None:
        self._check = check
        self._lock = threading.Lock()
        self._entries: dict[int, _Entry] = {}
        self._last_id = 0
        #: True while any fault may still fire; read without the lock to keep the usual path cheap.
        self.armed = False

    def add(self, fault: Fault) -> int:
        """Script a fault.

        Returns:
            Its id, for `fired` and `remove`.

        Raises:
            ValueError: The fake cannot do this; the message says why.
        """
        if self._check is not None:
            self._check(fault)
        with self._lock:
            self._last_id += 1
            self._entries[self._last_id] = _Entry(fault)
            self.armed = True
            return self._last_id

    def take(
        self, method: str, subject: str = "", *, only: Callable[[Fault], bool] | None = None
    ) -> Fault | None:
        """The first unspent fault for this operation, counted as fired; None when there is none."""
        if not self.armed:
            return None
        with self._lock:
            for entry in self._entries.values():
                fault = entry.fault
                if entry.spent or not fnmatchcase(method, fault.method) or fault.match not in subject:
                    continue
                if only is not None and not only(fault):
                    continue
                if entry.passed < fault.skip:
                    entry.passed += 1
                    continue
                entry.fired += 1
                self.armed = any(not each.spent for each in self._entries.values())
                return fault
        return None

    def fired(self, fault_id: int) -> int:
        """How many operations this fault has hit.

        Raises:
            KeyError: There is no such id (it was removed or never given).
        """
        with self._lock:
            return self._entries[fault_id].fired

    def unfired(self) -> list[Fault]:
        """The faults that have not hit anything: a scenario that scripted one has not tested what it says."""
        with self._lock:
            return [entry.fault for entry in self._entries.values() if entry.fired == 0]

    def remove(self, fault_id: int) -> None:
        """End one fault.

        Raises:
            KeyError: There is no such id.
        """
        with self._lock:
            del self._entries[fault_id]
            self.armed = any(not each.spent for each in self._entries.values())

    def clear(self) -> None:
        """End and forget every fault."""
        with self._lock:
            self._entries.clear()
            self.armed = False

    def to_json(self) -> list[dict[str, object]]:
        """Every fault with its id and how often it fired."""
        with self._lock:
            return [
                {"id": fault_id, "fired": entry.fired, "fault": entry.fault.to_json()}
                for fault_id, entry in self._entries.items()
            ]

    def add_json(self, data: object) -> list[int]:
        """Script one fault or a list of them, given as JSON values; all or none are added.

        Raises:
            ValueError: As `Fault.from_json` and `add`.
        """
        faults = [Fault.from_json(each) for each in (data if isinstance(data, list) else [data])]
        if self._check is not None:
            for fault in faults:
                self._check(fault)
        return [self.add(fault) for fault in faults]
