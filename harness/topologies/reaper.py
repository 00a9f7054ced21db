"""Removes what a test process made on the container engine, when that process has ended, in whatever way.

Run as a script, with the owner's label and its folder as arguments. It reads standard input, whose other end the owner
holds: its end is the owner's. Nothing of the harness is imported: it starts at once, and waits with little memory.
"""

from __future__ import annotations

import contextlib
import shutil
import sys
import threading
from typing import Any

OWNER = "dispatchcheck.owner"
_TRIES = 20
_BETWEEN_TRIES_S = 0.25


def remove_all_of(client: Any, owner: str) -> None:
    """Remove every container, network and volume with the owner's label; what is in use is tried again."""
    from docker.errors import DockerException  # imported when there is something to do

    filters = {"label": f"{OWNER}={owner}"}
    for _ in range(_TRIES):
        left: list[Any] = []
        with contextlib.suppress(DockerException):
            containers = client.containers.list(all=True, filters=filters, ignore_removed=True)
            for each in containers:
                with contextlib.suppress(DockerException):
                    each.remove(force=True, v=True)
            others = [*client.networks.list(filters=filters), *client.volumes.list(filters=filters)]
            for each in others:
                with contextlib.suppress(DockerException):
                    each.remove()
            left = [
                *client.containers.list(all=True, filters=filters, ignore_removed=True),
                *client.networks.list(filters=filters),
                *client.volumes.list(filters=filters),
            ]
            if not left:
                return
        threading.Event().wait(_BETWEEN_TRIES_S)  # without the harness, whose clock would do it


def main() -> None:
    """Wait for the owner's end, and clean up after it."""
    with contextlib.suppress(OSError):
        while sys.stdin.buffer.read(4096):
            pass
    import docker  # as above

    remove_all_of(docker.from_env(timeout=60), sys.argv[1])
    shutil.rmtree(sys.argv[2], ignore_errors=True)


if __name__ == "__main__":
    sys.path.pop(0)  # this script's folder: its modules must not shadow those of the library
    main()
