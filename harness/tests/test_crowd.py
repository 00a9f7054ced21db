"""Many jobs at once: what is judged of them and what is measured, on hand-made journals and on real processes."""

from __future__ import annotations

import math
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from harness import context
from harness.context import SystemRecord
from harness.journal import Journal
from harness.ledger import Ledger
from harness.model import Job, Mode, Observation, Route
from harness.oracles import budget, closing, effects, events
from harness.outcome import Outcome, Setup
from harness.tests.build import (
    DISPATCHED,
    ENQUEUED,
    FALLING_BACK,
    SECRET,
    Fact,
    answer,
    effect,
    effects_of,
    event,
    journal,
    new_job,
    request,
    stimulus,
)
from harness.tests.conftest import ROOT, Project
from harness.tests.test_oracles_events import said
from harness.topologies import crowd
from harness.topologies.system import System

END = "assemble.job.settled"
MANY = [replace(new_job(number, seq=number), in_crowd=True) for number in (1, 2, 3)]
FIRST, SECOND, THIRD = MANY
REFUSED = replace(THIRD, job_id="", status=503)


def all_done() -> list[Fact]:
    return [effect(job) for job in MANY]


def test_one_effect_each() -> None:
    assert effects.one_each(MANY, effects_of(*all_done())) is None


@pytest.mark.parametrize(
    ("jobs", "facts", "observed", "nearest"),
    [
        (MANY, all_done()[:2], "0 not accepted, 1 lost, 0 done twice", "for example job job-3 of ep-3"),
        (
            MANY,
            [*all_done(), effect(FIRST, role="api")],
            "0 not accepted, 0 lost, 1 done twice",
            "for example job job-1 of ep-1",
        ),
        ([FIRST, SECOND, REFUSED], all_done()[:2], "1 not accepted, 0 lost, 0 done twice", ""),
        ([], all_done(), "no job was asked for", ""),
    ],
    ids=["lost", "twice", "refused", "nobody"],
)
def test_what_is_not_one_effect_each(jobs: list[Job], facts: list[Fact], observed: str, nearest: str) -> None:
    finding = effects.one_each(jobs, effects_of(*facts))

    assert finding is not None
    assert (finding.expected, finding.observed, finding.nearest, finding.oracle) == (
        f"one effect of each of {len(jobs)} jobs",
        observed,
        nearest,
        "effects",
    )


def test_one_wrong_effect_among_many() -> None:
    finding = effects.one_each(MANY, effects_of(*all_done()[:2], effect(THIRD, audio="silence")))

    assert finding is not None
    assert finding.observed == "other audio: silence"


def test_an_event_once_for_each_job() -> None:
    ends = [event(END, job=job) for job in MANY]

    assert events.once_each(said(*ends), END, MANY) is None
    for wrong, times in (([*ends, ends[1]], 2), ([ends[0], ends[2]], 0)):
        finding = events.once_each(said(*wrong), END, MANY)
        assert finding is not None
        assert finding.observed == f"not so for 1, for example {times} time(s) for job job-2"
    assert events.once_each(said(*ends), END, []) is not None


def test_the_slowest_of_many_answers_counts() -> None:
    assert budget.all_answered_within(MANY, 5) is None
    finding = budget.all_answered_within([FIRST, replace(SECOND, answer_s=7.5), THIRD], 5)
    assert finding is not None
    assert finding.observed == "it took 7.50 s"
    assert budget.all_answered_within([], 5) is not None


def close(*facts: Fact, jobs: list[Job]) -> None:
    closing.judge(
        journal(*facts),
        jobs=jobs,
        given=frozenset(),
        hidden=(),
        planted=[SECRET],
        expectations=1,
        unfired=(),
        settled_at=0,
    )


def test_nobody_follows_the_way_of_a_job_in_a_crowd_and_strangers_are_found_all_the_same() -> None:
    inline = [effect(job, role="api") for job in MANY]  # and no log line that says so
    close(*inline, jobs=MANY)
    with pytest.raises(Exception, match="logs that agree with the wire"):
        close(*inline, jobs=[replace(job, in_crowd=False) for job in MANY])
    with pytest.raises(Exception, match="unknown jobs: job job-3"):
        close(*inline, jobs=MANY[:2])


