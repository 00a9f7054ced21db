"""What a person at a debugger is told: that the system under test is alive, and how to reach it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from harness.run import ScenarioRun
from harness.topologies.inprocess import InProcess
from harness.topologies.system import System


def whereabouts(run: ScenarioRun, evidence: Path) -> str:
    """Where everything of a run is that stands still at a failure.

    Args:
        run: the scenario's.
        evidence: where its evidence was written so far.
    """
    lines = [line for system in run for line in _of_system(system)]
    return "\n".join([*lines, f"  evidence      {evidence} (journal.jsonl, api.log, worker.log: up to now)"])


def _of_system(system: System | InProcess) -> Iterator[str]:
    if isinstance(system, InProcess):
        yield "The scenario ran decisions alone: there is no process to be looked at."
        return
    running = [server for server in system.servers if server.process is not None and server.process.running]
    if running:
        yield f"The system under test ({system.mode}) is alive, and stays so until you continue:"
    else:
        yield f"No process of the system under test ({system.mode}) is running:"
    for server in running:
        assert server.process is not None, "only running ones are here"
        pid = server.process.pid
        yield f"  {server.role:<13} {server.url or 'not ready'}  pid {pid}  in {_works_in(pid) or server.folder}"
    if running:
        yield f"  gateway       {system.worker.url}  control {system.worker.control_url}/control/journal"
        queue = system.cloud_tasks
        yield f"  cloud_tasks   127.0.0.1:{queue.port} (gRPC, TLS)  control {queue.control_url}/control/state"
        yield f"  run folder    {system.folder}"


def _works_in(pid: int) -> Path | None:
    """Where a process works: a worker that served another scenario before works where it did then."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cwd").readlink()
    return None
