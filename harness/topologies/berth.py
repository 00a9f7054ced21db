"""A place for one system, which can be used again: a storage, a secret, and perhaps a worker that waits there.

A worker that was started as every worker is, and whose scenario was satisfied and did nothing to it, serves the next
scenario as well: that saves its start. What it wrote before is not that scenario's; when it writes something while no
scenario has it, it is not used again. Whatever is in doubt is made anew.
"""

from __future__ import annotations

import secrets
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar, Generic, Protocol, TypeVar

from harness.topologies.ground import Running

_ENDED_WITHIN_S = 10.0


class Reusable(Running, Protocol):
    """Something that runs, and whose output can be handed to somebody else while nothing of it is unread."""

    def hand_to(self, on_line: Callable[[str, str], None]) -> None:
        """Hand what it writes from now on to somebody else; nothing may be unread."""


WorkerT = TypeVar("WorkerT", bound=Reusable)


class Berth(Generic[WorkerT]):
    """One such place.

    Args:
        folder: where its storage is; may exist.

    Attributes:
        folder: the same.
        storage: what the dispatcher keeps.
        secret: what the API and the worker share.
        systems: how many have been here, the present one included.
        kills: whether a worker that is not used again is killed. One that is asked to end may write down what it has
            to, such as what of it was executed.
    """

    kills: ClassVar[bool] = False

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.storage = folder / "storage"
        self.storage.mkdir(parents=True, exist_ok=True)
        self.secret = _new_secret()
        self.systems = 0
        self._waiting: WorkerT | None = None
        self._at_work: WorkerT | None = None
        self._started_as: object = None
        self._said_unasked = False

    def worker(
        self, started_as: object, on_line: Callable[[str, str], None], start: Callable[[], WorkerT]
    ) -> WorkerT:
        """The worker of the system that is here now.

        Args:
            started_as: all that its start depends on. One that waits here is taken where that is equal.
            on_line: gets what a worker that waited here writes from now on.
            start: starts another one.
        """
        if self._at_work is not None:  # the first one was killed, or there are two at once
            return start()
        waiting, self._waiting = self._waiting, None
        usable = waiting is not None and waiting.running and not waiting.unread and not self._said_unasked
        if waiting is not None and usable and self._started_as == started_as:
            waiting.hand_to(on_line)
            self._at_work = waiting
            return waiting
        if waiting is not None:
            self._end(waiting)
        self._at_work, self._started_as = start(), started_as
        return self._at_work

    def keep(self, running: Running) -> bool:
        """Have the worker wait for the next system; False where it is not one that may."""
        worker, self._at_work = self._at_work, None
        if worker is None or running is not worker or not worker.running or worker.unread:
            return False

        def unasked(*_: str) -> None:
            self._said_unasked = True

        self._said_unasked = False
        worker.served += 1
        worker.hand_to(unasked)
        self._waiting = worker
        return True

    @property
    def kept(self) -> bool:
        """Whether a worker waits here."""
        return self._waiting is not None

    def let_go(self) -> None:
        """End the worker that waits here, if there is one: another is to be started."""
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            self._end(waiting)

    def close(self) -> None:
        """Take everything away."""
        self.let_go()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _end(self, worker: WorkerT) -> None:
        """End a worker whose last words nobody wants to hear."""
        worker.hand_to(lambda *_: None)
        if self.kills:
            worker.send(signal.SIGKILL)
        worker.stop(_ENDED_WITHIN_S)


BerthT = TypeVar("BerthT", bound=Berth)  # type: ignore[type-arg] # of whatever workers


class Berths(Generic[BerthT]):
    """The places of one workshop: those that were left in order wait for the next system.

    Args:
        make: makes a new one.
        systems_each: how many systems a place serves; what they left in its storage is looked through again and again.
    """

    def __init__(self, make: Callable[[], BerthT], *, systems_each: int) -> None:
        self._make = make
        self._systems_each = systems_each
        self._free: list[BerthT] = []

    def take(self) -> BerthT:
        """A place for a system: one that was left in order, or a new one."""
        berth = self._free.pop() if self._free else self._make()
        berth.systems += 1
        return berth

    def leave(self, berth: BerthT) -> None:
        """Give a place back: with a worker that waits there, for the next system; else it is taken away."""
        if berth.kept and berth.systems < self._systems_each:
            self._free.append(berth)
        else:
            berth.close()

    def close(self) -> None:
        """Take away every place that waits for a system; who takes one after that gets a new one."""
        while self._free:
            self._free.pop().close()


def _new_secret() -> str:
    """A secret with characters that encodings change."""
    return f"s3cr3t/{secrets.token_urlsafe(18)}+&"
