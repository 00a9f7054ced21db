"""Fixtures for any project: `pytest_plugins = ["fake_services.pytest_plugin"]` gives `fake_cloud_tasks`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fake_services.cloud_tasks import CloudTasks
from fake_services.cloud_tasks.client import EMULATOR_HOST
from fake_services.cloud_tasks.config import CloudTasksConfig
from fake_services.host import Host

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["fake_cloud_tasks", "fake_cloud_tasks_config", "fake_services_host"]


@pytest.fixture(scope="session")
def fake_services_host() -> Iterator[Host]:
    """The thread in which all fakes of this process run."""
    with Host() as host:
        yield host


@pytest.fixture
def fake_cloud_tasks_config() -> CloudTasksConfig:
    """Override this fixture to configure `fake_cloud_tasks`. By default, queues are made when first used."""
    return CloudTasksConfig(auto_create_queues=True)


@pytest.fixture
def fake_cloud_tasks(
    fake_services_host: Host, fake_cloud_tasks_config: CloudTasksConfig, monkeypatch: pytest.MonkeyPatch
) -> Iterator[CloudTasks]:
    """A fresh Cloud Tasks for each test; CLOUD_TASKS_EMULATOR_HOST is set to its address meanwhile."""
    fake = fake_services_host.start(CloudTasks(fake_cloud_tasks_config))
    monkeypatch.setenv(EMULATOR_HOST, fake.grpc_address)
    try:
        yield fake
    finally:
        fake_services_host.stop(fake)
