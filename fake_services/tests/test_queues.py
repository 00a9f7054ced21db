from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from google.api_core import exceptions
from google.cloud import tasks_v2
from google.protobuf import field_mask_pb2

from fake_services.cloud_tasks import CloudTasks, CloudTasksConfig, Semantics
from fake_services.tests.conftest import client_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fake_services.host import Host

Client = Any  # the official client takes dictionaries, which its annotations do not say
L = "projects/p/locations/us-west1"
Q = f"{L}/queues/q"
DAY_S = 86400


@pytest.fixture
def frozen(host: Host) -> Iterator[CloudTasks]:
    fake = host.start(CloudTasks(CloudTasksConfig(clock="frozen")))
    yield fake
    host.stop(fake)


@pytest.fixture
def client(frozen: CloudTasks) -> Iterator[Client]:
    with client_of(frozen.grpc_address) as client:
        yield client


def task(**fields: Any) -> Any:
    return {"http_request": {"url": "http://127.0.0.1:1/", "body": b"payload"}, **fields}


def update(client: Client, paths: list[str], **settings: Any) -> Any:
    return client.update_queue(
        queue={"name": Q, **settings}, update_mask=field_mask_pb2.FieldMask(paths=paths)
    )


def test_a_queue_with_only_a_name_gets_every_default(client: Client) -> None:
    queue = client.create_queue(parent=L, queue={"name": Q})
    assert queue.rate_limits.max_dispatches_per_second == 500
    assert queue.rate_limits.max_burst_size == 100
    assert queue.rate_limits.max_concurrent_dispatches == 1000
    assert queue.retry_config.max_attempts == 100
    assert queue.retry_config.min_backoff.total_seconds() == 0.1
    assert queue.retry_config.max_backoff.total_seconds() == 3600
    assert queue.retry_config.max_doublings == 16
    assert "max_retry_duration" not in queue.retry_config
    assert queue.state is tasks_v2.Queue.State.RUNNING
    assert "purge_time" not in queue
    assert client.get_queue(name=Q) == queue


def test_output_only_fields_are_ignored(client: Client) -> None:
    queue = client.create_queue(
        parent=L,
        queue={
            "name": Q,
            "state": "PAUSED",
            "rate_limits": {"max_burst_size": 7, "max_dispatches_per_second": 1},
        },
    )
    assert (queue.state.name, queue.rate_limits.max_burst_size) == ("RUNNING", 10)


def test_the_http_target_of_a_queue_survives(client: Client) -> None:
    target = {"uri_override": {"host": "h", "port": 8080, "scheme": "HTTP"}, "http_method": "PUT"}
    created = client.create_queue(parent=L, queue={"name": Q, "http_target": target})
    assert created.http_target.uri_override.port == 8080
    assert update(client, ["http_target"]).http_target == tasks_v2.HttpTarget()


def test_masks_choose_what_an_update_touches(client: Client) -> None:
    client.create_queue(parent=L, queue={"name": Q, "retry_config": {"max_attempts": 5, "max_doublings": 3}})
    updated = update(
        client, ["retry_config.max_attempts"], retry_config={"max_attempts": 9, "max_doublings": 1}
    )
    assert (updated.retry_config.max_attempts, updated.retry_config.max_doublings) == (9, 3)
    cleared = update(client, ["retry_config.max_attempts"])
    assert (cleared.retry_config.max_attempts, cleared.retry_config.max_doublings) == (100, 3)
    whole = update(client, ["retry_config"], retry_config={"max_attempts": 2})
    assert (whole.retry_config.max_attempts, whole.retry_config.max_doublings) == (2, 16)


def test_an_empty_mask_updates_everything_but_never_the_state(client: Client) -> None:
    client.create_queue(parent=L, queue={"name": Q, "retry_config": {"max_attempts": 5}})
    client.pause_queue(name=Q)
    updated = client.update_queue(
        queue={"name": Q, "rate_limits": {"max_dispatches_per_second": 7}, "state": "RUNNING"}
    )
    assert updated.retry_config.max_attempts == 100
    assert (updated.rate_limits.max_dispatches_per_second, updated.state.name) == (7, "PAUSED")
    assert update(client, ["state"], state="RUNNING").state.name == "PAUSED"


