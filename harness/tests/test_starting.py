"""Which processes of a system are started: those that have a part in what a scenario asks, and when it asks."""

from __future__ import annotations

from collections.abc import Callable

from harness.topologies.system import System


def running(system: System) -> dict[str, int]:
    return {server.role: server.process.pid for server in system.servers if server.process is not None}


def test_what_is_asked_of_the_worker_alone_needs_no_api(systems: Callable[[], System]) -> None:
    system = systems()
    system.worker.post(system.worker.task()).must_be_a_success()

    system.settle().must_have_effects(1)
    assert set(running(system)) == {"worker"}


def test_the_api_comes_when_it_is_asked_for_something(systems: Callable[[], System]) -> None:
    system = systems()
    system.worker.post(system.worker.task()).must_be_a_success()
    before = running(system)

    system.assemble().settle().must_have_one_effect()

    assert set(running(system)) == {"api", "worker"}
    assert running(system).items() > before.items()
