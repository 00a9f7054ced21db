"""The ``inprocess`` topology: a dispatcher's decisions alone, in one process of the harness for each source.

What runs in that process is described in ``harness.topologies.decisions``; here is the harness's end of it.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import struct
import sys
import tempfile
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from harness.clock import Deadline
from harness.errors import Finding, Inconclusive, LastWords, SutFailed, UsageError
from harness.journal import Journal
from harness.ledger import Ledger
from harness.matrix import Cells
from harness.model import Hidden, Job, Mode, Setting
from harness.oracles.cells import Cell
from harness.outcome import Outcome, Setup
from harness.profile import PLACEHOLDERS, Profile
from harness.topologies.classes import SECRET, WORKER_URL
from harness.topologies.configuration import LOCATION, PROJECT, QUEUE
from harness.topologies.decider import Decider
from harness.topologies.process import Launcher, Process
from harness.topologies.processes import INHERITED

_MODULE = "harness.topologies.decisions"
_STARTS_WITHIN_S = 60.0
_LOOKS_AGAIN_S = 0.2
_SLOWEST_CELL_S = 0.05
"""What a cell may take on average on a very busy machine; it takes less than a millisecond on an idle one."""
_HANGING = 3
"""So many cells that hang, and the rest of a group is not tried: each costs ten seconds."""
_PATIENCE = "DISPATCHCHECK_CELL_WITHIN_S"
_HARNESS = Path(__file__).parents[2]


def decider_of(profile: Profile) -> Decider:
    """What of a profile its decisions need.

    Raises:
        UsageError: the profile has no ``[inprocess]``.
    """
    own = profile.inprocess
    if own is None:
        raise UsageError(f"the profile {profile.name!r} has no [inprocess]: it names no adapter")
    values = dict.fromkeys(PLACEHOLDERS, "0")
    values |= {"source": str(profile.source), "storage": "/nonexistent", "run": "/nonexistent"}
    values |= {"worker_url": WORKER_URL, "secret": SECRET}
    values |= {"project": PROJECT, "location": LOCATION, "queue": QUEUE}
    # Everything that the profile gives the API, in development as well: so that it *could* go wrong.
    given = {**profile.environment, **profile.prod}
    return Decider(
        entry=own.entry,
        source=str(profile.source),
        environments={
            Mode.DEV: profile.fill({**given, **profile.dev, **own.environment}, values),
            Mode.PROD: profile.fill({**given, **own.environment}, values),
        },
        variables={setting: profile.variable(setting) for setting in Setting},
        queue=f"projects/{PROJECT}/locations/{LOCATION}/queues/{QUEUE}",
        enqueue_bound_s=profile.trigger.answer_s,
        path=profile.worker_endpoint.path,
        secret_header=profile.worker_endpoint.secret_header,
        job_id=own.job_id,
        episode_id=own.episode_id,
        confirmation=own.confirmation,
    )


class Decisions:
    """The process that runs decisions; started with the first cells, and again after one that hung."""

    def __init__(self, profile: Profile, launcher: Launcher) -> None:
        self._profile = profile
        self._launcher = launcher
        self._process: Process | None = None
        self._connection: Connection | None = None
        self._said: deque[str] = deque(maxlen=12)
        self.cpu_s = 0.0
        """Seconds of processor time that all cells took together."""

    def run(self, cells: Sequence[Cell]) -> Iterator[dict[str, Any]]:
        """Run cells, and yield how they were treated: ``cells``, the positions of those treated alike, and ``conduct``.

        Where several hang, the last ones are not tried: their positions are missing.

        Raises:
            SutFailed: the dispatcher cannot be imported, or ended the process.
            Inconclusive: there was no answer in time.
        """
        begin, hanging = 0, 0
        while begin < len(cells) and hanging < _HANGING:
            connection, rest = self._connected(), cells[begin:]
            connection.send_bytes(json.dumps([str(cell) for cell in rest]).encode())
            answer = self._answer(connection, _STARTS_WITHIN_S + len(rest) * _SLOWEST_CELL_S)
            self.cpu_s += answer["cpu_s"]
            if answer["hangs"]:
                hanging += 1
                self.close()
            for treated in answer["answers"]:
                yield {**treated, "cells": [begin + position for position in treated["cells"]]}
            begin += answer["count"]

    def close(self) -> None:
        """End the process."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if self._process is not None:
            self._process.stop(2.0)
            self._process = None

    def _connected(self) -> Connection:
        if self._connection is not None:
            return self._connection
        decider = decider_of(self._profile)
        name = f"\0dispatchcheck-{os.getpid()}-{secrets.token_hex(8)}"
        environment = {name: os.environ[name] for name in (*INHERITED, _PATIENCE) if name in os.environ}
        # The harness comes first: what a source brings along under the same name must not judge itself.
        environment |= {"PYTHONPATH": str(_HARNESS)}
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(name)
            listener.listen(1)
            self._process = self._launcher.start(
                [sys.executable, "-m", _MODULE, name[1:]],
                env=environment,
                cwd=Path(tempfile.gettempdir()),
                on_line=lambda _, line: self._said.append(line),
                warm=True,
            )
            self._connection = self._accept(listener, self._process)
        self._connection.send_bytes(decider.to_json())
        hello = self._answer(self._connection, _STARTS_WITHIN_S)
        if "problem" in hello:
            raise self._failed(hello["problem"])
        return self._connection

    def _accept(self, listener: socket.socket, process: Process) -> Connection:
        listener.settimeout(_LOOKS_AGAIN_S)
        deadline = Deadline(_STARTS_WITHIN_S)
        while process.running and not deadline.passed:
            try:
                caller, _ = listener.accept()
            except TimeoutError:
                continue
            if _pid_of(caller) == process.pid:
                caller.setblocking(True)
                return Connection(caller.detach())
            caller.close()
        raise self._failed("it did not start")

    def _answer(self, connection: Connection, within_s: float) -> dict[str, Any]:
        try:
            if not connection.poll(within_s):
                self.close()
                raise Inconclusive(f"the process that runs decisions did not answer within {within_s:g} s")
            answer: dict[str, Any] = json.loads(connection.recv_bytes())
        except (OSError, EOFError):
            raise self._failed("it ended the process in the middle of a cell") from None
        return answer

    def _failed(self, observed: str) -> SutFailed:
        self.close()
        entry = self._profile.inprocess.entry if self._profile.inprocess else ""
        finding = Finding(f"decisions by {entry} of {self._profile.source}", observed, oracle="process")
        return SutFailed(finding, LastWords("api", tuple(self._said)))


