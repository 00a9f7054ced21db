"""A worker in a container serves several scenarios."""

from __future__ import annotations

import pytest

from harness import faults
from harness.model import Route
from harness.tests.reuse import Systems, WorkersAreUsedAgain, worker_of
from harness.topologies.containers import Dock
from harness.topologies.engine import NotFound
from harness.topologies.workshop import Workshop


class TestContainers(WorkersAreUsedAgain):
    """What holds of processes as well."""


def test_two_systems_at_once_have_networks_of_their_own(systems: Systems) -> None:
    first, second = systems(), systems()
    assert first.ground.fakes.address != second.ground.fakes.address


def test_a_volume_of_its_own_takes_the_place_of_what_others_left(systems: Systems) -> None:
    first = systems()
    pid = worker_of(first).pid
    first.assemble().settle()
    first.stop(satisfied=True)
    second = systems()
    assert list(second.ground.storage.iterdir()), "the place was used before"
    second.ground.prepare(faults.STORAGE_FULL)
    outcome = second.assemble().settle()

    outcome.must_have_one_effect(on=Route.CLOUD_TASKS)
    assert worker_of(second).pid != pid


def test_the_end_of_one_dock_takes_nothing_from_another_of_the_same_process(
    systems: Systems, workshop: Workshop, image: str
) -> None:
    first = systems()
    worker_of(first)
    other = Dock(workshop.profile, image)
    berth = other.berths.take()
    other.close()

    first.assemble().settle().must_take(Route.CLOUD_TASKS)
    assert berth.gateway != first.ground.fakes.address
    with pytest.raises(NotFound):
        workshop.dock().client.networks.get(berth.network.id)
