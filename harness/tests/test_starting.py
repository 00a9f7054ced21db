"""Which processes of a system are started: those that have a part in what a scenario asks, and when it asks."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from harness import faults
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


def test_the_port_of_a_worker_that_was_late_opens_when_it_is_known_where_the_worker_is(
    systems: Callable[[], System], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cloud Tasks tries again at any moment, and what it sends would be what nobody expects."""
    system = systems()
    system.inject(faults.WORKER_STARTS_LATE)
    system.start()
    done: list[str] = []

    def watch(name: str) -> None:
        real = getattr(system.worker, name)

        def watched(*about: str, **options: bool) -> None:
            done.append(name)
            real(*about, **options)

        monkeypatch.setattr(system.worker, name, watched)

    watch("forward_to")
    watch("refuse_connections")
    system.heal()

    assert done == ["forward_to", "refuse_connections"]
