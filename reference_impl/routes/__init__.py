"""The routes: each makes one attempt and answers DELIVERED, REJECTED or AMBIGUOUS; none decides more."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Verdict(StrEnum):
    """What one attempt proved about the job."""

    DELIVERED = "delivered"
    """The other side confirmed it."""
    REJECTED = "rejected"
    """Certainly not done: it never arrived, or the other side said so."""
    AMBIGUOUS = "ambiguous"
    """May have been done: the confirmation is missing, which proves nothing."""


class Attempt(NamedTuple):
    """The answer of one attempt.

    `reason` is a short stable slug. `detail` is text for people, uncut: half a secret cannot be masked, so only
    the log cuts it, after masking. `permanent` marks a mistake in the configuration that another attempt would
    meet again. `costly` marks an attempt that ended only because its time was up.
    """

    verdict: Verdict
    reason: str = ""
    detail: str = ""
    permanent: bool = False
    costly: bool = False

    @property
    def delivered(self) -> bool:
        """True when the other side confirmed."""
        return self.verdict is Verdict.DELIVERED
