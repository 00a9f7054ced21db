"""Runs the trials on several judges at once, and keeps the kill matrix on disk while it grows."""

from __future__ import annotations

import contextlib
import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.errors import UsageError
from harness.evidence import write_text
from harness.model import Verdict
from harness.proving import scratch, trials
from harness.proving.judges import Collected, Gone, Judge, Said
from harness.proving.trials import MutantTrial, Trial, VariantTrial
from harness.proving.zoo import Zoo

VERSION = 1
FILE = "prove.json"
_UNKNOWN_COST_S = 1.0
Listener = Callable[[Trial, Collected | None, Said | None], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be proved, and with what.

    Attributes:
        root: the project's folder, with the scenarios.
        reference: the folder of the reference dispatcher.
        profile: its profile.
        scenarios: what to run, as pytest is told.
        whole: whether the zoo and the scenarios are complete, so that the matrix can be.
        full: every scenario runs on every mutant.
        in_turn: on each variant every scenario runs, its parameters dealt out to the variants.
        at_once: how many scenarios run at once.
        run: the folder for evidence and the matrix.
        facts: what else the matrix says: the identity of the suites and so on.
        durations_s: how long each scenario took earlier, by pytest's name.
    """

    root: Path
    reference: Path
    profile: Path
    zoo: Zoo
    scenarios: Sequence[str]
    whole: bool
    full: bool
    in_turn: bool
    at_once: int
    run: Path
    facts: Mapping[str, Any]
    durations_s: Mapping[str, float] = field(default_factory=dict)


class Prover:
    """One proof."""

    def __init__(self, plan: Plan, *, listen: Listener = lambda *_: None) -> None:
        """``listen`` hears of every scenario that ended, and, with None, of every trial that is over."""
        self._plan = plan
        self._listen = listen
        self._began_at = time.time()
        self._durations_s = dict(plan.durations_s)
        self._turn = threading.Condition()
        self._stopped = False
        self._sources: dict[str, Path] = {}
        self.tests: list[Collected] = []
        self.trials: list[Trial] = []

    def run(self) -> dict[str, Any]:
        """Run everything and return the kill matrix; also, incomplete, when it is interrupted.

        Raises:
            UsageError: a patch does not fit, or names a scenario that does not exist.
            Gone: the scenarios cannot be collected.
        """
        with scratch.folder() as folder, self._judges(folder) as judges:
            self.tests = judges[0].tests()
            self._check()
            self.trials = [MutantTrial(m, self.tests, self._plan.full) for m in self._plan.zoo.mutants]
            self.trials += [
                VariantTrial(v, self._of_variant(n)) for n, v in enumerate(self._plan.zoo.variants)
            ]
            self._keep()
            self._run_on(judges)
        return self._keep()

    @contextlib.contextmanager
    def _judges(self, folder: Path) -> Iterator[Sequence[Judge]]:
        judges: list[Judge] = []
        try:
            judges += (
                Judge(self._plan.root, folder / f"judge-{n}", self._plan.scenarios)
                for n in range(self._plan.at_once)
            )
            yield judges
        finally:
            for judge in judges:
                judge.dismiss()  # all before waiting for any
            for judge in judges:
                judge.close()

    def _of_variant(self, number: int) -> list[Collected]:
        """All scenarios, with all parameters where that is asked for, or where it is about a few of the zoo only."""
        plan = self._plan
        return trials.in_turn(self.tests, number, len(plan.zoo.variants)) if plan.in_turn else self.tests

    def _check(self) -> None:
        missing = trials.scenarios_that_do_not_exist(self._plan.zoo.mutants, self.tests)
        if missing and self._plan.scenarios == ["scenarios"]:
            listed = "; ".join(f"{id_}: {', '.join(names)}" for id_, names in missing.items())
            raise UsageError(f"mutants that expect scenarios which do not exist: {listed}")

    def _run_on(self, judges: Sequence[Judge]) -> None:
        with ThreadPoolExecutor(len(judges), thread_name_prefix="judge") as pool:
            work = [pool.submit(self._work, judge, first=n == 0) for n, judge in enumerate(judges)]
            try:
                done, _ = wait(work, return_when=FIRST_EXCEPTION)
            except BaseException:
                self._stop(judges)
                raise
            if any(future.exception() for future in done):
                self._stop(judges)
            for future in work:
                future.result()

    def _stop(self, judges: Sequence[Judge]) -> None:
        with self._turn:
            self._stopped = True
            self._turn.notify_all()
        for judge in judges:
            judge.dismiss()

    def _work(self, judge: Judge, *, first: bool) -> None:
        if not first:
            judge.tests()  # all collect the same; what counts is that it is ready
        while (next_ := self._next()) is not None:
            trial, test = next_
            try:
                said = judge.judge(
                    test,
                    run=self._plan.run / trial.animal.head.id,
                    profile=self._plan.profile,
                    source=self._source(trial),
                )
            except Gone as gone:
                if self._stopped:
                    return
                with self._turn:
                    trial.give_up(str(gone))
                raise
            self._learn(trial, test, said)

    def _next(self) -> tuple[Trial, Collected] | None:
        """What to run next, waited for; None when everything is done."""
        with self._turn:
            while not self._stopped:
                for trial in self.trials:
                    test = trial.next(self._cost)
                    if test is not None:
                        return trial, test
                if all(trial.over for trial in self.trials):
                    break
                self._turn.wait()
        return None

    def _learn(self, trial: Trial, test: Collected, said: Said) -> None:
        if said.verdict in (Verdict.PASS, Verdict.NOT_APPLICABLE):
            shutil.rmtree(
                self._plan.run / trial.animal.head.id / "evidence" / test.folder, ignore_errors=True
            )
        with self._turn:
            if said.verdict == Verdict.PASS:
                self._durations_s[test.node] = said.duration_s
            trial.learn(test, said)
            self._turn.notify_all()
            self._listen(trial, test, said)
            if trial.over:
                self._listen(trial, None, None)
                self._keep()

    def _source(self, trial: Trial) -> Path:
        """The dispatcher's copy, made when it is first needed; it stays, for whoever runs a scenario again."""
        animal = trial.animal
        with self._turn:
            if animal.head.id not in self._sources:
                target = self._plan.run / animal.head.id / "source"
                self._sources[animal.head.id] = animal.make(self._plan.reference, target)
            return self._sources[animal.head.id]

    def _cost(self, test: Collected) -> float:
        return self._durations_s.get(test.node, _UNKNOWN_COST_S)

    def _keep(self) -> dict[str, Any]:
        """Write the matrix as it stands."""
        mutants = [trial for trial in self.trials if isinstance(trial, MutantTrial)]
        variants = [trial for trial in self.trials if isinstance(trial, VariantTrial)]
        document = {
            "version": VERSION,
            "complete": self._plan.whole and bool(self.trials) and all(trial.over for trial in self.trials),
            "full": self._plan.full,
            "began_at": self._began_at,
            "duration_s": round(time.time() - self._began_at, 3),
            **self._plan.facts,
            "scenarios": trials.columns(self.tests),
            "mutants": [trial.row() for trial in mutants],
            "equivalent": [trial.row() for trial in variants],
        }
        write_text(self._plan.run / FILE, json.dumps(document, indent=1, ensure_ascii=False) + "\n")
        return document
