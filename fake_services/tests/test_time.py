from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from fake_services.clock import VirtualClock
from fake_services.cloud_tasks import CloudTasks, CloudTasksConfig
from fake_services.tests.conftest import client_of

if TYPE_CHECKING:
    from fake_services.host import Host
    from fake_services.tests.targets import Target

Q = "projects/p/locations/l/queues/q"
DAY_S = 86400


def task(url: str, **fields: Any) -> Any:
    return {"http_request": {"url": url}, **fields}


def story(host: Host, target: Target) -> list[tuple[object, ...]]:
    """Thirty-one days of two tasks that never succeed.

    One attempt at a time: of two that are in flight at the same moment, the target decides which ends first.
    """
    fake = host.start(CloudTasks(CloudTasksConfig(clock="frozen", seed=7)))
    limits = {"max_concurrent_dispatches": 1}
    fake.create_queue(Q, retry_config={"max_attempts": -1}, rate_limits=limits, state="PAUSED")
    target.default = 500
    with client_of(fake.grpc_address) as client:
        client.create_task(parent=Q, task=task(target.url))
        client.create_task(parent=Q, task=task(target.url, name=f"{Q}/tasks/named"))
        client.resume_queue(name=Q)
    fake.run_until_idle()
    found: list[tuple[object, ...]] = [
        (each.kind, each.fields["task"], each.fields.get("clock_us"), each.fields.get("retry_in_s"))
        for each in fake.journal.snapshot()
        if each.kind.startswith(("attempt", "task"))
    ]
    host.stop(fake)
    return found


def test_thirty_one_days_of_retries_take_no_time_and_are_the_same_each_run(
    host: Host, target: Target
) -> None:
    # Processor time, because the machine may be busy: 1,500 real HTTP requests, both ends in this process.
    started_s = time.process_time()
    first = story(host, target)
    assert time.process_time() - started_s < 4
    assert first == story(host, target)
    sent = [at for kind, _, at, _ in first if kind == "attempt.sent"]
    assert sent == sorted(sent)  # type: ignore[type-var]
    # 0.1 s doubling to 3276.8 s takes 6553.5 s and 16 retries; then one an hour until the 31 days are over.
    hourly = int((31 * DAY_S - 6553.5) // 3600)
    assert len(sent) == 2 * (1 + 16 + hourly)
    gone = [entry for entry in first if entry[0] == "task.gone"]
    assert len(gone) == 2


def test_a_frozen_clock_stands_still(host: Host, target: Target) -> None:
    fake = host.start(CloudTasks(CloudTasksConfig(clock="frozen")))
    before_us = fake.now_us
    fake.create_queue(Q)
    with client_of(fake.grpc_address) as client:
        client.create_task(parent=Q, task=task(target.url))
        fake.journal.wait_for(lambda each: each.kind == "task.gone", 10)
    assert fake.now_us == before_us
    assert fake.advance(3600) == 0
    assert fake.now_us == before_us + 3600 * 10**6
    with pytest.raises(ValueError, match="time only goes forward"):
        fake.advance(-1)
    host.stop(fake)


def test_a_jumping_clock_runs_by_itself(host: Host, target: Target) -> None:
    fake = host.start(CloudTasks(CloudTasksConfig(clock="jump", patience_s=0.5)))
    fake.create_queue(Q, retry_config={"min_backoff": 3600})
    target.answers = [500, "hang"]
    before_us = fake.now_us
    with client_of(fake.grpc_address) as client:
        client.create_task(parent=Q, task=task(target.url))
    fake.journal.wait_for(lambda each: each.kind == "task.gone", 20)
    assert fake.now_us >= before_us + (3600 + 600 + 3600) * 10**6
    host.stop(fake)


def test_the_systems_clock_cannot_be_moved(fake: CloudTasks) -> None:
    with pytest.raises(ValueError, match="the clock is the system's"):
        fake.advance(1)
    with pytest.raises(ValueError, match="the clock is the system's"):
        fake.run_until_idle()
    reply = httpx.post(fake.control_url + "/control/clock", json={"advance_s": 1})
    assert (reply.status_code, "system's" in reply.json()["error"]) == (400, True)


def test_an_unknown_clock_names_the_valid_ones() -> None:
    with pytest.raises(ValueError, match="one of system, frozen, jump, not 'wound'"):
        CloudTasks(CloudTasksConfig(clock="wound"))  # type: ignore[arg-type]


def test_the_clock_moves_over_the_control_plane(host: Host, target: Target) -> None:
    fake = host.start(CloudTasks(CloudTasksConfig(clock="frozen", clock_start_us=10**15)))
    url = fake.control_url + "/control/clock"
    fake.create_queue(Q, retry_config={"min_backoff": 10})
    target.answers = [500]
    assert httpx.get(url).json() == {"mode": "frozen", "now_us": 10**15}
    with client_of(fake.grpc_address) as client:
        client.create_task(parent=Q, task=task(target.url))
    assert httpx.post(url, json={"advance_s": 2.5}).json()["now_us"] == 10**15 + 2_500_000
    assert httpx.post(url, json={"run_until_idle": True}).json()["events"] == 1
    assert len(target.got) == 2
    assert httpx.post(url, json={"mode": "jump"}).json()["mode"] == "jump"
    assert httpx.post(url, json={"mode": "frozen"}).json()["mode"] == "frozen"
    wrong: object
    for wrong in (
        {},
        [],
        {"advance_s": "x"},
        {"advance_s": True},
        {"mode": "x"},
        {"mode": 1},
        {"advance_s": -1},
    ):
        assert httpx.post(url, json=wrong).status_code == 400
    assert httpx.post(url, content=b'{"advance_s": NaN}').status_code == 400
    host.stop(fake)


def test_time_does_not_go_back() -> None:
    clock = VirtualClock(100)
    with pytest.raises(ValueError, match="time cannot go back"):
        clock.step(99)


def test_the_clock_is_moved_by_several_at_once(host: Host, target: Target) -> None:
    fake = host.start(CloudTasks(CloudTasksConfig(clock="frozen", clock_start_us=10**15)))
    fake.create_queue(Q, retry_config={"max_attempts": -1, "min_backoff": 1, "max_backoff": 1})
    target.default = 500
    with client_of(fake.grpc_address) as client:
        client.create_task(parent=Q, task=task(target.url))
    with ThreadPoolExecutor(4) as pool:
        moved = list(pool.map(fake.advance, [10] * 4))
    assert (fake.now_us, sum(moved), len(target.got)) == (10**15 + 40 * 10**6, 40, 41)
    host.stop(fake)
