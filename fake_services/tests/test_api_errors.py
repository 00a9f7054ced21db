"""Each row of the error table: code and text, through the official client over gRPC and over REST."""

# the table reads better with its texts whole

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc
import pytest
from google.api_core import exceptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import tasks_v2
from google.protobuf import duration_pb2, timestamp_pb2

from fake_services.cloud_tasks import CloudTasks, CloudTasksConfig, Semantics
from fake_services.tests.conftest import client_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fake_services.host import Host

Client = Any  # the official client takes dictionaries, which its annotations do not say

L = "projects/p/locations/us-west1"
LONGEST_URL = "http://127.0.0.1:1/".ljust(2083, "a")
START_US = 1_900_000_000_000_000
NO_QUEUE = (
    "Queue does not exist. If you just created the queue, wait at least a minute for the queue to initialize."
)


@pytest.fixture(scope="module")
def module_fake(host: Host) -> Iterator[CloudTasks]:
    fake = host.start(
        CloudTasks(
            CloudTasksConfig(
                clock="frozen", clock_start_us=START_US, denied_permissions=("cloudtasks.tasks.run",)
            )
        )
    )
    fake.create_queue(f"{L}/queues/q")
    fake.create_queue(f"{L}/queues/other")
    fake.create_queue(f"{L}/queues/gone")
    with client_of(fake.grpc_address) as client:
        client.delete_queue(name=f"{L}/queues/gone")
        client.pause_queue(name=f"{L}/queues/q")
        for name in ("live", "used"):
            client.create_task(parent=f"{L}/queues/q", task=task(name=f"{L}/queues/q/tasks/{name}"))
        client.delete_task(name=f"{L}/queues/q/tasks/used")
    yield fake
    host.stop(fake)


@pytest.fixture(scope="module", params=["grpc", "rest"])
def any_client(request: pytest.FixtureRequest, module_fake: CloudTasks) -> Iterator[Client]:
    client = client_of(module_fake.grpc_address) if request.param == "grpc" else rest_client(module_fake)
    with client:
        yield client


def rest_client(fake: CloudTasks) -> Client:
    return tasks_v2.CloudTasksClient(
        transport="rest",
        credentials=AnonymousCredentials(),  # type: ignore[no-untyped-call]
        client_options={"api_endpoint": fake.rest_url},
    )


def queue(**settings: Any) -> dict[str, Any]:
    return {"name": f"{L}/queues/new", **settings}


def task(**fields: Any) -> dict[str, Any]:
    http = {"url": "http://127.0.0.1:1/", **fields.pop("http", {})}
    return {"http_request": http, **fields}


def ae_task(uri: str = "/", **fields: Any) -> dict[str, Any]:
    return {"app_engine_http_request": {"relative_uri": uri}, **fields}


def s(seconds: float) -> duration_pb2.Duration:
    duration = duration_pb2.Duration()
    duration.FromMicroseconds(round(seconds * 1e6))
    return duration


def create_queue(**settings: Any) -> Callable[[Client], object]:
    return lambda client: client.create_queue(parent=L, queue=queue(**settings))


def create_task(given: dict[str, Any], parent: str = f"{L}/queues/q") -> Callable[[Client], object]:
    return lambda client: client.create_task(parent=parent, task=given)


HELP = "with help"

