"""Every queue of one fake, and what each call of the API does to them. Knows neither transport nor faults."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from google.protobuf import json_format

from fake_services.cloud_tasks import protos, queue_settings
from fake_services.cloud_tasks.errors import (
    ApiError,
    already_exists,
    entity_not_found,
    invalid,
    queue_not_found,
    task_gone,
)
from fake_services.cloud_tasks.filters import compile_filter
from fake_services.cloud_tasks.names import bad_task_name, check_task_id, location_name, queue_name, task_name
from fake_services.cloud_tasks.paging import LIST_QUEUES_MAX, LIST_TASKS_MAX, page
from fake_services.cloud_tasks.queue import DISABLED, PAUSED, RUNNING, TaskQueue
from fake_services.cloud_tasks.task import StoredTask, shown
from fake_services.cloud_tasks.task_rules import complete_task

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from fake_services.clock import Clock
    from fake_services.cloud_tasks.config import CloudTasksConfig
    from fake_services.cloud_tasks.dispatcher import Dispatcher
    from fake_services.cloud_tasks.protos import Message
    from fake_services.exchange import Journal

__all__ = ["State"]


class State:
    """The queues and tasks; each method is one call of the API, made under the dispatcher's lock.

    Only CreateTask may run outside the event loop.

    Args:
        config: Settings and semantics.
        clock: Tells the time.
        journal: Gets queue changes.
        dispatcher: Is told when something may be sent.
    """

    def __init__(
        self, config: CloudTasksConfig, clock: Clock, journal: Journal, dispatcher: Dispatcher
    ) -> None:
        self._config = config
        self._semantics = config.semantics
        self._clock = clock
        self._journal = journal
        self._dispatcher = dispatcher
        self._random = random.Random(config.seed)  # noqa: S311  # ids, not secrets; a seed makes runs repeatable
        self._last_number = 0
        dispatcher.on_queue_action = self.queue_action
        #: Refuses the token of an HttpRequest; None when every account may be used.
        self.check_account: Callable[[Message], None] | None = None
        self.queues: dict[str, TaskQueue] = {}
        self._queue_names_taken: dict[str, int] = {}

    def reset(self) -> None:
        """Forget every queue, task and taken name."""
        for queue in self.queues.values():
            self._drop_tasks(queue)
        self.queues.clear()
        self._queue_names_taken.clear()

    # --- queues --------------------------------------------------------------------------------------------

    def create_queue(self, request: Message) -> Message:
        """RPC reference, CreateQueue."""
        location_name(request.parent)
        name = request.queue.name
        try:
            parts = queue_name(name)
        except ApiError as error:
            if error.code == "INVALID_ARGUMENT":
                raise
            raise _bad_queue_name() from None
        if parts.parent != request.parent:
            raise invalid(f"{name} must begin with {request.parent}.")
        settings = queue_settings.completed(request.queue)
        if name in self.queues:
            raise ApiError("ALREADY_EXISTS", "Queue already exists")
        if self._queue_names_taken.get(name, 0) > self._clock.now_us():
            raise ApiError(
                "FAILED_PRECONDITION",
                "The queue cannot be created because a queue with this name existed too recently.",
            )
        return self._add_queue(name, settings)

    def _add_queue(self, name: str, settings: Message) -> Message:
        settings.name = name
        settings.state = RUNNING
        queue = TaskQueue(queue_name(name), settings, self._semantics)
        self.queues[name] = queue
        self._journal.record("queue", name=name, change="created")
        return queue.settings

    def configured_queue(self, request: Message, extra: Mapping[str, object]) -> None:
        """A queue from the configuration, with what only a queue.yaml can say (see `config.NOT_IN_V2`).

        Raises:
            ApiError: As `create_queue`.
        """
        self.create_queue(request)
        queue = self.queues[request.queue.name]
        if "burst_size" in extra:
            queue.own_burst = int(str(extra["burst_size"]))
        if extra.get("no_doublings"):
            queue.settings.retry_config.max_doublings = 0  # which over the API would mean the default
        queue.configure(queue.settings)
        task_s, name_s = (extra.get(key) for key in ("task_ttl_s", "dedup_window_s"))
        queue.keep_for(
            task_s=None if task_s is None else float(str(task_s)),
            name_s=None if name_s is None else float(str(name_s)),
        )
        if "state" in extra:
            states = {"RUNNING": RUNNING, "PAUSED": PAUSED, "DISABLED": DISABLED}
            queue.settings.state = states[str(extra["state"])]

    def get_queue(self, request: Message) -> Message:
        """RPC reference, GetQueue."""
        return self.queue(request.name).settings

    def list_queues(self, request: Message) -> Message:
        """RPC reference, ListQueues."""
        location_name(request.parent)
        prefix = request.parent + "/queues/"
        wanted = compile_filter(request.filter)
        names = sorted(name for name in self.queues if name.startswith(prefix))
        found, token = page(
            [name for name in names if not request.filter or wanted(_as_json(self.queues[name].settings))],
            lambda name: name,
            size=request.page_size,
            token=request.page_token,
            largest=LIST_QUEUES_MAX,
            query=f"{request.parent} {request.filter}",
            now_us=self._clock.now_us(),
        )
        return _message("ListQueuesResponse")(
            queues=[self.queues[name].settings for name in found], next_page_token=token
        )

    def update_queue(self, request: Message) -> Message:
        """RPC reference, UpdateQueue; it makes a queue that does not exist."""
        name = request.queue.name
        queue_name(name)
        if name not in self.queues:
            if self._queue_names_taken.get(name, 0) > self._clock.now_us():
                raise queue_not_found()
            return self._add_queue(name, queue_settings.completed(request.queue))
        queue = self.queues[name]
        queue.own_burst = None
        queue.configure(queue_settings.merged(queue.settings, request.queue, request.update_mask.paths))
        self._journal.record("queue", name=name, change="updated")
        self._dispatcher.touch(queue)
        return queue.settings

    def delete_queue(self, request: Message) -> Message:
        """RPC reference, DeleteQueue; the queue's tasks go with it."""
        queue_name(request.name)
        queue = self.queues.pop(request.name, None)
        if queue is None:
            raise entity_not_found()
        self._journal.record("queue", name=request.name, change="deleted")
        self._drop_tasks(queue)
        window_us = int(self._semantics.queue_tombstone_s * 1e6)
        if window_us:
            self._queue_names_taken[request.name] = self._clock.now_us() + window_us
        return protos.Empty()

    def _drop_tasks(self, queue: TaskQueue) -> None:
        for task in queue:
            self._dispatcher.remove(task, "deleted")
        self._dispatcher.forget(queue)

    def pause_queue(self, request: Message) -> Message:
        """RPC reference, PauseQueue."""
        return self._set_state(request.name, PAUSED, "paused")

    def resume_queue(self, request: Message) -> Message:
        """RPC reference, ResumeQueue."""
        return self._set_state(request.name, RUNNING, "resumed")

    def _set_state(self, name: str, state: int, change: str) -> Message:
        queue = self.queue(name)
        queue.settings.state = state
        self._journal.record("queue", name=name, change=change)
        self._dispatcher.touch(queue)
        return queue.settings

    def queue_action(self, queue: TaskQueue, action: str) -> None:
        """What a fault does to a queue in the middle of a run."""
        request = _message("DeleteQueueRequest")(name=queue.name)
        (self.delete_queue if action == "delete" else self.pause_queue)(request)

    def fault_on_queue(self, resource: str, action: str) -> None:
        """As `queue_action`, for the queue of a task or queue of this name, if there is one."""
        queue = self.queues.get(resource.partition("/tasks/")[0])
        if queue is not None:
            self.queue_action(queue, action)

    def purge_queue(self, request: Message) -> Message:
        """RPC reference, PurgeQueue: every task created before the call goes."""
        queue = self.queue(request.name)
        now_us = self._clock.now_us()
        queue.settings.purge_time.FromMicroseconds(now_us)
        self._journal.record("queue", name=request.name, change="purged")
        doomed = list(queue)

        def purge() -> None:
            with self._dispatcher.lock:
                for task in doomed:
                    if not task.gone:
                        self._dispatcher.remove(task, "purged")
                self._dispatcher.touch(queue)

        if self._semantics.purge_delay_s:
            self._clock.call_at(now_us + int(self._semantics.purge_delay_s * 1e6), purge)
        else:
            purge()
        return queue.settings

    def set_only_in_beta(
        self, queue: TaskQueue, *, task_s: float | None, name_s: float | None, burst: int | None
    ) -> None:
        """Settings of a queue that only v2beta3 has; None is the default."""
        queue.keep_for(task_s=task_s, name_s=name_s)
        queue.own_burst = burst
        queue.configure(queue.settings)
        self._dispatcher.retention_changed(queue)

    def queue(self, name: str) -> TaskQueue:
        """The queue of this name.

        Raises:
            ApiError: It is malformed or there is none.
        """
        queue = self.queues.get(name)
        if queue is None:
            queue_name(name)
            raise queue_not_found()
        return queue

    # --- tasks ---------------------------------------------------------------------------------------------

    def create_task(self, request: Message) -> Message:
        """RPC reference, CreateTask."""
        queue = self.queue_for_create(request.parent)
        task = request.task
        now_us = self._clock.now_us()
        task_id = self._check_given_name(task.name, queue, now_us) if task.name else self._new_task_id(queue)
        schedule_us = complete_task(task, queue.parts, now_us, self._semantics)
        if self.check_account is not None:
            self.check_account(task.http_request)
        task.name = f"{queue.name}/tasks/{task_id}"
        stored = task.SerializeToString()
        if len(stored) > self._semantics.task_size_limit_bytes:
            raise invalid("Task size too large")
        self._last_number += 1
        kept = StoredTask(queue, task_id, stored, schedule_us, now_us, self._last_number)
        queue.tasks[task_id] = kept
        queue.schedule(kept, schedule_us)
        self._dispatcher.added(queue, schedule_us)
        return shown(task, request.response_view)

    def queue_for_create(self, name: str) -> TaskQueue:
        """The queue of this name, made when the configuration says so.

        Raises:
            ApiError: As `queue`.
        """
        queue = self.queues.get(name)
        if queue is not None:
            return queue
        queue_name(name)
        if not self._config.auto_create_queues or self._queue_names_taken.get(name, 0) > self._clock.now_us():
            raise queue_not_found()
        self._add_queue(name, queue_settings.completed(protos.Queue(name=name)))
        return self.queues[name]

    @staticmethod
    def _check_given_name(name: str, queue: TaskQueue, now_us: int) -> str:
        parent, found, task_id = name.partition("/tasks/")
        if not found:
            raise bad_task_name()
        if parent != queue.name:
            raise invalid(
                f"The queue name from request ('{queue.name}') must be the same as the queue name in the "
                f"named task ('{parent}')."
            )
        check_task_id(task_id)
        if task_id in queue.tasks or queue.existed_recently(task_id, now_us):
            raise already_exists()
        return task_id

    def _new_task_id(self, queue: TaskQueue) -> str:
        while True:
            # Leading zeros occur in real ids: they show who takes an id for a number.
            task_id = f"{self._random.getrandbits(64):020d}"
            if task_id not in queue.tasks:
                return task_id

    @property
    def now_us(self) -> int:
        """The time now."""
        return self._clock.now_us()

    def random_bits(self, count: int) -> int:
        """From the same seeded source as task ids."""
        return self._random.getrandbits(count)

    def get_task(self, request: Message) -> Message:
        """RPC reference, GetTask."""
        return self._task(request.name, recently=task_gone()).message(request.response_view)

    def list_tasks(self, request: Message) -> Message:
        """RPC reference, ListTasks."""
        queue = self.queue(request.parent)
        found, token = page(
            queue.tasks.values(),
            lambda task: task.number,
            size=request.page_size,
            token=request.page_token,
            largest=LIST_TASKS_MAX,
            query=request.parent,
            now_us=self._clock.now_us(),
        )
        return _message("ListTasksResponse")(
            tasks=[task.message(request.response_view) for task in found], next_page_token=token
        )

    def delete_task(self, request: Message) -> Message:
        """RPC reference, DeleteTask: works on waiting and on dispatched tasks."""
        task = self._task(request.name, recently=entity_not_found())
        self._dispatcher.remove(task, "deleted")
        self._dispatcher.touch(task.queue)
        return protos.Empty()

    def run_task(self, request: Message) -> Message:
        """RPC reference, RunTask: the task as it is after the dispatch and before the target's answer."""
        task = self._task(request.name, recently=entity_not_found())
        self._dispatcher.run_now(task)
        return task.message(request.response_view)

    def find_task(self, name: str) -> StoredTask | None:
        """The live task of this full name; None when there is none."""
        parent, _, task_id = name.partition("/tasks/")
        queue = self.queues.get(parent)
        return queue.tasks.get(task_id) if queue is not None else None

    def lose_half(self, method: str, reply: Message) -> None:
        """What a partly applied call leaves: a created task keeps its name and never runs."""
        if method == "CreateTask":
            task = self.find_task(reply.name)
            if task is not None:
                task.queue.unschedule(task)

    def _task(self, name: str, *, recently: ApiError) -> StoredTask:
        parent, task_id = task_name(name)
        queue = self.queue(parent)
        task = queue.tasks.get(task_id)
        if task is None:
            raise recently if queue.existed_recently(task_id, self._clock.now_us()) else entity_not_found()
        return task


def _message(short_name: str) -> Message:
    return protos.message_class(f"google.cloud.tasks.v2.{short_name}")


def _bad_queue_name() -> ApiError:
    return invalid(
        'Queue name must be formatted: "projects/<PROJECT_ID>/locations/<LOCATION_ID>/queues/<QUEUE_ID>".',
        with_help=True,
    )


def _as_json(queue: Message) -> dict[str, object]:
    found: dict[str, object] = json_format.MessageToDict(queue)
    return found
