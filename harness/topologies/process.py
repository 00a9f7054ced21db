"""Processes of the system under test, started through the launcher and watched until they end."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.clock import Deadline
from harness.errors import HarnessError
from harness.logs.capture import LogPump, Stream, fill
from harness.topologies import zygote as zygotes
from harness.topologies.ground import Running

_READY_WITHIN_S = 60.0
_END_WITHIN_S = 10.0
_START_WITHIN_S = 20.0
_PACKET = 1 << 20


@dataclass(slots=True, eq=False)
class Process:
    """A running process: its id, its output streams, and, once it has ended, its exit status.

    What it writes goes line by line to ``on_line(stream_name, line)``. ``served`` is as in ``Running``.
    ``status`` is the exit code, or minus the number of the signal that ended it, as in ``subprocess``.
    """

    pid: int
    argv: Sequence[str]
    _on_line: Callable[[str, str], None]
    _launcher: Launcher
    streams: Sequence[Stream] = ()
    served: int = 0
    _port: str = ""
    _ended: threading.Event = field(default_factory=threading.Event)
    status: int | None = None

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return not self._ended.is_set()

    @property
    def unread(self) -> bool:
        """Whether bytes of its output are in a pipe, or were read and are not recorded yet."""
        return any(stream.unread for stream in self.streams)

    def take(self, stream: str, line: str) -> None:
        """Called by the log pump with each line that it wrote."""
        self._on_line(stream, line)

    def hand_to(self, on_line: Callable[[str, str], None]) -> None:
        """Hand what it writes from now on to somebody else; nothing may be unread."""
        self._on_line = on_line

    def url(self, port: str) -> str:
        """Where it serves: on loopback, once it has reported its port; whom it serves next, it does not tell again."""
        self._port = port or self._port
        return f"http://127.0.0.1:{self._port}" if self._port else ""

    def pids(self) -> Sequence[int]:
        """Its own id: only its own threads are looked at."""
        return [self.pid]

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the process and its group; nothing happens when it has ended."""
        if self.running:
            self._launcher.signal(self.pid, number)

    def limit_files(self, limit_bytes: int | None) -> None:
        """Let no file of it grow beyond a bound (RLIMIT_FSIZE); None for any size."""
        bound = resource.RLIM_INFINITY if limit_bytes is None else limit_bytes
        _, hard = resource.prlimit(self.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(self.pid, resource.RLIMIT_FSIZE, (bound, hard))

    def hang_up_log(self) -> None:
        """Close the reading ends of its output, as a collector of logs does that crashes."""
        for stream in self.streams:
            self._launcher.pump.hang_up(stream)

    def stop_reading_log(self) -> None:
        """Read its output no more, and fill the pipes, so that its next line has to wait."""
        for stream in self.streams:
            self._launcher.pump.pause(stream, paused=True)
            fill(stream)

    def read_log_again(self) -> None:
        """End ``stop_reading_log``."""
        for stream in self.streams:
            self._launcher.pump.pause(stream, paused=False)

    def wait(self, timeout_s: float) -> int | None:
        """Wait for its end.

        Returns:
            The exit status, or None when it is still running after ``timeout_s``.
        """
        self._ended.wait(timeout_s)
        return self.status

    def drained(self, timeout_s: float) -> bool:
        """Wait until all its output is recorded, which is certain only after its end."""
        deadline = Deadline(timeout_s)
        return all(stream.ended.wait(deadline.left_s) for stream in self.streams)

    def stop(self, timeout_s: float) -> bool:
        """Ask it to end (SIGTERM), and end it (SIGKILL) when it does not within ``timeout_s``.

        Returns:
            Whether it ended when asked.
        """
        self.send(signal.SIGTERM)
        asked = self.wait(timeout_s) is not None
        if not asked:
            self.send(signal.SIGKILL)
            self.wait(timeout_s)
        self.drained(timeout_s)
        return asked

    def ended_with(self, status: int) -> None:
        """Called by the launcher's listener."""
        self.status = status
        self._ended.set()


class Launcher:
    """The harness's end of a launcher process: one per test process, made when first needed.

    Args:
        preload: names of the modules that a warm start finds imported.
        pump: reads what the processes write.
        zygote: where one listens that shares them among several test processes; "" for none.

    Raises:
        HarnessError: a module is missing, or the launcher did not start in time.
    """

    def __init__(self, preload: Sequence[str], pump: LogPump, zygote: str = "") -> None:
        self.pump = pump
        self._lock = threading.Lock()
        self._processes: dict[int, Process] = {}
        self._early_ends: dict[int, int] = {}
        self._replies: list[dict[str, Any]] = []
        self._arrived = threading.Condition()
        self._child: subprocess.Popen[bytes] | None = None
        self._channel = (zygote and zygotes.connect(zygote, preload)) or self._process_of_its_own(preload)
        self._listener = threading.Thread(target=self._listen, name="launcher-listener", daemon=True)
        self._listener.start()
        missing = self._reply(_READY_WITHIN_S)["missing"]
        if missing:
            self.close()
            raise HarnessError(
                "modules to be imported before a warm start are missing: " + "; ".join(missing) + ". "
                "Correct [start] preload in the profile, or install them."
            )

    def _process_of_its_own(self, preload: Sequence[str]) -> socket.socket:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._child = zygotes.start_script(
                ["launcher", str(theirs.fileno()), *preload], [theirs.fileno()]
            )
        return ours

    def start(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: Path,
        on_line: Callable[[str, str], None],
        warm: bool,
    ) -> Process:
        """Start a process whose output goes line by line to ``on_line(stream_name, line)``.

        Args:
            argv: the program and its arguments; for a warm start ``python -m MODULE …``.
            env: its whole environment.
            cwd: its working directory.
            on_line: called from the log pump's thread.
            warm: fork the launcher instead of executing the program; see ``harness.topologies.launcher``.

        Raises:
            HarnessError: the program could not be executed at all.
        """
        with self._lock:
            readers, writers = zip(os.pipe2(os.O_CLOEXEC), os.pipe2(os.O_CLOEXEC), strict=True)
            try:
                request = {"start": {"argv": list(argv), "env": dict(env), "cwd": str(cwd), "warm": warm}}
                socket.send_fds(self._channel, [json.dumps(request).encode()], list(writers))
            finally:
                for fd in writers:
                    os.close(fd)
            reply = self._reply(_START_WITHIN_S)
            if "error" in reply:
                for fd in readers:
                    os.close(fd)
                raise HarnessError(f"cannot start {argv[0]!r} in {str(cwd)!r}: {reply['error']}")
            process = Process(reply["pid"], argv, on_line, self)
            process.streams = [
                self.pump.read(fd, lambda line, name=name: process.take(name, line))  # type: ignore[misc]
                for fd, name in zip(readers, ("stdout", "stderr"), strict=True)
            ]
            with self._arrived:
                self._processes[process.pid] = process
                if process.pid in self._early_ends:
                    process.ended_with(self._early_ends.pop(process.pid))
            return process

    def signal(self, pid: int, number: signal.Signals) -> None:
        """Send a signal to a process group that was started here."""
        with contextlib.suppress(OSError):
            self._channel.send(json.dumps({"signal": pid, "number": int(number)}).encode())

    def close(self) -> None:
        """End the launcher, and with it every process it started."""
        with contextlib.suppress(OSError):
            self._channel.shutdown(socket.SHUT_RDWR)
        self._listener.join(
            timeout=_END_WITHIN_S
        )  # its end of the channel closes when the launcher has ended
        if self._child is not None:
            try:
                self._child.wait(timeout=_END_WITHIN_S)
            except subprocess.TimeoutExpired:
                self._child.kill()
                self._child.wait()
        self._channel.close()

    def _listen(self) -> None:
        while True:
            try:
                data = self._channel.recv(_PACKET)
            except OSError:
                data = b""
            with self._arrived:
                if not data:
                    self._replies.append(
                        {"error": "the launcher has ended", "missing": ["the launcher has ended"]}
                    )
                    self._arrived.notify_all()
                    for process in self._processes.values():  # they die with it: nobody shall wait for them
                        process.ended_with(-signal.SIGKILL)
                    return
                message = json.loads(data)
                if "exited" not in message:
                    self._replies.append(message)
                    self._arrived.notify_all()
                elif message["exited"] in self._processes:
                    self._processes.pop(message["exited"]).ended_with(message["status"])
                else:
                    self._early_ends[message["exited"]] = message["status"]

    def _reply(self, timeout_s: float) -> dict[str, Any]:
        with self._arrived:
            if not self._arrived.wait_for(lambda: self._replies, timeout_s):
                raise HarnessError(f"the launcher did not answer within {timeout_s:g} s")
            return self._replies.pop(0)


def quiet(processes: Sequence[Running]) -> bool:
    """Whether no thread of the processes is running or waiting for a processor or a disk, at this moment.

    Read from ``/proc``: a thread that only waits for a descriptor, a lock or a timer is in state S. On a busy
    machine a thread that is starved stays in state R, so this does not mistake a slow process for an idle one.
    """
    return all(
        state in "SZXT"
        for process in processes
        if process.running
        for pid in process.pids()
        for state in _states(pid)
    )


def _states(pid: int) -> list[str]:
    states = []
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(OSError):
                states.append((task / "stat").read_text().rpartition(")")[2].split()[0])
    return states
