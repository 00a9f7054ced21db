"""Removes what a test process made on the container engine, when that process has ended, in whatever way.

Run as a script, with the owner's label and its folder as arguments. It reads standard input, whose other end the owner
holds, and a command that builds its image: its end is theirs. An owner that ends in order says so, when nothing is
being made any more; one that was killed may have asked the engine for something that is there only a while later.
Nothing of the harness is imported: it starts at once, and waits with little memory.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import os
import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

OWNER = "dispatchcheck.owner"
HELD = "dispatchcheck-held"
"""The repository in which an owner's image has its tag, the owner's name: an image has no labels of its own."""
BUILDS = Path(f"/tmp/dispatchcheck-images-{os.getuid()}.lock")  # noqa: S108 - one for all, as the engine is
"""Locked by who builds an image or takes one away: a build goes on from layers that were there when it began."""
IN_ORDER = b"in order"
_TRIES = 40
_BETWEEN_TRIES_S = 0.25
_QUIET_LOOKS_AFTER_A_KILL = 20  # five seconds: longer than the engine takes to make anything, under load


def remove_all_of(client: Any, owner: str, *, quiet_looks: int = 1) -> None:
    """Remove every container, network and volume with the owner's label, and its image unless that has another name.

    What is in use is tried again.

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
            for remove in found:
                with contextlib.suppress(*problems):
                    remove()
                    removed = True
        if not removed:
            threading.Event().wait(_BETWEEN_TRIES_S)  # without the harness, whose clock would do it


def _all_of(client: Any, owner: str) -> list[Callable[[], None]]:
    """What removes each thing of an owner, in the order in which that can be done."""
    filters = {"label": f"{OWNER}={owner}"}
    containers = client.containers.list(all=True, filters=filters, ignore_removed=True)
    held = f"{HELD}:{owner}"
    return [
        *(functools.partial(each.remove, force=True, v=True) for each in containers),
        *(each.remove for each in client.networks.list(filters=filters)),
        *(each.remove for each in client.volumes.list(filters=filters)),
        *(functools.partial(_let_go, client, held) for _ in client.api.images(filters={"reference": held})),
    ]


def _let_go(client: Any, name: str) -> None:
    """Take a name from an image, and the image away if that was its last; nobody builds meanwhile."""
    with no_build():
        client.api.remove_image(name)


@contextlib.contextmanager
def no_build() -> Iterator[None]:
    """Wait until no image is being built, and let none begin."""
    with BUILDS.open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def main() -> None:
    """Wait for the owner's end, and clean up after it."""
    said = b""
    with contextlib.suppress(OSError):
        while said != IN_ORDER and (part := os.read(sys.stdin.fileno(), len(IN_ORDER))):
            said += part
    import docker  # as above

    quiet_looks = 1 if said == IN_ORDER else _QUIET_LOOKS_AFTER_A_KILL
    remove_all_of(docker.from_env(timeout=60), sys.argv[1], quiet_looks=quiet_looks)
    for folder in sys.argv[2:]:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.path.pop(0)  # this script's folder: its modules must not shadow those of the library
    main()
