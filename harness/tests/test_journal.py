from __future__ import annotations

import threading
from dataclasses import replace

from harness import journal as journals
from harness.journal import Journal
from harness.model import Observation
from harness.tests.build import (
    CHECKING,
    ENQUEUED,
    WORKER_START,
    Fact,
    answer,
    delivered,
    effect,
    event,
    journal,
    log,
    new_job,
    reply,
    request,
    rpc,
    starts,
    stimulus,
    unexpected,
)

A, B = new_job(1), new_job(2)


def mine(facts: list[Fact], number: int) -> list[str]:
    """Texts of what belongs to a job, whose stimulus is found in the facts."""
    job = new_job(number)
    seen = journal(*facts)
    place = next((o.seq for o in seen if o.kind == "stimulus" and o.text.endswith(f" {job.episode_id}")), 0)
    return [o.text for o in journals.of_job(seen, replace(job, seq=place))]


def texts(*facts: Fact) -> list[str]:
    return [fact.text for fact in facts]


def test_two_jobs_interleaved() -> None:
    first = [
        stimulus(A),
        event(CHECKING, job=A),
        rpc(job=A),
        delivered(A),
        request(1, job=A, by_cloud_tasks=True),
        event(WORKER_START, by="worker", job=A),
        effect(A),
        reply(201, id_=1),
        answer(A),
    ]
    second = [
        stimulus(B),
        event(CHECKING, job=B),
        rpc("ABORTED", job=B),
        event(ENQUEUED, job=B),
        request(2, job=B),
        event(WORKER_START, by="worker", job=B),
        effect(B),
        reply(202, id_=2),
        answer(B),
    ]
    both = [fact for pair in zip(first, second, strict=True) for fact in pair]

    assert mine(both, 1) == texts(*first)
    assert mine(both, 2) == texts(*second)


def test_a_line_without_ids_belongs_to_the_job_that_was_asked_for_last() -> None:
    facts = [starts(), log("up"), stimulus(A), log("one"), stimulus(B), log("two"), event(CHECKING, job=A)]

    assert mine(facts, 1)[-2:] == ["one", event(CHECKING, job=A).text]
    assert mine(facts, 2)[-1] == "two"
    assert "two" not in mine(facts, 1)
    assert "one" not in mine(facts, 2)


def test_lines_of_start_up_belong_to_every_job_of_that_start() -> None:
    facts = [starts(), log("up"), stimulus(A), stimulus(B), log("later")]

    assert "up" in mine(facts, 1)
    assert "up" in mine(facts, 2)


def test_a_restart_separates_what_the_processes_say_at_start() -> None:
    facts = [starts(), log("old"), stimulus(A), event(CHECKING, job=A), starts(), log("new"), stimulus(B)]

    assert "old" in mine(facts, 1)
    assert "old" not in mine(facts, 2)
    assert "new" in mine(facts, 2)


def test_a_line_names_its_job_by_either_id() -> None:
    facts = [
        starts(),
        stimulus(A),
        stimulus(B),
        log("event=a job_id=job-1"),
        log("event=b episode_id=ep-1"),
        log("event=c episode_id=ep-2"),
        log("event=d correlation_id=c-1"),
    ]

    assert mine(facts, 1)[-2:] == ["event=a job_id=job-1", "event=b episode_id=ep-1"]


def test_an_id_is_not_found_inside_a_longer_one() -> None:
    ten = new_job(10)
    facts = [stimulus(A), rpc(job=ten), request(1, job=ten), reply(id_=1), answer(ten), request(2, job=A)]

    assert mine(facts, 1) == texts(stimulus(A), request(2, job=A))


def test_small_numbers_as_ids_do_not_match_everything() -> None:
    one = replace(A, job_id="1", seq=1)
    two = replace(B, job_id="2", seq=2)
    seen = journal(stimulus(one), stimulus(two), rpc(job=two), request(1, job=two), request(2, job=one))

    assert [o.seq for o in journals.of_job(seen, one)] == [1, 5]
    assert [o.seq for o in journals.of_job(seen, two)] == [2, 3, 4]


def test_a_call_that_names_the_job_only() -> None:
    facts = [stimulus(A), request(1, body='{"job": "job-1"}'), request(2, path="/jobs/job-1", body="")]

    assert len(mine(facts, 1)) == 3


def test_an_effect_of_the_episode_belongs_to_a_job_whatever_id_it_bears() -> None:
    stray = replace(B, episode_id=A.episode_id)
    rejected = replace(A, job_id="", seq=1)
    seen = journal(stimulus(A), effect(stray))

    assert [o.kind for o in journals.of_job(seen, replace(A, seq=1))] == ["stimulus", "effect"]
    assert [o.kind for o in journals.of_job(seen, rejected)] == ["stimulus", "effect"]


def test_a_rejected_job_does_not_own_what_names_no_job() -> None:
    rejected = replace(A, job_id="", seq=1)
    seen = journal(stimulus(A), effect(B), rpc(job=B), unexpected())

    assert [o.kind for o in journals.of_job(seen, rejected)] == ["stimulus"]


def test_events_log_lines_and_effects_are_read_from_observations() -> None:
    seen = journal(log("plain"), event(ENQUEUED, task="t"), log("x", by="worker"), effect(A), rpc())

    assert [(e.name, e.source, e.seq, e.fields["task"]) for e in journals.events(seen)] == [
        (ENQUEUED, "api", 2, "t")
    ]
    assert [o.seq for o in journals.log_lines(seen)] == [1, 2, 3]
    assert [o.seq for o in journals.log_lines(seen, source="worker")] == [3]
    assert [(e.job_id, e.seq) for e in journals.effects(seen)] == [("job-1", 4)]


def test_record_numbers_and_times_observations() -> None:
    recorder = Journal()

    first = recorder.record("api", "log", "a", event="x")
    second = recorder.record(
        "api", "log", "b", source="a field may have any name", kind="this too", text="and this"
    )

    assert (first.seq, second.seq, len(recorder)) == (1, 2, 2)
    assert 0 <= first.at_s <= second.at_s
    assert first.fields == {"event": "x"}
    assert set(second.fields) == {"source", "kind", "text"}
    assert recorder.observations == (first, second)


def test_a_snapshot_does_not_grow() -> None:
    recorder = Journal()
    before = recorder.observations
    recorder.record("api", "log", "a")

    assert before == ()


def test_many_threads_may_record_at_once() -> None:
    recorder, together, seen = Journal(), threading.Barrier(8), list[list[Observation]]()

    def work(number: int) -> None:
        together.wait(timeout=10)
        seen.append([recorder.record(f"t{number}", "log", str(n)) for n in range(300)])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)

    recorded = recorder.observations
    assert [o.seq for o in recorded] == list(range(1, 2401))
    assert [o.at_s for o in recorded] == sorted(o.at_s for o in recorded)
    for own in seen:
        assert [o.seq for o in own] == sorted(o.seq for o in own)
        assert all(recorded[o.seq - 1] is o for o in own)
