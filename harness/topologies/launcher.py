"""The launcher: a single-threaded process that starts the system under test and never outlives the harness.

Run as a script, with the standard library alone, so that nothing of the harness is in the processes it starts.
It holds one end of a socket; the harness holds the other. That the harness has ended, in whatever way, is seen
as the end of that socket: then every process started here, and every descendant of one, is killed. Should the
launcher itself be killed, the kernel kills what it started (PR_SET_PDEATHSIG).

A *cold* start is fork and exec. A *warm* start is a fork of this process, in which the third-party modules that
the profile names are imported already, followed by what ``python -m MODULE`` does: the system under test's own
modules are imported afresh, from its own path, with its own environment. It saves the second that importing the
web framework and the gRPC client costs; scenarios about what happens at import of a third-party module start cold.

Protocol: one JSON object per packet. Requests: ``{"start": {...}}`` with the descriptors for standard output
and standard error, ``{"signal": PID, "number": N}``, which goes to the process group. Replies: ``{"ready": ...}``
once, ``{"pid": N}`` or ``{"error": "..."}`` per start, and ``{"exited": PID, "status": S}`` whenever one ends.
Who connects to a zygote says first ``{"preload": [...]}``; the launcher's replies follow, or ``{"other": true}`` where
the zygote has imported something else.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import inspect
import io
import json
import os
import runpy
import selectors
import signal
import socket
import sys
import time
from typing import Any

_PACKET = 1 << 20
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_STOP_WITHIN_S = 2.0
_ASKS_WITHIN_S = 10.0
_libc = ctypes.CDLL(None, use_errno=True)


class _WarmStart(Exception):  # noqa: N818 - control flow, not an error: unwinds the launcher's stack in the child
    """Raised in a forked child to leave the launcher's loop and become the system under test."""

    def __init__(self, module: str) -> None:
        super().__init__(module)
        self.module = module


class Launcher:
    """The loop: takes requests, starts processes, reports their ends."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._selector = selectors.DefaultSelector()
        self._alive: set[int] = set()
        self._wake_r, self._wake_w = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def run(self) -> None:
        """Serve until the harness is gone; raises ``_WarmStart`` in a child that is to become a warm process."""
        signal.set_wakeup_fd(self._wake_w)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self._selector.register(self._channel, selectors.EVENT_READ)
        self._selector.register(self._wake_r, selectors.EVENT_READ)
        while True:
            for key, _ in self._selector.select():
                if key.fileobj is self._channel:
                    data, fds, _, _ = socket.recv_fds(self._channel, _PACKET, 2)
                    if not data:
                        self._kill_all()
                        return
                    self._answer(json.loads(data), fds)
                else:
                    os.read(self._wake_r, 4096)
            self._reap()

    def _answer(self, request: dict[str, Any], fds: list[int]) -> None:
        if "signal" in request:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(request["signal"], request["number"])
            return
        try:
            reply: dict[str, Any] = {"pid": self._start(request["start"], fds)}
        except OSError as problem:
            reply = {"error": str(problem)}
        finally:
            for fd in fds:
                os.close(fd)
        self._send(reply)

    def _start(self, what: dict[str, Any], fds: list[int]) -> int:
        error_r, error_w = os.pipe2(os.O_CLOEXEC)  # tells a failed exec from a program that fails by itself
        pid = os.fork()
        if pid:
            os.close(error_w)
            with os.fdopen(error_r, "rb") as pipe:
                problem = pipe.read()
            if problem:
                os.waitpid(pid, 0)
                raise OSError(problem.decode())
            self._alive.add(pid)
            return pid
        try:
            _become_a_process_of_its_own(fds, what["cwd"])
            if what["warm"]:
                _take_on(what["argv"], what["env"])
                self._selector.close()
                self._channel.close()
                os.close(error_r)
                os.close(error_w)
                raise _WarmStart(what["argv"][2])
            os.execvpe(what["argv"][0], what["argv"], what["env"])  # noqa: S606 - a program that the profile names
        except OSError as problem:
            os.write(error_w, str(problem).encode())
            os._exit(127)

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid in self._alive:  # an adopted grandchild is reaped without a word
                self._alive.discard(pid)
                self._send({"exited": pid, "status": os.waitstatus_to_exitcode(status)})

    def _send(self, message: dict[str, Any]) -> None:
        with contextlib.suppress(
            BrokenPipeError, ConnectionResetError
        ):  # the harness is gone: seen as EOF next
            self._channel.send(json.dumps(message).encode())

    def _kill_all(self) -> None:
        """Kill every descendant, adopted ones included, until none is left."""
        give_up_at = time.monotonic() + _STOP_WITHIN_S
        while time.monotonic() < give_up_at:
            for pid in _children_of(os.getpid()):
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(pid, signal.SIGKILL)
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                while os.waitpid(-1, 0)[0]:
                    pass
            if not _children_of(os.getpid()):
                return


def _become_a_process_of_its_own(fds: list[int], cwd: str) -> None:
    """In the child: its own session, output and folder; default signals; killed when the launcher dies."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    os.setsid()
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGCHLD, signal.SIGPIPE):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (fds[0], 1), (fds[1], 2)):
        os.dup2(source, target, inheritable=True)
    os.chdir(cwd)


