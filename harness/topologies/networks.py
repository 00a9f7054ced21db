"""Networks of containers: the berth that has one, and where this machine is on it."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from docker.errors import DockerException
from testcontainers.core.network import Network

from harness.errors import HarnessError
from harness.topologies.berth import Berth
from harness.topologies.container import Container


class NetworkBerth(Berth[Container]):
    """A berth on a network of its own.

    Attributes:
        network: the same.
        gateway: the address of this machine on it.
    """

    kills = True  # a container takes long to end when it is asked to

    def __init__(self, client: Any, labels: Mapping[str, str], folder: Path) -> None:
        super().__init__(folder)
        self.storage.chmod(0o777)  # the dispatcher is another user
        self.network = Network(docker_network_kw={"labels": dict(labels)}).create()
        self.gateway = gateway_of(client, self.network)

    def close(self) -> None:
        """Take everything away."""
        self.let_go()
        with contextlib.suppress(DockerException):
            self.network.remove()
        super().close()


def gateway_of(client: Any, network: Network) -> str:
    """The address of this machine on a network."""
    ipam = client.networks.get(network.id).attrs["IPAM"]
    for config in ipam["Config"]:
        if "Gateway" in config:
            return str(config["Gateway"])
    raise HarnessError(f"the engine gave the network {network.name} no gateway: {ipam}")
