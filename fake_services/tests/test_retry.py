from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fake_services.cloud_tasks.retry import RetryPolicy, backoff_us, next_delay_us

S = 1_000_000

TABLE = [
    (10, 300, 3, [10, 20, 40, 80, 160, 240, 300, 300, 300]),
    (
        0.1,
        3600,
        16,
        [
            0.1,
            0.2,
            0.4,
            0.8,
            1.6,
            3.2,
            6.4,
            12.8,
            25.6,
            51.2,
            102.4,
            204.8,
            409.6,
            819.2,
            1638.4,
            3276.8,
            3600,
            3600,
        ],
    ),
    (1, 60, 5, [1, 2, 4, 8, 16, 32, 60, 60]),
    (5, 300, 0, [5, 10, 15, 20, 25, 30]),
    (1, 3600, 2, [1, 2, 4, 8, 12, 16, 20]),
    (2, 100, 3, [2, 4, 8, 16, 32, 48, 64, 80, 96, 100, 100]),
    (10, 10, 7, [10, 10, 10]),
]


def policy(minimum: float, maximum: float, doublings: int, **more: int) -> RetryPolicy:
    return RetryPolicy(
        min_backoff_us=round(minimum * S), max_backoff_us=round(maximum * S), max_doublings=doublings, **more
    )


@pytest.mark.parametrize(("minimum", "maximum", "doublings", "delays"), TABLE)
def test_the_documented_delays(minimum: float, maximum: float, doublings: int, delays: list[float]) -> None:
    found = [backoff_us(policy(minimum, maximum, doublings), retry) for retry in range(1, len(delays) + 1)]
    assert found == [round(delay * S) for delay in delays]


def model(minimum: int, maximum: int, doublings: int, retry: int) -> int:
    """The plain model: walk from retry to retry, doubling and then adding the last step."""
    delay = step = minimum
    for number in range(1, retry):
        if number <= doublings:
            delay = step = step * 2
        else:
            delay += step
    return min(delay, maximum)


@given(st.integers(0, 10**7), st.integers(0, 10**10), st.integers(0, 40), st.integers(1, 60))
def test_every_delay_is_the_plain_models(minimum: int, extra: int, doublings: int, retry: int) -> None:
    policy = RetryPolicy(min_backoff_us=minimum, max_backoff_us=minimum + extra, max_doublings=doublings)
    assert backoff_us(policy, retry) == model(minimum, minimum + extra, doublings, retry)


def test_a_huge_number_of_doublings_costs_nothing() -> None:
    assert backoff_us(RetryPolicy(max_doublings=2**31 - 1), 10**9) == 3600 * S


@pytest.mark.parametrize(
    ("attempts", "duration_s", "made", "elapsed_s", "goes_on"),
    [
        (3, 0, 2, 10**9, True),
        (3, 0, 3, 0, False),
        (1, 0, 1, 0, False),
        (-1, 60, 10**6, 59, True),
        (-1, 60, 1, 60, False),
        (3, 60, 3, 59, True),  # both limits must be reached
        (3, 60, 2, 61, True),
        (3, 60, 7, 60, False),
        (-1, 0, 10**6, 10**9, True),
    ],
)
def test_when_a_task_is_given_up(
    attempts: int, duration_s: int, made: int, elapsed_s: int, goes_on: object
) -> None:
    settings = policy(1, 10, 3, max_attempts=attempts, max_retry_duration_us=duration_s * S)
    delay = next_delay_us(settings, attempts=made, since_first_attempt_us=elapsed_s * S)
    assert (delay is not None) == goes_on
    if delay is not None:
        assert delay == backoff_us(settings, made)


def test_retries_are_counted_from_one() -> None:
    with pytest.raises(ValueError, match="counted from 1"):
        backoff_us(RetryPolicy(), 0)
