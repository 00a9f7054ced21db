"""When a failed task is tried again, and when it is given up. Pure; all times are microseconds."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["RetryPolicy", "backoff_us", "next_delay_us"]


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """A queue's or a task's retry settings.

    Attributes:
        max_attempts: Attempts in all, the first included; -1 for no limit.
        max_retry_duration_us: How long to go on after the first attempt; 0 for no limit.
        min_backoff_us: Delay before the first retry.
        max_backoff_us: No delay is longer.
        max_doublings: How often the delay doubles before it grows linearly.
    """

    max_attempts: int = 100
    max_retry_duration_us: int = 0
    min_backoff_us: int = 100_000
    max_backoff_us: int = 3_600_000_000
    max_doublings: int = 16


def backoff_us(policy: RetryPolicy, retry: int) -> int:
    """The delay before retry number `retry` (1 is the first).

    It doubles `max_doublings` times, then grows by the last doubled interval, up to the maximum.
    Source: RPC reference, RetryConfig.max_doublings (min 10 s, max 300 s, 3 doublings: 10, 20, 40, 80, 160,
    240, 300, 300 … s).
    """
    if retry < 1:
        raise ValueError(f"retries are counted from 1, not {retry!r}")
    step = retry - 1
    # 2**64 µs is longer than any task lives: cut the exponent so that a huge setting costs nothing.
    doublings = min(step, policy.max_doublings, 64)
    delay = policy.min_backoff_us << doublings
    if step > policy.max_doublings:
        delay *= step - policy.max_doublings + 1
    return min(delay, policy.max_backoff_us)


def next_delay_us(policy: RetryPolicy, *, attempts: int, since_first_attempt_us: int) -> int | None:
    """The delay until the next attempt after a failed one; None when the task is given up.

    Args:
        policy: The settings that apply now.
        attempts: Attempts made so far, at least 1.
        since_first_attempt_us: Time since the first attempt was sent.

    With both limits set, both must be reached. Source: "Configure Cloud Tasks queues", retry parameters; RPC
    reference, RetryConfig.max_retry_duration.
    """
    attempts_used = policy.max_attempts > 0 and attempts >= policy.max_attempts
    time_used = policy.max_retry_duration_us > 0 and since_first_attempt_us >= policy.max_retry_duration_us
    if policy.max_attempts > 0:
        given_up = attempts_used and (time_used or policy.max_retry_duration_us == 0)
    else:
        given_up = time_used
    return None if given_up else backoff_us(policy, attempts)