def outcome(observations: tuple[Observation, ...], ledger: Ledger) -> Outcome:
    setup = Setup(
        answer_bound_s=5.0, worker_url="http://w", secret_header="X", secret=SECRET, variables={}, reasons={}
    )
    return Outcome(None, observations, frozenset[Route](), setup, ledger, tuple(MANY))


def run_of_many() -> tuple[Observation, ...]:
    ways = [event(ENQUEUED, job=FIRST), event(DISPATCHED, job=SECOND), event(FALLING_BACK, job=THIRD)]
    done = [effect(FIRST), effect(SECOND), effect(THIRD, role="api")]
    asked = [fact for job in MANY for fact in (stimulus(job), answer(job))]
    asked += [request(job=job) for job in (FIRST, SECOND)]
    return journal(*asked, *ways, *done, *(event(END, job=job) for job in MANY))


def test_what_is_measured() -> None:
    ledger = Ledger()
    crowd.enter_figures(ledger, outcome(run_of_many(), ledger))
    assert {figure.name: figure.value for figure in ledger.figures} == {
        "jobs": 3,
        "answer, median": 0.1,
        "answer, 99th percentile": 0.1,
        "answer, longest": 0.1,
        "all done after": 1.3,
        "throughput": 2.3,
        "enqueued at Cloud Tasks": 1,
        "confirmed by the worker directly": 1,
        "fallen back to inline": 1,
        "done in the worker": 2,
        "done in the API process": 1,
    }
    assert {figure.at_most for figure in ledger.figures if figure.unit == "s"} == {5.0, None}


def test_a_crowd_is_judged_again_from_its_evidence(tmp_path: Path) -> None:
    observations, ledger = run_of_many(), Ledger()
    seen = outcome(observations, ledger)
    seen.must_have_one_effect_each()
    seen.must_log_once_each(END)
    seen.must_all_be_answered_within_the_bound()
    record = SystemRecord(Mode.PROD, observations, tuple(MANY), frozenset(), (), (), 0, SECRET, {})
    context.write(tmp_path, [record], ledger.calls)
    assert context.read(tmp_path).verdict() == ("PASS", "")
    context.write(tmp_path, [replace(record, jobs=(*MANY, new_job(4, seq=4)))], ledger.calls)
    verdict, reason = context.read(tmp_path).verdict()
    assert (verdict, "1 lost" in reason) == ("FAIL", True)


SCENARIO = """
    @scenario("CROWD-01", requires=["ONCE-01"])
    def test_a_small_crowd(prod: System) -> None:
        '''Jobs come in while things go wrong.'''
        bad = faults.CLOUD_TASKS_UNAVAILABLE
        day = [[], [bad], [bad, faults.WORKER_KILLED], [faults.WORKER_TERMINATED]]
        outcome = prod.assemble_many(24, troubles=day).settle()
        outcome.must_all_be_answered_within_the_bound()
        outcome.must_have_one_effect_each()
        outcome.must_log_once_each("assemble.job.settled")
        for name in ("tasks.cloud.enqueued", "assemble.service.falling_back_to_inline"):
            outcome.must_log(name)
"""


PUBLISHES_AGAIN = """\
for end in ("wav", "json"):
            (self.folder / f"{self.stem}.2.{end}").hardlink_to(self.folder / f"{self.stem}.{end}")

    def discard"""


