"""Reads the output pipes of processes into the journal, line by line, until they end."""

from __future__ import annotations

import array
import contextlib
import fcntl
import os
import selectors
import termios
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from harness.errors import HarnessError

_CHUNK = 65_536
_LONGEST_LINE = 1_000_000
_DONE_WITHIN_S = 10.0


@dataclass(slots=True, eq=False)
class Stream:
    """One pipe being read. ``ended`` is set when its last writer has closed it and every byte is recorded.

    Attributes:
        problem: what ``on_line`` raised first, if it ever did: evidence is missing from then on.
    """

    fd: int
    on_line: Callable[[str], None]
    ended: threading.Event = field(default_factory=threading.Event)
    rest: bytes = b""
    reading: bool = False
    problem: Exception | None = None
    paused: bool = False

    @property
    def unread(self) -> bool:
        """Whether bytes are in the pipe, or were read and are not recorded yet.

        Raises:
            HarnessError: a line could not be recorded.
        """
        if self.problem is not None:
            raise HarnessError(f"a log line could not be recorded: {self.problem!r}")
        if self.ended.is_set():
            return False
        waiting = array.array("i", [0])
        try:
            fcntl.ioctl(self.fd, termios.FIONREAD, waiting)
        except OSError:  # the pump closed it between the two lines
            return not self.ended.is_set()
        return bool(waiting[0]) or self.reading


class LogPump:
    r"""One thread that reads any number of pipes.

    A line is handed on when its end is read; a last line without an end is handed on when the pipe closes. Bytes
    that are not UTF-8 become ``\xNN``, so that nothing is lost and nothing fails.
    """

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._wake_r, self._wake_w = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._selector.register(self._wake_r, selectors.EVENT_READ, None)
        self._lock = threading.Lock()
        self._todo: list[Callable[[], None]] = []
        self._open: set[Stream] = set()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="log-pump", daemon=True)
        self._thread.start()

    def read(self, fd: int, on_line: Callable[[str], None]) -> Stream:
        """Read ``fd`` to its end, handing each line to ``on_line``; takes over the descriptor."""
        os.set_blocking(fd, False)
        stream = Stream(fd, on_line)
        with self._lock:
            if self._closing:
                raise HarnessError("the log pump is closed")
            self._todo.append(lambda: self._begin(stream))
        os.write(self._wake_w, b"w")
        return stream

    def hang_up(self, stream: Stream) -> None:
        """Close a stream as a collector of logs does that crashes: what the process writes from now on fails."""
        self._do(lambda: self._end(stream) if stream in self._open else None)

    def pause(self, stream: Stream, *, paused: bool) -> None:
        """Stop reading a stream, or go on."""
        self._do(lambda: self._pause(stream, paused=paused) if stream in self._open else None)

    def _do(self, action: Callable[[], None]) -> None:
        """Run in the thread that reads, and wait until it is done."""
        done = threading.Event()

        def run() -> None:
            action()
            done.set()

        with self._lock:
            if self._closing:
                return
            self._todo.append(run)
        os.write(self._wake_w, b"w")
        if not done.wait(_DONE_WITHIN_S):
            raise HarnessError(f"the log pump did not take an order within {_DONE_WITHIN_S:g} s")

    def close(self) -> None:
        """Stop reading; streams that have not ended are closed as they are."""
        with self._lock:
            self._closing = True
        os.write(self._wake_w, b"q")
        self._thread.join(timeout=5)
        os.close(self._wake_w)

    def _run(self) -> None:
        while True:
            for key, _ in self._selector.select():
                if key.data is None:
                    self._on_wake()
                    continue
                self._read(key.data)
            if self._closing:
                break
        for stream in list(self._open):
            self._end(stream)
        self._selector.close()
        os.close(self._wake_r)

    def _on_wake(self) -> None:
        os.read(self._wake_r, _CHUNK)
        with self._lock:
            todo, self._todo = self._todo, []
        for action in todo:
            action()

    def _begin(self, stream: Stream) -> None:
        self._open.add(stream)
        self._selector.register(stream.fd, selectors.EVENT_READ, stream)

    def _pause(self, stream: Stream, *, paused: bool) -> None:
        if paused and not stream.paused:
            self._selector.unregister(stream.fd)
        elif stream.paused and not paused:
            self._selector.register(stream.fd, selectors.EVENT_READ, stream)
        stream.paused = paused

    def _read(self, stream: Stream) -> None:
        if stream not in self._open or stream.paused:  # an order that came with the bytes changed that
            return
        stream.reading = True  # before the bytes leave the pipe: nothing is ever in neither place
        try:
            self._hand_on(stream)
        finally:
            stream.reading = False

    def _hand_on(self, stream: Stream) -> None:
        try:
            chunk = os.read(stream.fd, _CHUNK)
        except BlockingIOError:
            return
        if not chunk:
            self._end(stream)
            return
        *lines, stream.rest = (stream.rest + chunk).split(b"\n")
        for line in lines:
            _record(stream, line)
        if len(stream.rest) > _LONGEST_LINE:  # a line without an end must not fill the memory
            _record(stream, stream.rest)
            stream.rest = b""

    def _end(self, stream: Stream) -> None:
        if not stream.paused:
            self._selector.unregister(stream.fd)
        self._open.discard(stream)
        if stream.rest:  # before the descriptor is closed, for `unread` looks at it
            _record(stream, stream.rest)
        os.close(stream.fd)
        stream.ended.set()


def fill(stream: Stream) -> None:
    """Fill a pipe with blank lines, so that the next byte that its process writes has to wait."""
    with contextlib.suppress(OSError):  # more than a page is in it: then it keeps its size
        fcntl.fcntl(stream.fd, fcntl.F_SETPIPE_SZ, 4096)
    end = os.open(f"/proc/self/fd/{stream.fd}", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        size = 4096
        while size:
            try:
                os.write(end, b" " * (size - 1) + b"\n")
            except BlockingIOError:
                size //= 2
    finally:
        os.close(end)


def _record(stream: Stream, line: bytes) -> None:
    """Hand one line on; what goes wrong there must not stop the thread on which every other stream depends."""
    try:
        stream.on_line(_decode(line))
    except Exception as problem:  # noqa: BLE001 - kept, and raised to whoever looks whether all is read
        stream.problem = stream.problem or problem


def _decode(line: bytes) -> str:
    return line.removesuffix(b"\r").decode("utf-8", errors="backslashreplace")
