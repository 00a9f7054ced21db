"""The values everything else speaks of: routes, settings, observations, effects, verdicts."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple


class Result(enum.StrEnum):
    """How an attempt at a route ended, as the dispatcher saw it."""

    SERVED = "served"
    FAILED = "failed"
    SKIPPED = "skipped"


class Route(enum.StrEnum):
    """A way for a job to reach the code that assembles it."""

    CLOUD_TASKS = "cloud_tasks"
    WORKER_DIRECT = "worker_direct"
    INLINE = "inline"

    @property
    def served(self) -> Step:
        """This route was tried and took the job."""
        return Step(self, Result.SERVED)

    @property
    def failed(self) -> Step:
        """This route was tried and did not take the job."""
        return Step(self, Result.FAILED)

    @property
    def skipped(self) -> Step:
        """This route was considered and, for a stated reason, not tried."""
        return Step(self, Result.SKIPPED)


@dataclass(frozen=True, slots=True)
class Step:
    """One route and how it ended; a job's way is a tuple of steps."""

    route: Route
    result: Result

    def __str__(self) -> str:
        """For example ``cloud_tasks failed``."""
        return f"{self.route} {self.result}"


class Mode(enum.StrEnum):
    """Which of the two ways of dispatching is under test."""

    DEV = "dev"
    PROD = "prod"


class Setting(enum.StrEnum):
    """A setting of the dispatcher; a profile says which environment variable carries it."""

    APP_ENV = "app_env"
    WORKER_FLAG = "worker_flag"
    WORKER_URL = "worker_url"
    SECRET = "secret"  # noqa: S105 - the name of a setting
    PROJECT = "project"
    LOCATION = "location"
    QUEUE = "queue"


class Level(enum.StrEnum):
    """Whether a requirement gates every release or only those that claim its capability."""

    CORE = "core"
    EXTENDED = "extended"


class Verdict(enum.StrEnum):
    """A judgement. PASS < INCONCLUSIVE < FAIL; NOT_APPLICABLE stands apart."""

    PASS = "PASS"  # noqa: S105 - a verdict
    INCONCLUSIVE = "INCONCLUSIVE"
    FAIL = "FAIL"
    NOT_APPLICABLE = "NOT_APPLICABLE"

    @classmethod
    def worst(cls, verdicts: Iterable[Verdict]) -> Verdict:
        """The gravest of the verdicts; INCONCLUSIVE for none at all, because no evidence is never a pass."""
        ranked = [v for v in verdicts if v is not cls.NOT_APPLICABLE]
        if not ranked:
            return cls.INCONCLUSIVE
        return max(ranked, key=[cls.PASS, cls.INCONCLUSIVE, cls.FAIL].index)


class Observation(NamedTuple):
    """One recorded fact. Very many are made, each in half the time that a frozen dataclass takes.

    Attributes:
        seq: position in the journal, from 1; the order in which the harness learned of the facts.
        at_s: seconds since the journal began.
        source: who was observed: ``api``, ``worker``, ``cloud_tasks``, ``worker_gateway``, ``storage`` or
            ``harness`` (what the harness itself did).
        kind: what was observed, e.g. ``log``, ``rpc``, ``request``, ``effect``; see GLOSSARY.
        text: the fact on one line, for people.
        fields: the fact, for oracles.
    """

    seq: int
    at_s: float
    source: str
    kind: str
    text: str
    fields: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Hidden:
    """A route whose failed attempts a fault takes off the wire, for a part of a run.

    Attributes:
        since: position in the journal from which on.
        until: position up to which; None to the end.
    """

    route: Route
    since: int
    until: int | None = None


class Event(NamedTuple):
    """A log event: a name with fields, said by one process."""

    name: str
    source: str
    seq: int
    fields: Mapping[str, str] = MappingProxyType({})

    def __str__(self) -> str:
        """For example ``api: tasks.cloud.enqueued task=…``."""
        extra = " ".join(f"{k}={v}" for k, v in self.fields.items())
        return f"{self.source}: {self.name} {extra}".rstrip()


@dataclass(frozen=True, slots=True)
class Effect:
    """One finished assembly of one job, counted from what it left in storage.

    Attributes:
        role: which process did it, ``api`` or ``worker``.
        audio: SHA-256 of the assembled file's audio frames, computed by the harness.
        checksum: SHA-256 of the assembled file, computed by the harness.
        claimed_checksum: what the manifest beside the file says; differs only when something is wrong.
        seq: position of its observation in the journal.
    """

    job_id: str
    episode_id: str
    role: str
    audio: str
    checksum: str
    claimed_checksum: str
    seq: int = 0


@dataclass(frozen=True, slots=True)
class Job:
    """A request that the harness made of the dispatcher, and what it was promised.

    Attributes:
        episode_id: made by the harness, unique in the run.
        job_id: the dispatcher's id for it; "" when it was not accepted.
        correlation_id: what the dispatcher answered, or "".
        status: HTTP status of the answer.
        answer_s: seconds between the request and its answer.
        expected_audio: SHA-256 of the audio frames that a correct assembly makes.
        seq: position of the request in the journal.
        in_crowd: one of many that were asked for at once: they are judged together, and nobody follows its way.
    """

    episode_id: str
    job_id: str
    correlation_id: str
    status: int
    answer_s: float
    expected_audio: str
    seq: int = 0
    in_crowd: bool = False
