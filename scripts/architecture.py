"""Writes the list of modules in ARCHITECTURE.md: each with the first sentence of its docstring."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("reference_impl", "fake_services", "harness", "scenarios", "reports")
MARK = "<!-- modules -->"


def modules() -> str:
    """The list, one section a package, in the order of the layout."""
    lines = []
    for package in PACKAGES:
        lines += [f"### {package}/", "", "| module | what it is |", "| --- | --- |"]
        # What a run leaves in reports/out may have sources of its own.
        for path in sorted((ROOT / package).rglob("*.py")):
            if {"tests", "out"} & {*path.relative_to(ROOT).parts} or path.name.startswith("test_"):
                continue
            sentence = (ast.get_docstring(ast.parse(path.read_text("utf-8"))) or "").split("\n\n")[0]
            name = str(path.relative_to(ROOT / package)).removesuffix("/__init__.py")
            lines.append(f"| `{name}` | {' '.join(sentence.split()).replace('|', chr(92) + '|')} |")
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def main() -> int:
    """Write the list, or with ``--check`` say whether it is current."""
    path = ROOT / "ARCHITECTURE.md"
    text = path.read_text("utf-8")
    head, _, _ = text.partition(MARK)
    current = f"{head}{MARK}\n\n{modules()}"
    if "--check" in sys.argv:
        if text != current:
            print("ARCHITECTURE.md is not current: run `make architecture`", file=sys.stderr)
        return int(text != current)
    path.write_text(current, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
