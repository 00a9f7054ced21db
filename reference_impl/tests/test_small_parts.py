"""The breaker, the lanes, the job and the shut-down."""

from __future__ import annotations

import json
import signal
import threading

import pytest

from reference_impl.breaker import Breaker
from reference_impl.job import Job
from reference_impl.lanes import Lane
from reference_impl.routes import Attempt, Verdict
from reference_impl.shutdown import Shutdown

FINE = Attempt(Verdict.DELIVERED)
REFUSED = Attempt(Verdict.REJECTED, "connection-refused")
TIMED_OUT = Attempt(Verdict.AMBIGUOUS, "timeout", costly=True)


class TestBreaker:
    def test_it_stays_closed_for_what_costs_nothing(self) -> None:
        breaker = Breaker(60)
        breaker.learn(REFUSED)
        assert breaker.allows()

    def test_a_time_out_opens_it_for_one_window(self) -> None:
        now = [0.0]
        breaker = Breaker(10, clock=lambda: now[0])
        breaker.learn(TIMED_OUT)
        now[0] = 9.9
        assert not breaker.allows()
        now[0] = 10
        assert breaker.allows()
        assert not breaker.allows()  # one trial per window

    def test_one_answer_closes_it(self) -> None:
        now = [0.0]
        breaker = Breaker(10, clock=lambda: now[0])
        breaker.learn(TIMED_OUT)
        now[0] = 10
        assert breaker.allows()
        breaker.learn(FINE)
        assert breaker.allows()
        assert breaker.allows()


class TestLane:
    def test_it_refuses_more_than_it_has_threads_for(self) -> None:
        lane, release = Lane("test", 2), threading.Event()
        assert [lane.submit(lambda: (release.wait(20), None)[1]) for _ in range(3)] == [True, True, False]
        assert lane.free == 0
        assert not lane.drain(0.01)
        release.set()
        assert lane.drain(10)
        assert lane.free == 2


class TestJob:
    def test_the_key_and_the_payload_are_fixed(self) -> None:
        job = Job("j1", "e1", "c1", title="Größe \n")
        assert job.task_id == "assemble-j1"
        assert job.body() == job.body()
        assert json.loads(job.body()) == {
            "job_id": "j1",
            "episode_id": "e1",
            "correlation_id": "c1",
            "title": "Größe \n",
        }
        assert job.headers("s")["Idempotency-Key"] == "j1"

    def test_a_second_run_is_another_job(self) -> None:
        assert Job.new("e1").job_id != Job.new("e1").job_id

    @pytest.mark.parametrize("given", [None, "", "two words", "x\ny", "a=b", "é", "x" * 65])
    def test_a_malformed_correlation_id_is_replaced(self, given: str | None) -> None:
        assert Job.new("e1", correlation_id=given).correlation_id not in (None, given)

    def test_a_well_formed_one_is_kept(self) -> None:
        assert Job.new("e1", correlation_id="req-1.A_b").correlation_id == "req-1.A_b"


class TestShutdown:
    def test_the_grace_period_starts_once(self) -> None:
        shutdown = Shutdown(grace_s=60)
        assert not shutdown.begun()
        shutdown.begin()
        assert shutdown.begun()
        assert not shutdown.now()
        at = shutdown._give_back_at
        shutdown.begin()
        assert shutdown._give_back_at == at

    def test_it_notices_the_signal_and_passes_it_on(self, monkeypatch: pytest.MonkeyPatch) -> None:
        passed_on: list[int] = []
        installed: dict[int, object] = {}
        monkeypatch.setattr(signal, "getsignal", lambda _: lambda number, _frame: passed_on.append(number))
        monkeypatch.setattr(signal, "signal", installed.__setitem__)
        monkeypatch.setattr(threading, "current_thread", threading.main_thread)
        shutdown = Shutdown(grace_s=0)
        shutdown.listen()
        handler = installed[signal.SIGTERM]
        assert callable(handler)
        handler(signal.SIGTERM, None)
        assert shutdown.now()
        assert passed_on == [signal.SIGTERM]

    def test_outside_the_main_thread_it_does_not_listen(self) -> None:
        errors: list[Exception] = []

        def listen() -> None:
            try:
                Shutdown(grace_s=0).listen()
            except Exception as error:  # noqa: BLE001 — reported below
                errors.append(error)

        thread = threading.Thread(target=listen)
        thread.start()
        thread.join()
        assert errors == []
