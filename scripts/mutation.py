"""Says what a run of mutmut has shown: the share of changes that a test minded, and those that nobody minded.

A change that survived is named in ``reference_impl/mutants/mutmut.toml`` with the reason why no test can mind it, or it
is a finding. So is an entry of that file that no change fits any more, and a change that was not judged. An entry names
a change by its function and by what was changed into what, so that it stays right where code moves; where the same is
done to several places of a function, it says how many ``times`` no test can mind. Exit status: 0 when there is no
finding, and the share is as large as asked for; 1 when not; 64 when mutmut has not run.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ACCEPTED = ROOT / "reference_impl" / "mutants" / "mutmut.toml"
AT_LEAST = 0.95
_MINDED = {"killed", "timeout", "caught by type check", "segfault"}
_UNMINDED = {"survived", "no tests"}


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


def accepted(path: Path) -> Counter[Change]:
    """The changes that no test can mind, and how often each. Every one has a reason."""
    found = Counter[Change]()
    for row in tomllib.loads(path.read_text("utf-8")).get("accepted", []) if path.exists() else []:
        each = Change(row["function"], row["before"], row["after"])
        if not row["because"].strip():
            raise SystemExit(f"{path.name}: say why no test can mind:\n{each}")
        found[each] += row.get("times", 1)
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
    unminded = {name: change(name) for name, status in outcomes.items() if status in _UNMINDED}
    unjudged = [name for name, status in outcomes.items() if status not in _MINDED | _UNMINDED]
    found = Counter(unminded.values())
    unknown, stale = found - known, Counter[Change]() if unjudged else known - found
    for each in unknown:
        names = ", ".join(name for name, its in unminded.items() if its == each)
        print(f"# no test minds {names}\n{each}")
    for each in stale:
        print(f"# a test minds it, or it does not exist any more; take it out of {ACCEPTED.name}\n{each}")
    for name in unjudged:
        print(f"# not judged: {name} ({outcomes[name]})")
    _table(outcomes, unminded)
    asked = len(outcomes) - (found & known).total()
    share = sum(status in _MINDED for status in outcomes.values()) / asked
    counts = ", ".join(f"{count} {status}" for status, count in sorted(Counter(outcomes.values()).items()))
    print(f"{len(outcomes)} changes: {counts}; of {asked} that a test can mind, {share:.1%} were minded")
    return int(bool(unknown or stale or unjudged) or share < AT_LEAST)


def _table(outcomes: Mapping[str, str], unminded: Mapping[str, Change]) -> None:
    changes, survivors = (Counter(_module(name) for name in names) for names in (outcomes, unminded))
    for module, count in changes.items():
        print(f"{module:40} {count:5} changes, {survivors[module]:3} that no test minds")


def _module(name: str) -> str:
    return name.rpartition(".")[0]


if __name__ == "__main__":
    sys.exit(main())
