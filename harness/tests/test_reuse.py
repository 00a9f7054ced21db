"""A process of a worker serves several scenarios, where the profile allows it and the run asks for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import profile
from harness.tests.judged import PROFILE
from harness.tests.reuse import Systems, WorkersAreUsedAgain, worker_of
from harness.topologies.processes import SYSTEMS_EACH
from harness.topologies.workshop import Workshop


@pytest.fixture
def workshop(tmp_path: Path) -> Iterator[Workshop]:
    """A workshop of its own, in which workers are used again."""
    made = Workshop(profile.load(PROFILE))
    made.use_workers_again(tmp_path / "berths")
    yield made
    made.close()


class TestProcesses(WorkersAreUsedAgain):
    """What holds of containers as well."""


def served_by(systems: Systems) -> int:
    system = systems()
    pid = worker_of(system).pid
    system.assemble().settle().must_have_one_effect()
    system.stop(satisfied=True)
    return pid


def test_it_works_in_a_folder_that_outlives_its_first_system(systems: Systems, tmp_path: Path) -> None:
    first = systems()
    worker = worker_of(first)

    assert Path(f"/proc/{worker.pid}/cwd").readlink() == tmp_path / "berths" / "1" / "worker"


def test_one_place_serves_a_number_of_systems_and_no_more(systems: Systems, tmp_path: Path) -> None:
    """What they leave there has to be looked through again and again."""
    pids = [served_by(systems) for _ in range(SYSTEMS_EACH + 1)]

    assert len(set(pids[:SYSTEMS_EACH])) == 1
    assert pids[SYSTEMS_EACH] != pids[0]
    assert [folder.name for folder in (tmp_path / "berths").iterdir()] == ["2"]


def test_a_profile_that_does_not_allow_it_gets_a_worker_for_each_system(
    systems: Systems, workshop: Workshop, tmp_path: Path
) -> None:
    start = workshop.profile.start.model_copy(update={"reuse": ()})
    workshop.turn_to(workshop.profile.model_copy(update={"start": start}))

    assert served_by(systems) != served_by(systems)
    assert not (tmp_path / "berths").exists()


@pytest.mark.parametrize("end", ["turn_to", "start_afresh", "close"])
def test_no_worker_waits_for_ever(systems: Systems, workshop: Workshop, tmp_path: Path, end: str) -> None:
    pid = served_by(systems)
    assert Path(f"/proc/{pid}").exists()

    getattr(workshop, end)(*[workshop.profile] if end == "turn_to" else [])

    assert not Path(f"/proc/{pid}").exists()
    assert list((tmp_path / "berths").iterdir()) == []


def test_a_workshop_that_was_not_asked_uses_nothing_again(tmp_path: Path) -> None:
    workshop = Workshop(profile.load(PROFILE))
    try:
        ground = workshop.ground(tmp_path, journal=None)  # type: ignore[arg-type]
        assert not ground.keeps
        assert ground.storage == tmp_path / "storage"
    finally:
        workshop.close()
