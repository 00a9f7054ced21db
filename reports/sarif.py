"""SARIF 2.1.0 for what a code-scanning page should show: leaked secrets, and mistakes in how configuration is read.

Source: OASIS, Static Analysis Results Interchange Format 2.1.0; and what GitHub asks of it beyond that: every rule has
a full description and a help text.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/os/schemas/sarif-schema-2.1.0.json"
_RULES = {
    "secret-leak": {
        "name": "SecretLeak",
        "short": "A secret appears in something that the dispatcher writes or answers.",
        "full": (
            "A secret that was planted for one run was found again, plain or encoded, in a log line, an answer, an "
            "error or a request to somebody else."
        ),
        "help": (
            "Mask the secret before anything is logged or raised, change the real one, and look for it in the logs "
            "that are kept. The scenario's evidence names the place."
        ),
    },
    "configuration": {
        "name": "ConfigurationNotAsRequired",
        "short": "The dispatcher does not read or explain its configuration as required.",
        "full": (
            "A value of the configuration was read otherwise than the requirement says, or a mistake in it was not "
            "explained: such mistakes silently switch a route off."
        ),
        "help": (
            "Compare the environment that the scenario shows with what the dispatcher logged when it started, and "
            "correct how the variable is read. The requirement's text is in the checklist."
        ),
    },
}


def sarif(results: Mapping[str, Any]) -> dict[str, Any]:
    """The document: one result for each scenario that found such a thing."""
    identity = results["run"].get("identity", {}).get("harness", {})
    return {
        "$schema": _SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "dispatchcheck",
                        "version": identity.get("version") or "0",
                        "rules": [
                            {
                                "id": id_,
                                "name": rule["name"],
                                "shortDescription": {"text": rule["short"]},
                                "fullDescription": {"text": rule["full"]},
                                "help": {"text": rule["help"]},
                                "defaultConfiguration": {"level": "error"},
                            }
                            for id_, rule in _RULES.items()
                        ],
                    }
                },
                "invocations": [{"executionSuccessful": bool(results.get("complete", True))}],
                "results": list(_results(results)),
            }
        ],
    }


def _results(results: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    rules = list(_RULES)
    for scenario in results["scenarios"]:
        rule = _rule(scenario)
        if rule is None:
            continue
        finding = (scenario.get("account") or {}).get("finding") or {}
        observed = finding.get("observed") or scenario["message"] or "see the evidence"
        fingerprint = hashlib.sha256(f"{rule} {scenario['node']}".encode()).hexdigest()
        yield {
            "ruleId": rule,
            "ruleIndex": rules.index(rule),
            "level": "error",
            "message": {"text": f"{scenario['folder']}: {scenario['title']} Observed: {observed}"},
            "locations": [
                {
                    "physicalLocation": {
                        "artifactLocation": {"uri": scenario["node"].partition("::")[0]},
                        "region": {"startLine": 1},
                    },
                    "logicalLocations": [{"name": scenario["folder"], "kind": "test"}],
                }
            ],
            "partialFingerprints": {"scenario/v1": fingerprint},
        }


def _rule(scenario: Mapping[str, Any]) -> str | None:
    if scenario["verdict"] != "FAIL":
        return None
    finding = (scenario.get("account") or {}).get("finding") or {}
    if finding.get("oracle") == "secrets":
        return "secret-leak"
    return "configuration" if any(id_.startswith("CONF-") for id_ in scenario["requires"]) else None
