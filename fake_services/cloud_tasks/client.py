"""The official client, pointed at a fake: what CLOUD_TASKS_EMULATOR_HOST is for."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from google.cloud.tasks_v2 import CloudTasksAsyncClient, CloudTasksClient

__all__ = ["EMULATOR_HOST", "async_emulator_client", "emulator_client"]

EMULATOR_HOST = "CLOUD_TASKS_EMULATOR_HOST"


def emulator_client(address: str | None = None) -> CloudTasksClient:
    """A CloudTasksClient, over plain gRPC and without credentials.

    Args:
        address: host:port; None for what CLOUD_TASKS_EMULATOR_HOST says.

    Raises:
        ValueError: No address is given or set.
    """
    import grpc
    from google.cloud.tasks_v2 import CloudTasksClient
    from google.cloud.tasks_v2.services.cloud_tasks.transports import CloudTasksGrpcTransport

    channel = grpc.insecure_channel(_address(address))
    return CloudTasksClient(transport=CloudTasksGrpcTransport(channel=channel))


def async_emulator_client(address: str | None = None) -> CloudTasksAsyncClient:
    """As `emulator_client`, for asyncio; call it inside the event loop that uses it."""
    import grpc.aio
    from google.cloud.tasks_v2 import CloudTasksAsyncClient
    from google.cloud.tasks_v2.services.cloud_tasks.transports import CloudTasksGrpcAsyncIOTransport

    channel = grpc.aio.insecure_channel(_address(address))
    return CloudTasksAsyncClient(transport=CloudTasksGrpcAsyncIOTransport(channel=channel))


def _address(address: str | None) -> str:
    found = address or os.environ.get(EMULATOR_HOST, "")
    if not found:
        raise ValueError(f"no address: pass one, or set {EMULATOR_HOST} to host:port")
    return found.removeprefix("http://").rstrip("/")
