"""The fork server: a copy of pytest's main process that is forked for each process of pytest-xdist.

Such a process spends two thirds of a second on importing what the main process has imported already. The copy is made
before the session begins, and so has nothing of it. What it hands on is like what ``python -c LINE`` starts: streams,
environment, folder, arguments, signals and handlers at exit are those of a new process, descriptors and modules of the
project under test are gone. What stays is what was imported from the standard library, from installed packages and of
the harness.
"""

# ruff: noqa: SLF001 - Python has no public names for what a copy has to forget; its own multiprocessing uses these, too.

from __future__ import annotations

import atexit
import contextlib
import faulthandler
import gc
import importlib
import io
import json
import logging
import multiprocessing.util
import os
import selectors
import signal
import socket
import sys
import sysconfig
import threading
import traceback
import types
import warnings
import weakref
from pathlib import Path
from typing import Any, NoReturn

_PACKET = 64
_STREAMS = 3
_NEEDED_SOON = ("aiohttp.web", "grpc")
"""What the first scenario of every process imports."""
_ROOT = Path(__file__).parents[2]
_KEPT = (
    *{sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")},
    *(f"{_ROOT / package}{os.sep}" for package in ("harness", "fake_services", "reports")),
)
"""Where modules come from that are not the project's under test."""


class ForkServer:
    """The main process's end of it.

    Args:
        address: a path for the socket on which it listens, in a folder of its own. In the end it takes both away.

    Raises:
        OSError: there are too many processes, or the path cannot be used.
    """

    def __init__(self, address: Path) -> None:
        with contextlib.ExitStack() as stack:
            self._owner, theirs = socket.socketpair()
            stack.callback(self._owner.close)
            with theirs, socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
                listener.bind(str(address))
                listener.listen(64)
                self.pid = os.fork()
                if not self.pid:
                    _end_with(lambda: _Server(theirs, listener, address).run())
            stack.pop_all()

    def close(self) -> None:
        """End it; what was forked has ended by itself before."""
        self._owner.close()
        os.waitpid(self.pid, 0)


class _Server:
    """The loop. Who connects gets a process; whichever of the two ends, the other does as well."""

    def __init__(self, owner: socket.socket, listener: socket.socket, address: Path) -> None:
        self._owner = owner
        self._listener = listener
        self._address = address
        self._clients: dict[int, socket.socket] = {}
        self._wake_r, self._wake_w = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def run(self) -> None:
        """Serve until the main process has ended."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        _close_all_but(self._owner.fileno(), self._listener.fileno(), self._wake_r, self._wake_w)
        with warnings.catch_warnings():  # some add filters of their own
            for name in _NEEDED_SOON:
                importlib.import_module(name)
        _forget_the_project()
        gc.freeze()  # nothing is freed: a socket or file of the main process would close what has its number by now
        signal.set_wakeup_fd(self._wake_w)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        with selectors.DefaultSelector() as selector:
            for each in (self._owner, self._listener, self._wake_r):
                selector.register(each, selectors.EVENT_READ)
            while True:
                for key, _ in selector.select():
                    if key.fileobj is self._owner:
                        return self._take_away()
                    if key.fileobj is self._listener:
                        if client := self._fork():
                            selector.register(client, selectors.EVENT_READ)
                    elif key.fileobj == self._wake_r:
                        os.read(self._wake_r, 4096)
                    else:
                        selector.unregister(key.fileobj)
                        self._kill(key.fileobj)
                for client in self._ended():
                    with contextlib.suppress(KeyError):
                        selector.unregister(client)
                    client.close()

    def _take_away(self) -> None:
        with contextlib.suppress(OSError):
            self._address.unlink()
            self._address.parent.rmdir()

    def _fork(self) -> socket.socket | None:
        client, _ = self._listener.accept()
        _, descriptors, _, _ = socket.recv_fds(client, _PACKET, _STREAMS + 1)
        if len(descriptors) <= _STREAMS:  # who connected has ended
            client.close()
            return None
        pid = os.fork()
        if not pid:
            signal.set_wakeup_fd(-1)
            _end_with(lambda: _begin_anew(descriptors))
        for each in descriptors:
            os.close(each)
        self._clients[pid] = client
        return client

    def _kill(self, client: Any) -> None:
        for pid, its_client in self._clients.items():
            if its_client is client:
                os.kill(pid, signal.SIGKILL)

    def _ended(self) -> list[socket.socket]:
        ended = []
        with contextlib.suppress(ChildProcessError):
            while pid := os.waitpid(-1, os.WNOHANG)[0]:
                ended.append(self._clients.pop(pid))
        return ended


def _begin_anew(descriptors: list[int]) -> None:
    """In the forked process: be what Python is that was started with ``-c``, and do what is said on standard input."""
    for stream, descriptor in enumerate(descriptors[:_STREAMS]):
        os.dup2(descriptor, stream)
    with open(descriptors[_STREAMS], encoding="utf-8") as file:  # noqa: PTH123 - a descriptor
        file.seek(0)
        environment = json.load(file)
    _close_all_but()
    os.environ.clear()
    os.environ.update(environment)
    for number in signal.valid_signals():
        if callable(signal.getsignal(number)):
            signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    faulthandler.disable()
    root = logging.getLogger()
    root.handlers.clear()
    root.setLevel(logging.WARNING)
    for descriptor, name in enumerate(("stdin", "stdout", "stderr")):
        made = _unbuffered(descriptor, like=getattr(sys, f"__{name}__"))
        setattr(sys, name, made)
        setattr(sys, f"__{name}__", made)
    sys.argv = ["-c"]
    main = sys.modules["__main__"] = types.ModuleType("__main__")
    exec(eval(sys.stdin.readline()), main.__dict__)  # noqa: S102, S307 - what execnet has Python do
    threading._shutdown()  # type: ignore[attr-defined]  # waits for every thread that is no daemon


def _unbuffered(descriptor: int, *, like: io.TextIOWrapper) -> io.TextIOWrapper:
    """A standard stream as with Python's option ``-u``: what is written is not buffered, what is read is."""
    binary: Any = (
        os.fdopen(descriptor, "wb", buffering=0, closefd=False)
        if descriptor
        else os.fdopen(0, "rb", closefd=False)
    )
    return io.TextIOWrapper(binary, encoding=like.encoding, errors=like.errors, write_through=True)


def _end_with(work: Any) -> NoReturn:
    """Do a process's work and end it, without a return to the frames of the process that it is a copy of."""
    atexit._clear()  # the other process's
    weakref.finalize._registry.clear()  # type: ignore[attr-defined]
    weakref.finalize._registered_with_atexit = False  # type: ignore[attr-defined]
    for usual in (logging.shutdown, multiprocessing.util._exit_function):  # type: ignore[attr-defined]
        atexit.register(usual)  # as these modules do when they are imported, which they are not again
    status = 1
    try:
        work()
        status = 0
    except BaseException:  # noqa: BLE001 - as Python does with what nobody catches
        traceback.print_exc()
    finally:
        atexit._run_exitfuncs()
        os._exit(status)


def _close_all_but(*kept: int) -> None:
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 - numbers, not paths
        if int(name) >= _STREAMS and int(name) not in kept:
            with contextlib.suppress(OSError):  # that of the folder itself
                os.close(int(name))


def _forget_the_project() -> None:
    """Modules that are not installed may hold anything: a connection, a process. Every process imports its own."""
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        places = [file] if file else list(getattr(module, "__path__", []))
        if places and not any(str(place).startswith(_KEPT) for place in places):
            del sys.modules[name]
