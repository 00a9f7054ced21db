"""A queue: its settings, its tasks by name and by time, and the names that are still taken."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

from fake_services.cloud_tasks import protos
from fake_services.cloud_tasks.concurrency import ConcurrencyCap
from fake_services.cloud_tasks.last_minute import LastMinute
from fake_services.cloud_tasks.rate import TokenBucket, burst_size
from fake_services.cloud_tasks.retry import RetryPolicy
from fake_services.cloud_tasks.throttle import Throttle

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fake_services.clock import Timer
    from fake_services.cloud_tasks.config import Semantics
    from fake_services.cloud_tasks.names import QueueName
    from fake_services.cloud_tasks.protos import Message
    from fake_services.cloud_tasks.task import StoredTask

__all__ = ["DISABLED", "PAUSED", "RUNNING", "TaskQueue", "retry_policy"]

RUNNING, PAUSED, DISABLED = 1, 2, 3


def retry_policy(config: Message, semantics: Semantics) -> RetryPolicy:
    """The pure form of a (complete) v2 RetryConfig."""
    min_backoff_us = config.min_backoff.ToMicroseconds()
    max_backoff_us = config.max_backoff.ToMicroseconds()
    if semantics.backoff_rounding == "seconds":
        # The default of 0.1 s is below a second in every source; only longer ones are cut.
        min_backoff_us = max(min(min_backoff_us, 100_000), min_backoff_us // 1_000_000 * 1_000_000)
        max_backoff_us = max(min_backoff_us, max_backoff_us // 1_000_000 * 1_000_000)
    return RetryPolicy(
        max_attempts=config.max_attempts,
        max_retry_duration_us=config.max_retry_duration.ToMicroseconds(),
        min_backoff_us=min_backoff_us,
        max_backoff_us=max_backoff_us,
        max_doublings=config.max_doublings,
    )


class TaskQueue:
    """One queue and its tasks. It holds and orders; when and how to send is the dispatcher's.

    Attributes:
        parts: The name in parts; `name` is the whole as text.
        settings: The v2 Queue message that callers see, always complete; replace it through `configure`.
        tasks: Live tasks by id.
        cap: Counts the attempts in flight.
        retrying: Tasks that wait for another attempt after a failed one.
    """

    def __init__(self, parts: QueueName, settings: Message, semantics: Semantics) -> None:
        self.parts = parts
        self.name = str(parts)
        self.short_name = parts.queue_id
        self.tasks: dict[str, StoredTask] = {}
        self.cap = ConcurrencyCap(1000)
        self.retrying = 0
        self.timer: Timer | None = None
        self.timer_us = 0
        self.timer_is_rate = False
        self.expiry_timer: Timer | None = None
        self._semantics = semantics
        #: Set by queue.yaml and over v2beta3; an update over v2 ends it.
        self.own_burst: int | None = None
        self.dedup_window_s = semantics.dedup_window_s
        self.retention_s = semantics.retention_s
        #: Attempts that got a response.
        self.answered = LastMinute()
        self._waiting: list[tuple[int, int, StoredTask]] = []
        self._last_entry = 0
        self._taken_until: dict[str, int] = {}
        self._taken_order: list[tuple[int, str]] = []  # a heap: the window may have been longer before
        self.bucket = TokenBucket(500.0, 100)
        self.throttle = Throttle()
        self.rate_limited = semantics.enforce_rates
        self.configure(settings)

    def configure(self, settings: Message) -> None:
        """Put new (complete) settings in force; they apply to waiting tasks too."""
        self.settings = settings
        self.retry = retry_policy(settings.retry_config, self._semantics)
        limits = settings.rate_limits
        limits.max_burst_size = self.own_burst or burst_size(
            limits.max_dispatches_per_second, self._semantics.burst_formula
        )
        self.cap.limit = limits.max_concurrent_dispatches
        self.apply_rate()

    def apply_rate(self) -> None:
        """Put the configured rate, lowered by the throttle, in force."""
        limits, factor = self.settings.rate_limits, self.throttle.factor
        self.bucket.configure(
            limits.max_dispatches_per_second * factor, max(1, int(limits.max_burst_size * factor))
        )

    def keep_for(self, *, task_s: float | None, name_s: float | None) -> None:
        """Say how long tasks live, and how long the name of a task that is gone stays taken.

        Names that are already taken stay so for as long as they were to.

        Args:
            task_s: Seconds after its creation; None for what the semantics say.
            name_s: Seconds after its end; None for what the semantics say.
        """
        self.retention_s = self._semantics.retention_s if task_s is None else task_s
        self.dedup_window_s = self._semantics.dedup_window_s if name_s is None else name_s

    def policy_for(self, task: StoredTask) -> RetryPolicy:
        """The retry settings that apply to `task`: the queue's, under what the task sets itself."""
        message = protos.Task.FromString(task.stored)
        if not message.HasField("retry_config"):
            return self.retry
        own = message.retry_config
        both = protos.Queue().retry_config
        both.CopyFrom(self.settings.retry_config)
        for field in ("max_attempts", "max_doublings"):
            if getattr(own, field):
                setattr(both, field, getattr(own, field))
        for field in ("min_backoff", "max_backoff", "max_retry_duration"):
            if own.HasField(field):
                getattr(both, field).CopyFrom(getattr(own, field))
        return retry_policy(both, self._semantics)

    @property
    def running(self) -> bool:
        """Whether it dispatches; PAUSED and DISABLED queues do not."""
        return bool(self.settings.state == RUNNING)

    # --- tasks by time -------------------------------------------------------------------------------------

    def schedule(self, task: StoredTask, when_us: int) -> None:
        """Have `task` wait until `when_us`; an earlier arrangement for it no longer counts."""
        self.unschedule(task)
        self._last_entry += 1
        task.entry = self._last_entry
        task.schedule_us = when_us
        if task.dispatch_count:
            self.retrying += 1
        heapq.heappush(self._waiting, (when_us, self._last_entry, task))

    def unschedule(self, task: StoredTask) -> None:
        """Take `task` out of the waiting ones; harmless when it does not wait."""
        if task.entry:
            task.entry = 0  # its heap entry is dropped when it comes up
            if task.dispatch_count:
                self.retrying -= 1

    def next_due_us(self) -> int | None:
        """Schedule time of the first waiting task; None when none waits."""
        waiting = self._waiting
        while waiting and waiting[0][2].entry != waiting[0][1]:
            heapq.heappop(waiting)
        return waiting[0][0] if waiting else None

    def next_due(self) -> StoredTask | None:
        """The first waiting task; None when none waits."""
        return None if self.next_due_us() is None else self._waiting[0][2]

    def pop_due(self, now_us: int, *, newest: bool = False) -> StoredTask | None:
        """Take out the waiting task that is due first; None when none is due.

        Args:
            now_us: The time now.
            newest: Take the due task that was created last instead (the service promises no order).
        """
        due_us = self.next_due_us()
        if due_us is None or due_us > now_us:
            return None
        if newest:
            due = [entry for entry in self._waiting if entry[0] <= now_us and entry[2].entry == entry[1]]
            task = max(due, key=lambda entry: entry[1])[2]
        else:
            task = heapq.heappop(self._waiting)[2]
        self.unschedule(task)
        return task

    # --- names that are taken ------------------------------------------------------------------------------

    def bury(self, task: StoredTask, now_us: int) -> None:
        """Remove a task and keep its name taken for the de-duplication window."""
        self.unschedule(task)
        del self.tasks[task.task_id]
        until_us = now_us + int(self.dedup_window_s * 1e6)
        self._free_names(now_us)  # here too: who only lets the service make ids never asks
        self._taken_until[task.task_id] = until_us
        heapq.heappush(self._taken_order, (until_us, task.task_id))

    def existed_recently(self, task_id: str, now_us: int) -> bool:
        """Whether a task of this id is gone and its name is still taken."""
        self._free_names(now_us)
        return task_id in self._taken_until

    @property
    def taken_count(self) -> int:
        """How many names of tasks that are gone are kept."""
        return len(self._taken_until)

    def _free_names(self, now_us: int) -> None:
        order = self._taken_order
        while order and order[0][0] <= now_us:
            until_us, expired = heapq.heappop(order)
            if self._taken_until.get(expired) == until_us:
                del self._taken_until[expired]

    def __iter__(self) -> Iterator[StoredTask]:
        return iter(list(self.tasks.values()))
