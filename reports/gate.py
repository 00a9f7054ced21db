"""``dispatchcheck gate``: says go or no-go for a pipeline, in one line and an exit code."""

from __future__ import annotations

import time
from pathlib import Path

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

    Raises:
        UsageError: a file cannot be read, or the policy names requirements that do not exist.
    """
    results = read_results(results_path)
    policy: Policy = read_policy(policy_path) if policy_path else default_policy()
    if policy_path is not None:
        check_names(results, policy)
    decision = decide(results, policy, now=time.time() if now is None else now, sut_digest=sut_digest)
    print(str(decision).replace("\n", " "))
    return decision.exit_code
