"""One run's folder, from the first account, which says "incomplete", to the last."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness import evidence, identity, profile, sealed
from harness.errors import UsageError
from harness.requirements import Requirements

_HERE = Path(__file__).resolve().parent


class RunFolder:
    """Writes what a run is about and how it ended.

    The first account is written before any scenario runs. Whatever ends the process then, a crash, a full disk or a
    signal, an account is there that says the run is incomplete, and no reader takes it for a pass.
    """

    def __init__(
        self,
        run: Path,
        *,
        requirements: Requirements,
        profile_path: Path,
        source: Path | None,
        suites: Path,
    ) -> None:
        self._run = run
        self._requirements = requirements
        self._profile_path = profile_path
        self._source = source
        self._suites = suites
        self._facts: dict[str, Any] = {}

    def begin(
        self, selected: Iterable[str], *, arguments: Sequence[str], seed: object, whole: bool = False
    ) -> None:
        """Write the first account; a second call does nothing.

        Args:
            selected: what is going to run.
            arguments: what pytest was told.
            seed: of the order, if it is random.
            whole: whether all scenarios are meant to run.
        """
        if self._facts:
            return
        environment = identity.environment()
        identities = self.identities()
        self._facts = {
            "name": self._run.name,
            "profile": identities["sut"]["name"],
            "arguments": list(arguments),
            "identity": identities,
            "environment": environment,
            "python": environment["python"],
            "platform": environment["platform"],
            "topology": "processes",
            "seed": seed,
            "whole": whole,
            "began_at": time.time(),
        }
        self._write(selected, ended_at=None, pytest_exit=None, interrupted=False, shard=None)

    def end(
        self,
        selected: Iterable[str],
        *,
        shard: Mapping[str, object] | None,
        pytest_exit: int,
        interrupted: bool,
    ) -> dict[str, Any]:
        """Write the last account and return it."""
        return self._write(
            selected, ended_at=time.time(), pytest_exit=pytest_exit, interrupted=interrupted, shard=shard
        )

    def _write(self, selected: Iterable[str], **facts: Any) -> dict[str, Any]:
        from reports import (
            write_all,
        )  # here, because reports read what the harness wrote and never the reverse

        evidence.write_run(self._run, **self._facts, **facts, selected=sorted(selected))
        evidence.write_text(self._run / evidence.REQUIREMENTS, self._requirements.as_json())
        sealed.seal(self._run)
        return write_all(self._run, self._requirements)

    def identities(self) -> dict[str, Any]:
        """What was judged, by which profile, suites and harness: names, versions and digests."""
        try:
            judged = profile.load(self._profile_path, source=self._source)
            sut = {
                "name": judged.name,
                "version": judged.profile.version,
                "digest": identity.digest(judged.source, judged.profile.files),
            }
        except UsageError:
            sut = {"name": f"unreadable: {self._profile_path.name}", "version": "", "digest": ""}
        return {
            "sut": sut,
            "profile": {"name": self._profile_path.name, "digest": _digest_of(self._profile_path)},
            "suites": {"digest": identity.digest(self._suites)},
            "harness": {
                "version": identity.version(),
                "digest": identity.digest(_HERE, own_code()),
            },
        }


def own_code() -> list[str]:
    """Globs for the harness's own code: whatever stands in it beside its tests."""
    folders = {entry.name for entry in _HERE.iterdir() if entry.is_dir()} - {"tests", "__pycache__"}
    return ["*.py", *(f"{folder}/**" for folder in sorted(folders))]


def _digest_of(path: Path) -> str:
    with contextlib.suppress(OSError):
        return f"sha256:{identity.file_digest(path)}"
    return ""
