from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from fake_services.cloud_tasks import Semantics, protos
from fake_services.cloud_tasks.names import QueueName
from fake_services.cloud_tasks.queue import TaskQueue
from fake_services.cloud_tasks.queue_settings import completed
from fake_services.cloud_tasks.task import StoredTask

NAME = QueueName("p", "l", "q")

STEPS = st.lists(
    st.tuples(
        st.sampled_from(["schedule", "unschedule", "pop", "pop_newest", "fail"]),
        st.integers(0, 4),
        st.integers(0, 20),
    ),
    max_size=60,
)


@given(STEPS)
def test_waiting_tasks_come_out_as_from_a_sorted_list(steps: list[tuple[str, int, int]]) -> None:
    """Against the plain model: a list of (time, arrival, task), sorted whenever it is looked at."""
    queue = TaskQueue(NAME, completed(protos.Queue(name=str(NAME))), Semantics())
    tasks: list[Any] = [StoredTask(queue, str(number), b"", 0, 0, number) for number in range(5)]
    model: list[tuple[int, int, Any]] = []
    for arrival, (step, number, time) in enumerate(steps):
        task = tasks[number]
        if step in {"schedule", "fail"}:
            if step == "fail" and not any(each[2] is task for each in model):
                task.dispatch_count += 1  # as the dispatcher counts it before the task waits again
            model = [each for each in model if each[2] is not task] + [(time, arrival, task)]
            queue.schedule(task, time)
        elif step == "unschedule":
            model = [each for each in model if each[2] is not task]
            queue.unschedule(task)
        else:
            due = sorted((each for each in model if each[0] <= time), key=lambda each: each[:2])
            expected = None
            if due:
                chosen = max(due, key=lambda each: each[1]) if step == "pop_newest" else due[0]
                model.remove(chosen)
                expected = chosen[2]
            assert queue.pop_due(time, newest=step == "pop_newest") is expected
        assert queue.next_due_us() == min((each[0] for each in model), default=None)
        assert queue.retrying == sum(1 for each in model if each[2].dispatch_count)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5000)), max_size=40))
def test_names_stay_taken_for_exactly_the_window(steps: list[tuple[int, int]]) -> None:
    queue = TaskQueue(NAME, completed(protos.Queue(name=str(NAME))), Semantics(dedup_window_s=0.003))
    gone_at: dict[str, int] = {}
    now_us = 0
    for number, gap_us in steps:
        now_us += gap_us
        task_id = str(number)
        taken = task_id in gone_at and now_us < gone_at[task_id] + 3000
        assert queue.existed_recently(task_id, now_us) == taken
        if not taken:
            task = StoredTask(queue, task_id, b"", now_us, now_us, 1)
            queue.tasks[task_id] = task
            queue.schedule(task, now_us)
            queue.bury(task, now_us)
            gone_at[task_id] = now_us
            assert queue.next_due_us() is None
