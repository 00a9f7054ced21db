"""``dispatchcheck gate``: says go or no-go for a pipeline, in one line and an exit code."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.errors import UsageError
from harness.sealed import SEAL
from reports.from_evidence import contradictions, unsupported
from reports.policy import Policy, check_names, decide, default_policy, read_policy
from reports.schema import read_results


def gate(
    results_path: Path, policy_path: Path | None, *, sut_digest: str = "", now: float | None = None
) -> int:
    """Decide, print one line, and return the exit code: 0 go, 1 something is wrong, 2 something is unknown.

    Args:
        results_path: ``results.json``.
        policy_path: the policy; None for the default one.
        sut_digest: the digest that is being released.
        now: unix time; None for the clock's.

    What is decided by must be true: ``results.json`` follows from its own scenarios and from the evidence beside it.
    Where there is none, it is believed only if the policy says so.

    Raises:
        UsageError: a file cannot be read, or the policy names requirements that do not exist.
    """
    results = read_results(results_path)
    policy: Policy = read_policy(policy_path) if policy_path else default_policy()
    if policy_path is not None:
        check_names(results, policy)
    decision = decide(results, policy, now=time.time() if now is None else now, sut_digest=sut_digest)
    if untrue := _untrue(results_path.resolve().parent, results, policy):
        decision = replace(decision, unknowns=(untrue, *decision.unknowns))
    print(str(decision).replace("\n", " "))
    return decision.exit_code


def _untrue(folder: Path, results: Mapping[str, Any], policy: Policy) -> str:
    """Why the results cannot be believed; "" where nothing speaks against them."""
    if said := next(contradictions(results), ""):
        return said
    if not results["complete"]:
        return ""  # it was cut off, is refused for that, and nothing sealed what came last
    if not (folder / SEAL).is_file():
        return (
            f"there is no {SEAL} beside results.json, so no evidence shows that it is true: hand over the whole run "
            "folder, or set require_evidence = false in the policy"
            if policy.require_evidence
            else ""
        )
    try:
        return next(unsupported(folder, results), "")
    except UsageError as problem:
        return f"the evidence cannot be read: {problem}"
