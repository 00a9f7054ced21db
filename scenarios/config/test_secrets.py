"""The secret: it is in no line, answer or URL, whoever repeats it to the dispatcher."""

from __future__ import annotations

from harness import Route, System, faults, scenario


@scenario("CONF-SECRET-01", requires=["CONF-06"])
def test_a_worker_that_repeats_the_secret(prod: System) -> None:
    """A worker whose error repeats the secret does not bring it into the log."""
    prod.cloud_tasks.inject(faults.CLOUD_TASKS_UNAVAILABLE)
    prod.worker.inject(
        faults.WORKER_INTERNAL_ERROR.saying(f"bad credentials (token={prod.secret}), try again")
    )

    outcome = prod.assemble().settle()

    outcome.must_take(Route.CLOUD_TASKS.failed, Route.WORKER_DIRECT.failed, Route.INLINE)
    outcome.must_keep_the_secret()


@scenario("CONF-SECRET-02", requires=["CONF-06"])
def test_a_service_that_repeats_the_secret(prod: System) -> None:
    """An error of Cloud Tasks that repeats the secret does not bring it into the log."""
    prod.cloud_tasks.inject(faults.CLOUD_TASKS_UNAVAILABLE.saying(f"cannot parse header '{prod.secret}'"))

    outcome = prod.assemble().settle()

    outcome.must_take(Route.CLOUD_TASKS.failed, Route.WORKER_DIRECT)
    outcome.must_keep_the_secret()


@scenario("CONF-SECRET-03", requires=["CONF-06", "WORK-02"])
def test_a_wrong_secret_is_not_repeated(prod: System) -> None:
    """A caller with a secret that is nearly right gets a 401 in which neither secret stands."""
    nearly = prod.secret[:-1]

    answer = prod.worker.post(prod.worker.task(), secret=nearly)
    outcome = prod.settle()

    answer.must_be(401)
    outcome.must_keep_the_secret()
    outcome.must_not_repeat(nearly)
    outcome.must_have_no_effect()
