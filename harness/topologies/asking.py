"""What a scenario asks of the API: to assemble, to dispatch another task, or anything, right or wrong."""

from __future__ import annotations

import itertools
import json
import secrets
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx

from harness.errors import Inconclusive
from harness.journal import Journal
from harness.ledger import Ledger
from harness.model import Job
from harness.outcome import Answer, Outcome
from harness.profile import Profile
from harness.topologies import episodes, http
from harness.topologies.episodes import Episode
from harness.topologies.ground import Ground
from harness.topologies.submission import Submission, job_of

_HTTP_TIMEOUT_S = 60.0
_numbers = itertools.count(1)


class Asking(ABC):
    """The asking part of a System: it sends requests, and records what was asked and answered.

    Attributes:
        jobs: what the API was asked for.
    """

    profile: Profile
    journal: Journal
    ledger: Ledger
    ground: Ground
    _storage: Path

    def __init__(self) -> None:
        self.jobs: list[Job] = []
        self._under_way = 0
        self._under_way_lock = threading.Lock()
        self._turns = itertools.count()

    @abstractmethod
    def start(self) -> None:
        """Start what is not running, and wait until it is ready."""

    @abstractmethod
    def settle(self, job: Job | None = None) -> Outcome:
        """Wait until nothing moves any more, and return what was observed."""

    @abstractmethod
    def _urls_of_api(self) -> Sequence[str]:
        """Where the API can be asked; several where several run."""

    @abstractmethod
    def _check_alive(self) -> None:
        """Raises SutFailed when a process has ended by itself."""

    @abstractmethod
    def _episode_length_s(self) -> float:
        """How long an episode has to be at least."""

    def assemble(self, *, again: Submission | None = None, **body: Any) -> Submission:
        """Ask the API to assemble an episode that was made for the purpose.

        Args:
            again: ask for the same episode as this submission did.
            body: members of the request's JSON body; none for a request without a body.

        Raises:
            Inconclusive: the API did not answer, or accepted without saying which job.
        """
        self.start()
        episode = Episode(again.job.episode_id, again.job.expected_audio) if again else self.make_episode()
        return Submission(self, self.ask(episode, json.dumps(body).encode() if body else b""))

    def ask(self, episode: Episode, content: bytes = b"", *, in_crowd: bool = False) -> Job:
        """Ask the API, which runs, to assemble an episode; from any thread.

        Args:
            episode: the episode, which is in storage.
            content: the request's body.
            in_crowd: whether the job is one of many that are judged together.

        Raises:
            Inconclusive: as ``assemble``.
        """
        text = f"asks for the assembly of {episode.episode_id}"
        seq = self.journal.record("harness", "stimulus", text).seq
        answer = self._request(episode.episode_id, content)
        job = job_of(answer, episode, self.profile.trigger, seq=seq, in_crowd=in_crowd)
        self.jobs.append(job)
        return job

    def dispatch_another_task(self) -> Outcome:
        """Ask the API for a task that the worker does not serve, and wait until nothing moves.

        Raises:
            Inconclusive: the profile names no such request.
        """
        other = self.profile.other_task
        if other is None:
            raise Inconclusive(
                "the profile has no [other_task]: it names no task that the worker does not serve"
            )
        self.start()
        episode_id = self.make_episode().episode_id
        self.journal.record("harness", "stimulus", f"asks for another task about {episode_id}")
        answer = self.send(
            "api", other.method, self._urls_of_api()[0] + other.path.format(episode_id=episode_id), b"", {}
        )
        answer.must_be(other.accepted)
        return self.settle()

    def make_episode(self) -> Episode:
        """Put a new episode into storage."""
        name = f"ep-{secrets.token_hex(4)}-{next(_numbers)}"
        segment = self.profile.storage.segment
        made = episodes.make(self._storage, segment, name, at_least_s=self._episode_length_s())
        self.ground.share(self._storage)
        return made

    def request(self, episode_id: str, content: bytes = b"") -> Answer:
        """Send the API a request with any body, right or wrong."""
        self.start()
        return self._request(episode_id, content)

    def _request(self, episode_id: str, content: bytes) -> Answer:
        trigger = self.profile.trigger
        urls = self._urls_of_api()  # in turn, as a load balancer does
        url = urls[next(self._turns) % len(urls)] + trigger.path.format(episode_id=episode_id)
        headers = {
            "content-type": "application/json",
            "x-cloud-trace-context": f"{secrets.token_hex(16)}/1;o=1",
        }
        return self.send("api", trigger.method, url, content, headers)

    def send(self, to: str, method: str, url: str, content: bytes, headers: Mapping[str, str]) -> Answer:
        """Send one HTTP request and record its answer.

        Raises:
            Inconclusive: there was no answer.
            SutFailed: because the process has ended.
        """
        began = time.monotonic()
        with self._under_way_lock:
            self._under_way += 1
        try:
            reply = http.client().request(
                method, url, content=content, headers=dict(headers), timeout=_HTTP_TIMEOUT_S
            )
            took_s = time.monotonic() - began
            text = f"answers {reply.status_code} after {took_s * 1000:.0f} ms"
            self.journal.record(to, "answer", text, body=reply.text)
        except httpx.HTTPError as problem:
            self._check_alive()
            raise Inconclusive(f"the {to} did not answer {method} {url}: {problem!r}") from None
        finally:
            with self._under_way_lock:
                self._under_way -= 1
        return Answer(reply.status_code, reply.text, took_s, self.ledger)
