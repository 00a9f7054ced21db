"""The canary: one known-bad dispatcher that is judged in every run of ``verify``, beside the one the run is about.

If it is not found, the harness is broken, and nothing that it says of anybody is worth anything. It has evidence of
its own, and its verdict goes the whole way that every verdict goes, up to the account of a run.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness import evidence
from harness.errors import UsageError
from harness.model import Verdict
from harness.proving import zoo
from harness.proving.judges import Collected, Said
from harness.proving.trials import MutantTrial
from harness.requirements import Requirements

FILE = "canary.json"
FOLDER = "canary"
DEFAULT = "inline-straight-after-cloud-tasks-fails"
SCENARIOS = "prod/test_fallback.py"
"""Where the scenario is that finds it, below ``scenarios``."""


def load(patch: Path) -> zoo.Mutant:
    """The mutant.

    Raises:
        UsageError: it cannot be read, or does not name the one scenario that is expected to find it.
    """
    mutant = zoo.load_mutant(patch)
    if len(mutant.head.scenarios) != 1:
        raise UsageError(f"{patch.name} cannot be a canary: it does not name one scenario that finds it")
    return mutant


def judge(run: Path, mutant: zoo.Mutant, requirements: Requirements) -> dict[str, Any]:
    """What became of it, as ``canary.json`` holds it.

    Args:
        run: where its evidence is.
        mutant: as it was loaded.
        requirements: the list.
    """
    from reports.results import results as account_of  # here, because reports read what the harness wrote

    trial = MutantTrial(mutant, tests=[], full=False)
    try:
        results = evidence.read_results(run)
    except UsageError as problem:
        results = []
        trial.problem = str(problem)
    if not results and not trial.problem:
        trial.problem = "it left no verdict"
    for result in results:
        finding = result.account.get("finding") or {}
        reason = f"expected {finding.get('expected', '')}; observed {finding.get('observed', '')}"
        trial.learn(
            Collected(result.node, result.folder, result.scenario, result.title, result.requires),
            Said(
                result.verdict,
                result.blame,
                result.message,
                result.duration_s,
                finding.get("oracle", ""),
                reason,
            ),
        )
    row = trial.row()
    about = {"selected": [result.node for result in results], "interrupted": False}
    if row["verdict"] == "killed" and account_of(about, results, requirements)["verdict"] != Verdict.FAIL:
        row |= {"verdict": "survived", "killed_by": None}
    return row
