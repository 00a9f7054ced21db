"""The API, the worker, or a command: started on whatever ground, watched, and every line of it recorded."""

from __future__ import annotations

import re
import signal
from collections.abc import Mapping
from pathlib import Path

import httpx

from harness.clock import Deadline, wait
from harness.errors import Finding, Inconclusive, LastWords, SutFailed
from harness.faults import Fault
from harness.journal import Journal, log_lines
from harness.logs.parse import BannerReader
from harness.profile import Command, Profile, Program
from harness.topologies import http
from harness.topologies.ground import Ground, Running, Start

_LAST_LINES = 12


class Child:
    """One process of the system under test, whose every line goes into the journal."""

    def __init__(
        self, role: str, command: Command, profile: Profile, journal: Journal, folder: Path, ground: Ground
    ) -> None:
        self.role = role
        self.folder = folder
        self._command = command
        self._profile = profile
        self._journal = journal
        self._ground = ground
        self._process: Running | None = None

    @property
    def process(self) -> Running | None:
        """The process, or None when none was started, or it was stopped."""
        return self._process

    def start(self, environment: Mapping[str, str], values: Mapping[str, str], *, warm: bool) -> None:
        """Start the process and return at once.

        Args:
            environment: its variables, placeholders filled in.
            values: what the placeholders of its command stand for.
            warm: whether it may be forked from a process with third-party modules imported.
        """
        readers = {"stdout": BannerReader(), "stderr": BannerReader()}

        def on_line(stream: str, raw: str) -> None:
            line = readers[stream].read(raw)
            self._journal.record(
                self.role,
                "log",
                raw,
                stream=stream,
                form=line.form.value,
                event=line.event,
                data=dict(line.fields),
                problem=line.problem,
            )
            self._saw(raw)

        self._journal.record(self.role, "process", "starts", starts=self.role)
        self._process = self._ground.start(
            Start(
                role=self.role,
                command=self._command,
                values=values,
                environment={**environment, **self._profile.fill(self._command.environment, values)},
                folder=self.folder,
                on_line=on_line,
                warm=warm,
            )
        )

    def wait_until_ended(self) -> int:
        """Wait until the process has ended by itself, and return its status.

        Raises:
            Inconclusive: it did not end in time, and was ended.
        """
        process, self._process = self._running(), None
        status = process.wait(self._profile.start.ready_s)
        if status is None:
            process.stop(1.0)
            raise Inconclusive(f"the {self.role} did not end within {self._profile.start.ready_s:g} s")
        process.drained(self._profile.start.stop_s)
        return status

    def kill(self) -> None:
        """End the process with SIGKILL; everything it wrote before is recorded when this returns."""
        process, self._process = self._process, None
        if process is not None:
            process.send(signal.SIGKILL)
            process.wait(self._profile.start.stop_s)
            process.drained(self._profile.start.stop_s)
            self._journal.record(self.role, "process", "killed", status=process.status)

    def signal(self, number: signal.Signals) -> None:
        """Send the process a signal; nothing happens when there is none."""
        if self._process is not None:
            self._process.send(number)
            self._journal.record(self.role, "process", f"is sent {number.name}")

    def limit_files(self, limit_bytes: int | None) -> None:
        """Let no file of the process grow beyond a bound, as on a disk that is full; None for any size.

        A bound and not a small file system, because that needs root. The process gets EFBIG where a full disk
        gives ENOSPC; the signal that comes with it is ignored, as Python does, by everything the launcher starts.
        """
        if self._process is not None and self._process.running:
            self._process.limit_files(limit_bytes)
            text = (
                f"its disk is full at {limit_bytes} bytes a file"
                if limit_bytes
                else "its disk has room again"
            )
            self._journal.record(self.role, "process", text)

    def suffer(self, fault: Fault) -> None:
        """Be struck by a fault that only some grounds can bring about; see ``Ground.strike``."""
        if self._process is not None:
            self._ground.strike(fault, self._process)
            self._journal.record(self.role, "process", f"suffers {fault.name}")
            if not self._process.running:
                self._process.drained(self._profile.start.stop_s)
                self._process = None

    def recover_from(self, fault: Fault) -> None:
        """End what ``suffer`` began."""
        if self._process is not None:
            self._ground.undo(fault, self._process)
            self._journal.record(self.role, "process", f"suffers {fault.name} no longer")

    def hang_up_log(self) -> None:
        """Close the reading ends of its log: it is not recorded any more."""
        if self._process is not None:
            self._process.hang_up_log()
            self._journal.record(self.role, "process", "its log is cut off", log_cut_off=self.role)

    def stop_reading_log(self) -> None:
        """Leave its log unread in pipes that are full; ``read_log_again`` ends that."""
        if self._process is not None:
            self._process.stop_reading_log()
            self._journal.record(self.role, "process", "nobody reads its log, and the pipe is full")

    def read_log_again(self) -> None:
        """End ``stop_reading_log``."""
        if self._process is not None:
            self._process.read_log_again()
            self._journal.record(self.role, "process", "its log is read again")

    def ask_to_stop(self) -> None:
        """Ask the process to end (SIGTERM), and return at once."""
        if self._process is not None:
            self._process.send(signal.SIGTERM)

    def stop(self) -> None:
        """Ask the process to end, and end it when it does not."""
        process, self._process = self._process, None
        if process is None:
            return
        asked = process.stop(self._profile.start.stop_s)
        how = (
            "ended"
            if asked
            else f"did not end within {self._profile.start.stop_s:g} s of SIGTERM and was killed"
        )
        self._journal.record(self.role, "process", f"{how}, status {process.status}", status=process.status)

    def keep_or_stop(self) -> None:
        """Have it wait for another system where the ground allows that; else as ``stop``."""
        if self._process is not None and self._ground.keep(self._process):
            self._process = None
            self._journal.record(self.role, "process", "is kept for another scenario")
        else:
            self.stop()

    def check_alive(self) -> None:
        """Raises SutFailed when the process has ended although nobody stopped it."""
        if self._process is not None and not self._process.running:
            raise self._failed(f"it ended by itself with status {self._process.status}")

    def _saw(self, line: str) -> None:
        """Called with each line, in the thread that reads them."""

    def _running(self) -> Running:
        if self._process is None:
            raise AssertionError(f"the {self.role} was not started")
        return self._process

    def _failed(self, observed: str) -> SutFailed:
        status = None
        if self._process is not None and not self._process.running:
            self._process.drained(2.0)
            status = self._process.status
        lines = [o.text for o in log_lines(self._journal.observations, source=self.role)][-_LAST_LINES:]
        command = " ".join(self._command.command)
        finding = Finding(
            f"the {self.role} ({command}) to start and keep running", observed, oracle="process"
        )
        return SutFailed(finding, LastWords(self.role, tuple(lines)), status=status)


