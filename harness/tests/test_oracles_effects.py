from __future__ import annotations

from dataclasses import replace

import pytest

from harness.model import Observation, Route
from harness.oracles import effects
from harness.tests.build import JOB, Fact, effect, effects_of, journal, new_job, state

OTHER = new_job(2)
REJECTED = replace(JOB, job_id="", status=503)


def test_one_effect() -> None:
    found = effects_of(effect(), effect(OTHER, role="api"))

    assert effects.exactly_one(JOB, found) is None
    assert effects.exactly_one(JOB, found, role="worker") is None
    assert effects.exactly_one(OTHER, found, role="api") is None


def test_a_lost_job() -> None:
    finding = effects.exactly_one(JOB, effects_of(effect(OTHER)))

    assert finding is not None
    assert (finding.oracle, finding.expected) == ("effects", "one effect")
    assert finding.observed == "no effect: the job is lost"
    assert finding.nearest == "job job-2 in the worker"
    assert effects.exactly_one(JOB, []) is not None


@pytest.mark.parametrize(
    "second",
    [effect(), effect(role="api"), effect(audio="other"), effect(claimed="lie")],
    ids=["same", "elsewhere", "wrong", "lying"],
)
def test_a_duplicated_effect(second: Fact) -> None:
    finding = effects.exactly_one(JOB, effects_of(effect(), second), role="worker")

    assert finding is not None
    assert finding.observed.startswith("2 effects: job job-1 in the worker, job job-1 in the ")


def test_an_effect_that_is_recovered() -> None:
    queue, direct, inline = Route.CLOUD_TASKS.failed, Route.WORKER_DIRECT.failed, Route.INLINE.served
    done = effects_of(effect())

    assert effects.recovered(JOB, done, [queue, direct]) is None
    assert effects.recovered(JOB, done, [queue, direct, inline]) is None
    confirmed = effects.recovered(JOB, done, [queue, Route.WORKER_DIRECT.served])
    assert confirmed is not None
    assert confirmed.expected == "an effect of a hand-over whose answer was lost"
    assert confirmed.observed.endswith("cloud_tasks failed, worker_direct served")
    for wrong in ([], [effect(role="api")], [effect(), effect()]):
        assert effects.recovered(JOB, effects_of(*wrong), [queue, direct]) is not None


def test_an_effect_in_the_wrong_process() -> None:
    finding = effects.exactly_one(JOB, effects_of(effect(role="api")), role="worker")

    assert finding is not None
    assert (finding.expected, finding.observed) == ("the effect in the worker", "it happened in the api")


def test_wrong_audio() -> None:
    finding = effects.exactly_one(JOB, effects_of(effect(audio="silence")))

    assert finding is not None
    assert "audio-1" in finding.expected
    assert finding.observed == "other audio: silence"


def test_a_manifest_that_lies() -> None:
    finding = effects.exactly_one(JOB, effects_of(effect(checksum="true", claimed="false")))

    assert finding is not None
    assert finding.expected == "a manifest that tells the truth: sha256 true"
    assert finding.observed == "it claims false"


def test_an_effect_of_another_job_of_the_same_episode_is_not_this_jobs() -> None:
    stranger = replace(OTHER, episode_id=JOB.episode_id)

    assert effects.exactly_one(JOB, effects_of(effect(stranger)))
    assert effects.exactly_one(JOB, effects_of(effect(), effect(stranger))) is None  # `unexpected` judges it


def test_an_effect_with_the_jobs_id_in_another_episode_is_not_this_jobs() -> None:
    assert effects.exactly_one(JOB, effects_of(effect(replace(OTHER, job_id=JOB.job_id))))


def test_a_job_without_an_id_is_known_by_its_episode() -> None:
    assert len(effects.of(REJECTED, effects_of(effect(JOB), effect(OTHER)))) == 1


