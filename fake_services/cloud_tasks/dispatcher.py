"""Sends what is due: the only part that turns waiting tasks into attempts and attempts into outcomes."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

from fake_services.cloud_tasks import protos
from fake_services.cloud_tasks.delivery import outgoing
from fake_services.cloud_tasks.fault_rules import DELIVER, is_for_deliveries, is_for_forced_ones
from fake_services.cloud_tasks.flight import Flight
from fake_services.cloud_tasks.retry import next_delay_us
from fake_services.cloud_tasks.task import Attempt, StoredTask, code_of_status
from fake_services.cloud_tasks.throttle import retry_after_us
from fake_services.exchange import LazyFields

if TYPE_CHECKING:
    from collections.abc import Callable

    from fake_services.clock import Clock
    from fake_services.cloud_tasks.config import Semantics
    from fake_services.cloud_tasks.delivery import Outgoing
    from fake_services.cloud_tasks.protos import Message
    from fake_services.cloud_tasks.queue import TaskQueue
    from fake_services.exchange import Journal
    from fake_services.faults import Fault, FaultBook
    from fake_services.http_client import HttpClient, Target

__all__ = ["Dispatcher"]

_DEFAULT_DEADLINE_US = 600_000_000


class Dispatcher:
    """Dispatches the tasks of all queues, in one event loop; only `touch` may come from elsewhere.

    Args:
        clock: Tells and keeps the time.
        journal: Gets attempt.sent (or attempt.withheld, by a fault), attempt.ended and task.gone.
        faults: Those with method "deliver" change how tasks go out and what becomes of their requests.
        client: Sends the requests.
        semantics: The choices on which sources disagree.
        authorize: Makes an Authorization header for a token configuration.
        app_engine_base: URL to which App Engine tasks for a service go; "" for their own hosts.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        journal: Journal,
        faults: FaultBook,
        client: HttpClient,
        semantics: Semantics,
        authorize: Callable[[Message, str], str],
        app_engine_base: Callable[[str], str],
    ) -> None:
        #: Held by whoever reads or changes queues and tasks: calls run in threads of their own.
        self.lock = threading.RLock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._loop_thread = 0
        self._clock = clock
        self._journal = journal
        self._faults = faults
        self._client = client
        self._semantics = semantics
        self._authorize = authorize
        self._app_engine_base = app_engine_base
        #: Ended attempts by outcome and reason.
        self.counts: dict[tuple[str, str], int] = {}
        #: Does what a fault says shall happen to a queue ("pause", "delete").
        self.on_queue_action: Callable[[TaskQueue, str], None] | None = None
        #: Called when no answer to an attempt is expected any more.
        self.on_landed: Callable[[], None] | None = None
        # A dictionary rather than a set: queues are looked at in the order in which they were touched.
        self._touched: dict[TaskQueue, None] = {}
        self._flights: set[Flight] = set()
        self._mute: set[Flight] = set()

    @property
    def settled(self) -> bool:
        """Whether no answer to an attempt is expected and no queue waits to be looked at."""
        return not self.expected and not self._touched

    @property
    def expected(self) -> int:
        """Attempts now being made to which an answer may still come."""
        return len(self._flights) - len(self._mute)

    @property
    def in_flight(self) -> int:
        """Attempts now being made, of all queues, deleted ones included."""
        return len(self._flights)

    def start(self) -> None:
        """Called in the event loop in which everything is to run."""
        self._loop = asyncio.get_running_loop()
        self._loop_thread = threading.get_ident()

    # --- deciding what may go ------------------------------------------------------------------------------

    def touch(self, queue: TaskQueue) -> None:
        """Something about `queue` changed: look, on the next turn of the loop, at what may be sent."""
        if not self._touched:
            assert self._loop is not None, "start the fake first"
            if threading.get_ident() == self._loop_thread:
                self._loop.call_soon(self._look_at_touched)
            else:
                self._loop.call_soon_threadsafe(self._look_at_touched)
        self._touched[queue] = None

    def added(self, queue: TaskQueue, due_us: int) -> None:
        """A task was put into `queue`: as `touch`, unless the queue will be looked at in time anyway.

        Waking the event loop costs half as much as a whole CreateTask, and is for nothing while the queue is
        paused, has no free slot (the next end of an attempt looks again), or waits for a token or an earlier
        task.
        """
        waits = queue.timer is not None and (queue.timer_is_rate or queue.timer_us <= due_us)
        if queue.expiry_timer is None or (queue.running and queue.cap.free and not waits):
            self.touch(queue)

    def look_now(self, queue: TaskQueue) -> None:
        """Send at once what may be sent (a target then has a task before its creator has the reply)."""
        with self.lock:
            self._look(queue)

    def _look_at_touched(self) -> None:
        with self.lock:
            touched, self._touched = self._touched, {}
            for queue in touched:
                self._look(queue)

    def _look(self, queue: TaskQueue) -> None:
        if queue.expiry_timer is None and queue.tasks:
            self._arm_expiry(queue)
        while queue.running and queue.cap.free:
            due_us = queue.next_due_us()
            if due_us is None:
                break
            now_us = self._clock.now_us()
            if due_us > now_us:
                self._arm(queue, due_us, is_rate=False)
                return
            ready_us = queue.bucket.ready_at_us(now_us) if queue.rate_limited else now_us
            if ready_us > now_us:
                self._arm(queue, ready_us, is_rate=True)
                return
            if not self._send_next(queue, now_us):
                continue
        self._disarm(queue)

    def _send_next(self, queue: TaskQueue, now_us: int) -> bool:
        fault = self._fault_for(queue.next_due(), is_for_deliveries)
        if fault is not None and fault.queue and self.on_queue_action is not None:
            self.on_queue_action(queue, fault.queue)
            return False
        task = queue.pop_due(now_us, newest=fault is not None and fault.delivery == "newest_first")
        if task is None:
            return False
        if fault is not None and fault.delivery == "delayed":
            queue.schedule(task, now_us + int(fault.delay_s * 1e6))
            self._journal.record("attempt.delayed", task=task.name, by_s=fault.delay_s, fault=fault.name)
            return False
        if queue.rate_limited:
            queue.bucket.take(now_us)
        self._start(task, now_us, None, fault)
        if fault is not None and fault.delivery == "twice_at_once":
            self._start(task, now_us, None, fault)
        return True

    def _fault_for(self, task: StoredTask | None, only: Callable[[Fault], bool]) -> Fault | None:
        if not self._faults.armed or task is None:
            return None
        return self._faults.take(DELIVER, task.name, only=only)

    def _arm_expiry(self, queue: TaskQueue) -> None:
        retention_us = int(queue.retention_s * 1e6)

        def expire() -> None:
            with self.lock:
                queue.expiry_timer = None
                now_us = self._clock.now_us()
                retention_us = int(queue.retention_s * 1e6)  # it may have changed meanwhile
                for task in queue:  # in the order of their creation
                    if task.create_us + retention_us > now_us:
                        break
                    self.remove(task, "expired")
                if queue.tasks:
                    self._arm_expiry(queue)

        oldest = next(iter(queue.tasks.values()))
        queue.expiry_timer = self._clock.call_at(oldest.create_us + retention_us, expire, background=True)

    def retention_changed(self, queue: TaskQueue) -> None:
        """Tasks of `queue` live longer or shorter from now on."""
        if queue.expiry_timer is not None:
            queue.expiry_timer.cancel()
            queue.expiry_timer = None
        self.touch(queue)

    def _arm(self, queue: TaskQueue, when_us: int, *, is_rate: bool) -> None:
        queue.timer_is_rate = is_rate
        if queue.timer is not None:
            if queue.timer_us == when_us:
                return
            queue.timer.cancel()
        queue.timer_us = when_us

        def fire() -> None:
            with self.lock:
                queue.timer = None
                self._look(queue)

        queue.timer = self._clock.call_at(when_us, fire)

    @staticmethod
    def _disarm(queue: TaskQueue) -> None:
        if queue.timer is not None:
            queue.timer.cancel()
            queue.timer = None

    def forget(self, queue: TaskQueue) -> None:
        """A queue is deleted: send nothing more of it. Attempts that are in flight run to their end."""
        self._disarm(queue)
        if queue.expiry_timer is not None:
            queue.expiry_timer.cancel()
        self._touched.pop(queue, None)

    # --- one attempt ---------------------------------------------------------------------------------------

    def run_now(self, task: StoredTask) -> None:
        """RunTask: dispatch at once, whatever the schedule, the limits and the queue's state say."""
        now_us = self._clock.now_us()
        task.queue.unschedule(task)
        fault = self._fault_for(task, is_for_forced_ones)
        self._start(task, now_us, now_us, fault)
        if fault is not None and fault.delivery == "twice_at_once":
            self._start(task, now_us, now_us, fault)

    def _start(self, task: StoredTask, now_us: int, forced_us: int | None, fault: Fault | None) -> None:
        queue = task.queue
        queue.cap.started()
        task.in_flight += 1
        task.dispatch_count += 1
        attempt = Attempt(task.dispatch_count, task.schedule_us, now_us, forced_us)
        if not task.first_dispatch_us:
            task.first_dispatch_us = now_us
        message = protos.Task.FromString(task.stored)
        request = outgoing(task, message, self._authorize, self._app_engine_base)
        task.last_schedule_us = task.schedule_us
        task.last_dispatch_us = now_us
        task.last_response_us = 0
        deadline_us = message.dispatch_deadline.ToMicroseconds() or _DEFAULT_DEADLINE_US
        flight = Flight(self, task, attempt, request, fault)
        self._flights.add(flight)
        flight.timer = self._clock.call_at(now_us + deadline_us, flight.deadline_passed)
        flight.send(request)

    def record_sent(self, flight: Flight, headers: list[tuple[str, str]], *, withheld: bool = False) -> None:
        """Journal one request as it leaves, or as a fault withholds it."""
        self._journal.record_fields(
            "attempt.withheld" if withheld else "attempt.sent",
            LazyFields(_fields_of, flight.task, flight.attempt, flight.request, flight.fault, headers),
            2 * len(flight.request.body),  # in the request and in the task
        )

    def send(self, request: Outgoing, target: Target, headers: list[tuple[str, str]], flight: Flight) -> None:
        """Hand a request to the client."""
        flight.handle = self._client.send(request.method, target, headers, request.body, flight.answered)

    @property
    def follow_redirects(self) -> bool:
        """Whether a 3xx with a Location is followed."""
        return self._semantics.follow_redirects

    def ended(
        self, flight: Flight, *, status: int | None, reason: str, retry_after: str | None, detail: str
    ) -> None:
        """An attempt is over: record it, and remove, reschedule or give up its task.

        Args:
            flight: The attempt.
            status: The target's HTTP status; None when there was no response.
            reason: Why it failed; "" for success.
            retry_after: Value of the response's Retry-After header.
            detail: Text for people.
        """
        self._flights.discard(flight)
        self._mute.discard(flight)
        task, attempt = flight.task, flight.attempt
        queue = task.queue
        now_us = self._clock.now_us()
        if status is not None:
            task.response_count += 1
            queue.answered.add(now_us)
            if not 500 <= status <= 599:
                task.non_5xx_count += 1
        success = reason == ""
        task.last_response_us = now_us
        task.last_schedule_us = attempt.scheduled_us
        task.last_dispatch_us = attempt.sent_us
        task.last_status = status if status is not None else (504 if reason == "timeout" else 0)
        task.last_code = code_of_status(task.last_status)
        if self._semantics.throttling and queue.throttle.saw(task.last_status, http_target=flight.is_http):
            queue.apply_rate()
        # A task that was deleted, that waits, or of which another attempt is under way needs nothing.
        settled = bool(task.gone) or (not success and (task.entry or task.in_flight > 1))
        outcome = "success" if success else "failed"
        self.counts[outcome, reason] = self.counts.get((outcome, reason), 0) + 1
        retry_us = None
        if not success and not settled:
            base_us = attempt.forced_us if attempt.forced_us is not None else now_us
            retry_us = self._next_us(task, base_us, now_us, retry_after_us(retry_after, now_us))
        self._journal.record(
            "attempt.ended",
            task=task.name,
            number=attempt.number,
            status=status,
            outcome=outcome,
            reason=reason,
            retry_in_s=None if retry_us is None else max(0, retry_us - now_us) / 1e6,
            detail=detail,
            clock_us=now_us,
        )
        if retry_us is not None:
            queue.schedule(task, retry_us)
        elif not settled:
            self.remove(task, "completed" if success else "exhausted")
        queue.cap.ended()
        task.in_flight -= 1
        if flight.fault is not None and flight.fault.delivery == "twice":
            self._start(task, now_us, None, None)
        self._look(queue)
        self._tell_landed()

    def muted(self, flight: Flight) -> None:
        """A fault says that nothing is heard of this attempt before its deadline."""
        self._mute.add(flight)
        self._tell_landed()

    def _tell_landed(self) -> None:
        if not self.expected and self.on_landed is not None:
            self.on_landed()

    def _next_us(self, task: StoredTask, base_us: int, now_us: int, at_least_us: int) -> int | None:
        delay_us = next_delay_us(
            task.queue.policy_for(task),
            attempts=task.dispatch_count,
            since_first_attempt_us=now_us - task.first_dispatch_us,
        )
        if delay_us is None:
            return None
        return base_us + max(delay_us, at_least_us)

    def remove(self, task: StoredTask, why: str) -> None:
        """Take a task out and journal why: completed, exhausted, deleted, purged or expired."""
        task.gone = why
        task.queue.bury(task, self._clock.now_us())
        self._journal.record("task.gone", task=task.name, why=why)

    def stop(self) -> None:
        """Abandon every attempt; nothing more is recorded."""
        with self.lock:
            self._touched.clear()
            for flight in list(self._flights):
                flight.abandon()
            self._flights.clear()
            self._mute.clear()


def _fields_of(
    task: StoredTask,
    attempt: Attempt,
    request: Outgoing,
    fault: Fault | None,
    headers: list[tuple[str, str]],
) -> dict[str, object]:
    """The fields of an attempt's journal entry."""
    return {
        "task": task.name,
        "queue": task.queue.name,
        "number": attempt.number,
        "url": request.url,
        "method": request.method,
        "headers": [list(pair) for pair in headers],
        "body_text": request.body.decode("utf-8", "replace"),
        "clock_us": attempt.sent_us,
        "fault": fault.name if fault is not None else None,
    }