def test_an_update_with_an_unknown_path_names_it(client: Client) -> None:
    client.create_queue(parent=L, queue={"name": Q})
    with pytest.raises(exceptions.InvalidArgument, match=r"retry_config\.nonsense"):
        update(client, ["retry_config.nonsense"])


def test_a_queue_is_updated_without_a_client(frozen: CloudTasks, client: Client) -> None:
    frozen.create_queue(Q, retry_config={"max_attempts": 3}, rate_limits={"max_concurrent_dispatches": 7})
    frozen.update_queue(Q, retry_config={"max_attempts": -1, "max_doublings": 5})
    queue = client.get_queue(name=Q)
    assert (queue.retry_config.max_attempts, queue.retry_config.max_doublings) == (-1, 5)
    assert queue.rate_limits.max_concurrent_dispatches == 7
    with pytest.raises(ValueError, match="retries"):
        frozen.update_queue(Q, retries={})


def test_an_update_makes_a_queue_that_does_not_exist(client: Client) -> None:
    assert (
        client.update_queue(queue={"name": Q, "retry_config": {"max_attempts": 3}}).retry_config.max_attempts
        == 3
    )
    assert client.get_queue(name=Q).state.name == "RUNNING"


def test_pause_and_resume_repeat_without_harm(client: Client) -> None:
    client.create_queue(parent=L, queue={"name": Q})
    assert [client.pause_queue(name=Q).state.name for _ in range(2)] == ["PAUSED", "PAUSED"]
    assert [client.resume_queue(name=Q).state.name for _ in range(2)] == ["RUNNING", "RUNNING"]


def test_a_deleted_name_stays_taken_for_seven_days(frozen: CloudTasks, client: Client) -> None:
    client.create_queue(parent=L, queue={"name": Q})
    client.delete_queue(name=Q)
    for seconds in (0, 7 * DAY_S - 1):
        frozen.advance(seconds)
        with pytest.raises(
            exceptions.FailedPrecondition, match="a queue with this name existed too recently"
        ):
            client.create_queue(parent=L, queue={"name": Q})
        with pytest.raises(exceptions.NotFound):
            client.create_task(parent=Q, task=task())
    frozen.advance(1)
    client.create_queue(parent=L, queue={"name": Q})


def test_the_wait_for_a_deleted_name_can_be_turned_off(host: Host) -> None:
    fake = host.start(CloudTasks(CloudTasksConfig(semantics=Semantics(queue_tombstone_s=0))))
    with client_of(fake.grpc_address) as client:
        for _ in range(2):
            client.create_queue(parent=L, queue={"name": Q})
            client.delete_queue(name=Q)
    host.stop(fake)


def test_purge_takes_what_was_created_before_it(frozen: CloudTasks, client: Client) -> None:
    client.create_queue(parent=L, queue={"name": Q})
    client.pause_queue(name=Q)
    old = client.create_task(parent=Q, task=task())
    frozen.advance(1)
    purged = client.purge_queue(name=Q)
    assert purged.purge_time.timestamp_pb().ToMicroseconds() == frozen.now_us
    new = client.create_task(parent=Q, task=task())
    assert [each.name for each in client.list_tasks(parent=Q)] == [new.name]
    with pytest.raises(exceptions.NotFound, match="existed recently"):
        client.get_task(name=old.name)


def test_a_slow_purge_takes_effect_later(host: Host) -> None:
    fake = host.start(CloudTasks(CloudTasksConfig(clock="frozen", semantics=Semantics(purge_delay_s=60))))
    with client_of(fake.grpc_address) as client:
        client.create_queue(parent=L, queue={"name": Q})
        client.pause_queue(name=Q)
        client.create_task(parent=Q, task=task())
        client.purge_queue(name=Q)
        new = client.create_task(parent=Q, task=task())
        assert len(list(client.list_tasks(parent=Q))) == 2
        fake.advance(60)
        assert [each.name for each in client.list_tasks(parent=Q)] == [new.name]
    host.stop(fake)


