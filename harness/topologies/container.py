r"""One running container: its log as it is written, its processes as this machine sees them, its end.

The engine hands on what a container writes, and there is no telling from outside whether all of it has arrived. So a
mark is written behind it: into the very pipe that the container's process writes to, by way of ``/proc``. A pipe keeps
its order; when the mark has come through the engine, so has everything before it. Marks are taken out of the log.

Source: Docker Engine API 1.41, "Get container logs": frames of a stream's number, a length and, with timestamps, the
time at which the engine took a line, a blank, and the line; longer ones come in parts of 16 KiB.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import struct
import subprocess
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from docker.errors import DockerException

from harness.clock import Deadline
from harness.errors import HarnessError

_STREAMS = {1: "stdout", 2: "stderr"}
_HEADER = struct.Struct(">BxxxL")
_MARK_WITHIN_S = 5.0
_KILLED_WITHIN_S = 30.0  # until the engine says that it has ended, and what it wrote last is there
_KILLED = 128


class Container:
    """A container that was started; its output goes line by line to ``on_line(stream_name, line, time)``.

    It removes itself from the engine when it has ended and all that it wrote is recorded.

    Attributes:
        on_line: gets what it writes; may be changed while nothing is unread.
        status: its exit status, or minus the number of the signal that ended it; None while it runs.
        served: how many systems it has served before the one that it is part of now.
        out_of_memory: whether the kernel ended it, or a process in it, at its memory limit.
    """

    def __init__(self, made: Any, port: int, on_line: Callable[[str, str, str], None]) -> None:
        self.made = made
        self.status: int | None = None
        self.served = 0
        self.out_of_memory = False
        self._port = port
        self.on_line = on_line
        self._rest = dict.fromkeys(_STREAMS.values(), b"")
        self._mark = f"\x1fend of what is written so far: {secrets.token_hex(16)}\x1f\n".encode()
        self._marks_wanted = dict.fromkeys(_STREAMS.values(), 0)
        self._marks_seen = dict.fromkeys(_STREAMS.values(), 0)
        self._lines = 0
        self._frames = 0
        self._moved = threading.Condition()
        self._ended = threading.Event()
        self._drained = threading.Event()
        self._problem: Exception | None = None
        made.reload()
        self._pid = int(made.attrs["State"]["Pid"])
        self._reader = threading.Thread(target=self._follow, name=f"log of {made.name}", daemon=True)
        self._reader.start()

    # -- what it is ----------------------------------------------------------------------------------------------

    @property
    def pid(self) -> int:
        """The id of its first process, as this machine counts."""
        return self._pid

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return not self._ended.is_set()

    def pids(self) -> Sequence[int]:
        """The ids of all its processes, as this machine counts."""
        found, todo = [], [self._pid] if self.running else []
        while todo:
            pid = todo.pop()
            found.append(pid)
            with contextlib.suppress(OSError):
                for task in Path(f"/proc/{pid}/task").iterdir():
                    with contextlib.suppress(OSError):
                        todo += map(int, (task / "children").read_text().split())
        return found

    def url(self, port: str) -> str:  # noqa: ARG002 - where it listens is not for the container to say
        """Where it serves: at its own address on its network; "" when it has none (any more).

        No port is published: the engine's proxy would close what a partition leaves hanging.
        """
        with contextlib.suppress(DockerException):
            self.made.reload()
            for network in self.made.attrs["NetworkSettings"]["Networks"].values():
                if address := network["IPAddress"]:
                    return f"http://{address}:{self._port}"
        return ""

    # -- what it writes ------------------------------------------------------------------------------------------

    def hand_to(self, on_line: Callable[[str, str], None]) -> None:
        """Hand what it writes from now on to somebody else; nothing may be unread."""
        self.on_line = lambda stream, line, _: on_line(stream, line)

    @property
    def unread(self) -> bool:
        """Whether it wrote something that is not recorded yet, or that was recorded only while we looked.

        Raises:
            HarnessError: a line could not be recorded.
        """
        if self._problem is not None:
            raise HarnessError(f"a log line could not be recorded: {self._problem!r}") from self._problem
        if self._drained.is_set():
            return False
        before = self._lines
        for number, name in _STREAMS.items():
            self._marks_wanted[name] += self._write_mark(number)
        deadline = Deadline(_MARK_WITHIN_S)
        with self._moved:
            while not self._drained.is_set() and self._marks_seen != self._marks_wanted:
                if not self._moved.wait(deadline.left_s):
                    return True
        return self._lines != before or any(self._rest.values())

    def _write_mark(self, number: int) -> int:
        """Write the mark into a stream; how many marks that makes: 0 when nobody can write to it any more."""
        path = Path(f"/proc/{self._pid}/fd/{number}")
        try:
            if not str(path.readlink()).startswith("pipe:"):
                return 0
            descriptor = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return 0
        try:
            return int(os.write(descriptor, self._mark) > 0)
        except OSError:
            return 0
        finally:
            os.close(descriptor)

    def _follow(self) -> None:
        """The reader: hands on every line, then waits for the end, and takes the container away."""
        try:
            self._read(follow=True)
            with contextlib.suppress(DockerException, OSError):
                code = int(self.made.wait()["StatusCode"])
                self.status = _KILLED - code if code > _KILLED else code
                self.made.reload()
                self.out_of_memory = bool(self.made.attrs["State"]["OOMKilled"])
                # Who follows is sometimes let go before the last words are written down.
                self._read(follow=False)
        except Exception as problem:  # noqa: BLE001 - kept, and raised to whoever looks whether all is read
            self._problem = self._problem or problem
        for name, rest in self._rest.items():
            if rest:
                self._hand_on(name, rest, "")
        if self.status is None:
            self.status = -signal.SIGKILL  # somebody took it away
        self._drained.set()
        self._ended.set()
        with self._moved:
            self._moved.notify_all()
        with contextlib.suppress(DockerException, OSError):
            self.made.remove(force=True, v=True)

    def _read(self, *, follow: bool) -> None:
        """Read the log, but for the frames that were read before: to the container's end, or as far as it is there."""
        api = self.made.client.api
        wanted = {"stdout": 1, "stderr": 1, "follow": int(follow), "timestamps": 1}
        # By hand, because the library's own reader does not say which stream a line was written to.
        answer = api._get(api._url("/containers/{0}/logs", self.made.id), params=wanted, stream=True)  # noqa: SLF001
        api._raise_for_status(answer)  # noqa: SLF001
        api._disable_socket_timeout(api._get_raw_response_socket(answer))  # noqa: SLF001
        skip = self._frames
        while header := answer.raw.read(_HEADER.size):
            stream, length = _HEADER.unpack(header)
            taken, _, part = answer.raw.read(length).partition(b" ")
            if skip:
                skip -= 1
                continue
            self._frames += 1
            self._take(_STREAMS.get(stream, "stderr"), part, taken.decode("ascii", "replace"))

    def _take(self, name: str, part: bytes, time: str) -> None:
        text = self._rest[name] + part
        marks = text.count(self._mark)
        if marks:
            text = text.replace(self._mark, b"")
        *lines, self._rest[name] = text.split(b"\n")
        for line in lines:
            self._hand_on(name, line, time)
        with self._moved:
            self._marks_seen[name] += marks
            self._moved.notify_all()

    def _hand_on(self, name: str, line: bytes, time: str) -> None:
        self._lines += 1
        try:
            self.on_line(name, line.removesuffix(b"\r").decode("utf-8", "backslashreplace"), time)
        except Exception as problem:  # noqa: BLE001 - as above
            self._problem = self._problem or problem

    # -- what is done to it --------------------------------------------------------------------------------------

    def send(self, number: signal.Signals) -> None:
        """Send a signal: to stop or continue, to all its processes; else to the first, which is its init."""
        everybody = number in {signal.SIGSTOP, signal.SIGCONT}
        for pid in self.pids() if everybody else [self._pid] if self.running else []:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def wait(self, timeout_s: float) -> int | None:
        """Wait for its end; the status, or None when it is still running."""
        self._ended.wait(timeout_s)
        return self.status

    def drained(self, timeout_s: float) -> bool:
        """Wait until all that it wrote is recorded, which is certain only after its end."""
        return self._drained.wait(timeout_s)

    def stop(self, timeout_s: float) -> bool:
        """SIGTERM, and SIGKILL when it does not end in time; whether it ended when asked."""
        self.send(signal.SIGTERM)
        asked = self.wait(timeout_s) is not None
        if not asked:
            self.send(signal.SIGKILL)
            self.wait(_KILLED_WITHIN_S)
        self.drained(_KILLED_WITHIN_S)
        self._reader.join(_KILLED_WITHIN_S)
        return asked

    def limit_files(self, limit_bytes: int | None) -> None:
        """Let no file of it grow beyond a bound (RLIMIT_FSIZE); None for any size.

        A process may do that to another one of its user; root may do it to a stranger's only with a capability that
        it does not have everywhere.
        """
        bound = "unlimited" if limit_bytes is None else str(limit_bytes)
        owner = Path(f"/proc/{self._pid}").stat()
        # Not with user=…: for that Python forks, and what gRPC does in a forked child has crashed it.
        become = ["setpriv", f"--reuid={owner.st_uid}", f"--regid={owner.st_gid}", "--clear-groups"]
        subprocess.run([*become, "prlimit", f"--pid={self._pid}", f"--fsize={bound}:"], check=True)

    def hang_up_log(self) -> None:
        """Not here: see ``Containers.lacks``."""
        raise HarnessError("the log of a container is the engine's")

    stop_reading_log = read_log_again = hang_up_log
