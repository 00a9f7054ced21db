from __future__ import annotations

import pytest

from harness import clock
from harness.clock import Deadline, wait


class FakeTime:
    """Time that passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.slept_s: list[float] = []

    def monotonic(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        assert seconds >= 0
        self.slept_s.append(seconds)
        self.now_s += seconds


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> FakeTime:
    fake = FakeTime()
    monkeypatch.setattr(clock, "time", fake)
    return fake


def never() -> None:
    return None


def test_a_deadline_runs_out(time: FakeTime) -> None:
    deadline = Deadline(2)
    assert (deadline.left_s, deadline.passed) == (2, False)

    time.now_s += 1.5
    left_s = deadline.left_s
    time.now_s += 0.5

    assert left_s == 0.5
    assert deadline.passed
    assert deadline.left_s == 0


def test_time_left_is_never_negative(time: FakeTime) -> None:
    deadline = Deadline(1)
    time.now_s += 100

    assert deadline.left_s == 0


def test_what_is_there_already_is_not_waited_for(time: FakeTime) -> None:
    assert wait(lambda: "there", Deadline(0), lambda: "") == "there"
    assert time.slept_s == []


@pytest.mark.parametrize("answer", [0, False, ""])
def test_only_none_means_not_yet(time: FakeTime, answer: object) -> None:
    assert wait(lambda: answer, Deadline(1), lambda: "") == answer
    assert time.slept_s == []


def test_pauses_grow_to_twenty_milliseconds(time: FakeTime) -> None:
    answers = iter([None] * 20 + ["there"])

    assert wait(lambda: next(answers), Deadline(10), lambda: "") == "there"
    assert time.slept_s[0] == 0.001
    assert time.slept_s == sorted(time.slept_s)
    assert time.slept_s[-1] == 0.02


def test_a_wait_ends_at_its_deadline_and_says_what_was_seen_last(time: FakeTime) -> None:
    seen: list[float] = []

    def probe() -> None:
        seen.append(time.now_s)

    with pytest.raises(TimeoutError, match=r"^gave up after 1\.5 s: saw \d+ looks$"):
        wait(probe, Deadline(1.5), lambda: f"saw {len(seen)} looks")

    assert time.now_s == pytest.approx(1001.5)
    assert seen[-1] == time.now_s  # a last look at the deadline itself


def test_a_deadline_that_is_over_still_allows_one_look(time: FakeTime) -> None:
    looks: list[int] = []

    with pytest.raises(TimeoutError):
        wait(lambda: looks.append(1), Deadline(0), lambda: "")

    assert looks == [1]
    assert time.slept_s == []


def test_what_a_probe_raises_is_not_held_back(time: FakeTime) -> None:
    def probe() -> None:
        raise KeyError("x")

    with pytest.raises(KeyError):
        wait(probe, Deadline(1), lambda: "")
    assert time.slept_s == []
