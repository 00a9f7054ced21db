"""Named points: moments in a run at which a process can be struck, or until which a scenario waits."""

from __future__ import annotations

from dataclasses import dataclass

from harness.model import Observation


@dataclass(frozen=True, slots=True)
class Point:
    """The first observation of a kind.

    Attributes:
        source, kind: whose observation, and of what kind; see GLOSSARY.
        field, value: what one of its fields says; "" for any.
    """

    name: str
    source: str
    kind: str
    field: str = ""
    value: str = ""

    def __str__(self) -> str:
        """The name: what a parametrised scenario shows."""
        return self.name

    def is_reached_by(self, observation: Observation) -> bool:
        """Whether this is such an observation."""
        if (observation.source, observation.kind) != (self.source, self.kind):
            return False
        return not self.field or observation.fields.get(self.field) == self.value


def logged(event: str, *, by: str) -> Point:
    """A process has logged an event."""
    return Point(f"{by} logs {event}", by, "log", "event", event)


CREATE_TASK_CALLED = Point("create-task-called", "cloud_tasks", "rpc", "method", "CreateTask")
"""Cloud Tasks has committed CreateTask, or a fault has kept it from that, and it has not answered yet."""

WORKER_REQUESTED = Point("worker-requested", "worker_gateway", "request")
"""A request has come at the worker's gateway, and is not passed on yet."""

DELIVERY_FAILED = Point("delivery-failed", "cloud_tasks", "attempt.ended", "outcome", "failed")
"""Cloud Tasks has tried to call the worker in vain."""
