"""The release checklist as data: the decision, its reasons, and what is left to a person.

Markdown, HTML and ``checklist.json`` all show this document; none of them decides anything by itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reports import proof
from reports.policy import Policy, decide, default_policy

VERSION = 1

BY_PERSON = (
    {
        "id": "PERSON-01",
        "text": "Development was tried by hand with the worker switched on, and the worker's own log shows the request",
        "how": "USE_WORKER_IN_DEV=true in the environment file, restart, assemble one episode",
    },
    {
        "id": "PERSON-02",
        "text": "Deployed with every environment variable in place",
        "how": "gcloud run services describe SERVICE: WORKER_URL_BASE, TASKS_AUTH (a reference), APP_ENV=production",
    },
    {
        "id": "PERSON-03",
        "text": "One assembly triggered after the deployment, and the API's log shows the route it took",
        "how": "event=tasks.cloud.enqueued, or worker_direct_dispatched with the reason before it",
    },
    {
        "id": "PERSON-04",
        "text": "The worker's log shows worker.assemble.start for that assembly",
        "how": "docker-compose -f docker-compose.worker.yml logs worker, on the worker's own host",
    },
)

LIMITS = (
    "Tests show errors, never their absence: this list says what was tried and what came of it.",
    "Cloud Tasks and the network were stand-ins on one machine; the real services can behave in ways nobody imitated.",
    "The hashes show that evidence was changed by accident or without care; only a signature shows who wrote it.",
)


def release(results: Mapping[str, Any], policy: Policy | None = None) -> dict[str, Any]:
    """The checklist of a run, by a policy or by the default one. The age of the evidence is left to the gate."""
    decision = decide(results, policy or default_policy())
    rows = results["requirements"]
    return {
        "version": VERSION,
        "decision": {
            "go": decision.go,
            "word": "GO" if decision.go else "NO-GO",
            "failures": list(decision.failures),
            "unknowns": list(decision.unknowns),
            "excused": list(decision.excused),
        },
        "verdict": results["verdict"],
        "complete": results.get("complete", True),
        "summary": results["summary"],
        "run": results["run"],
        "evidence": results.get("evidence"),
        "requirements": rows,
        "not_verified": [row["id"] for row in rows if row["verdict"] == "NOT VERIFIED"],
        "excluded": [{"id": row["id"], "because": row["excluded"]} for row in rows if row["excluded"]],
        "prove": results.get("prove"),
        "proof": _proof(results.get("prove"), results["run"].get("identity", {})),
        "canary": results.get("canary"),
        "by_person": [dict(item) for item in BY_PERSON],
        "limits": list(LIMITS),
    }


def _proof(prove: Mapping[str, Any] | None, identity: Mapping[str, Any]) -> dict[str, Any]:
    """What follows from the kill matrix; None for what is not known, as it was not run or did not go so far."""
    return {
        "problems": list(proof.problems(prove, identity)) if prove else [],
        "unique_kills": proof.unique_kills(prove) if prove else None,
        "kill_nothing": proof.kill_nothing(prove) if prove else None,
    }
