"""The dispatcher's thread: what it takes up, and what it must not keep."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reference_impl.dispatcher import Dispatcher
from reference_impl.job import Job
from reference_impl.lanes import Lane
from reference_impl.shutdown import Shutdown

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

    from reference_impl.store import Record, Store


class StandIn:
    """An assembler that writes down what it is given."""

    def __init__(self) -> None:
        self.dispatched: list[str] = []
        self.put_back: list[tuple[str, str]] = []

    def dispatch(self, record: Record) -> None:
        self.dispatched.append(record.job.job_id)

    def not_begun(self, record: Record, reason: str) -> None:
        self.put_back.append((record.job.job_id, reason))

    def give_back_again(self) -> None:
        pass


def test_a_job_for_which_the_process_has_no_thread_left_is_not_kept(
    make_store: Callable[..., Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    store, assembler = make_store(), StandIn()
    for job_id in ("j1", "j2"):
        store.add(Job(job_id, "e1", "c1"))
    lane: Any = Lane("first-step", 4)
    it = Dispatcher(
        store=store,
        assembler=assembler,  # type: ignore[arg-type]
        first_step=lane,
        background=lane,
        shutdown=Shutdown(0),
        overdue_s=60,
        grace_s=0,
    )
    monkeypatch.setattr(lane, "submit", lambda _: False)
    it._tick()
    assert assembler.put_back == [("j1", "no-thread-left"), ("j2", "no-thread-left")]
    assert assembler.dispatched == []
