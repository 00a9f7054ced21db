"""An in-toto statement that these tests were run on this system under test, ready to be signed.

Source: in-toto Attestation Framework, Statement v1 and the predicate Test Result v0.1.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reports.policy import Policy, decide, default_policy


def statement(results: Mapping[str, Any], policy: Policy | None = None) -> dict[str, Any] | None:
    """The statement; None where the digest of the system under test is unknown: it would speak of nothing.

    The predicate knows "warned", for what passed with a warning. What is unknown did not pass: it is FAILED here.
    """
    identity = results["run"].get("identity", {})
    sut = identity.get("sut", {})
    digest = _hex(sut.get("digest", ""))
    if not digest:
        return None
    scenarios = results["scenarios"]
    passed = [s["folder"] for s in scenarios if s["verdict"] == "PASS"]
    failed = [s["folder"] for s in scenarios if s["verdict"] in {"FAIL", "INCONCLUSIVE"}]
    parts = {name: _hex(entry.get("digest", "")) for name, entry in identity.items() if name != "sut"}
    if results.get("evidence"):
        parts["SHA256SUMS"] = _hex(results["evidence"]["digest"])
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": sut.get("name", ""), "digest": {"sha256": digest}}],
        "predicateType": "https://in-toto.io/attestation/test-result/v0.1",
        "predicate": {
            "result": "PASSED" if decide(results, policy or default_policy()).go else "FAILED",
            "configuration": [
                {"name": name, "digest": {"sha256": value}} for name, value in parts.items() if value
            ],
            "passedTests": passed,
            "warnedTests": [],
            "failedTests": [*failed, *results.get("missing", ())],
        },
    }


def _hex(digest: str) -> str:
    return digest.removeprefix("sha256:")
