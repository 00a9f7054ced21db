"""One effect per job: the guarded way to do a job, used by the worker and by the inline route alike.

Guarantee. However many attempts run (delivered twice, called directly while Cloud Tasks delivers, inline
while the worker goes on), one of them holds the job's lease and keeps it with a heartbeat. The others wait:
when the holder finishes they return its result, when it dies its lease runs out and one of them takes over.
An attempt that lost its lease cannot publish, because the check and the publication are one transaction. A
take-over first looks for a result that its predecessor published and could no longer record, and adopts it.

Limits. It holds among processes that share one store and one MEDIA_ROOT. It needs clocks that agree to
within the lease, except that even a wrong clock costs a wasted assembly and not a second effect. The one
gap: on PostgreSQL, a holder that is cut off from the database at the very moment it renames its files, is
overtaken, and renames later.
"""

from __future__ import annotations

import threading
import time
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy.exc import SQLAlchemyError

from reference_impl.assembly import GivenBack, Media, UnusableInput

if TYPE_CHECKING:
    from reference_impl.job import Job, Route
    from reference_impl.shutdown import Shutdown
    from reference_impl.store import Claim, Store

_POLL_S = 0.05


class End(StrEnum):
    """How an attempt at a job's effect ended."""

    DONE = "done"
    """The job has its effect."""
    FAILED = "failed"
    """The job can never have one; this is final and recorded."""
    NOT_DONE = "not_done"
    """Nothing was done, and the lease was given back."""
    BUSY = "busy"
    """Somebody else still works on it."""


class Outcome(NamedTuple):
    """One attempt's end. `repeated` marks a result that somebody else produced."""

    end: End
    checksum: str = ""
    reason: str = ""
    detail: str = ""
    repeated: bool = False


class Effects:
    """Does jobs, once each. `role` is api or worker and goes into the manifest."""

    def __init__(
        self, store: Store, media: Media, *, role: str, assembly_max_s: float, shutdown: Shutdown
    ) -> None:
        self._store = store
        self._media = media
        self._role = role
        self._assembly_max_s = assembly_max_s
        self._shutdown = shutdown

    def perform(self, job: Job, route: Route, *, wait_s: float) -> Outcome:
        """Do the job, or wait up to `wait_s` for whoever does it. Raises SQLAlchemyError."""
        deadline = time.monotonic() + wait_s
        while True:
            known = self._store.find(job.job_id)
            if known is not None and known.ended:
                end = End.DONE if known.state == "done" else End.FAILED
                return Outcome(
                    end, known.checksum, known.error and "unusable-input", known.error, repeated=True
                )
            claim = self._store.claim(job.job_id, route)
            if claim is not None:
                return self._work(job, route, claim)
            if time.monotonic() > deadline or self._shutdown.begun():
                return Outcome(End.BUSY, reason="claimed-elsewhere")
            time.sleep(_POLL_S)

    def _work(self, job: Job, route: Route, claim: Claim) -> Outcome:
        lease = _Heartbeat(self._store, claim, self._assembly_max_s)
        try:
            with lease:
                return self._publish(job, route, claim, lease)
        except UnusableInput as error:
            if not self._store.fail(claim, str(error)):
                return Outcome(End.NOT_DONE, reason="lease-lost")
            return Outcome(End.FAILED, reason="unusable-input", detail=str(error))
        except GivenBack as error:
            self._store.release(claim, str(error))
            return Outcome(End.NOT_DONE, reason=str(error))
        except SQLAlchemyError:
            raise
        except Exception as error:  # noqa: BLE001 — a full disk or a bug: either way somebody may try again at once
            self._store.release(claim, str(error))
            reason = "os-error" if isinstance(error, OSError) else type(error).__name__
            return Outcome(End.NOT_DONE, reason=reason, detail=str(error))

    def _publish(self, job: Job, route: Route, claim: Claim, lease: _Heartbeat) -> Outcome:
        if claim.attempt > 1:
            adopted = self._media.published(job)
            if adopted is not None:
                self._store.publish(
                    claim,
                    checksum=adopted.checksum,
                    output=adopted.output,
                    route=adopted.route,
                    move=lambda: None,
                )
                return Outcome(End.DONE, adopted.checksum, repeated=True)
            self._media.sweep(job, claim.attempt)

        def check() -> None:
            lease.check()
            if self._shutdown.now():
                raise GivenBack("shutting-down")

        draft = self._media.assemble(job, claim.attempt, check)
        try:
            draft.describe(route=route, role=self._role)
            published = self._store.publish(
                claim, checksum=draft.checksum, output=draft.output, route=route, move=draft.publish
            )
        finally:
            draft.discard()
        if not published:
            raise GivenBack("lease-lost")
        return Outcome(End.DONE, draft.checksum)


class _Heartbeat:
    """Keeps a lease while the work goes on, and for at most `max_s`, so that stuck work loses it."""

    def __init__(self, store: Store, claim: Claim, max_s: float) -> None:
        self._store = store
        self._claim = claim
        self._deadline = time.monotonic() + max_s
        self._stop = threading.Event()
        self._lost = threading.Event()
        self._thread = threading.Thread(target=self._beat, name=f"lease-{claim.job_id}", daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def check(self) -> None:
        """Raise GivenBack when going on is pointless; only the publication knows for certain."""
        if self._lost.is_set():
            raise GivenBack("lease-lost")
        if time.monotonic() > self._deadline:
            raise GivenBack("assembly-took-too-long")

    def _beat(self) -> None:
        while not self._stop.wait(self._store.lease_s / 4) and time.monotonic() < self._deadline:
            try:
                if not self._store.extend(self._claim):
                    self._lost.set()
                    return
            except SQLAlchemyError:
                continue  # the next beat may reach the database; if none does, the lease runs out
