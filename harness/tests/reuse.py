"""What holds wherever a worker serves several scenarios: only where nothing speaks against it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from harness import faults
from harness import journal as journals
from harness.clock import Deadline, wait
from harness.model import Route
from harness.topologies.ground import Running
from harness.topologies.system import System

Systems = Callable[[], System]


def worker_of(system: System) -> Running:
    """The worker of a system, which is started for that if it is not running."""
    system.start()
    worker = next(server for server in system.servers if server.role == "worker").process
    assert worker is not None
    return worker


class WorkersAreUsedAgain:
    """The tests; ``systems`` makes one system after the other, in one workshop."""

    def test_it_serves_the_next_scenario_and_brings_nothing_of_the_last(self, systems: Systems) -> None:
        first = systems()
        pid = worker_of(first).pid
        job = first.assemble().settle()
        first.stop(satisfied=True)
        second = systems()
        other = second.assemble().settle()

        assert worker_of(second).pid == pid
        assert second.secret == first.secret
        other.must_take(Route.CLOUD_TASKS)
        other.must_have_one_effect(on=Route.CLOUD_TASKS)
        effects = journals.effects(second.journal.observations)
        assert [each.job_id for each in effects] == [second.jobs[0].job_id]
        assert job.job_id not in str(second.journal.observations)
        told = [
            [o.text for o in each.journal.observations if "ready on" in o.text] for each in (first, second)
        ]
        assert not any("before" in text for text in told[0])
        assert any(text.endswith("; it served 1 scenario(s) before this one") for text in told[1])

    @pytest.mark.parametrize(
        "spoil",
        [
            lambda system: system.stop(satisfied=False),
            lambda system: (
                system.inject(faults.WORKER_DISK_FULL),
                system.heal(),
                system.stop(satisfied=True),
            ),
            lambda system: (system.worker.kill(), system.stop(satisfied=True)),
        ],
        ids=["not-satisfied", "afflicted", "killed"],
    )
    def test_whatever_was_done_to_it_it_is_made_anew(
        self, systems: Systems, spoil: Callable[[System], object]
    ) -> None:
        first = systems()
        pid = worker_of(first).pid
        first.assemble().settle()
        spoil(first)

        assert worker_of(systems()).pid != pid

    def test_another_environment_needs_another_worker(self, systems: Systems) -> None:
        first = systems()
        worker = worker_of(first)
        first.assemble().settle()
        first.stop(satisfied=True)
        second = systems()
        second.config.slow_assembly(0.2)

        assert worker_of(second).pid != worker.pid
        assert not worker.running, "nobody would use it again"

    def test_two_systems_at_once_share_nothing(self, systems: Systems) -> None:
        first, second = systems(), systems()
        assert first.secret != second.secret
        assert first.ground.storage != second.ground.storage
        assert worker_of(first).pid != worker_of(second).pid

    def test_who_speaks_unasked_is_not_used_again(self, systems: Systems) -> None:
        first = systems()
        worker = worker_of(first)
        first.assemble().settle()
        first.stop(satisfied=True)
        with Path(f"/proc/{worker.pid}/fd/1").open("w", encoding="ascii") as output:
            output.write("something is still going on\n")
        wait(lambda: None if worker.unread else True, Deadline(10), lambda: "unread")

        assert worker_of(systems()).pid != worker.pid
