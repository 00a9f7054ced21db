from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fake_services.cloud_tasks import CloudTasks, CloudTasksConfig
from fake_services.cloud_tasks.last_minute import LastMinute
from fake_services.cloud_tasks.rate import TokenBucket, burst_size
from fake_services.cloud_tasks.throttle import Throttle, retry_after_us
from fake_services.tests.conftest import client_of

if TYPE_CHECKING:
    from fake_services.host import Host
    from fake_services.tests.targets import Target

Q = "projects/p/locations/l/queues/q"
S = 1_000_000


@pytest.mark.parametrize(("rate", "burst"), [(500, 100), (1, 10), (0.1, 10), (50, 10), (100, 20)])
def test_the_published_pairs_of_rate_and_burst(rate: float, burst: int) -> None:
    assert burst_size(rate) == burst


@pytest.mark.parametrize(("rate", "burst"), [(500, 500), (1, 10), (20.5, 21)])
def test_the_other_formula_gives_at_least_the_rate(rate: float, burst: int) -> None:
    assert burst_size(rate, "at_least_rate") == burst


def test_a_full_bucket_gives_a_burst_and_then_the_rate() -> None:
    bucket = TokenBucket(20, 10)
    assert [bucket.take(0) for _ in range(11)] == [True] * 10 + [False]
    assert bucket.ready_at_us(0) == 50_000
    assert not bucket.take(49_999)
    assert bucket.take(50_000)
    assert bucket.tokens(10 * S) == 10


def test_half_a_task_a_second() -> None:
    bucket = TokenBucket(0.5, 1)
    assert bucket.take(0)
    assert bucket.ready_at_us(0) == 2 * S
    assert bucket.ready_at_us(3 * S) == 3 * S


@pytest.mark.parametrize(("rate", "burst"), [(0, 1), (-1, 1), (float("nan"), 1), (1, 0)])
def test_impossible_buckets(rate: float, burst: int) -> None:
    with pytest.raises(ValueError, match=r"is positive|at least 1"):
        TokenBucket(rate, burst)


@given(
    rate=st.sampled_from([0.1, 0.5, 1, 3, 7.5, 20, 500]),
    burst=st.integers(1, 120),
    gaps_us=st.lists(st.integers(0, 3 * S), max_size=120),
)
def test_the_bucket_is_a_plain_bucket(rate: float, burst: int, gaps_us: list[int]) -> None:
    """Against the plain model: tokens as an exact fraction, refilled before each take."""
    bucket = TokenBucket(rate, burst)
    interval_ns = max(1, round(1_000_000_000 / rate))  # what one token costs, to the nanosecond
    tokens_ns, now_us, filled_us = burst * interval_ns, 0, 0
    for gap_us in gaps_us:
        now_us += gap_us
        tokens_ns = min(burst * interval_ns, tokens_ns + (now_us - filled_us) * 1000)
        filled_us = now_us
        expected = tokens_ns >= interval_ns
        assert (bucket.ready_at_us(now_us) == now_us) == expected
        assert bucket.take(now_us) == expected
        if expected:
            tokens_ns -= interval_ns


@given(st.lists(st.integers(0, 400_000), min_size=1, max_size=200))
def test_never_more_than_burst_plus_rate_in_any_window(gaps_us: list[int]) -> None:
    bucket = TokenBucket(10, 5)
    now_us, taken = 0, []
    for gap_us in gaps_us:
        now_us += gap_us
        if bucket.take(now_us):
            taken.append(now_us)
    for start, first in enumerate(taken):
        for end in range(start, len(taken)):
            assert end - start + 1 <= 5 + (taken[end] - first) * 10 / S + 1e-6


def test_throttling_halves_and_recovers() -> None:
    throttle = Throttle()
    assert throttle.saw(503, http_target=True)
    assert throttle.factor == 0.5
    assert throttle.saw(429, http_target=True)
    assert not throttle.saw(429, http_target=False)
    assert not throttle.saw(404, http_target=True)
    for _ in range(100):
        throttle.saw(503, http_target=False)
    assert throttle.factor == 1 / 64
    for _ in range(100):
        throttle.saw(200, http_target=True)
    assert throttle.factor == 1


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, 0), ("7", 7), ("1.5", 1.5), ("-3", 0), ("nan", 0), ("soon", 0), ("1e99", 3600), ("inf", 3600),
        ("Thu, 01 Jan 1970 00:01:40 GMT", 90), ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
        ("Fri, 01 Jan 9999 00:00:00 GMT", 3600), ("Thu, 41 Jan 1970 00:01:40 GMT", 0), ("Thu, 01 Jan", 0),
    ],
)  # fmt: skip
def test_retry_after(value: str | None, seconds: float) -> None:
    assert retry_after_us(value, 10 * S) == seconds * S


@pytest.mark.parametrize(("rate", "in_200_ms"), [(20, 10 + 4), (0.5, 10), (500, 100 + 100)])
def test_a_queue_keeps_to_its_rate(host: Host, target: Target, rate: float, in_200_ms: int) -> None:
    fake = host.start(CloudTasks(CloudTasksConfig(clock="frozen")))
    fake.create_queue(Q, rate_limits={"max_dispatches_per_second": rate})
    given_task: Any = {"http_request": {"url": target.url}}
    with client_of(fake.grpc_address) as client:
        client.pause_queue(name=Q)
        for _ in range(in_200_ms + 20):
            client.create_task(parent=Q, task=given_task)
        client.resume_queue(name=Q)
    fake.advance(0.2)
    assert len(target.got) == in_200_ms
    host.stop(fake)


def test_a_queue_keeps_to_its_concurrency(host: Host, target: Target) -> None:
    fake = host.start(CloudTasks(CloudTasksConfig(clock="frozen", patience_s=0.5)))
    fake.create_queue(Q, rate_limits={"max_concurrent_dispatches": 3})
    target.default = "hang"
    with client_of(fake.grpc_address) as client:
        for _ in range(10):
            client.create_task(parent=Q, task={"http_request": {"url": target.url}})
        fake.advance(60)
        assert len(target.got) == 3
        ran = next(iter(client.list_tasks(parent=Q))).name
        client.run_task(name=ran)  # RunTask does not care
        fake.advance(0)
        assert len(target.got) == 4
    host.stop(fake)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 40 * S)), max_size=300))
def test_the_last_minute_is_a_plain_list_of_times(steps: list[tuple[bool, int]]) -> None:
    minute, now_us, times = LastMinute(), 0, []
    for happened, gap_us in steps:
        now_us += gap_us
        if happened:
            minute.add(now_us)
            times.append(now_us // S)
        else:
            assert minute.count(now_us) == len([each for each in times if each > now_us // S - 60])
