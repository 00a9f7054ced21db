"""``dispatchcheck matrix``: every cell of the core matrix, in process, without pytest and without a report.

For whoever changes a dispatcher and wants the answer in seconds, and for whoever judges hundreds of changed ones: a
workshop serves any number of sources one after the other, and each gets a process of its own.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import matrix, profile
from harness.errors import Finding, Inconclusive, NotApplicable, SutFailed, UsageError, Violation
from harness.ledger import Ledger
from harness.matrix import Cells
from harness.model import Mode
from harness.oracles.cells import Cell, cell
from harness.profile import Profile
from harness.topologies.inprocess import Decisions, InProcess
from harness.topologies.process import Launcher
from harness.topologies.workshop import Workshop

_PASS, _FAIL, _INCONCLUSIVE = 0, 1, 2
_ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True)
class Survey:
    """What came of many cells.

    Attributes:
        cells: how many were judged.
        findings: what was found, at most one for each group of cells.
        doubts: why something could not be judged.
        cpu_s: seconds of processor time, without the start of the process.
    """

    cells: int
    findings: Sequence[Finding]
    doubts: Sequence[str]
    cpu_s: float

    @property
    def exit_code(self) -> int:
        """0 for agreement in every cell, 1 for a disagreement, 2 where something was not judged."""
        if self.findings:
            return _FAIL
        return _INCONCLUSIVE if self.doubts or not self.cells else _PASS


def survey(
    of: Profile, launcher: Launcher, groups: Iterable[Cells], *, again: str = "", first: bool = False
) -> Survey:
    """Run groups of cells with a process of its own, and compare each cell with the decision table.

    Args:
        of: the profile of the dispatcher; its source is what is judged.
        launcher: starts the process.
        groups: the cells.
        again: the command that runs one cell alone, with ``{cell}`` in it.
        first: stop after the first group in which something was found.

    Raises:
        NotApplicable: the profile names no adapter.
    """
    if of.inprocess is None:
        raise NotApplicable(f"the profile {of.name!r} has no [inprocess]: its decisions cannot be run alone")
    count, findings, doubts = 0, [], []
    process = Decisions(of, launcher)
    try:
        for group in groups:
            handle = InProcess(of, process, Ledger(), only=None, again=again)
            try:
                handle.run(group).must_agree_with_the_decision_table()
            except Inconclusive as doubt:
                doubts.append(f"{group}: {doubt}")
            except SutFailed as failure:
                findings.append(
                    Finding(failure.finding.expected, f"{failure.finding.observed}\n{failure.last_words}")
                )
                break  # it would fail again with every other group
            except Violation as violation:
                findings.append(violation.finding)
            count += len(group.cells)
            if first and findings:
                break
    finally:
        process.close()
    return Survey(count, findings, doubts, process.cpu_s)


def groups_for(capabilities: Iterable[str]) -> list[Cells]:
    """The groups of the core matrix that a dispatcher answers for that claims these capabilities."""
    claimed = set(capabilities)
    groups = []
    for mode in (Mode.PROD, Mode.DEV):
        groups += [*matrix.outcomes(mode), *matrix.configurations(mode)]
        groups += matrix.lost_answers(mode) if "idempotent" in claimed else []
    return groups + (matrix.strict() if "strict-config" in claimed else [])


def add_command(commands: Any) -> None:
    """Add ``matrix`` to the commands of ``dispatchcheck``."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "matrix", help="compare a dispatcher's decisions with the decision table, in every cell, in seconds"
    )
    parser.add_argument(
        "--profile", type=Path, help="the system under test (default: the reference dispatcher)"
    )
    parser.add_argument(
        "--source", type=Path, help="judge the source in this folder instead of the profile's"
    )
    parser.add_argument("--cell", type=_cell, help="this cell alone, as a disagreement prints it")
    parser.add_argument("--first", action="store_true", help="stop at the first disagreement")
    run: Callable[[argparse.Namespace], int] = _run
    parser.set_defaults(run=run)


def _cell(name: str) -> Cell:
    try:
        return cell(name)
    except UsageError as problem:
        raise argparse.ArgumentTypeError(str(problem)) from None


def _run(options: argparse.Namespace) -> int:
    path = options.profile or _ROOT / "reference_impl" / "dispatchcheck.toml"
    of = profile.load_to_run(path, source=options.source)
    groups = groups_for(of.profile.capabilities)
    if options.cell is not None:
        groups = [Cells(str(options.cell), lambda: (options.cell,))]
    words = [f"--{name}={given}" for name in ("profile", "source") if (given := getattr(options, name))]
    again = " ".join(["dispatchcheck matrix", *words, "--cell='{cell}'"])
    workshop = Workshop(of)
    try:
        done = survey(of, workshop.launcher(), groups, again=again, first=options.first)
    except NotApplicable as reason:
        raise UsageError(str(reason)) from None
    finally:
        workshop.close()
    for finding in done.findings:
        print(f"expected:  {finding.expected}\nobserved:  {finding.observed}\n")
    for doubt in done.doubts:
        print(f"inconclusive: {doubt}\n")
    verdict = ("agrees", "DISAGREES", "was not judged everywhere")[done.exit_code]
    speed = done.cells / done.cpu_s if done.cpu_s else 0.0
    print(f"{of.name} {verdict}: {done.cells} cells, {speed:.0f} in a second of processor time")
    return done.exit_code
