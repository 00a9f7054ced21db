"""``context.json``: what the oracles were given beside the journal, so that old evidence can be judged again.

That is, for each system of a scenario, its jobs and how it was set up; and the scenario's expectations, as the
``must_…`` calls that it made, with their arguments. Secrets are not in it: a mark stands where they stood.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import evidence
from harness import journal as journals
from harness.errors import Inconclusive, UsageError, Violation
from harness.ledger import Call, Ledger
from harness.model import Hidden, Job, Mode, Observation, Result, Route, Setting, Step
from harness.oracles import closing
from harness.oracles.cells import Cell, cell
from harness.oracles.secrets import MASK, mask
from harness.outcome import Answer, Outcome, Setup

VERSION = 2
_FILE = "context.json"


@dataclass(frozen=True, slots=True)
class SystemRecord:
    """Everything that is known of one system under test when its scenario is over.

    Attributes:
        given: episode and job id of what the worker was given without the API.
        hidden: routes whose failed attempts a fault took off the wire, and when.
        unfired: faults that were injected and struck nothing.
        settled_at: position in the journal up to which the run was judged as settled; 0 if it never was.
        environment: the variables it was started with, by where they stood.
    """

    mode: Mode
    observations: tuple[Observation, ...]
    jobs: tuple[Job, ...]
    given: frozenset[tuple[str, str]]
    hidden: tuple[Hidden, ...]
    unfired: tuple[str, ...]
    settled_at: int
    secret: str
    environment: Mapping[str, Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class Context:
    """The evidence of one scenario, read back: its systems, and its expectations ready to be asked again."""

    systems: tuple[SystemRecord, ...]
    expectations: tuple[Callable[[Ledger], None], ...]
    judged: int

    def judge(self) -> None:
        """Judge as the plugin does when the scenario runs: its expectations in order, then the closing rules.

        Raises:
            Violation, Inconclusive: as the oracles of today find.
        """
        for expect in self.expectations:
            expect(Ledger())
        for system in self.systems:
            closing.judge(
                system.observations,
                jobs=system.jobs,
                given=system.given,
                hidden=system.hidden,
                planted=[system.secret],
                expectations=self.judged,
                unfired=system.unfired,
                settled_at=system.settled_at,
            )

    def verdict(self) -> tuple[str, str]:
        """The verdict that the oracles of today give, and the first line of their reason."""
        try:
            self.judge()
        except Violation as violation:
            return "FAIL", str(violation)
        except Inconclusive as problem:
            return "INCONCLUSIVE", str(problem)
        return "PASS", ""


def write(
    folder: Path, systems: Sequence[SystemRecord], calls: Sequence[Call], *, judged: int | None = None
) -> None:
    """Write the journal, the logs and the context of a scenario, with marks where secrets stood.

    Args:
        folder: of the scenario's evidence.
        systems: what was recorded.
        calls: the expectations, in order.
        judged: how many expectations were judged, where that is not the number of calls.
    """
    observations = [o for system in systems for o in system.observations]
    planted = [system.secret for system in systems]
    mark = _unused_mark(observations)
    evidence.write_observations(folder, observations, planted, mark=mark)
    document = {
        "version": VERSION,
        "mark": mark,
        "systems": [_system_as_json(system) for system in systems],
        "judged": len(calls) if judged is None else judged,
        "calls": [_call_as_json(call, systems) for call in calls],
    }
    evidence.write_text(folder / _FILE, mask(json.dumps(document, ensure_ascii=False), planted, mark) + "\n")


def read(folder: Path) -> Context:
    """Read the evidence of one scenario back.

    Raises:
        UsageError: the journal or the context is missing, of another version, or does not fit together.
    """
    path = folder / _FILE
    try:
        document = json.loads(path.read_text("utf-8"))
        if document["version"] != VERSION:
            raise UsageError(
                f"{folder.name}/{_FILE} has version {document['version']!r}; this reads version {VERSION}"
            )
        systems = _systems(document, evidence.read_observations(folder))
        calls = tuple(_expectation(call, systems) for call in document["calls"])
        judged = int(document["judged"])
    except OSError as problem:
        raise UsageError(f"no {_FILE} in {folder.name}: {problem.strerror}") from None
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as problem:
        raise UsageError(f"corrupt evidence: {folder.name}/{_FILE}: {problem!r}") from None
    return Context(systems, calls, judged)


def _unused_mark(observations: Sequence[Observation]) -> str:
    """A mark that the dispatcher itself did not write, so that on reading a mark always means a secret."""
    text = "\n".join(f"{o.text} {o.fields}" for o in observations)
    marks = (MASK, *(f"[secret.{number}]" for number in range(len(observations) + 1)))
    return next(mark for mark in marks if mark not in text)


# -- systems ---------------------------------------------------------------------------------------------------


def _system_as_json(system: SystemRecord) -> dict[str, Any]:
    return {
        "mode": system.mode.value,
        "observations": len(system.observations),
        "jobs": [dataclasses.asdict(job) for job in system.jobs],
        "given": sorted(map(list, system.given)),
        "hidden": [[h.route.value, h.since, h.until] for h in system.hidden],
        "unfired": list(system.unfired),
        "settled_at": system.settled_at,
        "environment": {where: dict(variables) for where, variables in system.environment.items()},
    }


def _systems(document: Mapping[str, Any], observations: Sequence[Observation]) -> tuple[SystemRecord, ...]:
    systems, position = [], 0
    for entry in document["systems"]:
        end = position + entry["observations"]
        systems.append(
            SystemRecord(
                mode=Mode(entry["mode"]),
                observations=tuple(observations[position:end]),
                jobs=tuple(Job(**job) for job in entry["jobs"]),
                given=frozenset((episode, job) for episode, job in entry["given"]),
                hidden=tuple(Hidden(Route(route), since, until) for route, since, until in entry["hidden"]),
                unfired=tuple(entry["unfired"]),
                settled_at=entry["settled_at"],
                secret=document["mark"],
                environment=entry["environment"],
            )
        )
        position = end
    if position != len(observations):
        raise ValueError(f"the journal has {len(observations)} observations, the context counts {position}")
    return tuple(systems)


# -- expectations ----------------------------------------------------------------------------------------------


def _call_as_json(call: Call, systems: Sequence[SystemRecord]) -> dict[str, Any]:
    return {
        "method": call.method,
        "arguments": [_value_as_json(value) for value in call.arguments],
        "named": {name: _value_as_json(value) for name, value in call.named.items()},
        "of": _receiver_as_json(call.receiver, systems),
    }


def _receiver_as_json(receiver: object, systems: Sequence[SystemRecord]) -> dict[str, Any]:
    if isinstance(receiver, Answer):
        return {"answer": {"status": receiver.status, "body": receiver.body, "took_s": receiver.took_s}}
    if not isinstance(receiver, Outcome):
        raise TypeError(
            f"this cannot be kept as evidence, so that it could not be judged again: {receiver!r}"
        )
    secrets = [system.secret for system in systems]
    return {
        "system": secrets.index(receiver.setup.secret),
        "job": dataclasses.asdict(receiver.job) if receiver.job else None,
        "up_to": receiver.observations[-1].seq if receiver.observations else 0,
        "hidden": sorted(route.value for route in receiver.hidden),
        "answer_bound_s": receiver.setup.answer_bound_s,
        "worker_url": receiver.setup.worker_url,
        "secret_header": receiver.setup.secret_header,
        "variables": {setting.value: name for setting, name in receiver.setup.variables.items()},
        "reasons": dict(receiver.setup.reasons),
    }


def _expectation(call: Mapping[str, Any], systems: Sequence[SystemRecord]) -> Callable[[Ledger], None]:
    """The call, ready to be made again; its oracles are those of today."""
    of: Mapping[str, Any] = call["of"]
    arguments = [_value(value) for value in call["arguments"]]
    named = {name: _value(value) for name, value in call["named"].items()}
    method: str = call["method"]
    kind: type[Answer | Outcome] = Answer if "answer" in of else Outcome
    if not method.startswith("must_") or not hasattr(kind, method):
        raise ValueError(f"there is no expectation {method!r} any more")

    def expect(ledger: Ledger) -> None:
        getattr(_receiver(of, systems, ledger), method)(*arguments, **named)

    return expect


def _receiver(of: Mapping[str, Any], systems: Sequence[SystemRecord], ledger: Ledger) -> Answer | Outcome:
    if "answer" in of:
        return Answer(**of["answer"], ledger=ledger)
    return _outcome(of, systems, ledger)


def _outcome(of: Mapping[str, Any], systems: Sequence[SystemRecord], ledger: Ledger) -> Outcome:
    system = systems[of["system"]]
    seen = [o for o in system.observations if o.seq <= of["up_to"]]
    job = Job(**of["job"]) if of["job"] else None
    return Outcome(
        job=job,
        jobs=(job,) if job else tuple(each for each in system.jobs if each.seq <= of["up_to"]),
        observations=tuple(journals.of_job(seen, job) if job else seen),
        hidden=frozenset(map(Route, of["hidden"])),
        setup=Setup(
            answer_bound_s=of["answer_bound_s"],
            worker_url=of["worker_url"],
            secret_header=of["secret_header"],
            secret=system.secret,
            variables={Setting(name): variable for name, variable in of["variables"].items()},
            reasons=of["reasons"],
        ),
        ledger=ledger,
    )


def _value_as_json(value: object) -> Any:
    """An argument as JSON; the project's own values as an object with one member that names the kind."""
    match value:
        case Step():
            return {"step": [value.route.value, value.result.value]}
        case Route():
            return {"route": value.value}
        case Setting():
            return {"setting": value.value}
        case Cell():
            return {"cell": str(value)}
        case str() | int() | float() | None:
            return value
        case _:
            raise TypeError(f"an expectation's argument cannot be kept as evidence: {value!r}")


def _value(value: Any) -> Any:
    match value:
        case {"step": [route, result]}:
            return Step(Route(route), Result(result))
        case {"route": route}:
            return Route(route)
        case {"setting": setting}:
            return Setting(setting)
        case {"cell": name}:
            return cell(name)
        case _:
            return value