def _take_on(argv: list[str], env: dict[str, str]) -> None:
    """Make this forked process look like ``python -m MODULE ARG…`` started in the given environment."""
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)  # as Python does when it starts
    os.environ.clear()
    os.environ.update(env)
    unbuffered = bool(env.get("PYTHONUNBUFFERED"))
    sys.dont_write_bytecode = bool(env.get("PYTHONDONTWRITEBYTECODE"))
    sys.stdin = io.TextIOWrapper(os.fdopen(0, "rb", closefd=False), encoding="utf-8")
    sys.stdout = _text_stream(1, errors="strict", unbuffered=unbuffered)
    sys.stderr = _text_stream(2, errors="backslashreplace", unbuffered=True)
    sys.argv = [argv[2], *argv[3:]]
    extra = [entry for entry in env.get("PYTHONPATH", "").split(os.pathsep) if entry]
    sys.path[:] = [os.getcwd(), *extra, *sys.path]  # noqa: PTH109 - as above


def _text_stream(fd: int, *, errors: str, unbuffered: bool) -> io.TextIOWrapper:
    return io.TextIOWrapper(
        os.fdopen(fd, "wb", closefd=False), encoding="utf-8", errors=errors, write_through=unbuffered
    )


def _children_of(parent: int) -> list[int]:
    children = []
    for entry in os.listdir("/proc"):  # noqa: PTH208 - pathlib is not worth its import here
        if not entry.isdigit():
            continue
        with contextlib.suppress(OSError), open(f"/proc/{entry}/stat") as stat:  # noqa: PTH123
            if int(stat.read().rpartition(")")[2].split()[1]) == parent:
                children.append(int(entry))
    return children


class Zygote:
    """Waits for test processes, and is forked for each of them."""

    def __init__(self, owner: socket.socket, listener: socket.socket) -> None:
        self._owner = owner
        self._listener = listener
        self._preloaded: list[str] | None = None
        self._missing: list[str] = []

    def run(self) -> tuple[socket.socket, list[str]] | None:
        """Serve until the owner is gone and every launcher as well.

        Returns:
            In a fork that is to be a launcher: its channel, and which modules are missing. At the end None.
        """
        with selectors.DefaultSelector() as selector:
            selector.register(self._owner, selectors.EVENT_READ)
            selector.register(self._listener, selectors.EVENT_READ)
            while all(key.fileobj is self._listener for key, _ in selector.select()):
                channel, _ = self._listener.accept()
                if self._can_serve(channel) and not os.fork():
                    self._owner.close()
                    self._listener.close()
                    return channel, self._missing
                channel.close()
        address = self._listener.getsockname()
        self._listener.close()
        with contextlib.suppress(OSError):
            os.unlink(address)  # noqa: PTH108 - pathlib is not worth its import here
            os.rmdir(os.path.dirname(address))  # noqa: PTH106, PTH120 - as above
        with contextlib.suppress(ChildProcessError):
            while os.wait()[0]:  # few, and so not before; and what they took counts as taken by us
                pass
        return None

    def _can_serve(self, channel: socket.socket) -> bool:
        channel.settimeout(_ASKS_WITHIN_S)
        try:
            wanted = json.loads(channel.recv(_PACKET))["preload"]
            channel.settimeout(None)
            if self._preloaded is None:
                self._preloaded, self._missing = wanted, _preload(wanted)
            if wanted == self._preloaded:
                return True
            channel.send(json.dumps({"other": True}).encode())
        except (OSError, ValueError):  # it is gone already
            pass
        return False


def _preload(names: list[str]) -> list[str]:
    """Import modules so that forks share them, and return what is missing."""
    missing = []
    gc.disable()  # nothing that is imported becomes garbage: to look for it takes a fifth of the time
    for name in names:
        try:
            importlib.import_module(name)
        except ImportError as problem:
            missing.append(f"{name}: {problem}")
    inspect.getsource(
        _preload
    )  # compiles the patterns of the tokenizer, which frameworks use to look at handlers
    gc.collect()
    gc.enable()
    gc.freeze()  # what was imported stays shared: no collection in a child touches, and so copies, its pages
    return missing


def main() -> None:
    """Serve one channel, or be a zygote.

    Arguments: ``launcher DESCRIPTOR MODULE…``, or ``zygote DESCRIPTOR DESCRIPTOR`` with the owner's socket and the one
    that listens.
    """
    os.setsid()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the harness, which then ends us
    sys.path.pop(0)  # this script's folder: its modules must not shadow those of the system under test
    what, descriptor, *rest = sys.argv[1:]
    if what == "zygote":
        fork = Zygote(socket.socket(fileno=int(descriptor)), socket.socket(fileno=int(rest[0]))).run()
        if fork is None:
            return
        channel, missing = fork
    else:
        channel, missing = socket.socket(fileno=int(descriptor)), _preload(rest)
    _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1)
    channel.send(json.dumps({"ready": True, "missing": missing}).encode())
    try:
        Launcher(channel).run()
    except _WarmStart as start:
        module = start.module
    else:
        return
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
