"""Applies a unified diff to a folder, strictly: each of its places must be there exactly once.

Line numbers are not looked at. So a patch survives what changes elsewhere in its file, and one whose place has
changed, or is there twice, is an error and never a guess.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from unidiff.errors import UnidiffParseError
from unidiff.patch import Hunk, PatchedFile, PatchSet

from harness.errors import UsageError


def changed(patch: str, root: Path) -> dict[Path, str]:
    """What the patched files would hold, by path; nothing is written.

    Args:
        patch: a unified diff whose paths, after ``a/`` and ``b/``, are relative to ``root``.
        root: the folder.

    Raises:
        UsageError: it is no unified diff, changes nothing, or does not fit; the message names the file and the line
            that was looked for.
    """
    try:
        files = list(PatchSet(patch))
    except UnidiffParseError as problem:
        raise UsageError(f"is not a unified diff: {problem}") from None
    if not files:
        raise UsageError("changes nothing: there is no unified diff in it")
    return {root / file.path: _patched(file, root) for file in files}


def _patched(file: PatchedFile, root: Path) -> str:
    try:
        rest = (root / file.path).read_text("utf-8").splitlines(keepends=True)
    except OSError as problem:
        raise UsageError(f"changes {file.path}, which cannot be read: {problem.strerror}") from None
    done: list[str] = []
    for hunk in file:
        old, new = list(_lines(hunk, "- ")), list(_lines(hunk, "+ "))
        places = [n for n in range(len(rest) - len(old) + 1) if rest[n : n + len(old)] == old]
        if len(places) != 1:
            what = "is not there any more" if not places else f"is there {len(places)} times"
            raise UsageError(f"does not fit {file.path}: {what}: {_telling(hunk)!r}")
        done += [*rest[: places[0]], *new]
        rest = rest[places[0] + len(old) :]
    return "".join([*done, *rest])


def _lines(hunk: Hunk, kinds: str) -> Iterator[str]:
    return (line.value for line in hunk if line.line_type in kinds)


def _telling(hunk: Hunk) -> str:
    """The line by which a person finds the place: the first that is taken away, or else the first of all."""
    lines: Sequence[str] = [*_lines(hunk, "-"), *_lines(hunk, "- ")]
    return lines[0].strip()
