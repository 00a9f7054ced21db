from __future__ import annotations

import threading

import pytest

from fake_services.exchange import Exchange, Journal, LazyFields


def test_seqs_are_gapless_and_a_snapshot_starts_after_the_given_one() -> None:
    journal = Journal("x")
    for number in range(5):
        journal.record("k", n=number)
    assert [each.seq for each in journal.snapshot()] == [1, 2, 3, 4, 5]
    assert [each.fields["n"] for each in journal.snapshot(3)] == [3, 4]
    assert journal.snapshot(5) == []


def test_a_full_journal_drops_the_oldest_and_counts_them() -> None:
    journal = Journal("x", capacity=2)
    for number in range(5):
        journal.record("k", n=number)
    assert [each.seq for each in journal.snapshot()] == [4, 5]
    assert journal.dropped == 3
    assert [each.seq for each in journal.snapshot(4)] == [5]


def test_cleared_entries_are_not_counted_as_dropped_and_seqs_go_on() -> None:
    journal = Journal("x")
    journal.record("k")
    journal.clear()
    assert journal.dropped == 0
    assert journal.record("k").seq == 2
    assert [each.seq for each in journal.snapshot()] == [2]


def test_subscribers_hear_every_exchange_in_order_from_many_threads() -> None:
    journal = Journal("x")
    heard: list[int] = []
    unsubscribe = journal.subscribe(lambda exchange: heard.append(exchange.seq))
    threads = [threading.Thread(target=lambda: [journal.record("k") for _ in range(200)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert heard == list(range(1, 801))
    unsubscribe()
    unsubscribe()
    journal.record("k")
    assert len(heard) == 800


def test_wait_for_finds_what_was_recorded_before_and_what_comes_later() -> None:
    journal = Journal("x")
    journal.record("early")
    assert journal.wait_for(lambda exchange: exchange.kind == "early", 1).seq == 1
    found: list[Exchange] = []
    waiter = threading.Thread(target=lambda: found.append(journal.wait_for(lambda e: e.kind == "late", 10)))
    waiter.start()
    journal.record("late")
    waiter.join(10)
    assert [each.kind for each in found] == ["late"]


def test_wait_for_says_what_it_saw_last() -> None:
    journal = Journal("x")
    journal.record("seen", colour="green")
    with pytest.raises(TimeoutError, match="green"):
        journal.wait_for(lambda exchange: exchange.kind == "never", 0.01)
    with pytest.raises(TimeoutError, match="nothing was recorded by y"):
        Journal("y").wait_for(lambda _: True, 0)


def test_lazy_fields_are_made_once_and_only_when_read() -> None:
    made: list[int] = []

    def make() -> dict[str, object]:
        made.append(1)
        return {"a": 1}

    fields = LazyFields(make)
    assert made == []
    assert (fields["a"], len(fields), dict(fields)) == (1, 1, {"a": 1})
    assert made == [1]


def test_a_journal_is_bounded_by_the_payload_it_holds_too() -> None:
    journal = Journal("x", capacity=10, capacity_bytes=100)
    for size in (40, 40, 40, 1000):
        journal.record_fields("k", {"size": size}, size)
        assert journal.snapshot()[-1].fields["size"] == size  # the newest is always there
    assert (len(journal), journal.dropped) == (1, 3)
    for _ in range(20):
        journal.record("k")
    assert (len(journal), journal.dropped) == (10, 14)
    journal.clear()
    journal.record_fields("k", {}, 100)
    journal.record("k")
    assert (len(journal), journal.dropped) == (2, 0)
