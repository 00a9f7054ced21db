"""How many cells of the decision table a second of one processor's time is enough for, beside what they are made of.

Run it with: python benchmarks/matrix.py [--source DIR]

The yardstick, measured in the same run, is one call of the real Cloud Tasks client over the same channel in memory and
one request of httpx that respx answers: a cell that tries both routes cannot cost less. What the machine does beside
it changes both alike, so the ratio can be compared.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import httpx
import respx
from google.auth.credentials import AnonymousCredentials
from google.cloud import tasks_v2
from google.cloud.tasks_v2.services.cloud_tasks.transports import CloudTasksGrpcTransport

from harness import profile
from harness.survey import groups_for, survey
from harness.topologies.memory_channel import MemoryChannel
from harness.topologies.workshop import Workshop

ROOT = Path(__file__).resolve().parent.parent
_CALLS = 3000
_TASK = tasks_v2.Task(name="projects/p/locations/l/queues/q/tasks/t")


def main() -> int:
    """Measure and print; the exit status is that of the survey."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--source", type=Path)
    options = parser.parse_args()
    of = profile.load_to_run(ROOT / "reference_impl" / "dispatchcheck.toml", source=options.source)
    workshop = Workshop(of)
    try:
        done = survey(of, workshop.launcher(), groups_for(of.profile.capabilities))
    finally:
        workshop.close()
    cell_s, calls_s = done.cpu_s / max(1, done.cells), _two_calls_s()
    print(f"{done.cells} cells, {1 / cell_s:.0f} in a second of processor time: {cell_s * 1e6:.0f} µs each")
    print(
        f"one CreateTask and one request alone: {calls_s * 1e6:.0f} µs; a cell costs {cell_s / calls_s:.1f} times that"
    )
    return done.exit_code


def _two_calls_s() -> float:
    """Seconds of processor time for a call of CreateTask and a request, without any dispatcher."""
    answer = tasks_v2.Task.serialize(_TASK)
    transport = CloudTasksGrpcTransport(
        channel=MemoryChannel(lambda *_: answer),
        credentials=AnonymousCredentials(),  # type: ignore[no-untyped-call]
    )
    cloud_tasks = tasks_v2.CloudTasksClient(transport=transport)
    with respx.mock() as router, httpx.Client() as client:
        router.route().mock(side_effect=lambda _: httpx.Response(200, json={}))
        began = time.process_time()
        for _ in range(_CALLS):
            cloud_tasks.create_task(parent="projects/p/locations/l/queues/q", task=_TASK, timeout=1)
            client.post("http://worker.example/api", json={"job_id": "j"})
        return (time.process_time() - began) / _CALLS


if __name__ == "__main__":
    raise SystemExit(main())
