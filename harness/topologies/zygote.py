"""The harness's end of a zygote: a process that has what is slow to import, and is forked for each test process."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

_SCRIPT = Path(__file__).with_name("launcher.py")
_PACKET = 1 << 16
_READY_WITHIN_S = 60.0
_END_WITHIN_S = 30.0
_FOLDER_BYTES = 90


class Zygote:
    """A zygote, for as long as this process lives or until ``close``.

    It imports nothing before somebody connects, so one that nobody needs costs next to nothing.

    Attributes:
        address: where test processes find it: a socket in a folder that is this user's alone.
    """

    def __init__(self) -> None:
        self._folder = folder_for_a_socket("dispatchcheck-zygote-")
        self.address = str(self._folder / "socket")
        self._owner, theirs = socket.socketpair()
        with theirs, socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
            listener.bind(self.address)
            listener.listen(64)
            ends = [theirs.fileno(), listener.fileno()]
            self._process = start_script(["zygote", *map(str, ends)], ends)

    def close(self) -> None:
        """End it, when the launchers that were forked from it have ended."""
        self._owner.close()
        try:
            self._process.wait(_END_WITHIN_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)


def folder_for_a_socket(prefix: str) -> Path:
    """A new folder that is this user's alone, where a socket can be: its path is short, wherever temporary files go.

    Source: unix(7), ``sun_path``: a path has at most 107 bytes.
    """
    folder = tempfile.mkdtemp(prefix=prefix)
    if len(os.fsencode(folder)) > _FOLDER_BYTES:
        Path(folder).rmdir()
        folder = tempfile.mkdtemp(prefix=prefix, dir="/tmp")
    return Path(folder)


def connect(address: str, preload: Sequence[str]) -> socket.socket | None:
    """The channel to a launcher that is forked from a zygote; the rest of it begins as every launcher's.

    Args:
        address: where the zygote is.
        preload: what the launcher is to have imported.

    Returns:
        None where there is no zygote any more, or it has imported something else: then one needs a launcher of
        one's own.
    """
    channel = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with contextlib.ExitStack() as stack:
        stack.callback(channel.close)
        with contextlib.suppress(OSError, ValueError):
            channel.settimeout(_READY_WITHIN_S)
            channel.connect(address)
            channel.send(json.dumps({"preload": list(preload)}).encode())
            first = json.loads(channel.recv(_PACKET, socket.MSG_PEEK))
            channel.settimeout(None)
            if "other" not in first:
                stack.pop_all()
                return channel
    return None


def start_script(arguments: Sequence[str], descriptors: Sequence[int]) -> subprocess.Popen[bytes]:
    """Start the script that is launcher and zygote."""
    return subprocess.Popen(
        [sys.executable, str(_SCRIPT), *arguments],
        pass_fds=descriptors,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
