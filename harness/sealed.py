"""The hashes of a run folder: lists every file, and says what was altered since."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

from harness.errors import UsageError
from harness.evidence import write_text
from harness.identity import file_digest

SEAL = "SHA256SUMS"
_FOLDERS = ("evidence", "canary")  # the scenarios', and the canary's own
_BESIDE = (
    "canary.json",
    "prove.json",
    "requirements.json",
    "run.json",
)  # evidence that is not of one scenario
_LINE = re.compile(r"([0-9a-f]{64})  (\S.*)")


def seal(run: Path) -> dict[str, str]:
    """Write the hash of every file of evidence into ``SHA256SUMS``: of ``run.json`` and what lies beside it, too.

    Returns:
        The hashes by path relative to the run folder.
    """
    hashes = _hashes(run)
    write_text(run / SEAL, "".join(f"{digest}  {path}\n" for path, digest in hashes.items()))
    return hashes


def alterations(run: Path) -> list[str]:
    """What is not as it was when the folder was sealed, one line for each file; nothing for an intact folder.

    This finds what was changed, added or removed afterwards. Somebody who also writes the list of hashes anew is
    not found this way: for that, compare the list's own hash with the one in a signed statement.

    Raises:
        UsageError: the folder was never sealed, or its list cannot be read.
    """
    try:
        text = (run / SEAL).read_text("utf-8")
    except OSError as problem:
        raise UsageError(
            f"{run.name} has no readable {SEAL} ({problem.strerror}): the run was cut off, or this is no run folder"
        ) from None
    expected: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        match = _LINE.fullmatch(line)
        if match is None:
            raise UsageError(f"{SEAL}, line {number}: not a hash and a path: {line[:80]!r}")
        expected[match[2]] = match[1]
    found = _hashes(run)
    changed = [f"changed: {path}" for path in expected if path in found and found[path] != expected[path]]
    removed = [f"removed: {path}" for path in expected if path not in found]
    added = [f"added: {path}" for path in found if path not in expected]
    return sorted([*changed, *removed, *added])


def _hashes(run: Path) -> dict[str, str]:
    found = {}
    for name in _BESIDE:
        if (run / name).is_file():
            found[name] = file_digest(run / name)
    for top in _FOLDERS:
        for folder, _, names in os.walk(run / top):
            inside = os.path.relpath(folder, run)
            for name in names:
                found[f"{inside}/{name}"] = _digest(f"{folder}/{name}")
    return dict(sorted(found.items()))


def _digest(path: str) -> str:
    """As ``file_digest``, with less ado: a large run has tens of thousands of small files."""
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - a Path for each file costs more than its hash
        return hashlib.sha256(file.read()).hexdigest()