class Server(Child):
    """A process that serves HTTP: started, made sure to be ready, stopped."""

    def __init__(
        self, role: str, program: Program, profile: Profile, journal: Journal, folder: Path, ground: Ground
    ) -> None:
        super().__init__(role, program, profile, journal, folder, ground)
        self.program = program
        self._reports_port = re.compile(program.ready_log)
        self._port = ""
        self.url = ""

    def start(self, environment: Mapping[str, str], values: Mapping[str, str], *, warm: bool) -> None:
        """Start the process and return at once; ``wait_until_ready`` must follow."""
        self._port, self.url = "", ""
        super().start(environment, values, warm=warm)

    def wait_until_ready(self) -> None:
        """Wait until it has reported its port and its health check answers 200.

        Raises:
            SutFailed: it ended, or was not ready in time; with its last log lines.
        """
        process = self._running()
        deadline = Deadline(self._profile.start.ready_s)
        last_seen = f"no line that matches {self.program.ready_log!r}"

        def ready() -> bool | None:
            nonlocal last_seen
            if not process.running:
                raise self._failed(f"it ended with status {process.status} before it was ready")
            self.url = process.url(self._port)
            if not self.url:
                return None
            try:
                reply = http.client().get(self.url + self.program.health, timeout=max(0.1, deadline.left_s))
            except httpx.HTTPError as problem:
                last_seen = f"{self.program.health}: {problem!r}"
                return None
            last_seen = f"{self.program.health} answered {reply.status_code}"
            return True if reply.status_code == 200 else None

        try:
            wait(ready, deadline, lambda: last_seen)
        except TimeoutError:
            self.stop()
            raise self._failed(
                f"it was not ready within {self._profile.start.ready_s:g} s (seen last: {last_seen})"
            ) from None
        before = f"; it served {process.served} scenario(s) before this one" if process.served else ""
        self._journal.record(self.role, "process", f"ready on {self.url}, pid {process.pid}{before}")

    def look_again(self) -> None:
        """Find out where it serves now: who was taken off a network and put back may have another port."""
        if self._process is not None:
            self.url = self._process.url(self._port) or self.url

    def _saw(self, line: str) -> None:
        found = None if self._port else self._reports_port.search(line)
        if found:
            self._port = found["port"]
