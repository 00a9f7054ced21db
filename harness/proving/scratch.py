"""The temporary folder of a proof, and what is done about those that killed proofs have left.

Whoever works in such a folder holds a lock on a file in it, which the system lets go of however the holder ends. A
folder whose lock is free is nobody's: the next proof removes it. Several proofs can run at once.
"""

from __future__ import annotations

import contextlib
import fcntl
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

_PREFIX = "dispatchcheck-prove-"
_LOCK = "owner.lock"


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    """A folder for as long as the block runs. First the folders that dead processes left are removed."""
    _sweep()
    mine = Path(tempfile.mkdtemp(prefix=_PREFIX))
    with (mine / "new.lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        (mine / "new.lock").rename(mine / _LOCK)  # held from the moment at which a sweep can find it
        try:
            yield mine
        finally:
            _remove(mine)


def _sweep() -> None:
    for lock in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*/{_LOCK}"):
        with contextlib.suppress(OSError), lock.open("rb") as file:  # held, another user's, or gone by now
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _remove(lock.parent)


def _remove(left: Path) -> None:
    """The lock goes last: what a process that is still ending writes meanwhile is found by the next sweep."""
    others = [entry for entry in left.iterdir() if entry.name != _LOCK]
    for entry in others:
        shutil.rmtree(entry, ignore_errors=True)
    if not any(entry.exists() for entry in others):
        shutil.rmtree(left, ignore_errors=True)
