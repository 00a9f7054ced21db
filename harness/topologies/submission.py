"""A job that was submitted: what the API's answer says of it, and waiting for its end."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from harness.errors import Inconclusive
from harness.model import Job
from harness.outcome import Answer, Outcome
from harness.profile import Trigger
from harness.topologies.episodes import Episode

if TYPE_CHECKING:
    from harness.topologies.asking import Asking


class Submission:
    """A job that was submitted and may still be on its way."""

    def __init__(self, system: Asking, job: Job) -> None:
        self._system = system
        self.job = job

    def settle(self) -> Outcome:
        """Wait until nothing moves any more.

        Raises:
            Inconclusive: something keeps moving beyond the profile's bound.
            SutFailed: a process ended by itself meanwhile.
        """
        return self._system.settle(self.job)


def job_of(answer: Answer, episode: Episode, trigger: Trigger, *, seq: int, in_crowd: bool) -> Job:
    """The job that the API promised, or one without an id where it promised none.

    Args:
        answer: the API's.
        episode: what was to be assembled.
        trigger: how the profile says that the API answers.
        seq: position of the request in the journal.
        in_crowd: whether the job is one of many that are judged together.

    Raises:
        Inconclusive: the API accepted without saying which job.
    """
    document: dict[str, Any] = {}
    if answer.status == trigger.accepted:
        try:
            document = json.loads(answer.body)
            document[trigger.job_id]
        except (ValueError, KeyError, TypeError):
            raise Inconclusive(
                f"the API accepted, but its answer has no {trigger.job_id!r}: {answer.body[:300]!r}"
            ) from None
    return Job(
        episode_id=episode.episode_id,
        job_id=str(document.get(trigger.job_id, "")),
        correlation_id=str(document.get(trigger.correlation_id, "")),
        status=answer.status,
        answer_s=answer.took_s,
        expected_audio=episode.audio,
        seq=seq,
        in_crowd=in_crowd,
    )
