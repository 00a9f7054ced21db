"""``dispatchcheck report parity``: whether two topologies tell the same story, by the journals of two runs.

Compared is every scenario with a verdict in both runs: the verdict; and for each of its jobs, in the order they were
asked for, the route by the wire and by the log, the sequence of events of each process, the sequence of what each fake
saw, and the effects. Order is compared within a source, because between two sources it is a matter of luck; so it is
between two requests that a worker serves at the same time, whose events are compared in alphabetical order.
How far a process came before it was killed is luck as well: nothing holds it while the signal is on its way. Of such
a life the events are compared as far as it went in both. And so is whether Cloud Tasks tries again while no worker
listens, because one is being started: a repeated delivery that reached nobody is left out. The first one never is.
Of a crowd the verdict is compared: how large it is, and which job meets which trouble, is no matter of the topology.
Not compared are times, ids, addresses and texts, and what only one of the topologies has.
"""

from __future__ import annotations

import signal
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness import context, evidence
from harness import journal as journals
from harness.context import SystemRecord
from harness.errors import UsageError
from harness.evidence import ScenarioResult
from harness.model import Job, Observation, Verdict
from harness.oracles import route

_PROCESSES = ("api", "worker")
_RETRIES = "x-cloudtasks-taskretrycount"
_NO_CONNECTION = ("Connect call failed", "no connection within")
_SOURCES = ("api", "worker", "cloud_tasks", "worker_gateway", "storage")
_FACTS = {
    "rpc": ("method", "code", "observed", "fault"),
    "attempt.ended": ("outcome",),
    "request": ("method",),
    "reply": ("status", "observed", "forwarded", "fault"),
    "effect": ("role",),
}


@dataclass(frozen=True)
class Comparison:
    """What was compared, and what came of it.

    Attributes:
        count: how many scenarios were compared.
        differences: what is different, one line each.
        left_out: which scenarios apply in one of the runs only, one line each, with the reason.
    """

    count: int
    differences: Sequence[str]
    left_out: Sequence[str]


def compare(one: Path, other: Path) -> Comparison:
    """Compare two run folders.

    Raises:
        UsageError: they have no scenario in common, or evidence is missing or corrupt.
    """
    left, right = ({result.node: result for result in evidence.read_results(run)} for run in (one, other))
    in_both = [(left[node], right[node]) for node in left if node in right]
    left_out = [
        f"{here.folder}: applies in {(other if _applies(there) else one).name} only: {_reason(here, there)}"
        for here, there in in_both
        if _applies(here) != _applies(there)
    ]
    common = [here.node for here, there in in_both if _applies(here) and _applies(there)]
    if not common:
        raise UsageError(f"{one.name} and {other.name} have no scenario in common that applies in both")
    differences: list[str] = []
    for node in common:
        folder = left[node].folder
        found = _of_scenario(left[node], right[node], one, other)
        differences += [f"{folder}: {line}" for line in found]
    return Comparison(len(common), differences, left_out)


def _reason(*results: ScenarioResult) -> str:
    return next(result.message for result in results if not _applies(result))


def _applies(result: ScenarioResult) -> bool:
    return result.verdict is not Verdict.NOT_APPLICABLE


def _of_scenario(left: ScenarioResult, right: ScenarioResult, one: Path, other: Path) -> Iterator[str]:
    if left.verdict != right.verdict:
        yield f"verdict {left.verdict} and {right.verdict}"
        return
    systems = [context.read(run / "evidence" / left.folder).systems for run in (one, other)]
    if len(systems[0]) != len(systems[1]):
        yield f"{len(systems[0])} and {len(systems[1])} systems"
        return
    for first, second in zip(*systems, strict=True):
        here, there = _followed(first), _followed(second)
        if len(here) != len(there):
            yield f"{len(here)} and {len(there)} jobs"
        for number, jobs in enumerate(zip(here, there, strict=False), 1):
            both = list(zip((first, second), jobs, strict=True))
            at_once = any(_serves_at_once(system, job) for system, job in both)
            luck = _beyond_what_both_did_before_a_kill(*both)
            stories = [
                story(system, job, at_once=at_once, without=seqs)
                for (system, job), seqs in zip(both, luck, strict=True)
            ]
            for what, told in stories[0].items():
                if told != stories[1][what]:
                    yield f"job {number}: {what}: {_short(told)} and {_short(stories[1][what])}"


def _followed(system: SystemRecord) -> list[Job]:
    return [job for job in system.jobs if not job.in_crowd]


