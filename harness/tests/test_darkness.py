"""When a route is hidden: from the fault to its end, which for names and credentials is the next start."""

from __future__ import annotations

from harness import faults
from harness.journal import Journal
from harness.model import Hidden, Route
from harness.topologies.darkness import Darkness


def test_a_closed_port_hides_its_route_until_it_is_opened() -> None:
    journal = Journal()
    darkness = Darkness(journal)
    darkness.falls(faults.WORKER_INTERNAL_ERROR)  # is seen on the wire: hides nothing
    journal.record("harness", "fault", "inject")
    darkness.falls(faults.WORKER_REFUSES_CONNECTION)
    journal.record("harness", "fault", "heal")
    darkness.lifts(faults.WORKER_REFUSES_CONNECTION)
    journal.record("harness", "fault", "inject again")
    darkness.falls(faults.WORKER_REFUSES_CONNECTION)
    assert darkness.hidden == (Hidden(Route.WORKER_DIRECT, 1, 2), Hidden(Route.WORKER_DIRECT, 3, None))


def test_what_is_in_the_environment_ends_with_the_next_start_without_it() -> None:
    journal = Journal()
    darkness = Darkness(journal)
    darkness.falls(faults.DEAD_PROXY)
    darkness.falls(faults.CLOUD_TASKS_NO_SUCH_HOST)
    darkness.falls(faults.CLOUD_TASKS_REFUSED_CONNECTION)
    journal.record("api", "process", "starts")
    darkness.lifts_but_for(faults.DEAD_PROXY, faults.CLOUD_TASKS_REFUSED_CONNECTION)
    assert darkness.hidden == (
        Hidden(Route.CLOUD_TASKS, 0),
        Hidden(Route.WORKER_DIRECT, 0),
        Hidden(Route.CLOUD_TASKS, 0, 1),
        Hidden(Route.CLOUD_TASKS, 0),
    )
