"""A place for one system of containers, which can be used again: a network, a storage, a secret, and perhaps a worker.

A worker that was started as every worker is, and whose scenario was satisfied and did nothing to it, serves the next
scenario as well: that saves its start. What it wrote before is not that scenario's; when it writes something while no
scenario has it, it is not used again. Whatever is in doubt is made anew.
"""

from __future__ import annotations

import contextlib
import secrets
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from docker.errors import DockerException
from testcontainers.core.network import Network

from harness.errors import HarnessError
from harness.topologies.container import Container


class Berth:
    """One such place.

    Attributes:
        folder: where its storage is.
        gateway: the address of this machine on its network.
        secret: what the API and the worker share.
    """

    def __init__(self, client: Any, labels: Mapping[str, str], folder: Path) -> None:
        self._client = client
        self.folder = folder
        self.storage = folder / "storage"
        self.storage.mkdir(parents=True)
        self.storage.chmod(0o777)  # the dispatcher is another user
        self.secret = new_secret()
        self.network = Network(docker_network_kw={"labels": dict(labels)}).create()
        self.gateway = gateway_of(client, self.network)
        self._worker: Container | None = None
        self._started_with: Mapping[str, str] = {}
        self._said_unasked = False

    def take_worker(
        self, environment: Mapping[str, str], on_line: Callable[[str, str, str], None]
    ) -> Container | None:
        """The worker that is here, if it was started with this environment and may still be used; now it is yours."""
        worker, self._worker = self._worker, None
        if worker is None:
            return None
        if (
            worker.running
            and not worker.unread
            and not self._said_unasked
            and self._started_with == environment
        ):
            worker.on_line = on_line
            return worker
        end(worker)
        return None

    def keep_worker(self, worker: Container, environment: Mapping[str, str]) -> None:
        """Have it wait for the next scenario."""

        def unasked(*_: str) -> None:
            self._said_unasked = True

        worker.on_line = unasked
        self._worker, self._started_with, self._said_unasked = worker, dict(environment), False

    @property
    def kept(self) -> bool:
        """Whether a worker waits here."""
        return self._worker is not None

    def let_go(self) -> None:
        """End the worker that waits here, if there is one: another is to be started."""
        worker, self._worker = self._worker, None
        if worker is not None:
            end(worker)

    def close(self) -> None:
        """Take everything away."""
        self.let_go()
        with contextlib.suppress(DockerException):
            self.network.remove()
        shutil.rmtree(self.folder, ignore_errors=True)


def end(container: Container) -> None:
    """End a container whose last words nobody wants to hear."""
    container.on_line = lambda *_: None
    container.stop(0.0)


def new_secret() -> str:
    """A secret with characters that encodings change."""
    return f"s3cr3t/{secrets.token_urlsafe(18)}+&"


def gateway_of(client: Any, network: Network) -> str:
    """The address of this machine on a network."""
    ipam = client.networks.get(network.id).attrs["IPAM"]
    for config in ipam["Config"]:
        if "Gateway" in config:
            return str(config["Gateway"])
    raise HarnessError(f"the engine gave the network {network.name} no gateway: {ipam}")
