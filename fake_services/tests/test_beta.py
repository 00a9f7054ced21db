"""v2beta3: what gcloud beta sends, and the settings that only it has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc
import pytest
from google.api_core import exceptions
from google.cloud import tasks_v2beta3
from google.cloud.tasks_v2beta3.services.cloud_tasks.transports import CloudTasksGrpcTransport

from fake_services.cloud_tasks import CloudTasks, CloudTasksConfig
from fake_services.tests.conftest import client_of
from fake_services.tests.test_queues import DAY_S, L, Q, frozen, task

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fake_services.host import Host
    from fake_services.tests.targets import Target

__all__ = ["frozen"]

Client = Any  # the official client takes dictionaries, which its annotations do not say


@pytest.fixture
def beta(frozen: CloudTasks) -> Iterator[Client]:
    channel = grpc.insecure_channel(frozen.grpc_address)
    with tasks_v2beta3.CloudTasksClient(transport=CloudTasksGrpcTransport(channel=channel)) as client:
        yield client


def update(beta: Client, paths: list[str], **settings: Any) -> Any:
    return beta.update_queue(request={"queue": {"name": Q, **settings}, "update_mask": {"paths": paths}})


def days(duration: Any) -> float:
    return float(duration.total_seconds()) / DAY_S


def test_the_defaults(beta: Client) -> None:
    queue = beta.create_queue(parent=L, queue={"name": Q})
    assert (days(queue.task_ttl), queue.tombstone_ttl.total_seconds(), queue.type_.name) == (31, 3600, "PUSH")
    assert queue.rate_limits.max_burst_size == 100
    assert beta.get_queue(name=Q) == queue


def test_a_name_stays_taken_for_the_queues_own_time(frozen: CloudTasks, beta: Client) -> None:
    beta.create_queue(parent=L, queue={"name": Q, "tombstone_ttl": {"seconds": 9 * DAY_S}})
    beta.pause_queue(name=Q)
    name = f"{Q}/tasks/mine"
    beta.create_task(parent=Q, task=task(name=name))
    beta.delete_task(name=name)
    frozen.advance(9 * DAY_S - 1)
    with pytest.raises(exceptions.AlreadyExists):
        beta.create_task(parent=Q, task=task(name=name))
    frozen.advance(1)
    beta.create_task(parent=Q, task=task(name=name))


def test_tasks_live_for_the_queues_own_time_also_when_it_changes(frozen: CloudTasks, beta: Client) -> None:
    beta.create_queue(parent=L, queue={"name": Q})
    beta.pause_queue(name=Q)
    beta.create_task(parent=Q, task=task())
    assert days(update(beta, ["task_ttl"], task_ttl={"seconds": 40 * DAY_S}).task_ttl) == 40
    frozen.advance(40 * DAY_S - 1)
    assert len(list(beta.list_tasks(parent=Q))) == 1
    frozen.advance(1)
    assert list(beta.list_tasks(parent=Q)) == []
    beta.create_task(parent=Q, task=task())
    update(beta, ["task_ttl"], task_ttl={"seconds": 10 * DAY_S})
    frozen.advance(10 * DAY_S)
    assert list(beta.list_tasks(parent=Q)) == []


def test_masks_of_what_v2_does_not_have(beta: Client) -> None:
    beta.create_queue(
        parent=L, queue={"name": Q, "task_ttl": {"seconds": 20 * DAY_S}, "retry_config": {"max_attempts": 7}}
    )
    updated = update(beta, ["tombstone_ttl"], tombstone_ttl={"seconds": 7200}, task_ttl={"seconds": 1})
    assert (days(updated.task_ttl), updated.tombstone_ttl.total_seconds()) == (20, 7200)
    assert updated.retry_config.max_attempts == 7
    cleared = update(beta, ["task_ttl"])
    assert (days(cleared.task_ttl), cleared.tombstone_ttl.total_seconds()) == (31, 7200)
    moved = {"app_engine_routing_override": {"service": "s"}}
    app_engine = update(beta, ["app_engine_http_queue"], app_engine_http_queue=moved)
    assert app_engine.app_engine_http_queue.app_engine_routing_override.service == "s"
    assert beta.update_queue(queue={"name": Q}).tombstone_ttl.total_seconds() == 3600


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"task_ttl": {"seconds": 10 * DAY_S - 1}}, "taskTtl must be between 10 days and 10 years"),
        ({"task_ttl": {"seconds": 3651 * DAY_S}}, "taskTtl must be between 10 days and 10 years"),
        ({"tombstone_ttl": {"seconds": 3599}}, "tombstoneTtl must be between 1 hour and 9 days"),
        ({"tombstone_ttl": {"seconds": 9 * DAY_S + 1}}, "tombstoneTtl must be between 1 hour and 9 days"),
        ({"rate_limits": {"max_burst_size": 501}}, "maxBurstSize must be between 0 and 500"),
        ({"rate_limits": {"max_burst_size": -1}}, "maxBurstSize must be between 0 and 500"),
        ({"type_": "PULL"}, "Pull queues are not supported"),
    ],
)
def test_values_beyond_their_limits_make_no_queue(beta: Client, settings: Any, message: str) -> None:
    with pytest.raises(exceptions.InvalidArgument, match=message):
        beta.create_queue(parent=L, queue={"name": Q, **settings})
    with pytest.raises(exceptions.NotFound):
        beta.get_queue(name=Q)


def test_a_burst_size_of_ones_own_is_kept_until_the_rate_changes(
    frozen: CloudTasks, beta: Client, target: Target
) -> None:
    limits = {"max_burst_size": 3, "max_dispatches_per_second": 20}
    created = beta.create_queue(parent=L, queue={"name": Q, "rate_limits": limits})
    assert created.rate_limits.max_burst_size == 3
    beta.pause_queue(name=Q)
    for _ in range(10):
        beta.create_task(parent=Q, task={"http_request": {"url": target.url}})
    beta.resume_queue(name=Q)
    frozen.advance(0)
    assert len(target.got) == 3
    assert update(beta, ["retry_config"]).rate_limits.max_burst_size == 3
    faster = update(
        beta, ["rate_limits.max_dispatches_per_second"], rate_limits={"max_dispatches_per_second": 400}
    )
    assert faster.rate_limits.max_burst_size == 80
    named = update(beta, ["rate_limits.max_burst_size"], rate_limits={"max_burst_size": 5})
    assert (named.rate_limits.max_burst_size, named.rate_limits.max_dispatches_per_second) == (5, 400)
    with client_of(frozen.grpc_address) as v2:
        over_v2 = v2.update_queue(queue={"name": Q}, update_mask={"paths": ["retry_config"]})
    assert over_v2.rate_limits.max_burst_size == 80


def test_read_masks_and_statistics(frozen: CloudTasks, beta: Client, target: Target) -> None:
    beta.create_queue(parent=L, queue={"name": Q})
    beta.create_task(parent=Q, task={"http_request": {"url": target.url}})
    frozen.advance(0)
    beta.create_task(parent=Q, task={**task(), "schedule_time": {"seconds": frozen.now_us // 10**6 + 3600}})
    assert "stats" not in beta.get_queue(name=Q)
    read = beta.get_queue(request={"name": Q, "read_mask": {"paths": ["name", "stats"]}})
    assert (read.name, "retry_config" in read) == (Q, False)
    stats = read.stats
    assert (stats.tasks_count, stats.executed_last_minute_count, stats.concurrent_dispatches_count) == (
        1,
        1,
        0,
    )
    assert stats.effective_execution_rate == 500
    assert stats.oldest_estimated_arrival_time.timestamp_pb().seconds == frozen.now_us // 10**6 + 3600
    frozen.advance(60)
    [listed] = beta.list_queues(request={"parent": L, "read_mask": {"paths": ["stats"]}})
    assert (listed.name, listed.stats.executed_last_minute_count) == ("", 0)


def test_queues_of_a_queue_yaml_show_their_long_times(host: Host) -> None:
    from fake_services.cloud_tasks.queue_yaml import queues_from_yaml

    queues = queues_from_yaml("queue: [{name: q, rate: 1/s}]", project="p", location="us-west1")
    fake = host.start(CloudTasks(CloudTasksConfig(queues=queues)))
    channel = grpc.insecure_channel(fake.grpc_address)
    with tasks_v2beta3.CloudTasksClient(transport=CloudTasksGrpcTransport(channel=channel)) as client:
        queue = client.get_queue(name=Q)
    assert (days(queue.task_ttl), days(queue.tombstone_ttl), queue.rate_limits.max_burst_size) == (3650, 9, 5)
    host.stop(fake)
