"""Random histories: submit, kill, restart, delay, duplicate, heal, then look at what became of every job."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import text

from reference_impl.store import Claim, Store
from reference_impl.tests.simulation import LEASE_S, OVERDUE_S, PLACES, Cloud, Surprise, Wire, World

if TYPE_CHECKING:
    from collections.abc import Callable

    from reference_impl.tests.postgres import Postgres

HISTORIES = int(os.environ.get("DISPATCH_HISTORIES", "200"))
_MEMORY = Path("/dev/shm")  # a simulated crash does not need a real disk

APIS = st.sampled_from([0, 1])
NUMBERS = st.integers(0, 5)
CLOUD, WIRE = st.sampled_from(Cloud), st.sampled_from(Wire)
SURPRISES = st.lists(
    st.tuples(st.sampled_from(PLACES), st.sampled_from(Surprise)),
    min_size=1,
    max_size=5,
    unique_by=lambda s: s[0],
)


class Histories(RuleBasedStateMachine):
    """One deployment and everything that can happen to it; judged when it has settled."""

    new_database: Callable[[], str] = str  # the default: SQLite, in the history's folder

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="history-", dir=_MEMORY if _MEMORY.is_dir() else None))
        self.world = World(self.folder, type(self).new_database())

    @initialize(api=APIS, cloud=CLOUD, wire=WIRE, surprises=SURPRISES)
    def begin(self, api: int, cloud: Cloud, wire: Wire, surprises: list[tuple[str, Surprise]]) -> None:
        self.submit(api, cloud, wire, surprises)

    @rule(api=APIS, cloud=CLOUD, wire=WIRE, surprises=SURPRISES)
    def submit(self, api: int, cloud: Cloud, wire: Wire, surprises: list[tuple[str, Surprise]]) -> None:
        self.world.cloud, self.world.wire = cloud, wire
        self.world.surprise(surprises)
        self.world.submit(api)
        self.world.tick(api)

    @rule(api=APIS, cloud=CLOUD, wire=WIRE, surprises=SURPRISES)
    def dispatch(self, api: int, cloud: Cloud, wire: Wire, surprises: list[tuple[str, Surprise]]) -> None:
        self.world.cloud, self.world.wire = cloud, wire
        self.world.surprise(surprises)
        self.world.tick(api)

    @precondition(lambda self: self.world.tasks or self.world.gone)
    @rule(number=NUMBERS, surprises=SURPRISES)
    def deliver(self, number: int, surprises: list[tuple[str, Surprise]]) -> None:
        self.world.surprise(surprises)
        self.world.deliver(number)

    @precondition(lambda self: self.world.late)
    @rule(number=NUMBERS, surprises=SURPRISES)
    def arrive_late(self, number: int, surprises: list[tuple[str, Surprise]]) -> None:
        self.world.surprise(surprises)
        self.world.arrive_late(number)

    @rule(seconds=st.sampled_from([LEASE_S / 2, LEASE_S + 0.1, OVERDUE_S]), purge=st.booleans())
    def time_passes(self, seconds: float, purge: bool) -> None:  # noqa: FBT001 — Hypothesis passes by name
        self.world.advance(seconds)
        if purge:
            self.world.purge()

    @precondition(lambda self: None in self.world.apis)
    @rule()
    def restart(self) -> None:
        self.world.restart(self.world.apis.index(None))

    def teardown(self) -> None:
        try:
            self.world.heal()
            self.world.check()
        finally:
            self.world.close()
            shutil.rmtree(self.folder)


def run(histories: int, *, kind: type[Histories] = Histories, **options: Any) -> None:
    """Run so many histories; raises what the first bad one, made as small as possible, fails with."""
    run_state_machine_as_test(
        kind,
        settings=settings(
            max_examples=histories,
            stateful_step_count=12,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            **{"print_blob": True} | options,
        ),
    )


@pytest.mark.timeout(600)
@pytest.mark.parametrize("half", [1, 2])  # so that two test processes can share the work
def test_every_history_ends_well(half: int) -> None:  # noqa: ARG001
    run(HISTORIES // 2)


@pytest.mark.timeout(600)
def test_histories_on_postgresql_end_well_too(postgres: Postgres) -> None:
    class OnPostgresql(Histories):
        new_database = postgres.new_database

    run(HISTORIES // 10, kind=OnPostgresql)


def test_a_full_database_delays_a_job_and_no_more(tmp_path: Path) -> None:
    """What the store could not be told, that nobody looks after the job any more, it is told later."""
    world = World(tmp_path)
    try:
        full = Surprise.FULL
        world.surprise([("before hand_over", full), ("before give_back", full), ("before claim", full)])
        world.submit(0)
        world.tick(0)
        world.deliver(0)  # in vain: the worker's claim cannot be written either
        world.purge()
        world.heal()
        world.check()
        assert world.accepted
    finally:
        world.close()


def claim_whatever(self: Store, job_id: str, route: str) -> Claim | None:
    """A claim that does not ask who holds the job."""
    record = self.find(job_id)
    if record is None or record.ended:
        return None
    change = text(
        "UPDATE jobs SET state = 'running', attempt = :attempt, route = :route WHERE job_id = :job_id"
    )
    with self._engine.begin() as connection:
        connection.execute(change, {"attempt": record.attempt + 1, "route": route, "job_id": job_id})
    return Claim(job_id, record.attempt + 1)


def publish_unchecked(
    self: Store, claim: Claim, *, checksum: str, output: str, route: str, move: Callable[[], None]
) -> bool:
    """A publication that does not ask whether the lease is still held."""
    move()
    change = text(
        "UPDATE jobs SET state = 'done', checksum = :checksum, output = :output, route = :route WHERE job_id = :job_id"
    )
    done = {"checksum": checksum, "output": output, "route": route}
    with self._engine.begin() as connection:
        connection.execute(change, {**done, "job_id": claim.job_id})
    return True


@pytest.mark.timeout(600)
def test_a_dispatcher_without_its_lease_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes a hundred histories, seldom three hundred; which they are depends on what this process has imported."""
    monkeypatch.setattr(Store, "claim", claim_whatever)
    monkeypatch.setattr(Store, "publish", publish_unchecked)
    with pytest.raises(AssertionError, match="has effects"):
        run(3000, phases=[Phase.generate], derandomize=True, database=None, report_multiple_bugs=False)