def test_counted() -> None:
    two = effects_of(effect(), effect(OTHER))

    assert effects.counted(two, 2, role="worker") is None
    assert effects.counted([], 0, role="worker") is None
    for wrong in (1, 3):
        finding = effects.counted(two, wrong, role="worker")
        assert finding is not None
        assert finding.expected == f"{wrong} effect(s) in the worker"
    assert effects.counted(effects_of(effect(), effect(OTHER, role="api")), 2, role="worker")


def test_none() -> None:
    assert effects.none([]) is None
    finding = effects.none(effects_of(effect(role="api")))
    assert finding is not None
    assert (finding.expected, finding.observed) == ("no effect", "1 effect(s): job job-1 in the api")


def test_unexpected() -> None:
    both = effects_of(effect(), effect(OTHER))

    assert effects.unexpected([JOB, OTHER], both) is None
    assert effects.unexpected([JOB], both, {("ep-2", "job-2")}) is None
    finding = effects.unexpected([JOB], both)
    assert finding is not None
    assert finding.observed == "effect(s) of unknown jobs: job job-2 in the worker"


def test_an_effect_of_a_rejected_job_is_unexpected() -> None:
    assert effects.unexpected([REJECTED], effects_of(effect()))


@pytest.mark.parametrize("stranger", [("ep-1", "job-2"), ("ep-2", "job-1"), ("job-1", "ep-1")])
def test_both_ids_must_be_known_together(stranger: tuple[str, str]) -> None:
    assert effects.unexpected(
        [JOB], effects_of(effect(replace(JOB, episode_id=stranger[0], job_id=stranger[1])))
    )


def test_the_store_says_that_the_job_is_done() -> None:
    assert effects.told([JOB], journal(state())) is None
    assert effects.told([JOB], journal(state("running", done=False), state())) is None  # the last word counts
    assert effects.told([JOB], journal(state("running", job=OTHER, done=False))) is None
    assert effects.told([JOB], []) is None  # evidence of old: nobody asked


@pytest.mark.parametrize(
    ("said", "observed"),
    [
        ("running", "it says that job job-1 is running"),
        ("failed", "it says that job job-1 is failed"),
        ("", "it does not know job job-1"),
    ],
)
def test_a_store_that_knows_nothing_of_what_was_done(said: str, observed: str) -> None:
    finding = effects.told([JOB], journal(state(said, done=False)))

    assert finding is not None
    assert (finding.expected, finding.observed) == ("a job that is done by the API's account, too", observed)
    both = effects.told(
        [JOB, OTHER], journal(state("lost", done=False), state("lost", job=OTHER, done=False))
    )
    assert both is not None
    assert both.observed == "it says that job job-1 is lost, and 1 more"


def test_an_accepted_job_is_done_and_a_refused_one_is_not() -> None:
    assert effects.not_lost(JOB, effects_of(effect())) is None
    assert effects.not_lost(REJECTED, effects_of(effect(OTHER))) is None

    lost, done_all_the_same = effects.not_lost(JOB, []), effects.not_lost(REJECTED, effects_of(effect()))

    assert lost is not None
    assert lost.observed == "no effect: the job is lost"
    assert done_all_the_same is not None
    assert (done_all_the_same.oracle, done_all_the_same.expected) == ("effects", "no effect")


def _ends(*outcomes: str) -> tuple[Observation, ...]:
    return journal(*(Fact("cloud_tasks", "attempt.ended", f"503 ({o})", {"outcome": o}) for o in outcomes))


def test_a_task_that_was_delivered_often_and_always_in_vain() -> None:
    finding = effects.in_vain(_ends(*["failed"] * 6), 30.0)

    assert finding is not None
    assert (finding.oracle, finding.expected) == ("effects", "a job that ends within 30 s")
    assert finding.observed == "its task was delivered 6 times, each time in vain; the last: 503 (failed)"


@pytest.mark.parametrize(
    "outcomes", [[], ["failed"] * 4, ["failed"] * 6 + ["success"]], ids=["never", "seldom", "not-in-vain"]
)
def test_where_it_may_be_the_machine_nothing_is_said(outcomes: list[str]) -> None:
    assert effects.in_vain(_ends(*outcomes), 30.0) is None
