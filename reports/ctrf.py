"""CTRF, the Common Test Report Format. Source: the format's specification, version 0.0.0.

Its states know no "inconclusive": what is not known counts as failed, and the raw state says which it was.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_STATUS = {"PASS": "passed", "FAIL": "failed", "INCONCLUSIVE": "failed", "NOT_APPLICABLE": "skipped"}


def ctrf(results: Mapping[str, Any]) -> dict[str, Any]:
    """The document; times in milliseconds, as the format has them."""
    run = results["run"]
    tests = [_test(scenario) for scenario in results["scenarios"]]
    tests += [
        {
            "name": node,
            "status": "failed",
            "rawStatus": "MISSING",
            "duration": 0,
            "message": "left no verdict",
        }
        for node in results.get("missing", ())
    ]
    if not results.get("complete", True) and not results.get("missing"):
        reason = "; ".join(results["reasons"])
        tests.append(
            {
                "name": "the run",
                "status": "failed",
                "rawStatus": "INCOMPLETE",
                "duration": 0,
                "message": reason,
            }
        )
    counts = {
        status: sum(test["status"] == status for test in tests)
        for status in ("passed", "failed", "skipped", "pending", "other")
    }
    start = round(run.get("began_at", 0) * 1000)
    return {
        "reportFormat": "CTRF",
        "specVersion": "0.0.0",
        "generatedBy": "dispatchcheck",
        "results": {
            "tool": {"name": "dispatchcheck", "version": _version(run)},
            "summary": {
                "tests": len(tests),
                **counts,
                "start": start,
                "stop": max(start, round((run.get("ended_at") or run.get("began_at", 0)) * 1000)),
            },
            "tests": tests,
            "environment": {"appName": run.get("profile", ""), "extra": {"run": run.get("name", "")}},
        },
    }


def _test(scenario: Mapping[str, Any]) -> dict[str, Any]:
    test: dict[str, Any] = {
        "name": scenario["folder"],
        "status": _STATUS[scenario["verdict"]],
        "rawStatus": scenario["verdict"],
        "duration": round(scenario["duration_s"] * 1000),
        "suite": [scenario["node"].partition("::")[0]],
        "filePath": scenario["node"].partition("::")[0],
        "tags": [*scenario["requires"], scenario["level"]],
    }
    if scenario["message"]:
        test |= {"message": scenario["message"].splitlines()[0], "trace": scenario["message"]}
    return test


def _version(run: Mapping[str, Any]) -> str:
    return str(run.get("identity", {}).get("harness", {}).get("version", "")) or "unknown"