def test_a_used_name_is_taken_for_the_deduplication_window(frozen: CloudTasks, client: Client) -> None:
    client.create_queue(parent=L, queue={"name": Q})
    client.pause_queue(name=Q)
    name = f"{Q}/tasks/mine"
    client.create_task(parent=Q, task=task(name=name))
    client.delete_task(name=name)
    frozen.advance(3599)
    with pytest.raises(exceptions.AlreadyExists):
        client.create_task(parent=Q, task=task(name=name))
    with pytest.raises(exceptions.NotFound, match="existed recently"):
        client.get_task(name=name)
    frozen.advance(1)
    with pytest.raises(exceptions.NotFound, match=r"Requested entity was not found\."):
        client.get_task(name=name)
    client.create_task(parent=Q, task=task(name=name))


def test_generated_ids_are_digits_with_leading_zeros_kept(client: Client) -> None:
    client.create_queue(parent=L, queue={"name": Q})
    client.pause_queue(name=Q)
    ids = [client.create_task(parent=Q, task=task()).name.rpartition("/")[2] for _ in range(20)]
    assert all(each.isdecimal() and 18 <= len(each) <= 20 for each in ids)
    assert len(set(ids)) == 20
    assert client.get_task(name=f"{Q}/tasks/{ids[0]}").name.endswith(ids[0])


def test_the_stored_task(client: Client, frozen: CloudTasks) -> None:
    client.create_queue(parent=L, queue={"name": Q})
    client.pause_queue(name=Q)
    headers = {"x-Odd": "1", "user-agent": "mine", "Host": "h", "Content-Length": "9", "X-Google-A": "1",
               "X-AppEngine-B": "1", "X-CloudTasks-C": "1"}  # fmt: skip
    given = {"http_request": {"url": "https://h/x", "headers": headers, "body": b"abc"}}
    created = client.create_task(request={"parent": Q, "task": given, "response_view": "FULL"})
    assert dict(created.http_request.headers) == {"x-Odd": "1", "User-Agent": "Google-Cloud-Tasks"}
    assert created.http_request.http_method.name == "POST"
    assert created.dispatch_deadline.total_seconds() == 600
    assert created.create_time.timestamp_pb().nanos == 0
    assert created.schedule_time.timestamp_pb().ToMicroseconds() == frozen.now_us
    assert (created.view.name, created.http_request.body) == ("FULL", b"abc")
    basic = client.get_task(name=created.name)
    assert (basic.view.name, basic.http_request.body) == ("BASIC", b"")
    assert dict(basic.http_request.headers) == dict(created.http_request.headers)
    full = client.get_task(request={"name": created.name, "response_view": "FULL"})
    assert full == created
    [listed] = client.list_tasks(request={"parent": Q, "response_view": "FULL"})
    assert listed == created


def test_the_stored_app_engine_task(client: Client) -> None:
    client.create_queue(parent=L, queue={"name": Q})
    client.pause_queue(name=Q)
    given = {
        "app_engine_http_request": {"body": b"abc", "app_engine_routing": {"service": "s", "version": "v"}}
    }
    created = client.create_task(parent=Q, task=given)
    stored = created.app_engine_http_request
    assert dict(stored.headers) == {
        "User-Agent": "AppEngine-Google; (+http://code.google.com/appengine)",
        "Content-Length": "3",
        "Content-Type": "application/octet-stream",
    }
    assert (stored.relative_uri, stored.app_engine_routing.host, stored.body) == (
        "/",
        "v.s.p.appspot.com",
        b"",
    )
    assert "dispatch_deadline" not in created
    assert (
        client.get_task(request={"name": created.name, "response_view": "FULL"}).app_engine_http_request.body
        == b"abc"
    )


def test_the_largest_task_is_accepted_and_one_byte_more_is_not(client: Client) -> None:
    client.create_queue(parent=L, queue={"name": Q})
    client.pause_queue(name=Q)

    def create(size: int) -> Any:
        given: Any = {"name": f"{Q}/tasks/s{size}", "http_request": {"url": "http://h", "body": b"x" * size}}
        return client.create_task(request={"parent": Q, "task": given, "response_view": "FULL"})

    probe = create(1_000_000)
    probe.view = tasks_v2.Task.View.VIEW_UNSPECIFIED  # the stored task has none
    largest = 1_048_569 - tasks_v2.Task.pb(probe).ByteSize() + 1_000_000
    create(largest)
    with pytest.raises(exceptions.InvalidArgument, match="Task size too large"):
        create(largest + 1)


