"""The worker as scenarios see it: behind its gateway."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from fake_services.host import Host
from harness import faults
from harness.outcome import Answer
from harness.topologies.dependencies import WorkerDependency
from harness.topologies.ground import Fakes

if TYPE_CHECKING:
    from harness.topologies.system import System


class Worker(WorkerDependency):
    """The worker as scenarios see it: behind its gateway."""

    def __init__(self, system: System, host: Host, fakes: Fakes) -> None:
        super().__init__(host, system.journal, fakes=fakes)
        self._system = system

    @property
    def task_url(self) -> str:
        """Where a job should be sent."""
        return self.url + self._system.profile.worker_endpoint.path

    def post(self, content: bytes | Mapping[str, Any], *, secret: str | None = None) -> Answer:
        """Send the worker a request through its gateway, with the right secret unless another is given.

        Args:
            content: the body: bytes as they are, or a mapping as JSON.
            secret: the secret to send; "" for no header at all.
        """
        system = self._system
        system.start_worker()
        body = content if isinstance(content, bytes) else json.dumps(dict(content)).encode()
        headers = {"content-type": "application/json"}
        if secret is None or secret:
            headers[system.profile.worker_endpoint.secret_header] = (
                system.secret if secret is None else secret
            )
        url = self._gateway.url + system.profile.worker_endpoint.path
        return system.send("worker", "POST", url, body, headers)

    def task(self, **members: Any) -> dict[str, Any]:
        """The body of a good request about an episode made for the purpose; members replace or add to it."""
        episode = self._system.make_episode()
        job_id = f"job-{secrets.token_hex(8)}"
        body = {
            "job_id": job_id,
            "episode_id": episode.episode_id,
            "correlation_id": f"c-{secrets.token_hex(8)}",
            **members,
        }
        self._system.given.add((str(body["episode_id"]), job_id))
        return body

    def kill(self) -> None:
        """End the worker as a crash of its machine does: SIGKILL, no last word."""
        self._system.inject(faults.WORKER_KILLED)

    def terminate(self) -> None:
        """Ask the worker to end, as a deployment does, and wait until it has."""
        self._system.inject(faults.WORKER_TERMINATED)

    def start(self) -> None:
        """Start the worker again."""
        self._system.start()
