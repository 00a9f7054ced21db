"""The command that shows the configuration."""

from __future__ import annotations

from harness import Setting, System, scenario


@scenario("CONF-CHECK-01", requires=["CONF-05", "CONF-06"])
def test_it_shows_a_configuration_that_reaches_the_worker(dev: System) -> None:
    """It shows each variable, where it came from and the route to be taken, and ends with 0; the secret is masked."""
    answer = dev.check_config()

    answer.must_be(0)
    answer.must_mention(
        "USE_WORKER_IN_DEV", ".env.local", "WORKER_URL_BASE", dev.worker.url, "TASKS_AUTH", "worker_direct"
    )
    answer.must_not_mention(dev.secret)


@scenario("CONF-CHECK-02", requires=["CONF-05", "CONF-03"])
def test_it_shows_raw_and_parsed_values(dev: System) -> None:
    """It shows what was written beside what was understood, and ends with 1 when the worker is not reached."""
    dev.config.set(Setting.WORKER_FLAG, "OFF")

    answer = dev.check_config()

    answer.must_be(1)
    answer.must_mention("OFF", "False", "inline")


@scenario("CONF-CHECK-03", requires=["CONF-05"])
def test_it_shows_productions_routes(prod: System) -> None:
    """In production it shows the chain, in order."""
    answer = prod.check_config()

    answer.must_be(0)
    answer.must_mention("cloud_tasks", "worker_direct", "inline")