def test_lists_go_through_pages_also_while_tasks_disappear(client: Client) -> None:
    client.create_queue(parent=L, queue={"name": Q})
    client.pause_queue(name=Q)
    names = [client.create_task(parent=Q, task=task()).name for _ in range(25)]
    assert [each.name for each in client.list_tasks(request={"parent": Q, "page_size": 10})] == names
    first = next(client.list_tasks(request={"parent": Q, "page_size": 10}).pages)
    client.delete_task(name=names[3])
    rest = client.list_tasks(request={"parent": Q, "page_token": first.next_page_token})
    assert [each.name for each in rest] == names[10:]


def test_page_tokens_expire_and_belong_to_their_query(frozen: CloudTasks, client: Client) -> None:
    for number in range(3):
        client.create_queue(parent=L, queue={"name": f"{L}/queues/q{number}"})
    token = next(client.list_queues(request={"parent": L, "page_size": 2}).pages).next_page_token
    for wrong in ({"parent": L, "filter": "state: PAUSED"}, {"parent": "projects/p/locations/x"}):
        with pytest.raises(exceptions.InvalidArgument):
            client.list_queues(request={**wrong, "page_token": token})
    for broken in ("nonsense", "1", "W10="):
        with pytest.raises(exceptions.InvalidArgument, match="page token is invalid"):
            client.list_queues(request={"parent": L, "page_token": broken})
    with pytest.raises(exceptions.InvalidArgument, match="negative"):
        client.list_queues(request={"parent": L, "page_size": -1})
    frozen.advance(7200)
    assert [q.name[-2:] for q in client.list_queues(request={"parent": L, "page_token": token})] == ["q2"]
    frozen.advance(1)
    with pytest.raises(exceptions.InvalidArgument, match="expired"):
        client.list_queues(request={"parent": L, "page_token": token})


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", "abc"),
        ("state: PAUSED", "b"),
        ("state != PAUSED", "ac"),
        ("NOT state=paused", "ac"),
        ("-state=paused", "ac"),
        ("rate_limits.max_dispatches_per_second >= 100", "bc"),
        ("rateLimits.maxDispatchesPerSecond < 100", "a"),
        ("retryConfig.minBackoff > 0.2s", "c"),
        ('name: "queues/a"', "a"),
        ("name: queues/a OR name: queues/b state: RUNNING", "a"),
        ("(name: queues/a AND state: RUNNING) OR state: PAUSED", "ab"),
        ("retryConfig.nonsense: *", ""),
        ("PAUSED", "b"),
    ],
)
def test_list_queues_filters(client: Client, text: str, found: str) -> None:
    client.create_queue(
        parent=L, queue={"name": f"{L}/queues/a", "rate_limits": {"max_dispatches_per_second": 5}}
    )
    client.create_queue(parent=L, queue={"name": f"{L}/queues/b"})
    client.create_queue(
        parent=L, queue={"name": f"{L}/queues/c", "retry_config": {"min_backoff": {"seconds": 1}}}
    )
    client.pause_queue(name=f"{L}/queues/b")
    listed = client.list_queues(request={"parent": L, "filter": text})
    assert "".join(queue.name[-1] for queue in listed) == found


@pytest.mark.parametrize("text", ["state:", "= 3", "(a=1", "a=1)", '"', "a = OR", "a ! b", "(" * 100])
def test_a_wrong_filter_is_refused(client: Client, text: str) -> None:
    with pytest.raises(exceptions.InvalidArgument, match="filter is invalid"):
        client.list_queues(request={"parent": L, "filter": text})


def test_names_that_nobody_asks_for_are_forgotten_too(frozen: CloudTasks, client: Client) -> None:
    client.create_queue(parent=L, queue={"name": Q})
    client.pause_queue(name=Q)
    for _ in range(3):
        client.delete_task(name=client.create_task(parent=Q, task=task()).name)
        frozen.advance(3600)
    assert frozen._state.queues[Q].taken_count == 1
