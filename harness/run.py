"""One scenario's run: the systems it used, what it expected, and how it ends."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from harness.context import SystemRecord
from harness.errors import NotApplicable
from harness.ledger import Ledger
from harness.model import Job, Mode, Observation
from harness.oracles import closing
from harness.oracles.cells import Cell
from harness.topologies.inprocess import InProcess
from harness.topologies.system import System
from harness.topologies.workshop import Workshop


class ScenarioRun:
    """The run of one scenario."""

    def __init__(self, workshop: Workshop, folder: Path) -> None:
        self.ledger = Ledger()
        self._workshop = workshop
        self._folder = folder
        self._systems: list[System | InProcess] = []
        self._stopped = False
        self.closing = False
        """Whether the scenario was satisfied, and is judged by what every run must satisfy."""

    def system(self, mode: Mode) -> System:
        """A system under test in one mode; its processes start with the first request."""
        system = System(
            self._workshop.profile,
            mode,
            self._folder / f"{mode}-{len(self._systems) + 1}",
            workshop=self._workshop,
            ledger=self.ledger,
        )
        self._systems.append(system)
        return system

    def inprocess(self, *, only: Cell | None, again: str) -> InProcess:
        """A dispatcher's decisions alone.

        Args:
            only: the one cell that is asked for; None for all.
            again: the command that runs one cell alone, with ``{cell}`` in it.

        Raises:
            NotApplicable: the profile names no adapter.
        """
        profile = self._workshop.profile
        if profile.inprocess is None:
            raise NotApplicable(
                f"the profile {profile.name!r} has no [inprocess]: its decisions cannot be run alone"
            )
        handle = InProcess(profile, self._workshop.decisions(), self.ledger, only=only, again=again)
        self._systems.append(handle)
        return handle

    def stop(self, *, satisfied: bool = False) -> None:
        """Stop all systems; a second call does nothing.

        Args:
            satisfied: the scenario was.
        """
        if self._stopped:
            return
        self._stopped = True
        with contextlib.ExitStack() as stack:
            for system in self._systems:
                stack.callback(system.stop, satisfied=satisfied)

    def finish(self) -> None:
        """Stop, and judge what every scenario must satisfy.

        Raises:
            Violation, Inconclusive: as ``harness.oracles.closing.judge``.
        """
        unfired = {id(s): s.unfired() for s in self._systems}
        self.stop(satisfied=True)
        self.closing = True
        try:
            self._judge(unfired)
        except BaseException:
            self._workshop.start_afresh()  # nothing of a scenario that failed serves another one
            raise

    def _judge(self, unfired: Mapping[int, list[str]]) -> None:
        for system in self._systems:
            closing.judge(
                system.journal.observations,
                jobs=system.jobs,
                given=system.given,
                hidden=system.hidden,
                planted=[system.secret],
                expectations=len(self.ledger.checks),
                unfired=unfired[id(system)],
                settled_at=system.settled_at,
            )

    def clean_up(self) -> None:
        """Remove what the processes kept on disk; the evidence is elsewhere."""
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def planted(self) -> list[str]:
        """The secrets that were planted, for masking."""
        return [system.secret for system in self._systems]

    @property
    def observations(self) -> list[Observation]:
        """Everything that was observed, of all systems one after the other."""
        return [o for system in self._systems for o in system.journal.observations]

    def records(self) -> list[SystemRecord]:
        """What is known of each system, for the evidence."""
        return [
            SystemRecord(
                mode=system.mode,
                observations=system.journal.observations,
                jobs=tuple(system.jobs),
                given=frozenset(system.given),
                hidden=system.hidden,
                unfired=tuple(system.unfired()),
                settled_at=system.settled_at,
                secret=system.secret,
                environment=system.environment,
            )
            for system in self._systems
        ]

    @property
    def last_job(self) -> Job | None:
        """The job that was submitted last."""
        jobs = [job for system in self._systems for job in system.jobs]
        return jobs[-1] if jobs else None

    def __iter__(self) -> Iterator[System | InProcess]:
        return iter(self._systems)
