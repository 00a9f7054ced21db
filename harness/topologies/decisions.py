"""Runs a dispatcher's decisions, and nothing else of it, cell by cell: the process of the ``inprocess`` topology.

``[inprocess]`` in the profile names a function, the *adapter*, that the system under test brings along in Python::

    def dispatcher(environ, world):
        ...                            # builds the chain of routes for these environment variables
        return dispatch

    def dispatch(episode_id, title):   # title: a text or None
        ...                            # takes one job through the chain, to its end, and returns the job's id

``environ`` is a mapping of the variables that a process would be started with; ``dispatcher`` raises when no process
would start with them. ``world`` has what the chain talks to: ``world.cloud_tasks_client()`` returns the real
``tasks_v2.CloudTasksClient`` over a channel in memory, or raises what constructing one would raise;
``world.http_client`` is an ``httpx.Client`` whose requests respx answers, as it does those of every other httpx client
of the process; ``world.assemble(job_id, episode_id)`` stands for doing the job in the API's process, and returns False
when somebody had done it before. What the chain prints is its log. Each cell gets a dispatcher of its own.

One process runs one source and no other, so that nothing imported stays from another one. It reads requests from a
connection to the harness and answers them; opening any other connection is recorded as what nobody expects. A cell
that hangs is not interrupted, for it may hold a lock that the next one needs, or catch whatever is raised in it: the
process says how far it came, and ends.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import io
import itertools
import json
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from multiprocessing.connection import Connection
from typing import Any, NoReturn

from harness import journal as journals
from harness.journal import Journal
from harness.logs.parse import BannerReader
from harness.model import Job, Mode, Observation, Route, Setting
from harness.oracles import closing, conduct, effects, route, secrets, wire
from harness.oracles.cells import CLIENT, Cell, cell
from harness.oracles.conduct import Conduct
from harness.topologies import classes
from harness.topologies.classes import SECRET, WORKER_URL
from harness.topologies.decider import Decider
from harness.topologies.world import AUDIO, World

Dispatch = Callable[[str, str | None], str]
Adapter = Callable[[Mapping[str, str], World], Dispatch]

CELL_WITHIN_S = float(os.environ.get("DISPATCHCHECK_CELL_WITHIN_S") or 10.0)
"""No cell waits for anything: one that takes so long hangs. Tests wait for less."""
_STAYING = 3  # so many threads are waited for
_THREADS_WITHIN_S = 1.0
_LONGEST_ASSEMBLY_S = 1800.0


class Runner:
    """Runs cells with one dispatcher.

    Args:
        decider: the dispatcher.
        hung: called in the middle of a cell that takes longer than ``CELL_WITHIN_S``, with what is known of it. It
            must not return.

    Raises:
        Exception: whatever importing the adapter raises.
    """

    def __init__(self, decider: Decider, hung: Callable[[Conduct], NoReturn]) -> None:
        self._decider = decider
        self._hung = hung
        self._doing = ""
        self._numbers = itertools.count(1)
        self._log = _Log()
        sys.stdout = self._log.stream("stdout")
        sys.stderr = self._log.stream("stderr")
        self._world = World(decider)
        module, _, function = decider.entry.partition(":")
        sys.path.insert(0, decider.source)
        self._adapter: Adapter = getattr(importlib.import_module(module), function)
        signal.signal(signal.SIGALRM, self._ring)
        sys.addaudithook(self._watch)
        self._staying = 0

    def run(self, at: Cell) -> Conduct:
        """Run one cell, and look at what came of it."""
        given = classes.settings(at, worker_url=WORKER_URL, secret=SECRET)
        secret = given[Setting.SECRET] or ""
        journal = Journal()
        self._log.begin(journal)
        self._world.begin(at, journal, secret=secret, queue=self._decider.queue)
        episode_id, job_id = f"ep-{next(self._numbers)}", ""
        journal.record("harness", "stimulus", f"asks for the assembly of {episode_id}")
        environ, trouble = self._environ(at, given), ""
        with self._world.around(), self._with_its_threads(), _alarm():
            self._doing = "to start"
            try:
                dispatch = self._adapter(environ, self._world)
            except (Exception, SystemExit) as problem:  # noqa: BLE001 - whatever it is, it does not start
                return Conduct(refused=secrets.mask(f"{type(problem).__name__}: {problem}", [secret]))
            self._doing = "to take the job through the chain"
            try:
                job_id = str(dispatch(episode_id, classes.title(at)))
            except (Exception, SystemExit) as problem:  # noqa: BLE001 - whatever it is, it is wrong
                trouble = f"dispatch raised {type(problem).__name__}: {problem}"
        self._log.end()
        if trouble:
            self._world.unexpected("harness", secrets.mask(trouble, [secret]))
        job = Job(episode_id, job_id, "", 202, 0.0, AUDIO, seq=1)
        return self._look(at, journal.observations, job, secret)

    @contextlib.contextmanager
    def _with_its_threads(self) -> Iterator[None]:
        """What a cell began in the background ends in its world, and not in that of the next one.

        A thread that stays, of a pool for example, is not waited for again and again.
        """
        before = set(threading.enumerate())
        try:
            yield
        finally:
            give_up_at = time.monotonic() + _THREADS_WITHIN_S
            for thread in threading.enumerate():
                if thread not in before and self._staying < _STAYING:
                    thread.join(max(0.0, give_up_at - time.monotonic()))
                    self._staying += thread.is_alive()

    def _look(self, at: Cell, seen: Sequence[Observation], job: Job, secret: str) -> Conduct:
        hidden = [] if CLIENT[at.client].served else [Route.CLOUD_TASKS]
        sent = route.tasks_sent(seen)
        requests = [o for o in seen if o.kind == "request"]
        direct = [o for o in requests if not route.delivered_by_cloud_tasks(o, sent)]
        tasks = [o for o in seen if o.kind == "rpc" and o.fields["code"] == "OK"]
        url = WORKER_URL + classes.path_before(at) + self._decider.path
        call = wire.ExpectedCall(url, self._decider.secret_header, secret, job)
        flaws = [
            wire.one_call(direct, call) if direct else None,
            wire.one_task(tasks, call, longest_assembly_s=_LONGEST_ASSEMBLY_S) if tasks else None,
            wire.same_payload(seen) if direct and tasks else None,
            effects.unexpected([job], journals.effects(seen)),
            closing.secret_kept(seen, [secret] if len(secret) > 3 and secret.strip() else []),
        ]
        return conduct.of(seen, hidden=hidden, flaws=flaws)

    def _environ(self, at: Cell, given: Mapping[Setting, str | None]) -> dict[str, str]:
        environ = {**self._decider.environments[at.mode or Mode.PROD], **classes.platform(at)}
        for setting, value in given.items():
            name = self._decider.variables[setting]
            environ.pop(name, None)
            if value is not None:
                environ[name] = value
        return environ

    def _ring(self, *_: object) -> NoReturn:
        self._hung(Conduct(flaws=(f"it took longer than {CELL_WITHIN_S:g} s {self._doing}",)))

    def _watch(self, event: str, arguments: tuple[Any, ...]) -> None:
        """An audit hook: nothing in a decision opens a connection that the world does not answer."""
        if event in ("socket.connect", "socket.getaddrinfo"):
            self._world.unexpected("harness", f"{event} {arguments[1 if event == 'socket.connect' else 0]!r}")
            raise PermissionError(f"{event}: a decision opens no connection of its own")


class _Log:
    """What the dispatcher prints: each line becomes an observation, understood as everywhere."""

    def __init__(self) -> None:
        self.journal = Journal()
        self._streams: list[_Stream] = []

    def stream(self, name: str) -> _Stream:
        """Takes the place of ``sys.stdout`` or ``sys.stderr``."""
        stream = _Stream(self, name)
        self._streams.append(stream)
        return stream

    def begin(self, journal: Journal) -> None:
        """From now on lines go there."""
        self.journal = journal
        for stream in self._streams:
            stream.begin()

    def end(self) -> None:
        """A line without an end is one, too."""
        for stream in self._streams:
            stream.end()


class _Stream(io.TextIOBase):
    def __init__(self, log: _Log, name: str) -> None:
        self._log = log
        self._name = name
        self._reader = BannerReader()
        self._rest = ""
        self._lock = threading.Lock()

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        with self._lock:
            *lines, self._rest = (self._rest + text).split("\n")
            for line in lines:
                self._record(line)
        return len(text)

    def begin(self) -> None:
        with self._lock:
            self._rest, self._reader = "", BannerReader()

    def end(self) -> None:
        with self._lock:
            rest, self._rest = self._rest, ""
            if rest:
                self._record(rest)

    def _record(self, raw: str) -> None:
        line = self._reader.read(raw)
        self._log.journal.record(
            "api",
            "log",
            raw,
            stream=self._name,
            form=line.form.value,
            event=line.event,
            data=dict(line.fields),
            problem=line.problem,
        )


@contextlib.contextmanager
def _alarm() -> Iterator[None]:
    signal.setitimer(signal.ITIMER_REAL, CELL_WITHIN_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


class Answer:
    """What came of cells so far; those that were treated alike share an entry: their positions and their conduct."""

    def __init__(self) -> None:
        self._began_s = time.process_time()
        self._alike: dict[Conduct, list[int]] = {}
        self._count = 0

    def add(self, seen: Conduct) -> None:
        """What came of the next cell."""
        self._alike.setdefault(seen, []).append(self._count)
        self._count += 1

    def to_json(self, *, hangs: bool = False) -> dict[str, Any]:
        """As the harness reads it; ``hangs`` says that the last of them hangs, and that no more is to be had here."""
        answers = [
            {"cells": positions, "conduct": conduct.to_json(seen)} for seen, positions in self._alike.items()
        ]
        cpu_s = time.process_time() - self._began_s
        return {"answers": answers, "count": self._count, "cpu_s": cpu_s, "hangs": hangs}


class Service:
    """Runs cells for one harness, until it is gone.

    Raises:
        Exception: whatever importing the adapter raises.
    """

    def __init__(self, harness: Connection, decider: Decider) -> None:
        self._harness = harness
        self._answer = Answer()
        self._runner = Runner(decider, self._hung)

    def run(self) -> None:
        """Answer requests."""
        self._send({"ready": True})
        with contextlib.suppress(EOFError):
            while True:
                names = json.loads(self._harness.recv_bytes())
                self._answer = Answer()
                for name in names:
                    self._answer.add(self._runner.run(cell(name)))
                self._send(self._answer.to_json())

    def _hung(self, seen: Conduct) -> NoReturn:
        self._answer.add(seen)
        self._send(self._answer.to_json(hangs=True))
        while True:  # no exit that something in here could see: handlers would wait for what hangs
            os.kill(os.getpid(), signal.SIGKILL)

    def _send(self, message: Mapping[str, Any]) -> None:
        self._harness.send_bytes(json.dumps(message).encode())


def main() -> None:
    """Serve one harness, which says first whose decisions it wants. Argument: the connection's address."""
    (address,) = sys.argv[1:]
    caller = socket.socket(socket.AF_UNIX)
    caller.connect("\0" + address)
    with Connection(caller.detach()) as harness:
        try:
            service = Service(harness, Decider.from_json(harness.recv_bytes()))
        except BaseException as problem:  # noqa: BLE001 - the harness says it, whatever it is
            harness.send_bytes(json.dumps({"problem": f"{type(problem).__name__}: {problem}"}).encode())
            return
        gc.collect()
        gc.freeze()
        service.run()


if __name__ == "__main__":
    main()
