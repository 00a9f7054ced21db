"""Documents and records made by hand, for the tests of reports."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from harness import context, evidence, sealed
from harness.account import account
from harness.context import SystemRecord
from harness.evidence import ScenarioResult
from harness.ledger import Check
from harness.model import Job, Level, Mode, Observation, Verdict
from harness.requirements import Requirement, Requirements
from reports.results import results

DIGEST = "sha256:" + "a" * 64
SECRET = "s3cr3t/plant+ed&"
REQUIREMENTS = Requirements(
    [
        Requirement("PROD-01", Level.CORE, "healthy: one task is enqueued"),
        Requirement("PROD-03", Level.CORE, "Cloud Tasks refuses: the worker is called"),
        Requirement(
            "ONCE-02", Level.EXTENDED, "one effect although the reply was lost", capability="idempotent"
        ),
        Requirement("LIVE-01", Level.CORE, "seen after the deployment"),
        Requirement("OLD-01", Level.CORE, "of old", excluded="the feature is gone"),
    ]
)


def run_facts(**changes: Any) -> dict[str, Any]:
    identity = {
        name: {"name": name, "version": "1", "digest": DIGEST}
        for name in ("sut", "profile", "suites", "harness")
    }
    facts: dict[str, Any] = {
        "version": 1,
        "name": "20260101T000000Z-abcd",
        "profile": "reference",
        "arguments": ["scenarios"],
        "identity": identity,
        "environment": {"python": "3.11.7", "packages": {"pytest": "9"}, "ci": {}},
        "python": "3.11.7",
        "platform": "Linux",
        "topology": "processes",
        "seed": 1,
        "began_at": 1_767_225_600.0,
        "ended_at": 1_767_225_640.0,
        "pytest_exit": 0,
        "interrupted": False,
        "shard": None,
        "selected": [],
    }
    return {**facts, **changes}


def node(name: str) -> str:
    return f"scenarios/prod/test_it.py::test_{name}"


def scenario(name: str, verdict: Verdict = Verdict.PASS, **changes: Any) -> ScenarioResult:
    facts: dict[str, Any] = {
        "scenario": name,
        "node": node(name),
        "title": f"What {name} shows.",
        "requires": ("PROD-01",),
        "level": "core",
        "verdict": verdict,
        "duration_s": 0.5,
        "blame": {"FAIL": "sut", "INCONCLUSIVE": "evidence"}.get(verdict.value, ""),
        "message": "" if verdict is Verdict.PASS else f"{name} says why\nand more",
        "folder": name,
        "account": a_way("cloud_tasks served"),
    }
    return ScenarioResult(**{**facts, **changes})


def a_way(*steps: str, faults: Iterable[str] = ()) -> dict[str, Any]:
    job = {
        "system": 0,
        "episode_id": "ep",
        "job_id": "j",
        "status": 202,
        "answer_s": 0.1,
        "effects": 1,
        "ended_s": 0.3,
    }
    return {
        "modes": ["prod"],
        "faults": list(faults),
        "jobs": [{**job, "wire": list(steps), "logs": list(steps)}],
    }


def document(
    *scenarios: ScenarioResult, requirements: Requirements = REQUIREMENTS, **run: Any
) -> dict[str, Any]:
    """A whole ``results.json``."""
    given = run_facts(**{"selected": [s.node for s in scenarios], **run})
    return results(given, scenarios, requirements)


def going(**run: Any) -> dict[str, Any]:
    """The results of a run that may be released."""
    shown = [
        scenario("PROD-HEALTHY-01"),
        scenario(
            "PROD-FALLBACK-01", requires=("PROD-03",), account=a_way("worker_direct served", faults=["f"])
        ),
    ]
    return document(*shown, **run)


def observation(seq: int, source: str, kind: str, text: str, **fields: Any) -> Observation:
    return Observation(seq, seq / 10, source, kind, text, fields)


def log(seq: int, source: str, text: str, event: str = "", **data: str) -> Observation:
    fields = {
        "stream": "stdout",
        "form": "logfmt" if event else "plain",
        "event": event,
        "data": data,
        "problem": "",
    }
    return observation(seq, source, "log", text, **fields)


def record(*extra: Observation, **changes: Any) -> SystemRecord:
    """A job that went through Cloud Tasks, as it was seen."""
    named = {"episode_id": "ep-1", "job_id": "job-1"}
    task = "projects/p/locations/l/queues/q/tasks/t1"
    seen = [
        observation(1, "harness", "stimulus", "asks for the assembly of ep-1"),
        observation(
            2, "api", "answer", "answers 202 after 10 ms", body='{"job_id": "job-1", "episode_id": "ep-1"}'
        ),
        observation(
            3,
            "cloud_tasks",
            "rpc",
            "CreateTask → OK",
            method="CreateTask",
            code="OK",
            observed="reply",
            applied=True,
            task=task,
            request={"task": {"name": task, "body": "ep-1 job-1"}},
            headers=[["X-Tasks-Auth", SECRET]],
        ),
        log(4, "api", "event=tasks.cloud.enqueued", "tasks.cloud.enqueued", **named),
        observation(
            5, "cloud_tasks", "attempt.sent", "delivers task t1", task=task, number=1, url="http://w/"
        ),
        observation(
            6,
            "worker_gateway",
            "request",
            "POST /api/tasks/assemble from Cloud Tasks",
            id=1,
            method="POST",
            path="/api/tasks/assemble",
            headers=[["X-CloudTasks-TaskName", "t1"]],
            body_text='{"episode_id": "ep-1", "job_id": "job-1"}',
        ),
        log(7, "worker", "event=worker.assemble.start", "worker.assemble.start", **named),
        observation(
            8,
            "storage",
            "effect",
            "job job-1 assembled in the worker",
            job_id="job-1",
            episode_id="ep-1",
            role="worker",
            audio="aa",
            checksum="cc",
            claimed_checksum="cc",
        ),
        *extra,
    ]
    facts: dict[str, Any] = {
        "mode": Mode.PROD,
        "observations": tuple(seen),
        "jobs": (Job("ep-1", "job-1", "", 202, 0.01, "aa", seq=1),),
        "given": frozenset(),
        "hidden": (),
        "unfired": (),
        "settled_at": 8 + len(extra),
        "secret": SECRET,
        "environment": {"process": {"TASKS_AUTH": SECRET, "APP_ENV": "production"}},
    }
    return SystemRecord(**{**facts, **changes})


def run_folder(run: Path, results_: Mapping[str, tuple[ScenarioResult, SystemRecord, list[Any]]]) -> Path:
    """A sealed run folder with evidence: for each scenario its result, its record and its expectations' calls."""
    for name, (result, system, calls) in results_.items():
        context.write(run / "evidence" / name, [system], calls)
        evidence.write_result(run, result, [system.secret])
    selected = sorted(result.node for result, _, _ in results_.values())
    facts = run_facts(name=run.name, selected=selected)
    facts.pop("version")
    evidence.write_run(run, **facts)
    sealed.seal(run)
    return run


