"""A worker serves several scenarios only where nothing speaks against it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness import faults
from harness import journal as journals
from harness.clock import Deadline, wait
from harness.ledger import Ledger
from harness.model import Mode, Route
from harness.topologies.containers import Dock
from harness.topologies.engine import NotFound
from harness.topologies.system import System
from harness.topologies.workshop import Workshop


@pytest.fixture
def systems(workshop: Workshop, tmp_path: Path) -> Iterator[Callable[[], System]]:
    """Makes systems, one after the other, and stops those that a test leaves running."""
    made: list[System] = []

    def make() -> System:
        made.append(
            System(workshop.profile, Mode.PROD, tmp_path / f"{len(made)}", workshop=workshop, ledger=Ledger())
        )
        return made[-1]

    yield make
    for system in made:
        if any(server.process is not None for server in system.servers):
            system.stop()


def worker_of(system: System) -> int:
    system.start()
    worker = next(server for server in system.servers if server.role == "worker")
    assert worker.process is not None
    return worker.process.pid


def test_it_serves_the_next_scenario_and_brings_nothing_of_the_last(systems: Callable[[], System]) -> None:
    first = systems()
    pid = worker_of(first)
    job = first.assemble().settle()
    first.stop(satisfied=True)
    second = systems()
    other = second.assemble().settle()

    assert worker_of(second) == pid
    assert second.secret == first.secret
    other.must_take(Route.CLOUD_TASKS)
    other.must_have_one_effect(on=Route.CLOUD_TASKS)
    effects = journals.effects(second.journal.observations)
    assert [each.job_id for each in effects] == [second.jobs[0].job_id]
    assert job.job_id not in str(second.journal.observations)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda system: system.stop(satisfied=False),
        lambda system: (system.inject(faults.WORKER_DISK_FULL), system.heal(), system.stop(satisfied=True)),
        lambda system: (system.worker.kill(), system.stop(satisfied=True)),
    ],
    ids=["not-satisfied", "afflicted", "killed"],
)
def test_whatever_was_done_to_it_it_is_made_anew(
    systems: Callable[[], System], spoil: Callable[[System], object]
) -> None:
    first = systems()
    pid = worker_of(first)
    first.assemble().settle()
    spoil(first)

    assert worker_of(systems()) != pid


def test_another_environment_needs_another_worker(systems: Callable[[], System]) -> None:
    first = systems()
    pid = worker_of(first)
    first.assemble().settle()
    first.stop(satisfied=True)
    second = systems()
    second.config.slow_assembly(0.2)

    assert worker_of(second) != pid


def test_a_volume_of_its_own_takes_the_place_of_what_others_left(systems: Callable[[], System]) -> None:
    first = systems()
    pid = worker_of(first)
    first.assemble().settle()
    first.stop(satisfied=True)
    second = systems()
    assert list(second.ground.storage.iterdir()), "the place was used before"
    second.ground.prepare(faults.STORAGE_FULL)
    outcome = second.assemble().settle()

    outcome.must_have_one_effect(on=Route.CLOUD_TASKS)
    assert worker_of(second) != pid


def test_two_systems_at_once_share_nothing(systems: Callable[[], System]) -> None:
    first, second = systems(), systems()
    assert first.secret != second.secret
    assert first.ground.fakes.address != second.ground.fakes.address
    assert first.ground.storage != second.ground.storage


def test_the_end_of_one_dock_takes_nothing_from_another_of_the_same_process(
    systems: Callable[[], System], workshop: Workshop, image: str
) -> None:
    first = systems()
    worker_of(first)
    other = Dock(workshop.profile, image)
    berth = other.berth()
    other.close()

    first.assemble().settle().must_take(Route.CLOUD_TASKS)
    assert berth.gateway != first.ground.fakes.address
    with pytest.raises(NotFound):
        workshop.dock().client.networks.get(berth.network.id)


def test_who_speaks_unasked_is_not_used_again(systems: Callable[[], System]) -> None:
    first = systems()
    pid = worker_of(first)
    worker = next(server for server in first.servers if server.role == "worker").process
    assert worker is not None
    first.assemble().settle()
    first.stop(satisfied=True)
    with Path(f"/proc/{pid}/fd/1").open("w", encoding="ascii") as output:
        output.write("something is still going on\n")
    wait(lambda: None if worker.unread else True, Deadline(10), lambda: "unread")

    assert worker_of(systems()) != pid
