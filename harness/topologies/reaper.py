"""Removes what a test process made on the container engine, when that process has ended, in whatever way.

Run as a script, with the owner's label and its folder as arguments. It reads standard input, whose other end the owner
holds: its end is the owner's. An owner that ends in order says so before, when nothing is being made any more; one that
was killed may have asked the engine for something that is there only a while later.
Nothing of the harness is imported: it starts at once, and waits with little memory.
"""

from __future__ import annotations

import contextlib
import shutil
import sys
import threading
from typing import Any

OWNER = "dispatchcheck.owner"
IN_ORDER = b"in order"
_TRIES = 40
_BETWEEN_TRIES_S = 0.25
_QUIET_LOOKS_AFTER_A_KILL = 20  # five seconds: longer than the engine takes to make anything, under load


def remove_all_of(client: Any, owner: str, *, quiet_looks: int = 1) -> None:
    """Remove every container, network and volume with the owner's label; what is in use is tried again.

    Args:
        client: of the engine.
        owner: whose.
        quiet_looks: how often in a row nothing must be there.
    """
    from docker.errors import DockerException  # imported when there is something to do

    problems = (
        DockerException,
        OSError,
    )  # in use still, gone already, or the engine is slow: the next look shows it
    quiet = 0
    for _ in range(_TRIES + quiet_looks):
        removed = False
        with contextlib.suppress(*problems):
            found = _all_of(client, owner)
            quiet = 0 if found else quiet + 1
            if quiet >= quiet_looks:
                return
            for each, how in found:
                with contextlib.suppress(*problems):
                    each.remove(**how)
                    removed = True
        if not removed:
            threading.Event().wait(_BETWEEN_TRIES_S)  # without the harness, whose clock would do it


def _all_of(client: Any, owner: str) -> list[tuple[Any, dict[str, bool]]]:
    """What carries the label, in the order in which it can be removed, and how."""
    filters = {"label": f"{OWNER}={owner}"}
    containers = client.containers.list(all=True, filters=filters, ignore_removed=True)
    return [
        *((each, {"force": True, "v": True}) for each in containers),
        *((each, {}) for each in client.networks.list(filters=filters)),
        *((each, {}) for each in client.volumes.list(filters=filters)),
    ]


def main() -> None:
    """Wait for the owner's end, and clean up after it."""
    said = b""
    with contextlib.suppress(OSError):
        while part := sys.stdin.buffer.read(4096):
            said += part
    import docker  # as above

    quiet_looks = 1 if said == IN_ORDER else _QUIET_LOOKS_AFTER_A_KILL
    remove_all_of(docker.from_env(timeout=60), sys.argv[1], quiet_looks=quiet_looks)
    shutil.rmtree(sys.argv[2], ignore_errors=True)


if __name__ == "__main__":
    sys.path.pop(0)  # this script's folder: its modules must not shadow those of the library
    main()
