"""Says what a run of mutmut has shown: the share of changes that a test minded, and those that nobody minded.

A change that survived is named in ``reference_impl/mutants/mutmut.toml`` with the reason why no test can mind it, or it
is a finding. So is an entry of that file that no change fits any more. Exit status: 0 when there is neither, and the
share is as large as asked for; 1 when not; 64 when mutmut has not run.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tomllib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ACCEPTED = ROOT / "reference_impl" / "mutants" / "mutmut.toml"
AT_LEAST = 0.95
_MINDED = {"killed", "timeout", "caught by type check", "segfault"}


@dataclass(frozen=True)
class Change:
    """One change that mutmut made: where, and the lines before and after, without what stays."""

    function: str
    before: str
    after: str

    def __str__(self) -> str:
        """As an entry of the file, but for the reason."""
        return (
            f"[[accepted]]\nfunction = {self.function!r}\nbefore = '''{self.before}'''\n"
            f"after = '''{self.after}'''\nbecause = ''\n"
        )


def results() -> dict[str, str]:
    """What became of each change, by mutmut's name for it."""
    lines = _mutmut("results", "--all", "true").splitlines()
    pairs = (line.strip().rpartition(": ") for line in lines if "__mutmut_" in line)
    return {name: status for name, _, status in pairs}


def change(name: str) -> Change:
    """What mutmut changed under a name; the names count up within a function, and the changes stay what they are."""
    lines = _mutmut("show", name).splitlines()
    taken = "\n".join(
        line[1:].strip() for line in lines if line.startswith("-") and not line.startswith("---")
    )
    given = "\n".join(
        line[1:].strip() for line in lines if line.startswith("+") and not line.startswith("+++")
    )
    return Change(name.rpartition("__mutmut_")[0], taken, given)


def accepted(path: Path) -> dict[Change, str]:
    """The changes that no test can mind, and why."""
    rows = tomllib.loads(path.read_text("utf-8")).get("accepted", []) if path.exists() else []
    found = {Change(row["function"], row["before"], row["after"]): row["because"].strip() for row in rows}
    if without := [str(each) for each, because in found.items() if not because]:
        raise SystemExit(f"{path.name}: say why no test can mind:\n{without[0]}")
    return found


def _mutmut(*words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "mutmut", *words], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        print(done.stdout + done.stderr, file=sys.stderr)
        raise SystemExit(64)
    return done.stdout


def main() -> int:
    """The command."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    outcomes = results()
    if not outcomes:
        print("mutmut has not run: make mutation", file=sys.stderr)
        return 64
    known = accepted(ACCEPTED)
    unminded = {name: change(name) for name, status in outcomes.items() if status not in _MINDED}
    findings = {name: each for name, each in unminded.items() if each not in known}
    stale = set(known) - set(unminded.values())
    for name, each in findings.items():
        print(f"# {name}: {outcomes[name]}\n{each}")
    for each in stale:
        print(f"# a test minds it, or it does not exist any more; take it out of {ACCEPTED.name}\n{each}")
    asked = len(outcomes) - (len(unminded) - len(findings))
    share = (asked - len(findings)) / asked
    counts = ", ".join(f"{count} {status}" for status, count in sorted(Counter(outcomes.values()).items()))
    print(f"{len(outcomes)} changes: {counts}; of {asked} that a test can mind, {share:.1%} were minded")
    return int(bool(findings or stale) or share < AT_LEAST)


if __name__ == "__main__":
    sys.exit(main())
