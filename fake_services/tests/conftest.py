"""Fixtures of the fakes' tests."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from google.cloud import tasks_v2
from google.cloud.tasks_v2.services.cloud_tasks.transports import CloudTasksGrpcTransport

from fake_services.cloud_tasks import CloudTasks
from fake_services.host import Host
from fake_services.tests.targets import Target

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def host() -> Iterator[Host]:
    with Host() as running:
        yield running


@pytest.fixture(scope="session")
def shared_fake(host: Host) -> Iterator[CloudTasks]:
    """One fake for tests that only use a queue of their own."""
    fake = host.start(CloudTasks())
    yield fake
    host.stop(fake)


@pytest.fixture
def fake(host: Host) -> Iterator[CloudTasks]:
    """A fresh fake, for tests that script faults or look at the whole journal."""
    fake = host.start(CloudTasks())
    yield fake
    host.stop(fake)


@pytest.fixture
def target(host: Host) -> Iterator[Target]:
    target = host.start(Target())
    yield target
    host.stop(target)


def client_of(address: str) -> Any:  # the client takes dictionaries, which its annotations do not say
    return tasks_v2.CloudTasksClient(
        transport=CloudTasksGrpcTransport(channel=grpc.insecure_channel(address))
    )


@pytest.fixture
def client(fake: CloudTasks) -> Iterator[tasks_v2.CloudTasksClient]:
    with client_of(fake.grpc_address) as client:
        yield client


@pytest.fixture
def new_queue() -> Callable[[], str]:
    """Gives full names of queues that nobody used before."""
    return lambda: f"projects/p/locations/us-west1/queues/q-{next(_numbers)}"


@pytest.fixture
def queue(fake: CloudTasks, new_queue: Callable[[], str]) -> str:
    name = new_queue()
    fake.create_queue(name, retry_config={"min_backoff": 0.01, "max_backoff": 0.02})
    return name
