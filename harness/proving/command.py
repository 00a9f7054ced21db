"""``dispatchcheck prove``: shows that the suites find the bugs they exist for, and leave equivalent dispatchers alone.

Exit codes: 0 everything was found for the stated reason and nobody was disturbed; 1 not so; 2 it was cut off; 64 the
zoo or an option is wrong; 70 the harness broke.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from harness import evidence, identity, requirements
from harness.proving import zoo
from harness.proving.judges import Collected, Said
from harness.proving.prover import FILE, Plan, Prover
from harness.proving.trials import MutantTrial, Trial
from harness.run_folder import RunFolder

AT_ONCE = 2 * (os.cpu_count() or 1) + 2
"""How many scenarios run at once: each waits for more than half of its time."""
_ROOT = Path(__file__).resolve().parent.parent.parent
_REFERENCE = _ROOT / "reference_impl"
_INCONCLUSIVE = 2
_SHOWN = 5


def add_command(commands: Any) -> None:
    """Add ``prove`` to the commands."""
    prove = commands.add_parser(
        "prove", help="show that the scenarios find known-bad dispatchers and leave equivalent ones alone"
    )
    prove.add_argument(
        "--mutant",
        action="append",
        metavar="ID",
        default=[],
        help="only this mutant or variant; may be repeated",
    )
    prove.add_argument(
        "--full",
        action="store_true",
        help="every scenario with every parameter on all of them: shows which kill nothing, and takes long",
    )
    prove.add_argument(
        "-j",
        "--processes",
        type=_at_least_one,
        default=AT_ONCE,
        metavar="N",
        help=f"how many scenarios run at once (default: {AT_ONCE})",
    )
    prove.add_argument("--zoo", type=Path, help="the folder of mutants (default: reference_impl/mutants)")
    prove.add_argument("--out", type=Path, help="where the run folder goes (default: reports/out)")
    prove.add_argument("scenarios", nargs="*", help="folders, files or node ids (default: all scenarios)")
    prove.set_defaults(run=run)


def _at_least_one(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return number


def run(options: argparse.Namespace) -> int:
    """The command.

    Raises:
        UsageError: the zoo is not in order, or has no such mutant.
        Gone: the scenarios cannot be run.
    """
    plan = _plan(options)
    console = Console(highlight=False, soft_wrap=True)
    bars = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        disable=not console.is_terminal,
        transient=True,
    )
    show = _Show(plan, console, bars)
    prover = Prover(plan, listen=show.heard)
    with bars:
        try:
            matrix = prover.run()
        except KeyboardInterrupt:
            matrix = json.loads((plan.run / FILE).read_text("utf-8"))
            console.print("cut off")
    _summary(console, matrix)
    console.print(f"matrix:  {plan.run / FILE}")
    return _exit_code(matrix, whole=plan.whole)


def _plan(options: argparse.Namespace) -> Plan:
    folder = options.zoo or _REFERENCE / "mutants"
    animals = zoo.load(folder)
    known = requirements.load(_ROOT / "scenarios" / "requirements.toml")
    chosen = animals.only(options.mutant) if options.mutant else animals
    chosen.check(_REFERENCE, known)
    out = (options.out or _ROOT / "reports" / "out").resolve()
    run = out / f"prove-{evidence.new_run_name()}"
    run.mkdir(parents=True)
    profile = _REFERENCE / "dispatchcheck.toml"
    about = RunFolder(run, requirements=known, profile_path=profile, source=None, suites=_ROOT / "scenarios")
    return Plan(
        root=_ROOT,
        reference=_REFERENCE,
        profile=profile,
        zoo=chosen,
        scenarios=options.scenarios or ["scenarios"],
        whole=not (options.mutant or options.scenarios),
        full=options.full,
        in_turn=not (options.full or options.mutant),
        at_once=options.processes,
        run=run,
        facts={
            "zoo": identity.digest(folder, ["*.patch", "equivalent/*.patch"]),
            "identity": about.identities(),
        },
        durations_s=_durations(out),
    )


def _durations(out: Path) -> dict[str, float]:
    """How long each scenario took in the last run there is an account of; decides the order and nothing else."""
    for path in sorted(out.glob("*/results.json"), reverse=True):
        try:
            rows = json.loads(path.read_text("utf-8"))["scenarios"]
            return {row["node"]: float(row["duration_s"]) for row in rows}
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return {}


class _Show:
    """What a person sees while it runs: two bars, and a line for each dispatcher whose trial is over."""

    def __init__(self, plan: Plan, console: Console, bars: Progress) -> None:
        self._console = console
        self._bars = bars
        self._mutants = bars.add_task("known-bad dispatchers", total=len(plan.zoo.mutants))
        self._variants = bars.add_task("equivalent dispatchers", total=len(plan.zoo.variants))

    def heard(self, trial: Trial, _: Collected | None, said: Said | None) -> None:
        """A scenario has ended, or a trial."""
        if said is not None:
            return
        row = trial.row()
        is_mutant = isinstance(trial, MutantTrial)
        self._bars.advance(self._mutants if is_mutant else self._variants)
        by = row.get("killed_by")
        how = f"  by {by['scenario']} ({by['oracle'] or 'no oracle'})" if by else ""
        self._console.print(
            f"{row['duration_s']:7.2f} s  {row['verdict']:<25} {row['id']}{how}", markup=False
        )


def _summary(console: Console, matrix: Mapping[str, Any]) -> None:
    for line in _lines(matrix):
        console.print(line, markup=False)


def _lines(matrix: Mapping[str, Any]) -> list[str]:
    mutants, variants = matrix["mutants"], matrix["equivalent"]
    lines = [""]
    for row in mutants:
        if row["verdict"] == "killed":
            continue
        lines.append(f"{row['verdict']}: {row['id']}: {row['title']}")
        lines.append(f"    stated:  requirement {row['requirement']}, oracle {row['oracle']}")
        if by := row["killed_by"]:
            lines.append(f"    found:   {by['scenario']}, oracle {by['oracle'] or '(none)'}: {by['reason']}")
        if row["problem"]:
            lines.append(f"    because: {row['problem']}")
        doubtful = [folder for folder, cell in row["scenarios"].items() if cell == "inconclusive"]
        if doubtful:
            lines.append(f"    inconclusive: {', '.join(doubtful)}")
    for row in variants:
        lines += [
            f"false alarm: {row['id']}: {alarm['scenario']}: {alarm['reason']}"
            for alarm in row["alarms"][:_SHOWN]
        ]
        if len(row["alarms"]) > _SHOWN:
            lines.append(f"false alarm: {row['id']}: {len(row['alarms']) - _SHOWN} more")
        if row["verdict"] == "not judged":
            lines.append(f"not judged: {row['id']}: {row['problem']}")
    if matrix["full"]:
        lines += _by_scenario(matrix)
    killed = sum(row["verdict"] == "killed" for row in mutants)
    green = sum(row["verdict"] == "green" for row in variants)
    lines.append(
        f"{killed} of {len(mutants)} known-bad dispatchers found for the stated reason, "
        f"{green} of {len(variants)} equivalent ones left alone, in {matrix['duration_s']:.0f} s"
        + ("" if matrix["complete"] else " (incomplete)")
    )
    return lines


def _by_scenario(matrix: Mapping[str, Any]) -> list[str]:
    killers: dict[str, list[str]] = {column["folder"]: [] for column in matrix["scenarios"]}
    unique: dict[str, list[str]] = {}
    for row in matrix["mutants"]:
        stated = [folder for folder, cell in row["scenarios"].items() if cell == "killed"]
        for folder, cell in row["scenarios"].items():
            if cell.startswith("killed"):
                killers[folder].append(row["id"])
        if len(stated) == 1:
            unique.setdefault(stated[0], []).append(row["id"])
    lines = [f"only {folder} finds: {', '.join(ids)}" for folder, ids in unique.items()]
    idle = [folder for folder, ids in killers.items() if not ids]
    return [*lines, *([f"kill nothing: {', '.join(idle)}"] if idle else [])]


def _exit_code(matrix: Mapping[str, Any], *, whole: bool) -> int:
    verdicts = [row["verdict"] for row in (*matrix["mutants"], *matrix["equivalent"])]
    if any(verdict not in ("killed", "green", "not judged") for verdict in verdicts):
        return 1
    cut_off = "not judged" in verdicts or (whole and not matrix["complete"])
    return _INCONCLUSIVE if cut_off or not verdicts else 0
