"""Settling on scripted inputs: what counts as moving, as hanging, and as stuck."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest

from harness.clock import Deadline
from harness.errors import Inconclusive, Violation
from harness.journal import Journal
from harness.model import Job
from harness.profile import Storage
from harness.tests.build import JOB
from harness.topologies import settling
from harness.topologies.settling import EffectScanner, settle

STORAGE = Storage(segment="{episode_id}/{number}.wav", manifests="*.json")


def run(
    tmp_path: Path,
    *,
    ended: bool,
    moving: Callable[[], str] = str,
    hanging: Callable[[], str] = str,
    within_s: float = 30.0,
    stuck_after_s: float = 0.2,
    quiet_s: float = 0.01,
    jobs: tuple[Job, ...] = (JOB,),
    journal: Journal | None = None,
) -> bool:
    journal = Journal() if journal is None else journal  # one that is empty is false
    if ended:
        journal.record("storage", "effect", "assembled", **effect_fields())
    return settle(
        journal=journal,
        scanner=EffectScanner(tmp_path, STORAGE, journal),
        end_event="",
        jobs=jobs,
        processes=(),
        moving=moving,
        hanging=hanging,
        within_s=within_s,
        stuck_after_s=stuck_after_s,
        quiet_s=quiet_s,
    )


def effect_fields() -> dict[str, str]:
    names = ("audio", "checksum", "claimed_checksum", "role")
    return {"job_id": JOB.job_id, "episode_id": JOB.episode_id, **dict.fromkeys(names, "x")}


class Looking:
    """Finds one effect, from the look after the given one on."""

    def __init__(self, journal: Journal, appears_at: int, happens: dict[int, str]) -> None:
        self.journal, self.appears_at, self.happens = journal, appears_at, happens
        self.looks, self.found = 0, False

    def pause(self, _: float) -> None:
        """Instead of waiting: the next look comes, and before it happens what happens."""
        self.looks += 1
        event = self.happens.get(self.looks)
        if event is not None:
            self.journal.record(
                "api", "log", event, event=event, data={"job_id": JOB.job_id}, form="logfmt", problem=""
            )

    def scan(self) -> None:
        if self.looks >= self.appears_at and not self.found:
            self.found = True
            self.journal.record("storage", "effect", "assembled", **effect_fields())


@pytest.mark.parametrize(
    ("end_event", "appears_at", "happens", "stuck_after_s", "order"),
    [
        ("", 6, {}, 60.0, ["assembled"]),
        ("ends", 6, {4: "ends"}, 60.0, ["ends", "assembled"]),
        ("ends", 6, {5: "works", 9: "ends"}, 60.0, ["works", "ends", "assembled"]),
        ("ends", 6, {6: "works", 12: "ends"}, 60.0, ["works", "assembled", "ends"]),
        ("ends", 6, {}, 0.0, ["assembled"]),
    ],
    ids=["no-event-says-so", "after-the-event", "seen-with-the-event", "with-a-line", "never-ends"],
)
def test_an_effect_is_seen_soon_enough(
    monkeypatch: pytest.MonkeyPatch,
    end_event: str,
    appears_at: int,
    happens: dict[int, str],
    stuck_after_s: float,
    order: list[str],
) -> None:
    """Between two lines of a dispatcher that logs the end of its jobs, nobody looks; else it is found at once."""
    journal = Journal()
    looking = Looking(journal, appears_at, happens)
    monkeypatch.setattr(settling, "pause", looking.pause)
    if not stuck_after_s:
        monkeypatch.setattr(settling, "Deadline", after_eight_looks(looking))

    settle(
        journal=journal,
        scanner=cast("EffectScanner", looking),
        end_event=end_event,
        jobs=(JOB,),
        processes=(),
        moving=str,
        hanging=str,
        within_s=30.0,
        stuck_after_s=stuck_after_s,
        quiet_s=0.01,
    )

    assert [o.text for o in journal.observations] == order


def after_eight_looks(looking: Looking) -> Callable[[float], object]:
    """Deadlines of no time at all that pass after eight looks, and others as they are."""

    class Later:
        @property
        def passed(self) -> bool:
            return looking.looks >= 8

    return lambda seconds: Deadline(seconds) if seconds else Later()


def test_a_caller_that_hangs_keeps_an_ended_job_from_being_judged(tmp_path: Path) -> None:
    looks = itertools.count()

    def hanging() -> str:
        return "1 caller(s) hang" if next(looks) < 20 else ""

    assert run(tmp_path, ended=True, hanging=hanging, stuck_after_s=60)
    assert next(looks) > 20


def test_who_waits_for_a_time_out_looks_less_often(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 40:
            journal.record("api", "log", "given up")

    monkeypatch.setattr(settling, "pause", pause)
    journal = Journal()

    assert run(
        tmp_path,
        ended=True,
        hanging=lambda: "1 caller" if len(pauses) < 80 else "",
        stuck_after_s=60,
        journal=journal,
    )

    often, seldom = settling.BETWEEN_LOOKS_S, 0.032
    assert (pauses[0], pauses[40], pauses[-1]) == (often, often, often), (
        "at first, after something moved, and when it may end"
    )
    assert pauses[20:40] == [seldom] * 20
    assert max(pauses) == seldom


def test_a_caller_that_hangs_for_ever_is_judged_when_it_is_stuck(tmp_path: Path) -> None:
    assert run(tmp_path, ended=True, hanging=lambda: "1 caller(s) hang")
    assert not run(tmp_path, ended=False, hanging=lambda: "1 caller(s) hang")


def test_without_an_end_event_the_quiet_lasts_longer_than_a_timer(tmp_path: Path) -> None:
    looks = itertools.count()

    def moving() -> str:
        return "a timer" if next(looks) == 30 else ""

    assert run(tmp_path, ended=True, moving=moving, quiet_s=0.4)
    assert next(looks) > 80  # 50 looks of quiet, and begun again after the timer


def test_what_never_stops_moving_is_inconclusive_and_named(tmp_path: Path) -> None:
    with pytest.raises(Inconclusive, match=r"within 0\.3 s; still moving: a retry"):
        run(tmp_path, ended=True, moving=lambda: "a retry", within_s=0.3)
    with pytest.raises(Inconclusive, match="still moving: 1 caller"):
        run(tmp_path, ended=True, hanging=lambda: "1 caller", within_s=0.3, stuck_after_s=60)


def test_a_job_that_does_not_end_however_often_it_is_delivered_is_a_violation(tmp_path: Path) -> None:
    journal = Journal()
    for _ in range(6):
        journal.record("cloud_tasks", "attempt.ended", "503 (failed)", outcome="failed")

    with pytest.raises(
        Violation, match=r"a job that ends within 0\.3 s; .*delivered 6 times, each time in vain"
    ):
        run(tmp_path, ended=False, moving=lambda: "a retry", within_s=0.3, journal=journal)
    with pytest.raises(Inconclusive):
        run(tmp_path, ended=True, moving=lambda: "a retry", within_s=0.3, journal=journal)


def test_a_manifest_that_is_written_again_is_another_effect(tmp_path: Path) -> None:
    journal = Journal()
    scanner = EffectScanner(tmp_path, STORAGE, journal)
    manifest, made = tmp_path / "job.json", tmp_path / "job.tmp"
    for looks in range(2):
        made.write_text(json.dumps(effect_fields()))
        made.replace(manifest)
        scanner.scan()
        scanner.scan()
        assert len(journal) == looks + 1
