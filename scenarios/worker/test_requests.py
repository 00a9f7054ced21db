"""The worker: what it accepts, what it turns away, and what it says."""

from __future__ import annotations

import pytest

from harness import System, scenario


@scenario("WORK-ACCEPT-01", requires=["WORK-01"])
def test_a_request_is_assembled_and_both_ends_are_logged(prod: System) -> None:
    """A good request logs its start and its end, once each, and leaves one effect."""
    answer = prod.worker.post(prod.worker.task())
    outcome = prod.settle()

    answer.must_be_a_success()
    outcome.must_log_once("worker.assemble.start", by="worker")
    outcome.must_log_once("worker.assemble.done", by="worker")
    outcome.must_not_log("worker.assemble.failed")
    outcome.must_have_effects(1)


@scenario("WORK-ACCEPT-02", requires=["WORK-01"])
def test_a_failed_assembly_is_logged_as_failed(prod: System) -> None:
    """An episode that cannot be assembled logs a start and a failure, and leaves no effect."""
    prod.worker.post(prod.worker.task(episode_id="ep-without-segments"))
    outcome = prod.settle()

    outcome.must_log_in_order("worker.assemble.start", "worker.assemble.failed")
    outcome.must_not_log("worker.assemble.done")
    outcome.must_have_no_effect()


@scenario("WORK-AUTH-01", requires=["WORK-02"])
@pytest.mark.parametrize("secret", ["", "wrong", "s3cr3t/"], ids=["missing", "wrong", "prefix"])
def test_a_wrong_secret_is_turned_away(prod: System, secret: str) -> None:
    """Without the right secret: 401, an event, no start and no effect."""
    answer = prod.worker.post(prod.worker.task(), secret=secret)
    outcome = prod.settle()

    answer.must_be(401)
    outcome.must_log("worker.auth.rejected", by="worker")
    outcome.must_not_log("worker.assemble.start")
    outcome.must_have_no_effect()


@scenario("WORK-BODY-01", requires=["WORK-03"])
@pytest.mark.parametrize(
    ("content", "field"),
    [
        (b"not json", "JSON"),
        (b"[1, 2]", "object"),
        (b'{"job_id": "j-1", "correlation_id": "c-1"}', "episode_id"),
        (b'{"job_id": "j-1", "episode_id": 7, "correlation_id": "c-1"}', "episode_id"),
        (b'{"job_id": null, "episode_id": "ep-1", "correlation_id": "c-1"}', "job_id"),
    ],
    ids=["not-json", "not-an-object", "missing-field", "wrong-type", "null"],
)
def test_a_bad_body_is_named_and_harms_nothing(prod: System, content: bytes, field: str) -> None:
    """A body that is wrong gets a 4xx that names the field; the worker keeps serving."""
    refused = prod.worker.post(content)
    served = prod.worker.post(prod.worker.task())
    outcome = prod.settle()

    refused.must_be(400, 422)
    refused.must_mention(field)
    served.must_be_a_success()
    outcome.must_log("worker.request.rejected", by="worker")
    outcome.must_have_effects(1)


@scenario("WORK-BODY-02", requires=["WORK-03"])
def test_a_body_that_is_too_large_is_refused(prod: System) -> None:
    """A body of several megabytes gets a 4xx and has no effect; the worker keeps serving."""
    refused = prod.worker.post(prod.worker.task(title="x" * 3_000_000))
    served = prod.worker.post(prod.worker.task())
    outcome = prod.settle()

    refused.must_be(413)
    served.must_be_a_success()
    outcome.must_have_effects(1)
