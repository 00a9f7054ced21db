"""What a scenario can wait for: an event, a point of the run, the beginning of the work itself."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Protocol

from harness import faults
from harness.clock import Deadline, wait
from harness.errors import Inconclusive
from harness.faults import Point
from harness.journal import Journal
from harness.model import Job, Observation
from harness.profile import Profile
from harness.topologies import episodes


class Submitted(Protocol):
    """A job that was submitted."""

    job: Job


class Waits:
    """The waiting part of a System; every wait has the profile's bound for a run."""

    profile: Profile
    journal: Journal
    _storage: Path

    def wait_for(self, event: str, *, by: str) -> None:
        """Wait until a process has logged an event.

        Raises:
            Inconclusive: it did not, within the profile's bound for a run.
        """
        self.wait_until(faults.logged(event, by=by))

    def wait_until(self, point: Point) -> None:
        """Wait until a point in the run is reached; it may lie in the past.

        Raises:
            Inconclusive: it was not, within the profile's bound for a run.
        """
        within_s = self.profile.settle.within_s
        reached = threading.Event()

        def look(observation: Observation) -> None:
            if point.is_reached_by(observation):
                reached.set()

        forget = self.journal.watch(look)
        try:
            for observation in self.journal.observations:
                look(observation)
            if not reached.wait(within_s):
                raise Inconclusive(f"not reached within {within_s:g} s: {point}")
        finally:
            forget()

    def wait_for_work(self, submission: Submitted) -> None:
        """Wait until somebody has begun to write the job's episode, and so holds whatever a job is guarded by.

        Raises:
            Inconclusive: nobody did, within the profile's bound for a run.
        """
        episode_id, segment = submission.job.episode_id, self.profile.storage.segment
        deadline = Deadline(self.profile.settle.within_s)
        try:
            wait(
                lambda: episodes.has_begun(self._storage, segment, episode_id) or None,
                deadline,
                lambda: f"no file of {episode_id}",
            )
        except TimeoutError as problem:
            raise Inconclusive(f"nobody began to assemble: {problem}") from None
