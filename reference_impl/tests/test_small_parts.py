"""The breaker, the lanes, the job and the shut-down."""

from __future__ import annotations

import signal
import threading

import pytest

from reference_impl.breaker import Breaker
from reference_impl.job import CORRELATION_ID, JOB_ID, Job
from reference_impl.lanes import Lane
from reference_impl.routes import Attempt, Verdict
from reference_impl.shutdown import Shutdown

FINE = Attempt(Verdict.DELIVERED)
REFUSED = Attempt(Verdict.REJECTED, "connection-refused")
TIMED_OUT = Attempt(Verdict.AMBIGUOUS, "timeout", costly=True)


class TestBreaker:
    @pytest.fixture
    def now(self) -> list[float]:
        return [0.0]

    @pytest.fixture
    def breaker(self, now: list[float]) -> Breaker:
        return Breaker(10, clock=lambda: now[0])

    def test_it_stays_closed_for_what_costs_nothing(self, breaker: Breaker) -> None:
        assert [breaker.call(lambda: REFUSED) for _ in range(2)] == [REFUSED, REFUSED]

    def test_until_something_was_costly_nobody_waits_for_another(self, breaker: Breaker) -> None:
        meanwhile: list[Attempt | None] = []

        def slow() -> Attempt:
            meanwhile.append(breaker.call(lambda: FINE))
            return FINE

        assert breaker.call(slow) is FINE
        assert meanwhile == [FINE]

    def test_a_time_out_opens_it_for_one_window(self, breaker: Breaker, now: list[float]) -> None:
        assert breaker.call(lambda: TIMED_OUT) is TIMED_OUT
        now[0] = 9.9
        assert breaker.call(lambda: FINE) is None
        now[0] = 10
        assert [breaker.call(lambda: TIMED_OUT) for _ in range(2)] == [TIMED_OUT, None]

    def test_one_answer_closes_it(self, breaker: Breaker, now: list[float]) -> None:
        breaker.call(lambda: TIMED_OUT)
        now[0] = 10
        assert [breaker.call(lambda: FINE) for _ in range(2)] == [FINE, FINE]

    def test_a_trial_that_lasts_longer_than_the_window_is_the_only_one(
        self, breaker: Breaker, now: list[float]
    ) -> None:
        breaker.call(lambda: TIMED_OUT)
        meanwhile: list[Attempt | None] = []

        def slow_trial() -> Attempt:
            now[0] += 30
            meanwhile.append(breaker.call(lambda: FINE))
            return TIMED_OUT

        now[0] = 10
        assert breaker.call(slow_trial) is TIMED_OUT
        assert meanwhile == [None]
        assert breaker.call(lambda: FINE) is None  # the next window begins with the end of the trial

    def test_attempts_that_began_before_it_opened_count_as_trials(
        self, breaker: Breaker, now: list[float]
    ) -> None:
        meanwhile: list[Attempt | None] = []

        def outlasts_the_first_time_out() -> Attempt:
            breaker.call(lambda: TIMED_OUT)
            now[0] += 30
            meanwhile.append(breaker.call(lambda: FINE))
            return TIMED_OUT

        breaker.call(outlasts_the_first_time_out)
        assert meanwhile == [None]

    def test_a_bug_in_an_attempt_does_not_keep_it_open(self, breaker: Breaker, now: list[float]) -> None:
        breaker.call(lambda: TIMED_OUT)
        now[0] = 10
        with pytest.raises(ZeroDivisionError):
            breaker.call(lambda: 1 / 0)  # type: ignore[arg-type,return-value]
        assert breaker.call(lambda: FINE) is FINE


class TestLane:
    def test_it_refuses_more_than_it_has_threads_for(self) -> None:
        lane, release = Lane("test", 2), threading.Event()
        assert [lane.submit(lambda: (release.wait(20), None)[1]) for _ in range(3)] == [True, True, False]
        assert lane.free == 0
        assert not lane.drain(0.01)
        release.set()
        assert lane.drain(10)
        assert lane.free == 2

    def test_its_threads_bear_its_name_and_keep_no_process_alive(self) -> None:
        lane, seen = Lane("test", 1), list[threading.Thread]()
        assert lane.submit(lambda: seen.append(threading.current_thread()))
        assert lane.drain(10)
        assert [(thread.name, thread.daemon) for thread in seen] == [("test", True)]

    def test_a_process_without_a_thread_left_is_a_full_lane(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def cannot(_: threading.Thread) -> None:
            raise RuntimeError("can't start new thread")

        lane = Lane("test", 1)
        with monkeypatch.context() as exhausted:
            exhausted.setattr(threading.Thread, "start", cannot)
            assert not lane.submit(lambda: None)
        assert lane.free == 1


class TestJob:
    def test_the_key_and_the_payload_are_fixed(self) -> None:
        job = Job("j1", "e1", "c1", title="Größe \n")
        assert job.task_id == "assemble-j1"
        assert job.body() == (
            rb'{"correlation_id":"c1","episode_id":"e1","job_id":"j1","title":"Gr\u00f6\u00dfe \n"}'
        )
        assert Job("j1", "e1", "c1").body() == b'{"correlation_id":"c1","episode_id":"e1","job_id":"j1"}'
        assert job.headers("s") == {
            "Content-Type": "application/json",
            "Idempotency-Key": "j1",
            "X-Correlation-Id": "c1",
            "X-Tasks-Auth": "s",
        }

    def test_a_second_run_is_another_job(self) -> None:
        first, second = (Job.new("e1", correlation_id="c1", title="T", trace="t" * 32) for _ in range(2))
        assert first.job_id != second.job_id
        assert first == Job(first.job_id, "e1", "c1", "T", "t" * 32)
        assert JOB_ID.fullmatch(first.job_id)

    def test_what_is_not_given_is_made_up_or_empty(self) -> None:
        job = Job.new("e1")
        assert job == Job(job.job_id, "e1", job.correlation_id, None, "")
        assert CORRELATION_ID.fullmatch(job.correlation_id)
        assert job.correlation_id != job.job_id

    @pytest.mark.parametrize("given", [None, "", "two words", "x\ny", "a=b", "é", "x" * 65])
    def test_a_malformed_correlation_id_is_replaced(self, given: str | None) -> None:
        made = Job.new("e1", correlation_id=given).correlation_id
        assert CORRELATION_ID.fullmatch(made)
        assert made != given

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