ROWS: list[tuple[str, Callable[[Client], object], type[Exception], str]] = [
    ("queue exists", lambda c: c.create_queue(parent=L, queue={"name": f"{L}/queues/q"}), exceptions.AlreadyExists,
     "Queue already exists"),
    ("malformed queue name", create_queue(name=f"{L}/queues/under_score"), exceptions.InvalidArgument,
     'Queue name must be formatted: "projects/<PROJECT_ID>/locations/<LOCATION_ID>/queues/<QUEUE_ID>".'),
    ("queue name too long", create_queue(name=f"{L}/queues/{'a' * 101}"), exceptions.InvalidArgument,
     'Queue name must be formatted: "projects/<PROJECT_ID>/locations/<LOCATION_ID>/queues/<QUEUE_ID>".'),
    ("no queue name", create_queue(name=""), exceptions.InvalidArgument,
     'Queue name must be formatted: "projects/<PROJECT_ID>/locations/<LOCATION_ID>/queues/<QUEUE_ID>".'),
    ("not under the parent", create_queue(name="projects/p/locations/elsewhere/queues/x"), exceptions.InvalidArgument,
     f"projects/p/locations/elsewhere/queues/x must begin with {L}."),
    ("get a missing queue", lambda c: c.get_queue(name=f"{L}/queues/no"), exceptions.NotFound, NO_QUEUE),
    ("pause a missing queue", lambda c: c.pause_queue(name=f"{L}/queues/no"), exceptions.NotFound, NO_QUEUE),
    ("resume a missing queue", lambda c: c.resume_queue(name=f"{L}/queues/no"), exceptions.NotFound, NO_QUEUE),
    ("purge a missing queue", lambda c: c.purge_queue(name=f"{L}/queues/no"), exceptions.NotFound, NO_QUEUE),
    ("create in a missing queue", create_task(task(), f"{L}/queues/no"), exceptions.NotFound, NO_QUEUE),
    ("delete a missing queue", lambda c: c.delete_queue(name=f"{L}/queues/no"), exceptions.NotFound,
     "Requested entity was not found."),
    ("make a queue deleted recently", create_queue(name=f"{L}/queues/gone"), exceptions.FailedPrecondition,
     "The queue cannot be created because a queue with this name existed too recently."),
    ("get a queue deleted recently", lambda c: c.get_queue(name=f"{L}/queues/gone"), exceptions.NotFound, NO_QUEUE),
    ("pause a queue deleted recently", lambda c: c.pause_queue(name=f"{L}/queues/gone"), exceptions.NotFound, NO_QUEUE),
    ("purge a queue deleted recently", lambda c: c.purge_queue(name=f"{L}/queues/gone"), exceptions.NotFound, NO_QUEUE),
    ("create in a queue deleted recently", create_task(task(), f"{L}/queues/gone"), exceptions.NotFound, NO_QUEUE),
    ("delete a queue deleted recently", lambda c: c.delete_queue(name=f"{L}/queues/gone"), exceptions.NotFound,
     "Requested entity was not found."),
    ("get a task that existed recently", lambda c: c.get_task(name=f"{L}/queues/q/tasks/used"), exceptions.NotFound,
     ("The task no longer exists, though a task with this name existed recently. "
     "The task either successfully completed or was deleted.")),
    ("delete a task that existed recently", lambda c: c.delete_task(name=f"{L}/queues/q/tasks/used"),
     exceptions.NotFound, "Requested entity was not found."),
    ("create a task that lives", create_task(task(name=f"{L}/queues/q/tasks/live")), exceptions.AlreadyExists,
     "Requested entity already exists"),
    ("create a task that existed recently", create_task(task(name=f"{L}/queues/q/tasks/used")),
     exceptions.AlreadyExists, "Requested entity already exists"),
    ("get a task that never was", lambda c: c.get_task(name=f"{L}/queues/q/tasks/no"), exceptions.NotFound,
     "Requested entity was not found."),
    ("delete a task that never was", lambda c: c.delete_task(name=f"{L}/queues/q/tasks/no"), exceptions.NotFound,
     "Requested entity was not found."),
    ("no permission", lambda c: c.run_task(name=f"{L}/queues/q/tasks/no"), exceptions.PermissionDenied,
     ('The principal (user or service account) lacks IAM permission "cloudtasks.tasks.run" for the resource '
     f'"{L}/queues/q/tasks/no" (or the resource may not exist).')),
    ("bad task id", create_task(task(name=f"{L}/queues/q/tasks/a.b")), exceptions.InvalidArgument,
     ('Task ID "a.b" can contain only letters ([A-Za-z]), numbers ([0-9]), hyphens (-), or underscores (_). '
     "Task ID must between 1 and 500 characters.")),
    ("task id too long", create_task(task(name=f"{L}/queues/q/tasks/{'a' * 501}")), exceptions.InvalidArgument,
     (f'Task ID "{"a" * 501}" can contain only letters ([A-Za-z]), numbers ([0-9]), hyphens (-), or underscores '
     "(_). Task ID must between 1 and 500 characters.")),
    ("task of another queue", create_task(task(name=f"{L}/queues/other/tasks/a")), exceptions.InvalidArgument,
     (f"The queue name from request ('{L}/queues/q') must be the same as the queue name in the named task "
     f"('{L}/queues/other').")),
    ("no url", create_task(task(http={"url": ""})), exceptions.InvalidArgument, "HttpRequest.url is required."),
    ("ftp url", create_task(task(http={"url": "ftp://x"})), exceptions.InvalidArgument,
     "HttpTarget.url must start with 'http://' or 'https://'."),
    ("url too long", create_task(task(http={"url": f"{LONGEST_URL}x"})), exceptions.InvalidArgument,
     "HttpRequest.url must be at most 2083 characters long."),
    ("url too long when encoded", create_task(task(http={"url": f"{LONGEST_URL[:-2]}é"})), exceptions.InvalidArgument,
     "HttpRequest.url must be at most 2083 characters long."),
    ("headers too large", create_task(task(http={"headers": {"X-A": "a" * 81_917}})), exceptions.InvalidArgument,
     "HttpRequest.headers must be less than 80 KB in total."),
    ("App Engine path without a slash", create_task(ae_task(uri="x")), exceptions.InvalidArgument,
     "AppEngineHttpRequest.relativeUri must start with '/'."),
    ("App Engine path with a space", create_task(ae_task(uri="/a b")), exceptions.InvalidArgument,
     "AppEngineHttpRequest.relativeUri cannot contain spaces."),
    ("App Engine path too long", create_task(ae_task(uri="/" + "a" * 2083)), exceptions.InvalidArgument,
     "AppEngineHttpRequest.relativeUri must be at most 2083 characters long."),
    ("deadline too short", create_task(task(dispatch_deadline=s(14.9))), exceptions.InvalidArgument,
     "Task.dispatchDeadline must be between [15s, 30m]."),
    ("deadline too long", create_task(task(dispatch_deadline=s(1801))), exceptions.InvalidArgument,
     "Task.dispatchDeadline must be between [15s, 30m]."),
    ("App Engine deadline too short", create_task(ae_task(dispatch_deadline=s(14))), exceptions.InvalidArgument,
     "Task.dispatchDeadline must be between [15s, 24h15s]."),
    ("App Engine deadline too long", create_task(ae_task(dispatch_deadline=s(86416))), exceptions.InvalidArgument,
     "Task.dispatchDeadline must be between [15s, 24h15s]."),
    ("scheduled too late",
     create_task(task(schedule_time=timestamp_pb2.Timestamp(seconds=START_US // 10**6 + 30 * 86400 + 1))),
     exceptions.InvalidArgument,
     ("The Task.scheduleTime, 2030-04-16T10:46:41-07:00, is too far in the future. Schedule time must be no more than "
     "720h in the future.")),
    ("too big", create_task(task(http={"body": b"x" * 1_048_570})), exceptions.InvalidArgument, "Task size too large"),
    ("body with GET", create_task(task(http={"http_method": "GET", "body": b"x"})), exceptions.InvalidArgument,
     "HttpRequest.body is not allowed for HTTP method GET."),
    ("no target", create_task({}), exceptions.InvalidArgument,
     "Task.messageType must be set: either httpRequest or appEngineHttpRequest is required."),
    ("negative rate", create_queue(rate_limits={"max_dispatches_per_second": -1}), exceptions.InvalidArgument,
     "RateLimits.maxDispatchesPerSecond cannot be negative."),
    ("rate too high", create_queue(rate_limits={"max_dispatches_per_second": 500.1}), exceptions.InvalidArgument,
     "RateLimits.maxDispatchesPerSecond must be less than or equal to 500."),
    ("negative concurrency", create_queue(rate_limits={"max_concurrent_dispatches": -1}), exceptions.InvalidArgument,
     "RateLimits.maxConcurrentDispatches cannot be negative."),
    ("concurrency too high", create_queue(rate_limits={"max_concurrent_dispatches": 5001}),
     exceptions.InvalidArgument, "RateLimits.maxConcurrentDispatches must be less than or equal to 5000."),
    ("max_attempts below -1", create_queue(retry_config={"max_attempts": -2}), exceptions.InvalidArgument,
     "RetryConfig.maxAttempts must be greater or equal to -1."),
    ("negative doublings", create_queue(retry_config={"max_doublings": -1}), exceptions.InvalidArgument,
     "RetryConfig.maxDoublings cannot be negative."),
    ("negative min_backoff", create_queue(retry_config={"min_backoff": s(-1)}), exceptions.InvalidArgument,
     "RetryConfig.minBackoff cannot be negative."),
    ("min_backoff above max_backoff", create_queue(retry_config={"min_backoff": s(2), "max_backoff": s(1)}),
     exceptions.InvalidArgument,
     "RetryConfig.minBackoff must be less than or equal to RetryConfig.maxBackoff."),
    ("empty host override", create_queue(http_target={"uri_override": {"host": ""}}), exceptions.InvalidArgument,
     "UriOverride.host cannot be empty."),
    ("queue token without an account", create_queue(http_target={"oidc_token": {"audience": "x"}}),
     exceptions.InvalidArgument, "service_account_email must be set."),
]  # fmt: skip


@pytest.mark.parametrize(("call", "kind", "text"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_code_and_text(
    any_client: Client, call: Callable[[Client], object], kind: type[exceptions.GoogleAPICallError], text: str
) -> None:
    # Over REST the client knows only the HTTP status, and puts "POST http://…: " before the server's text.
    over_rest = any_client.transport.kind == "rest"
    with pytest.raises(exceptions.GoogleAPICallError) as caught:
        call(any_client)
    assert caught.value.code == kind.code
    assert isinstance(
        caught.value, kind.__mro__[1] if over_rest and kind is not exceptions.NotFound else kind
    )
    assert caught.value.message == text or (over_rest and caught.value.message.endswith(f": {text}"))


BAD_ID = next(row for row in ROWS if row[0] == "bad task id")


def test_a_malformed_parent_is_a_question_of_permission(module_fake: CloudTasks) -> None:
    with client_of(module_fake.grpc_address) as client:
        for parent in ("nope", "projects/nope/x", "projects/nope"):
            with pytest.raises(
                exceptions.PermissionDenied, match=r"^403 Permission denied on resource project nope\."
            ) as e:
                client.create_task(parent=parent, task=task())
            assert e.value.reason == "CONSUMER_INVALID"


@pytest.mark.parametrize("call", [ROWS[1][1], BAD_ID[1]], ids=[ROWS[1][0], BAD_ID[0]])
def test_some_errors_carry_help(any_client: Client, call: Callable[[Client], object]) -> None:
    with pytest.raises(exceptions.BadRequest) as caught:
        call(any_client)
    assert any("Help" in str(type(detail)) or "rpc.Help" in str(detail) for detail in caught.value.details)


def test_unknown_project(host: Host) -> None:
    fake = host.start(CloudTasks(CloudTasksConfig(projects=("known",))))
    with client_of(fake.grpc_address) as client:
        with pytest.raises(
            exceptions.PermissionDenied, match=r"^403 Permission denied on resource project x\."
        ):
            list(client.list_queues(parent="projects/x/locations/l"))
        assert list(client.list_queues(parent="projects/known/locations/l")) == []
    host.stop(fake)


@pytest.mark.parametrize(
    ("config", "kind", "text"),
    [
        ({"service_accounts": ("a@p",)}, exceptions.NotFound, "Service account b@p does not exist."),
        (
            {"denied_permissions": ("iam.serviceAccounts.actAs",)},
            exceptions.PermissionDenied,
            (
                'The principal (user or service account) lacks IAM permission "iam.serviceAccounts.actAs" for '
                'the resource "b@p" (or the resource may not exist).'
            ),
        ),
    ],
    ids=["unknown", "not-ones-own"],
)
def test_service_accounts(host: Host, config: Any, kind: type[exceptions.ClientError], text: str) -> None:
    fake = host.start(CloudTasks(CloudTasksConfig(**config)))
    name = f"{L}/queues/q"
    fake.create_queue(name, state="PAUSED")
    good: Any = {"oidc_token": {"service_account_email": "a@p", "audience": "x"}}
    bad: Any = {"oauth_token": {"service_account_email": "b@p", "scope": "x"}}
    with client_of(fake.grpc_address) as client:
        client.create_task(parent=name, task=task())
        if "service_accounts" in config:
            client.create_task(parent=name, task=task(http=good))
            client.update_queue(queue={"name": name, "http_target": good})
        for call, given in (
            (client.create_task, {"parent": name, "task": task(http=bad)}),
            (client.update_queue, {"queue": {"name": name, "http_target": bad}}),
            (client.create_queue, {"parent": L, "queue": queue(http_target=bad)}),
        ):
            with pytest.raises(kind) as caught:
                call(**given)
            assert caught.value.message == text
        requests = [{"parent": name, "task": given} for given in (task(), task(http=bad))]
        batch = client.batch_create_tasks(request={"parent": name, "requests": requests})
        assert [(index, each.message) for index, each in batch.metadata.failed_requests.items()] == [
            (1, text)
        ]
    host.stop(fake)


def test_quotas(host: Host) -> None:
    fake = host.start(
        CloudTasks(
            CloudTasksConfig(clock="frozen", semantics=Semantics(quotas=True), auto_create_queues=True)
        )
    )
    with client_of(fake.grpc_address) as client:
        for _ in range(600):
            list(client.list_queues(parent=L))
        with pytest.raises(exceptions.ResourceExhausted):
            client.list_queues(parent=L, retry=None)
        fake.advance(0.1)
        client.list_queues(parent=L)
        client.create_queue(parent=L, queue={"name": f"{L}/queues/q"})
        client.pause_queue(name=f"{L}/queues/q")
        ids = [client.create_task(parent=f"{L}/queues/q", task=task()).name for _ in range(61)]
        for name in ids[:60]:
            client.run_task(name=name)
        with pytest.raises(exceptions.ResourceExhausted):
            client.run_task(name=ids[60])
        fake.advance(1)
        client.run_task(name=ids[60])
    host.stop(fake)


def test_a_client_deadline_above_thirty_seconds_is_refused(module_fake: CloudTasks) -> None:
    with client_of(module_fake.grpc_address) as client:
        with pytest.raises(
            exceptions.InvalidArgument, match="deadline cannot be more than 30s in the future"
        ):
            client.get_queue(name=f"{L}/queues/q", timeout=31)
        assert client.get_queue(name=f"{L}/queues/q", timeout=29).name


def test_an_unknown_grpc_method_is_unimplemented(module_fake: CloudTasks) -> None:
    with grpc.insecure_channel(module_fake.grpc_address) as channel:
        call: Any = channel.unary_unary("/google.cloud.tasks.v2.CloudTasks/LeaseTasks")
        with pytest.raises(grpc.RpcError) as caught:
            call(b"")
        assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_what_is_accepted_although_one_might_think_otherwise(any_client: Client) -> None:
    name = f"{L}/queues/q"
    as_long_as_may_be = (LONGEST_URL, f"{LONGEST_URL[:-6]}é", f"{LONGEST_URL[:-9]}%20%C3%A9")
    for url in ("http://h/%zz", *as_long_as_may_be):
        assert any_client.create_task(parent=name, task=task(http={"url": url})).name.startswith(name)
    longest_path = ae_task(uri="/".ljust(2083, "a"))
    assert any_client.create_task(parent=name, task=longest_path).name.startswith(name)
    burst = any_client.update_queue(queue={"name": name, "rate_limits": {"max_burst_size": -1}})
    assert burst.rate_limits.max_burst_size == 100
    missing = any_client.test_iam_permissions(
        request={"resource": f"{L}/queues/no", "permissions": ["cloudtasks.queues.get"]}
    )
    assert list(missing.permissions) == []
    policy = any_client.get_iam_policy(request={"resource": name})
    assert (list(policy.bindings), bool(policy.etag)) == ([], True)
