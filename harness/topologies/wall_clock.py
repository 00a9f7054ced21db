"""The wall clock that a process sees: libfaketime, loaded before the process's own libraries.

Only the wall clock is changed; monotonic clocks go on as they are, as they do when a real clock is set. The
offset stands in a file, so that it can be changed while the process runs; the process looks at it once a second,
because a look at every reading of the clock makes it several times slower.

Source: libfaketime's README, "FAKETIME_TIMESTAMP_FILE", "FAKETIME_CACHE_DURATION", "FAKETIME_DONT_FAKE_MONOTONIC".
"""

from __future__ import annotations

import contextlib
import importlib.util
import platform
from pathlib import Path

from harness.errors import Inconclusive

_IN_WHEEL = "vendor/libfaketime/src/libfaketime.so.1"  # built for x86-64 Linux
_OF_DISTRIBUTION = "*/faketime/libfaketime.so.1"
_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - libfaketime's choice; its files there are removed below


class WallClock:
    """The clock of one process."""

    def __init__(self, file: Path, offset_s: float) -> None:
        self._file = file
        self.set(offset_s)

    def set(self, offset_s: float) -> None:
        """Within a second the clock is so much ahead of the true time; behind it where negative."""
        made = self._file.with_suffix(".new")
        made.write_text(f"{offset_s:+g}\n", encoding="ascii")
        made.replace(self._file)  # at once: the process may read it at any moment

    def environment(self) -> dict[str, str]:
        """The variables that the process has to be started with.

        Raises:
            Inconclusive: libfaketime is not here.
        """
        return {
            "LD_PRELOAD": str(_library()),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",
        }

    def check(self, pid: int) -> None:
        """Make sure that the process has loaded the library, and remove the names of what it shares with nobody.

        Raises:
            Inconclusive: it has not: the loader only warns, and the clock would be right.
        """
        library = _library()
        for name in (f"faketime_shm_{pid}", f"sem.faketime_sem_{pid}"):
            with contextlib.suppress(OSError):
                (_SHARED_MEMORY / name).unlink()
        try:
            loaded = str(library.resolve()) in Path(f"/proc/{pid}/maps").read_text("utf-8")
        except OSError:
            loaded = False
        if not loaded:
            raise Inconclusive(
                f"{library} was not loaded into process {pid}, so that its clock is right and nothing is shown. "
                "Is the program statically linked, or set-user-id?"
            )


def _library() -> Path:
    if platform.machine() == "x86_64":
        spec = importlib.util.find_spec("libfaketime")
        if spec is not None and spec.origin is not None:
            found = Path(spec.origin).parent / _IN_WHEEL
            if found.is_file():
                return found
    for found in sorted(Path("/usr/lib").glob(_OF_DISTRIBUTION)):
        return found
    raise Inconclusive(
        f"no libfaketime for {platform.machine()}: the clock of a process cannot be changed here. "
        "Install the distribution's package (Debian, Ubuntu: apt-get install libfaketime)."
    )
