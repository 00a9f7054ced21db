from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from fake_services.cloud_tasks.call_threads import CallThreads

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def threads() -> Iterator[CallThreads]:
    threads = CallThreads(40)
    yield threads
    threads.close(10)


def test_calls_that_wait_for_each_other_all_run(threads: CallThreads) -> None:
    """Each of these ends only when all have started: one without a thread of its own would be for ever."""
    for size in (1, 7, 40, 3):
        together = threading.Barrier(size + 1)
        for _ in range(size):
            threads.submit(together.wait, 10)
        together.wait(10)
    assert len(threads._threads) <= 40


def test_more_calls_than_threads_wait_for_their_turn(threads: CallThreads) -> None:
    left = threading.Semaphore(0)
    for _ in range(500):
        threads.submit(left.release)
    assert all(left.acquire(timeout=10) for _ in range(500))


def test_threads_are_used_again(threads: CallThreads) -> None:
    for _ in range(200):
        ended = threading.Event()
        threads.submit(lambda: None).add_done_callback(lambda _, ended=ended: ended.set())  # type: ignore[misc]
        assert ended.wait(10)
    assert len(threads._threads) < 10


def test_every_callback_is_called_once(threads: CallThreads) -> None:
    told: list[int] = []
    all_told = threading.Semaphore(0)

    def tell(number: int) -> None:
        told.append(number)
        all_told.release()

    for number in range(500):
        threads.submit(lambda: None).add_done_callback(lambda _, number=number: tell(number))  # type: ignore[misc]
    assert all(all_told.acquire(timeout=10) for _ in range(500))
    assert sorted(told) == list(range(500))


def test_a_call_that_fails_costs_no_thread(threads: CallThreads, capfd: pytest.CaptureFixture[str]) -> None:
    for _ in range(100):
        ended = threading.Event()
        threads.submit(int, "x").add_done_callback(lambda _, ended=ended: ended.set())  # type: ignore[misc]
        assert ended.wait(10)
    assert len(threads._threads) < 10
    assert "invalid literal" in capfd.readouterr().err


def test_closing_ends_every_thread_but_one_that_hangs() -> None:
    threads = CallThreads(40)
    release = threading.Event()
    for _ in range(5):
        threads.submit(int)
    threads.submit(release.wait, 30)
    threads.close(0.2)
    assert [thread.is_alive() for thread in threads._threads].count(True) <= 1
    release.set()
    for thread in threads._threads:
        thread.join(10)
        assert not thread.is_alive()