class Waiting:
    """A system that is told what comes at which second, on a clock of its own."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, stuck_after_s: float) -> None:
        self.now = 0.0
        self.hangs_until_s, self.done_at_s = 0.0, math.inf
        self.says_at_s: tuple[float, ...] = ()
        self.looks = 0
        self.jobs, self.ground = MANY[:2], SimpleNamespace(stuck_after_s=stuck_after_s)
        self.cloud_tasks = SimpleNamespace(
            hanging=lambda: "one caller" if self.now < self.hangs_until_s else ""
        )
        self.worker = SimpleNamespace(hanging=lambda: "")
        self.journal = Journal()
        monkeypatch.setattr(crowd, "Deadline", self.deadline)
        monkeypatch.setattr(crowd, "pause", self.pause)

    def deadline(self, seconds: float) -> Any:
        at = self.now + seconds
        waiting = self

        class Deadline:
            @property
            def passed(self) -> bool:
                return waiting.now >= at

        return Deadline()

    def pause(self, seconds: float) -> None:
        self.journal.record("worker", "attempt.sent", "tried again, in vain")
        for at in self.says_at_s:
            if self.now < at <= self.now + seconds:
                self.journal.record("api", "log", "still at it")
        self.now += seconds

    def count_effects(self) -> int:
        self.looks += 1
        return 2 if self.now >= self.done_at_s else 1

    def lasts_s(self) -> float:
        crowd._await_most(cast(System, self), count=2)
        return self.now


@pytest.mark.parametrize(
    ("stuck_after_s", "lasts_s"), [(12.0, 8.0), (5.0, 5.0)], ids=["within-it", "beyond-it"]
)
def test_a_trouble_lasts_until_those_who_wait_for_a_time_out_are_done(
    monkeypatch: pytest.MonkeyPatch, stuck_after_s: float, lasts_s: float
) -> None:
    """Of two jobs one is done at once, and one when a call has been given up after eight seconds."""
    waiting = Waiting(monkeypatch, stuck_after_s=stuck_after_s)
    waiting.hangs_until_s = waiting.done_at_s = 8.0

    assert waiting.lasts_s() == lasts_s


def test_a_trouble_in_which_nobody_stirs_is_over_sooner(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cloud Tasks goes on trying, in vain: it says nothing of the system under test."""
    assert Waiting(monkeypatch, stuck_after_s=5.0).lasts_s() == 1.5


def test_a_trouble_lasts_while_the_system_under_test_says_something(monkeypatch: pytest.MonkeyPatch) -> None:
    waiting = Waiting(monkeypatch, stuck_after_s=5.0)
    waiting.says_at_s = (1.0, 2.0)

    assert waiting.lasts_s() == 3.5


def test_each_look_at_a_crowd_counts_its_effects_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """To count them reads thousands of folders."""
    waiting = Waiting(monkeypatch, stuck_after_s=5.0)

    waiting.lasts_s()

    assert waiting.looks == 1 + 1.5 / crowd.BETWEEN_LOOKS_S


def test_a_small_crowd_on_a_bad_day(project: Project) -> None:
    project.write("test_crowd.py", SCENARIO)

    code, output = project.run()

    assert code == 0, output
    (row,) = project.results["scenarios"]
    figures = {figure["name"]: figure["value"] for figure in row["figures"]}
    assert figures["jobs"] == figures["done in the worker"] + figures["done in the API process"] == 24
    assert figures["fallen back to inline"] > 0
    assert row["account"]["jobs"] == []
    checklist = (project.run_folder / "checklist.md").read_text("utf-8")
    assert "fallen back to inline" in checklist


@pytest.mark.parametrize(
    ("module", "old", "new", "says"),
    [
        (
            "assembler.py",
            "self._guarded(run, lambda: self._first_step(run))",
            "self._guarded(run, lambda: self._first_step(run)) if record.job.job_id > '8' else None",
            " lost, 0 done twice",
        ),
        (
            "assembly.py",
            "_sync_folder(self.folder)\n\n    def discard",
            PUBLISHES_AGAIN,
            "0 lost, 24 done twice",
        ),
        (
            "api.py",
            '"state": record.state,',
            '"state": "running",',
            "it says that job ",
        ),
    ],
    ids=["loses", "repeats", "does not know"],
)
def test_a_dispatcher_that_loses_or_repeats_jobs_or_does_not_know_is_found(
    project: Project, module: str, old: str, new: str, says: str
) -> None:
    source = project.folder / "source"
    shutil.copytree(
        ROOT / "reference_impl", source / "reference_impl", ignore=shutil.ignore_patterns("tests", "*.pyc.*")
    )
    path = source / "reference_impl" / module
    text = path.read_text("utf-8")
    assert text.count(old) == 1
    path.write_text(text.replace(old, new), encoding="utf-8")
    project.write("test_crowd.py", SCENARIO)

    code, output = project.run(f"--source={source}")

    assert code == 1
    assert project.verdicts() == {"CROWD-01": "FAIL"}
    assert says in output