def shown(system: SystemRecord, *checks: Check, **facts: Any) -> dict[str, Any]:
    return account([system], checks, **facts)


def mutant(id_: str, verdict: str = "killed", **changes: Any) -> dict[str, Any]:
    """One known-bad dispatcher of the kill matrix, found by PROD-FALLBACK-01 unless said otherwise."""
    by = {
        "scenario": "PROD-FALLBACK-01",
        "requirement": "PROD-03",
        "oracle": "route",
        "reason": "another way",
    }
    cell = {"survived": "passed", "not judged": "inconclusive"}.get(verdict, verdict)
    facts: dict[str, Any] = {
        "id": id_,
        "title": f"What is wrong with {id_}",
        "incident": "it happened once",
        "requirement": "PROD-03",
        "oracle": "route",
        "verdict": verdict,
        "killed_by": by if verdict.startswith("killed") else None,
        "scenarios": {"PROD-HEALTHY-01": "passed", "PROD-FALLBACK-01": cell},
        "problem": "the patch is stale" if verdict == "not judged" else "",
        "duration_s": 1.5,
    }
    return {**facts, **changes}


def variant(id_: str, verdict: str = "green", **changes: Any) -> dict[str, Any]:
    """One harmless variant of the kill matrix."""
    alarm = {
        "scenario": "PROD-HEALTHY-01",
        "requirement": "PROD-01",
        "oracle": "events",
        "reason": "another order",
    }
    facts: dict[str, Any] = {
        "id": id_,
        "title": f"Harmless: {id_}",
        "verdict": verdict,
        "ran": 2,
        "alarms": [alarm] if verdict == "false alarm" else [],
        "problem": "it does not start" if verdict == "not judged" else "",
        "duration_s": 2.5,
    }
    return {**facts, **changes}


def kill_matrix(
    *mutants: dict[str, Any], equivalent: Iterable[dict[str, Any]] = (), **changes: Any
) -> dict[str, Any]:
    """A ``prove.json`` of the suites and the harness of ``run_facts``."""
    columns = [
        {
            "folder": name,
            "scenario": name,
            "suite": "prod",
            "title": f"What {name} shows.",
            "requires": ["PROD-01"],
        }
        for name in ("PROD-HEALTHY-01", "PROD-FALLBACK-01")
    ]
    facts: dict[str, Any] = {
        "version": 1,
        "complete": True,
        "full": True,
        "began_at": 1_767_225_000.0,
        "duration_s": 60.0,
        "zoo": DIGEST,
        "identity": run_facts()["identity"],
        "scenarios": columns,
        "mutants": list(mutants),
        "equivalent": list(equivalent),
    }
    return {**facts, **changes}
