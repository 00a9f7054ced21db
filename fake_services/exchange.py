"""One thing that happened at a fake (Exchange), and the ordered, bounded record of them (Journal)."""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

__all__ = ["Exchange", "Journal", "LazyFields"]


class LazyFields(Mapping[str, object]):
    """Fields that are made when somebody first looks, because most entries of a busy fake are never read.

    Args:
        make: Returns the fields; called at most once, in the thread that reads first, and dropped afterwards.
        arguments: For `make`: they cost less to keep than what a nested function closes over.
    """

    __slots__ = ("_arguments", "_fields", "_make")

    def __init__(self, make: Callable[..., dict[str, object]], *arguments: object) -> None:
        self._make: Callable[..., dict[str, object]] | None = make
        self._arguments = arguments
        self._fields: dict[str, object] = {}

    def _made(self) -> dict[str, object]:
        arguments = self._arguments  # read first: another thread drops them last
        make = self._make
        if make is not None:
            self._fields = make(*arguments)
            self._make = None
            self._arguments = ()
        return self._fields

    def __getitem__(self, key: str) -> object:
        return self._made()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._made())

    def __len__(self) -> int:
        return len(self._made())

    def __repr__(self) -> str:
        return repr(self._made())


@dataclass(frozen=True, slots=True)
class Exchange:
    """One recorded fact.

    Attributes:
        seq: Position in its journal, from 1, without gaps.
        at: Unix seconds by the system's clock (also when the fake's own clock is virtual, so that journals of
            several sources can be put in one order).
        source: Which kind of fake recorded it, such as "cloud_tasks".
        kind: What happened, such as "rpc" or "attempt.sent".
        fields: The facts; JSON-able.
    """

    seq: int
    at: float
    source: str
    kind: str
    fields: Mapping[str, object]

    def to_json(self) -> dict[str, object]:
        """The exchange as a dictionary that `json.dumps` takes."""
        return {
            "seq": self.seq,
            "at": self.at,
            "source": self.source,
            "kind": self.kind,
            "fields": dict(self.fields),
        }


class Journal:
    """Keeps the last `capacity` exchanges in order and tells subscribers about each as it is recorded.

    All methods may be called from any thread.

    Args:
        source: Stamped on each exchange.
        capacity: How many exchanges are kept; older ones are dropped and counted in `dropped`.
        capacity_bytes: How many bytes of payload they may hold together; the newest is kept whatever its size.
    """

    def __init__(self, source: str, capacity: int = 100_000, capacity_bytes: int = 256 * 1024 * 1024) -> None:
        if capacity < 1:
            raise ValueError(f"a journal keeps at least one exchange, not {capacity!r}")
        self.source = source
        self.capacity = capacity
        self.capacity_bytes = capacity_bytes
        # Re-entrant, because a subscriber runs inside record() and may look at the journal.
        self._lock = threading.RLock()
        self._grew = threading.Condition(self._lock)
        self._waiting = 0
        self._kept: deque[Exchange] = deque()
        self._sizes: deque[int] = deque()  # of the payloads of what is kept
        self._bytes = 0
        self._last_seq = 0
        self._forgotten_before = 0
        self._subscribers: tuple[Callable[[Exchange], None], ...] = ()

    def record(self, kind: str, **fields: object) -> Exchange:
        """Append one exchange and call every subscriber with it before returning."""
        return self.record_fields(kind, fields)

    def record_fields(self, kind: str, fields: Mapping[str, object], payload_bytes: int = 0) -> Exchange:
        """As `record`, with the fields as one mapping (which may be a `LazyFields`).

        Args:
            kind: What happened.
            fields: The facts.
            payload_bytes: How large the part of them is that can be large.
        """
        with self._lock:
            self._last_seq += 1
            exchange = Exchange(self._last_seq, time.time(), self.source, kind, fields)
            self._kept.append(exchange)
            self._sizes.append(payload_bytes)
            self._bytes += payload_bytes
            while len(self._kept) > self.capacity or (
                self._bytes > self.capacity_bytes and len(self._kept) > 1
            ):
                self._kept.popleft()
                self._bytes -= self._sizes.popleft()
            if self._waiting:
                self._grew.notify_all()
            # Called under the lock: otherwise two threads could tell a subscriber about 2 before 1.
            for callback in self._subscribers:
                callback(exchange)
        return exchange

    def snapshot(self, since_seq: int = 0) -> list[Exchange]:
        """The kept exchanges with a seq greater than `since_seq`, in order."""
        with self._lock:
            if not self._kept or since_seq >= self._last_seq:
                return []
            skip = max(0, since_seq - self._kept[0].seq + 1)
            kept = list(self._kept)
        return kept[skip:]

    def subscribe(self, callback: Callable[[Exchange], None]) -> Callable[[], None]:
        """Have `callback` called with each new exchange, in the recording thread; it must not raise.

        It may look at the fake (`idle`, `snapshot`), and must not change it or wait for it.

        Returns:
            A function that ends the subscription; calling it twice is harmless.
        """
        with self._lock:
            self._subscribers = (*self._subscribers, callback)

        def unsubscribe() -> None:
            with self._lock:
                self._subscribers = tuple(kept for kept in self._subscribers if kept is not callback)

        return unsubscribe

    def wait_for(self, predicate: Callable[[Exchange], bool], timeout_s: float) -> Exchange:
        """The first exchange, already recorded or still to come, for which `predicate` is true.

        Raises:
            TimeoutError: None came within `timeout_s` seconds; the message shows what was seen last.
        """
        deadline = time.monotonic() + timeout_s
        seen_seq = 0
        while True:
            # The predicate runs without the lock, so that it may look at the fake itself.
            for exchange in self.snapshot(seen_seq):
                seen_seq = exchange.seq
                if predicate(exchange):
                    return exchange
            with self._lock:
                left_s = deadline - time.monotonic()
                if left_s <= 0:
                    raise TimeoutError(self._nothing_matched(timeout_s))
                if self._last_seq <= max(seen_seq, self._forgotten_before):
                    self._waiting += 1
                    try:
                        self._grew.wait(left_s)
                    finally:
                        self._waiting -= 1

    def _nothing_matched(self, timeout_s: float) -> str:
        if not self._kept:
            return f"nothing was recorded by {self.source} within {timeout_s} s"
        last = [json.dumps(exchange.to_json(), default=repr)[:500] for exchange in list(self._kept)[-3:]]
        return (
            f"no exchange of {self.source} matched within {timeout_s} s; "
            f"the last of {len(self._kept)} seen:\n" + "\n".join(last)
        )

    def clear(self) -> None:
        """Forget every exchange. Seqs go on, so that a reader's `since_seq` stays valid."""
        with self._lock:
            self._kept.clear()
            self._sizes.clear()
            self._bytes = 0
            self._forgotten_before = self._last_seq

    @property
    def dropped(self) -> int:
        """How many exchanges were lost because the journal was full (cleared ones do not count)."""
        with self._lock:
            return self._last_seq - self._forgotten_before - len(self._kept)

    @property
    def last_seq(self) -> int:
        """Seq of the newest exchange; 0 when there never was one."""
        with self._lock:
            return self._last_seq

    def __len__(self) -> int:
        with self._lock:
            return len(self._kept)
