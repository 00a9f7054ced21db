"""Waits until a run is settled: its jobs have ended, the fakes are idle, and no process has anything left to do."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path

from harness import journal as journals
from harness.clock import Deadline, pause
from harness.errors import Inconclusive, Violation
from harness.journal import Journal
from harness.model import Job
from harness.oracles import effects
from harness.profile import Storage
from harness.topologies import episodes
from harness.topologies.ground import Running
from harness.topologies.process import quiet

_LOOKS = 4
BETWEEN_LOOKS_S = 0.008
_SELDOM_S = 0.032
"""How long a pause becomes while there is nothing to do but to wait for somebody's time-out: a look costs time, too."""


class EffectScanner:
    """Turns the manifests that finished assemblies leave in storage into observations, each once.

    A manifest that is written again, under the same name, is another effect.

    Attributes:
        count: how many there were so far.
    """

    def __init__(self, root: Path, storage: Storage, journal: Journal) -> None:
        self._root = root
        self._storage = storage
        self._journal = journal
        self._seen: dict[Path, tuple[int, int]] = {}
        self.count = 0

    def pass_over(self) -> None:
        """Take what is there for somebody else's: it is not recorded."""
        for path in self._root.glob(self._storage.manifests):
            status = path.stat()
            self._seen[path] = (status.st_ino, status.st_mtime_ns)

    def scan(self) -> None:
        """Record every manifest that was not there before, or not like this.

        Raises:
            Inconclusive: a manifest is not a JSON object with the keys that the profile names.
        """
        for path in sorted(self._root.glob(self._storage.manifests)):
            try:
                status = path.stat()
            except OSError:  # replaced or taken away between the two looks
                continue
            version = (status.st_ino, status.st_mtime_ns)
            if self._seen.get(path) != version:
                self._seen[path] = version
                self._record(path)

    def _record(self, path: Path) -> None:
        keys = self._storage
        try:
            manifest = json.loads(path.read_text("utf-8"))
            job_id, episode_id, role = (str(manifest[k]) for k in (keys.job_id, keys.episode_id, keys.role))
            claimed = str(manifest[keys.checksum])
        except (OSError, ValueError, KeyError, TypeError) as problem:
            raise Inconclusive(f"cannot read the manifest {path.name}: {problem!r}") from None
        self.count += 1
        output = path.with_suffix(keys.output_suffix)
        self._journal.record(
            "storage",
            "effect",
            f"job {job_id} assembled in the {role}",
            job_id=job_id,
            episode_id=episode_id,
            role=role,
            audio=episodes.audio_of(output),
            checksum=episodes.file_checksum(output),
            claimed_checksum=claimed,
        )


def settle(
    *,
    journal: Journal,
    scanner: EffectScanner,
    end_event: str,
    jobs: Sequence[Job],
    processes: Sequence[Running],
    moving: Callable[[], str],
    hanging: Callable[[], str],
    within_s: float,
    stuck_after_s: float,
    quiet_s: float,
    between_looks_s: float = BETWEEN_LOOKS_S,
) -> bool:
    """Wait until nothing moves any more.

    Nothing moves when, at several looks in a row, the fakes were idle, no thread of a process was running, no
    byte of a log was unread, and no observation was added. Jobs that have not ended get ``stuck_after_s`` of such
    quiet before they count as stuck: a timer may still be running in the dispatcher. So do callers that a fault
    leaves hanging, although their job has ended: what they do when they give up is part of the run.

    Args:
        journal: where everything is recorded.
        scanner: looks for effects.
        end_event: the event that ends a job, for dispatchers that claim to log one; else "": an effect ends it.
        jobs: what was submitted; jobs that were not accepted count as ended.
        processes: those of the system under test.
        moving: says what still goes on at the fakes, or "".
        hanging: says who waits for an answer that a fault withholds, or "".
        within_s: when to give up.
        stuck_after_s: quiet seconds after which a job that has not ended counts as stuck.
        quiet_s: how long nothing may move where no event says that a job has ended: the dispatcher may still have
            a timer running, which nobody can see.
        between_looks_s: the pause between two looks; it grows to 32 ms while nothing moves and nothing may end.

    Returns:
        Whether every accepted job has ended.

    Raises:
        Violation: a job had not ended after ``within_s``, although Cloud Tasks had delivered it often enough.
        Inconclusive: something was still moving after ``within_s``; the message says what.
    """
    deadline, stuck = Deadline(within_s), Deadline(stuck_after_s)
    looks, last_length, in_vain = 0, -1, 0
    ends = _Ends(journal, end_event)
    ended = False
    enough = _LOOKS if end_event else max(_LOOKS, math.ceil(quiet_s / between_looks_s))
    while True:
        # What says that it has ended says before that what it does: in between, to look for effects is in vain.
        if not end_event or ended or stuck.passed or len(journal) != last_length:
            scanner.scan()
        outside, inside = moving(), ""
        length = len(journal)
        moved = bool(outside) or length != last_length
        if moved:
            stuck = Deadline(stuck_after_s)
            ended = ends.have_come_for(jobs)
        last_length = length
        # Threads and pipes are looked at last: it costs more than all the rest, and decides only a run that may end.
        if moved or not ((ended and not hanging()) or stuck.passed):
            looks = 0
            in_vain = 0 if moved else in_vain + 1
        else:
            in_vain = 0
            inside = _unread(processes) or _busy(processes)
            looks = 0 if inside else looks + 1
        if looks >= enough:
            return ended
        if deadline.passed:
            deliveries = [o for o in journal.observations if o.kind == "attempt.ended"]
            if not ended and (finding := effects.in_vain(deliveries, within_s)):
                raise Violation(finding)
            raise Inconclusive(
                f"the run did not settle within {within_s:g} s; still moving: "
                f"{outside or inside or hanging() or 'a job has no effect yet'}. "
                "Allow more time with [settle] within_s in the profile, or find out what keeps it busy."
            )
        pause(max(between_looks_s, min(between_looks_s * (1 + in_vain // _LOOKS), _SELDOM_S)))


class _Ends:
    """Which jobs have ended; reads each observation once, as there may be very many."""

    def __init__(self, journal: Journal, end_event: str) -> None:
        self._journal = journal
        self._end_event = end_event
        self._position = 0
        self._ended: set[object] = set()

    def have_come_for(self, jobs: Sequence[Job]) -> bool:
        new = self._journal.since(self._position)
        self._position += len(new)
        if self._end_event:
            self._ended |= {e.fields.get("job_id") for e in journals.events(new) if e.name == self._end_event}
        else:
            self._ended |= {effect.job_id for effect in journals.effects(new)}
        return all(job.job_id in self._ended for job in jobs if job.job_id)


def _unread(processes: Sequence[Running]) -> str:
    unread = any(process.unread for process in processes)
    return "log lines are still to be read" if unread else ""


def _busy(processes: Sequence[Running]) -> str:
    return "" if quiet(processes) else "a process of the system under test is running"
