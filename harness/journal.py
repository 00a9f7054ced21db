"""The ordered observations of one run, from every source."""

from __future__ import annotations

import math
import re
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from harness.model import Effect, Event, Job, Observation


class Journal:
    """Everything that was observed in one run, in the order in which the harness learned of it.

    Thread-safe: log pipes, fakes and the scenario record at the same time. Oracles never see this class, only
    the immutable sequence that ``observations`` returns, so that they can be run on hand-written journals.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._began_at = time.monotonic()
        self._observations: list[Observation] = []
        self._watchers: tuple[Callable[[Observation], None], ...] = ()

    def watch(self, watcher: Callable[[Observation], None]) -> Callable[[], None]:
        """Call ``watcher`` with each new observation, in the thread that records it and before it goes on.

        Returns:
            Ends it.
        """
        with self._lock:
            self._watchers = (*self._watchers, watcher)

        def forget() -> None:
            with self._lock:
                self._watchers = tuple(each for each in self._watchers if each is not watcher)

        return forget

    def record(self, source: str, kind: str, text: str, /, **fields: Any) -> Observation:
        """Append one observation and return it."""
        with self._lock:
            observation = Observation(
                seq=len(self._observations) + 1,
                at_s=time.monotonic() - self._began_at,
                source=source,
                kind=kind,
                text=text,
                fields=fields,
            )
            self._observations.append(observation)
            watchers = self._watchers
        for watcher in watchers:  # without the lock: a watcher may record, and may wait for who records
            watcher(observation)
        return observation

    @property
    def observations(self) -> tuple[Observation, ...]:
        """All observations so far."""
        with self._lock:
            return tuple(self._observations)

    def since(self, position: int) -> tuple[Observation, ...]:
        """The observations that came after so many."""
        with self._lock:
            return tuple(self._observations[position:])

    def __len__(self) -> int:
        return len(self._observations)


def events(observations: Iterable[Observation]) -> list[Event]:
    """The log events among the observations, in order."""
    return [
        Event(name=o.fields["event"], source=o.source, seq=o.seq, fields=o.fields.get("data", {}))
        for o in observations
        if o.kind == "log" and o.fields.get("event")
    ]


def log_lines(observations: Iterable[Observation], *, source: str | None = None) -> list[Observation]:
    """The captured log lines, of one source or of all."""
    return [o for o in observations if o.kind == "log" and source in (None, o.source)]


def effects(observations: Iterable[Observation]) -> list[Effect]:
    """The effects among the observations, in the order in which they were found."""
    return [Effect(**o.fields, seq=o.seq) for o in observations if o.kind == "effect"]


def of_job(observations: Sequence[Observation], job: Job) -> list[Observation]:
    """What was observed of one job, from its request on, and what was said without naming any job meanwhile.

    A line that names no job (the seed's development lines do not) belongs to the job whose request came last
    before it; what was said while the processes started belongs to every job. Wire observations are followed by
    their ids: a call names the job, its task is found by the task's name, a reply by its request.
    """
    names_it = _recogniser(job, observations)
    stimuli = [o.seq for o in observations if o.kind == "stimulus"]
    last = min((seq for seq in stimuli if seq > job.seq), default=math.inf)
    start = max(
        (o.seq for o in observations if o.fields.get("starts") == "api" and o.seq < job.seq), default=0
    )
    started = min((seq for seq in stimuli if seq > start), default=job.seq)
    logged = {o.fields["data"].get("job_id") for o in observations if o.kind == "log"}
    keys: set[object] = set()
    mine = []
    for o in observations:
        if o.kind == "log":
            data = o.fields["data"]
            meanwhile = job.seq < o.seq < last or start < o.seq < started
            belongs = _is_of(job, data) if {"job_id", "episode_id"} & data.keys() else meanwhile
        elif o.kind in {"process", "fault", "connection"} or o.seq == job.seq:
            belongs = start <= o.seq < last
        elif o.kind in {"rpc", "request", "answer"}:
            belongs = names_it(str(o.fields))
            keys |= {o.fields.get("task"), o.fields.get("id")} - {None, ""} if belongs else set()
        elif o.kind == "effect" and o.fields["job_id"] not in logged:  # of a job that nobody speaks of
            belongs = o.fields["episode_id"] == job.episode_id
        else:
            belongs = bool({o.fields.get("task"), o.fields.get("id")} & keys) or _is_of(job, o.fields)
        if belongs:
            mine.append(o)
    return mine


def _is_of(job: Job, fields: Mapping[str, Any]) -> bool:
    """Whether fields name the job: by its own id where both have one, else by its episode's."""
    if job.job_id and fields.get("job_id"):
        return bool(fields["job_id"] == job.job_id)
    return bool(fields.get("episode_id") == job.episode_id)


def _recogniser(job: Job, observations: Iterable[Observation]) -> Callable[[str], bool]:
    """Finds a job in a call, by whole ids: ``job-1`` does not name ``job-10``.

    The job's own id decides where any call has it; two jobs may be about one episode. An id that is a small number
    would be found in any call, as a length or a port; the episode's id, which the harness made, stands for it.
    """
    by_episode = _whole(job.episode_id)
    if not job.job_id or (job.job_id.isdigit() and len(job.job_id) < 8):
        return by_episode
    by_job = _whole(job.job_id)
    calls = [str(o.fields) for o in observations if o.kind in {"rpc", "request"}]
    return by_job if any(by_job(call) for call in calls) else by_episode


def _whole(id_: str) -> Callable[[str], bool]:
    pattern = re.compile(rf"(?<![A-Za-z0-9_]){re.escape(id_)}(?![\w-])")
    return lambda text: pattern.search(text) is not None
