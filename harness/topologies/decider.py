"""A dispatcher whose decisions alone are to be run, as the process that runs them is told of it.

That process reads no profile: to make ready what reads and checks one takes longer than everything else it needs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import NamedTuple


class Decider(NamedTuple):
    """What of a profile concerns decisions; all of it is text, numbers and mappings of text.

    Attributes:
        entry: the adapter, as ``module:function``.
        source: the folder that it is found in.
        environments: the variables that a process of it is given, by mode.
        variables: the name that it has for each setting.
        queue: the name of the one queue there is.
        enqueue_bound_s: seconds that a call to Cloud Tasks may take.
        path, secret_header: of a request to its worker.
        job_id, episode_id: the members of that request that name the job and its episode.
        confirmation: the members of the JSON object with which its worker confirms a job.
    """

    entry: str
    source: str
    environments: Mapping[str, Mapping[str, str]]
    variables: Mapping[str, str]
    queue: str
    enqueue_bound_s: float
    path: str
    secret_header: str
    job_id: str
    episode_id: str
    confirmation: Mapping[str, str]

    def to_json(self) -> bytes:
        """For ``from_json`` in another process."""
        return json.dumps(self._asdict()).encode()

    @classmethod
    def from_json(cls, data: bytes) -> Decider:
        """What ``to_json`` was called of."""
        return cls(**json.loads(data))