def _pid_of(caller: socket.socket) -> int:
    """Who is at the other end. Source: unix(7), SO_PEERCRED: three integers, of which the first is the process."""
    credentials = caller.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    pid: int = struct.unpack("3i", credentials)[0]
    return pid


class InProcess:
    """The handle to a dispatcher's decisions: what a scenario about many cells stimulates.

    Its attributes are those of a ``System``, as far as a run is judged and kept by them.
    """

    def __init__(
        self, profile: Profile, decisions: Decisions, ledger: Ledger, *, only: Cell | None, again: str
    ) -> None:
        self.mode = Mode.PROD
        self.journal = Journal()
        self.jobs: list[Job] = []
        self.given: set[tuple[str, str]] = set()
        self.hidden: tuple[Hidden, ...] = ()
        self.settled_at = 0
        self.secret = SECRET
        self.environment: Mapping[str, Mapping[str, str]] = {}
        self.servers: list[Any] = []
        self._profile = profile
        self._decisions = decisions
        self._ledger = ledger
        self._only = only
        self._again = again

    def run(self, cells: Cells) -> Outcome:
        """Run every one of the cells, each with a dispatcher of its own; where one is asked for, only that.

        Raises:
            SutFailed, Inconclusive: as ``Decisions.run``.
        """
        chosen = [cell for cell in cells.cells if self._only in (None, cell)]
        names = [str(cell) for cell in chosen]
        self.mode = next((cell.mode for cell in chosen if cell.mode), Mode.PROD)
        text = f"asks for {len(names)} cells: {cells}"
        self.journal.record("harness", "stimulus", text, cells=names, again=self._again)
        self._ledger.figure("decisions compared", len(names), "cells")
        for treated in self._decisions.run(chosen):
            count = len(treated["cells"])
            self.journal.record("api", "conduct", f"treats {count} of the cells alike", **treated)
        seen = self.journal.observations
        self.settled_at = len(seen)
        endpoint = self._profile.worker_endpoint
        return Outcome(
            job=None,
            observations=seen,
            hidden=frozenset(),
            setup=Setup(
                answer_bound_s=self._profile.trigger.answer_s,
                worker_url=WORKER_URL + endpoint.path,
                secret_header=endpoint.secret_header,
                secret=self.secret,
                variables={setting: self._profile.variable(setting) for setting in Setting},
                reasons=self._profile.reasons,
            ),
            ledger=self._ledger,
        )

    def unfired(self) -> list[str]:
        """Nothing: a cell in which something did not happen disagrees with the decision table."""
        return []

    def stop(self, *, satisfied: bool = False) -> None:
        """Nothing: the process serves the next scenario too."""
