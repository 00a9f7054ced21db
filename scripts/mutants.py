"""Helps with the patches of the zoo: ``unpack ID FOLDER`` makes a copy to edit, ``pack ID FOLDER`` writes its patch."""

from __future__ import annotations

import argparse
import difflib
import shutil
import sys
from pathlib import Path

from harness.errors import UsageError
from harness.proving import patches, zoo

ROOT = Path(__file__).resolve().parent.parent
REFERENCE = ROOT / "reference_impl"
HEAD = """\
---
id: {id}
title: What is wrong with it, in one line
incident: What happened because of it.
requirement: PROD-00
oracle: route
---
"""


def patch_of(id_: str) -> Path:
    """Where the patch of a mutant or a variant is, or, for a new one, of a mutant."""
    mutants = REFERENCE / "mutants"
    variant = mutants / "equivalent" / f"{id_}.patch"
    return variant if variant.exists() else mutants / f"{id_}.patch"


def unpack(id_: str, folder: Path) -> None:
    """Make a copy of the reference, with the patch applied where there is one."""
    if not patch_of(id_).exists():
        shutil.copytree(
            REFERENCE, folder / REFERENCE.name, ignore=shutil.ignore_patterns("tests", "mutants", "*.pyc.*")
        )
        return
    (animal,) = zoo.load(REFERENCE / "mutants").only([id_]).animals
    animal.make(REFERENCE, folder)


def pack(id_: str, folder: Path) -> None:
    """Write the difference between the reference and the copy; a head that is there stays."""
    path = patch_of(id_)
    head = HEAD.format(id=id_)
    if path.exists():
        old_head, marker, _ = path.read_text("utf-8").removeprefix("---\n").partition("\n---\n")
        head = f"---\n{old_head}{marker}"
    copies = sorted((folder / REFERENCE.name).rglob("*.py"))
    diff = "".join(_difference(copy.relative_to(folder), copy) for copy in copies)
    if not diff:
        raise UsageError(f"{folder} is like the reference")
    path.write_text(head + diff, encoding="utf-8")


def _difference(name: Path, copy: Path) -> str:
    """With as few lines around each change as make its place unique."""
    old, new = (ROOT / name).read_text("utf-8"), copy.read_text("utf-8")
    if old == new:
        return ""
    for context in (1, 2, 3, 5, 10):
        lines = difflib.unified_diff(
            old.splitlines(keepends=True), new.splitlines(keepends=True), f"a/{name}", f"b/{name}", n=context
        )
        diff = "".join(lines)
        try:
            if patches.changed(diff, ROOT) == {ROOT / name: new}:
                return diff
        except UsageError:
            continue
    raise UsageError(
        f"the changes of {name} are at places that look alike; change a line beside them as well"
    )


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["unpack", "pack"])
    parser.add_argument("id")
    parser.add_argument("folder", type=Path)
    options = parser.parse_args()
    try:
        {"unpack": unpack, "pack": pack}[options.what](options.id, options.folder)
    except (UsageError, OSError) as problem:
        print(f"mutants: {problem}", file=sys.stderr)
        return 64
    return 0


if __name__ == "__main__":
    sys.exit(main())
