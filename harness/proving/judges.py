"""Judges: pytest processes that are kept, and asked to run one scenario after the other on copies of a dispatcher.

Each has all scenarios collected and everything imported, and the launcher with the third-party modules of the
system under test. The processes see when we are gone, in whatever way, and end with all that they started.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import HarnessError

_ENDS_WITHIN_S = 10.0


@dataclass(frozen=True, slots=True)
class Collected:
    """A scenario as pytest collected it, with one parameter where it has any.

    Attributes:
        node: how pytest names it.
        folder: how reports name it.
        scenario: the scenario's id.
        requires: the requirements that it proves.
    """

    node: str
    folder: str
    scenario: str
    title: str
    requires: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Said:
    """What a judge says of one scenario on one dispatcher.

    Attributes:
        verdict: PASS, FAIL, INCONCLUSIVE or NOT_APPLICABLE.
        blame: who has to act, as in ``verdict.json``.
        message: what a person reads.
        oracle: which oracle spoke; "" where none did.
        reason: what it expected and observed.
    """

    verdict: str
    blame: str
    message: str
    duration_s: float
    oracle: str
    reason: str


class Gone(HarnessError):  # noqa: N818 - it says what has become of the judge
    """A judge ended in the middle of its work: nothing is known about what it judged."""


class Judge:
    """One of the processes."""

    def __init__(self, root: Path, folder: Path, scenarios: Sequence[str] = ("scenarios",)) -> None:
        """Start it; ``tests`` waits until it is ready.

        Args:
            root: the project's folder.
            scenarios: what to collect, as pytest is told.
            folder: does not exist yet; for its log and its temporary files.
        """
        folder.mkdir(parents=True)
        self._log = folder / "judge.log"
        ours, theirs = socket.socketpair()
        command = [sys.executable, "-m", "pytest", *scenarios, f"--serve={theirs.fileno()}", "-q"]
        command += ["-p", "no:randomly", "-p", "no:cacheprovider", f"--basetemp={folder / 'tmp'}"]
        command += [f"--run-folder={folder / 'run'}"]
        with theirs, self._log.open("wb") as log:
            self._process = subprocess.Popen(
                command,
                cwd=root,
                env={**os.environ, "PYTHONPATH": str(root), "PYTEST_ADDOPTS": ""},
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for us, who then end it
            )
        self._channel = ours
        self._replies = ours.makefile("r", encoding="utf-8")

    def tests(self) -> list[Collected]:
        """What it has collected.

        Raises:
            Gone: it could not collect.
        """
        return [Collected(**{**row, "requires": tuple(row["requires"])}) for row in self._reply()["tests"]]

    def judge(self, test: Collected, *, run: Path, profile: Path, source: Path) -> Said:
        """Run one scenario.

        Args:
            test: which.
            run: the run folder that its evidence goes to.
            profile: the profile of the system under test.
            source: the source to be judged.

        Raises:
            Gone: the judge ended meanwhile.
        """
        request = {"node": test.node, "run": str(run), "profile": str(profile), "source": str(source)}
        try:
            self._channel.sendall(json.dumps(request).encode() + b"\n")
        except OSError as problem:
            raise self._gone(str(problem)) from None
        return Said(**self._reply())

    def dismiss(self) -> None:
        """Tell it to end, whatever it is doing; returns at once."""
        with contextlib.suppress(OSError):  # it has ended already
            self._channel.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Make sure that it has ended, with all that it started."""
        self.dismiss()
        try:
            self._process.wait(_ENDS_WITHIN_S)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._replies.close()
        self._channel.close()

    def _reply(self) -> Mapping[str, Any]:
        try:
            line = self._replies.readline()
            reply: Mapping[str, Any] = json.loads(line)
        except (OSError, ValueError):
            raise self._gone("it ended") from None
        return reply

    def _gone(self, why: str) -> Gone:
        lines: Sequence[str] = self._log.read_text("utf-8", "replace").splitlines()[-8:]
        return Gone("\n".join([f"a pytest process of the proof is gone ({why}); its last lines:", *lines]))
