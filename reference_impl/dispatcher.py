"""Looks after every accepted job, new or recovered, until it has ended and was announced.

The store is the queue. One thread takes jobs that are due and hands them to the assembler, keeps this
process's claim on them alive, and announces jobs that ended. A job that was accepted and then left alone by
a crash is due again when the claim on it runs out, so a restart needs no recovery code of its own.

Limits: it works between requests. Where a platform gives a process its CPU only while it answers, as Cloud Run does
unless told otherwise (`--no-cpu-throttling`), or none at all without requests (`--min-instances=1`), background work
stands still until the next request. It needs a DATABASE_URL that outlives the instance: not SQLite.
"""

from __future__ import annotations

import threading
import time
import uuid
from functools import partial
from typing import TYPE_CHECKING

from reference_impl import events

if TYPE_CHECKING:
    from collections.abc import Callable

    from reference_impl.assembler import Assembler
    from reference_impl.lanes import Lane
    from reference_impl.shutdown import Shutdown
    from reference_impl.store import Record, Store

_BUSY_POLL_S = 0.1
_IDLE_POLL_S = 1.0


class Dispatcher:
    """The dispatcher's one thread."""

    def __init__(
        self,
        *,
        store: Store,
        assembler: Assembler,
        first_step: Lane,
        background: Lane,
        shutdown: Shutdown,
        overdue_s: float,
        grace_s: float,
    ) -> None:
        self._store = store
        self._assembler = assembler
        self._first_step = first_step
        self._background = background
        self._shutdown = shutdown
        self._overdue_s = overdue_s
        self._grace_s = grace_s
        self._name = uuid.uuid4().hex
        self._wake = threading.Event()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="dispatcher", daemon=True)
        self._kept_at = 0.0

    def start(self) -> None:
        """Begin looking after jobs."""
        self._thread.start()

    def nudge(self) -> None:
        """There may be something to do now."""
        self._wake.set()

    def stop(self) -> None:
        """Take nothing new, let work in progress finish or be given back, within the grace period."""
        self._shutdown.begin()
        deadline = time.monotonic() + self._grace_s + 1  # one more second to give back what was interrupted
        self._first_step.drain(deadline - time.monotonic())
        self._background.drain(deadline - time.monotonic())
        self._stopped.set()
        self._wake.set()
        self._thread.join(timeout=2)
        self._try(self._announce)
        self._try(partial(self._store.give_back_all, self._name))

    def _run(self) -> None:
        while not self._stopped.is_set():
            self._wake.clear()
            busy = self._try(self._tick)
            self._wake.wait(_BUSY_POLL_S if busy else _IDLE_POLL_S)

    def _tick(self) -> bool:
        """Do what there is to do; True when something is still open."""
        self._assembler.give_back_again()
        if time.monotonic() - self._kept_at > self._store.lease_s / 4:
            self._store.keep_dispatches(self._name)
            self._kept_at = time.monotonic()
        if not self._shutdown.begun():
            self._take()
        self._announce()
        return self._store.unsettled()

    def _take(self) -> None:
        free = self._first_step.free
        if not free:
            return
        for record in self._store.take_due(self._name, free, self._overdue_s):
            if not self._first_step.submit(partial(self._dispatch, record)):
                self._assembler.not_begun(record, "no-thread-left")

    def _dispatch(self, record: Record) -> None:
        self._assembler.dispatch(record)
        self.nudge()

    def _announce(self) -> None:
        self._store.settle(_announce)

    def _try(self, action: Callable[[], object]) -> bool:
        try:
            return bool(action())
        except Exception as error:  # noqa: BLE001 — the store may be gone for a while, this thread not
            events.emit(events.STORE_FAILED, reason=type(error).__name__, detail=str(error))
            return True


def _announce(record: Record) -> None:
    events.emit(
        events.SETTLED,
        record.job,
        severity="" if record.state == "done" else "ERROR",
        route=record.route,
        tried=",".join(record.tried) or "none",
        outcome=record.state,
        attempts=record.attempt,
    )
