"""Many jobs at once: asked for by several clients, while one thing after another breaks and is mended."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from harness import journal as journals
from harness.clock import Deadline, pause
from harness.faults import Fault, Layer, Party
from harness.ledger import Ledger
from harness.model import Observation
from harness.outcome import Outcome

if TYPE_CHECKING:
    from harness.topologies.system import System

CROWD = 100
"""How many jobs make a crowd at a desk: enough to be many at once, and few enough to be run before every commit."""
CROWD_OF_A_RELEASE = 2000
"""How many a release is asked for, by ``dispatchcheck verify`` and by this project's own tests."""
_CLIENTS = 8
SECONDS_PER_JOB = 0.15
"""How much longer a run may take to settle for each job of a crowd: for a slow machine that is busy besides."""
BETWEEN_LOOKS_S = 0.25
"""How often a crowd is looked at: each look costs time that the jobs need."""
_UNDER_WAY = 0.025  # of all jobs
_STILL = 0.3
"""For which part of the time after which a job counts as stuck nobody may stir: then only the next change helps."""
_GOES_ON_BY_ITSELF = {
    "attempt.sent",
    "attempt.ended",
    "request",
    "reply",
}  # Cloud Tasks tries for as long as it may
_ROUTES = {
    "enqueued at Cloud Tasks": "tasks.cloud.enqueued",
    "confirmed by the worker directly": "assemble.service.worker_direct_dispatched",
    "fallen back to inline": "assemble.service.falling_back_to_inline",
}


class Crowd:
    """Many jobs that were submitted together and may still be on their way."""

    def __init__(self, system: System) -> None:
        self._system = system

    def settle(self) -> Outcome:
        """Wait until nothing moves any more, and enter the figures of the run into the ledger.

        Raises:
            Inconclusive: something keeps moving beyond the bound for so many jobs.
            SutFailed: a process ended by itself meanwhile.
        """
        outcome = self._system.settle()
        enter_figures(self._system.ledger, outcome)
        return outcome


def submit(system: System, count: int, troubles: Sequence[Collection[Fault]]) -> Crowd:
    """As ``System.assemble_many``."""
    system.start()
    system.cloud_tasks.retry_for_ever()
    episodes = [system.make_episode() for _ in range(count)]
    in_force: Collection[Fault] = ()
    with ThreadPoolExecutor(_CLIENTS) as clients:
        for number, trouble in enumerate(troubles):
            _change(system, in_force, trouble)
            in_force = trouble
            share = episodes[count * number // len(troubles) : count * (number + 1) // len(troubles)]
            for _ in clients.map(lambda episode: system.ask(episode, in_crowd=True), share):
                pass
            _await_most(system, count)
    _change(system, in_force, ())
    return Crowd(system)


def _await_most(system: System, count: int) -> None:
    """Wait until most of what was asked for is done: the next trouble strikes work, and not a queue that stands still.

    Where nothing gets done, the trouble has lasted long enough after a while. That is longer than every time-out, else
    the next trouble would come and go while all who could meet it still wait. It is less where nobody waits for an
    answer and the system under test neither calls nor says anything: what Cloud Tasks tries in vain, it tries until
    something is mended. What the trouble did is judged in the end.
    """
    stuck_after_s = system.ground.stuck_after_s
    done, position = -1, len(system.journal)
    patience, still = Deadline(stuck_after_s), Deadline(_STILL * stuck_after_s)
    while (now := system.count_effects()) < len(system.jobs) - _UNDER_WAY * count:
        new = system.journal.since(position)
        position += len(new)
        if now > done:
            done, patience = now, Deadline(stuck_after_s)
        if system.cloud_tasks.hanging() or system.worker.hanging() or any(map(_stirs, new)):
            still = Deadline(_STILL * stuck_after_s)
        if patience.passed or still.passed:
            return
        pause(BETWEEN_LOOKS_S)


def _stirs(observation: Observation) -> bool:
    return observation.kind not in _GOES_ON_BY_ITSELF


def _change(system: System, old: Collection[Fault], new: Collection[Fault]) -> None:
    """Mend what is over and break what begins; what goes on stays as it is."""
    over = [fault for fault in old if fault not in new]
    for party, mend in ((Party.CLOUD_TASKS, system.cloud_tasks.heal), (Party.WORKER, system.worker.heal)):
        if any(fault.strikes is party and fault.layer is not Layer.PROCESS for fault in over):
            mend()
    if any(fault.layer is Layer.PROCESS for fault in over):
        system.heal()
        system.start()
    for fault in new:
        if fault not in old:
            system.inject(fault)


def enter_figures(ledger: Ledger, outcome: Outcome) -> None:
    """What a reader wants to know of a load: how much, how fast, how late, and which ways were taken."""
    answers = sorted(job.answer_s for job in outcome.jobs)
    effects = [o for o in outcome.observations if o.kind == "effect"]
    began = next((o.at_s for o in outcome.observations if o.kind == "stimulus"), 0.0)
    took_s = (effects[-1].at_s if effects else outcome.observations[-1].at_s) - began
    bound_s = outcome.setup.answer_bound_s
    ledger.figure("jobs", len(outcome.jobs))
    ledger.figure("answer, median", round(answers[len(answers) // 2], 4), "s", at_most=bound_s)
    ledger.figure(
        "answer, 99th percentile", round(answers[len(answers) * 99 // 100], 4), "s", at_most=bound_s
    )
    ledger.figure("answer, longest", round(answers[-1], 4), "s", at_most=bound_s)
    ledger.figure("all done after", round(took_s, 1), "s")
    ledger.figure("throughput", round(len(effects) / took_s, 1) if took_s else 0.0, "jobs/s")
    names = [event.name for event in journals.events(outcome.observations)]
    for what, name in _ROUTES.items():
        ledger.figure(what, names.count(name))
    ledger.figure("done in the worker", sum(o.fields["role"] == "worker" for o in effects))
    ledger.figure("done in the API process", sum(o.fields["role"] == "api" for o in effects))