def story(
    system: SystemRecord, job: Job, *, at_once: bool = False, without: Collection[int] = ()
) -> dict[str, list[str]]:
    """What happened to one job, as far as it must be the same everywhere: by route and by source.

    Args:
        system: in which it happened.
        job: to which.
        at_once: the worker served several requests for the job at the same time, here or in what this is compared with.
        without: the numbers of observations that are left out.
    """
    mine = [o for o in journals.of_job(system.observations, job) if o.seq not in without]
    told = {
        "route by the wire": [str(step) for step in route.from_wire(mine, journals.effects(mine))],
        "route by the log": [str(step) for step in route.from_logs(mine)],
    }
    for source in _SOURCES:
        lines = _by_request(mine) if source == "worker_gateway" else _of_source(mine, source)
        told[source] = list(_without_repeats(lines))
    if at_once:
        told["worker"] = sorted(set(told["worker"]))
    return told


def _serves_at_once(system: SystemRecord, job: Job) -> bool:
    """Whether a request for the job came to the worker while another was not answered."""
    waiting = 0
    for o in journals.of_job(system.observations, job):
        if o.source == "worker_gateway" and o.kind in {"request", "reply"}:
            waiting += 1 if o.kind == "request" else -1
            if waiting > 1:
                return True
    return False


def _beyond_what_both_did_before_a_kill(
    one: tuple[SystemRecord, Job], other: tuple[SystemRecord, Job]
) -> tuple[set[int], set[int]]:
    """The numbers of those events, in each of two systems, of processes that both were killed.

    None of a process that did something else in the other system, from wherever on: that is a difference.
    """
    beyond: tuple[set[int], set[int]] = (set(), set())
    for role in _PROCESSES:
        here, there = (_killed_lives(system, job, role) for system, job in (one, other))
        for number in here.keys() & there.keys():
            pair = (here[number], there[number])
            common = min(map(len, pair))
            first, second = ([o.fields["event"] for o in events[:common]] for events in pair)
            if first == second:
                for seqs, events in zip(beyond, pair, strict=True):
                    seqs |= {o.seq for o in events[common:]}
    return beyond


def _killed_lives(system: SystemRecord, job: Job, role: str) -> Mapping[int, Sequence[Observation]]:
    """A job's events in each life of a process that SIGKILL ended, by the number of that life.

    None where two processes of a role lived at the same time: nothing says which of them wrote what.
    """
    events = [
        o
        for o in journals.of_job(system.observations, job)
        if o.source == role and o.kind == "log" and o.fields.get("event")
    ]
    lives: dict[int, Sequence[Observation]] = {}
    number, began = 0, None
    for o in system.observations:
        if o.source != role or o.kind != "process":
            continue
        if "starts" in o.fields:
            if began is not None:
                return {}
            number, began = number + 1, o.seq
        elif "status" in o.fields and began is not None:
            if o.fields["status"] == -signal.SIGKILL:
                lives[number] = [each for each in events if began < each.seq < o.seq]
            began = None
    return lives


def _by_request(observations: Sequence[Observation]) -> Iterator[str]:
    """What the gateway saw: each request with all that came of it, in the order of the requests."""
    seen: dict[object, list[Observation]] = {}
    for o in observations:
        if o.source == "worker_gateway":
            seen.setdefault(o.fields.get("id"), []).append(o)
    sent = route.tasks_sent(observations)
    for each in seen.values():
        if _is_retry(each[0], sent) and _reached_nobody(each[-1]):
            continue
        if lines := list(_of_source(each, "worker_gateway")):
            yield ", ".join(lines)


def _is_retry(o: Observation, sent: Collection[str]) -> bool:
    """Whether it is a delivery by Cloud Tasks, of a task that it had delivered before."""
    if o.kind != "request" or not route.delivered_by_cloud_tasks(o, sent):
        return False
    return any(name.lower() == _RETRIES and value != "0" for name, value in o.fields["headers"])


def _reached_nobody(o: Observation) -> bool:
    """Whether the gateway answered because nobody listened where the worker is, and nothing had been done to it."""
    why = str(o.fields.get("upstream_error"))
    return o.kind == "reply" and not o.fields["fault"] and any(each in why for each in _NO_CONNECTION)


def _of_source(observations: Sequence[Observation], source: str) -> Iterator[str]:
    for o in observations:
        if o.source != source:
            continue
        if o.kind == "log" and o.fields.get("event"):
            yield str(o.fields["event"])
        elif o.kind in _FACTS:
            yield " ".join([o.kind, *(str(o.fields.get(name)) for name in _FACTS[o.kind])])


def _without_repeats(lines: Iterable[str]) -> Iterator[str]:
    """Neighbours that are alike count once: how often something is tried again depends on how long it lasts."""
    last = ""
    for line in lines:
        if line != last:
            yield line
        last = line


def _short(told: Sequence[str]) -> str:
    return " → ".join(told) or "nothing"
