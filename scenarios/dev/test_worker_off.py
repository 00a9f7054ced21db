"""Development with the worker switched off, or not properly configured: a job runs locally."""

from __future__ import annotations

import pytest

from harness import Route, Setting, System, scenario


@scenario("DEV-LOCAL-01", requires=["DEV-01", "DEV-05"])
def test_the_flag_is_off(dev: System) -> None:
    """With the flag off the job runs locally, and the console says so in the seed's words."""
    dev.config.set(Setting.WORKER_FLAG, "false")

    outcome = dev.assemble().settle()

    outcome.must_take(Route.WORKER_DIRECT.skipped, Route.INLINE)
    outcome.must_print(
        "DEV MODE: Worker config invalid or not a worker task",
        f"DEV MODE assemble start for episode {outcome.episode_id}",
    )
    outcome.must_have_one_effect(on=Route.INLINE)
    outcome.must_not_reach_the_worker()
    outcome.must_not_reach_cloud_tasks()


@scenario("DEV-LOCAL-02", requires=["DEV-05"])
@pytest.mark.parametrize("setting", [Setting.WORKER_FLAG, Setting.WORKER_URL, Setting.SECRET], ids=str)
def test_a_part_of_the_worker_configuration_is_missing(dev: System, setting: Setting) -> None:
    """Without the flag, the worker's URL or the secret, the job runs locally."""
    dev.config.unset(setting)

    outcome = dev.assemble().settle()

    outcome.must_take(Route.WORKER_DIRECT.skipped, Route.INLINE)
    outcome.must_have_one_effect(on=Route.INLINE)
    outcome.must_not_reach_the_worker()


@scenario("DEV-LOCAL-03", requires=["DEV-03"])
def test_the_banner_shows_values_as_they_were_given(dev: System) -> None:
    """The banner shows the raw value beside the parsed one, also where the worker is not used."""
    dev.config.set(Setting.WORKER_FLAG, "OFF")

    outcome = dev.assemble().settle()

    outcome.must_print_banner(
        "path=/api/tasks/assemble",
        "USE_WORKER_IN_DEV=OFF (parsed=False)",
        f"WORKER_URL_BASE={dev.worker.url}",
        "is_worker_task=True",
        "Will use worker: False",
    )


@scenario("DEV-LOCAL-04", requires=["DEV-01"])
@pytest.mark.parametrize(
    "name", ["dev", "local", "development", ""], ids=["dev", "local", "development", "empty"]
)
def test_every_name_of_development_keeps_away_from_cloud_tasks(dev: System, name: str) -> None:
    """Under each name of development, and none, nothing reaches Cloud Tasks."""
    dev.config.set(Setting.APP_ENV, name)

    outcome = dev.assemble().settle()

    outcome.must_take(Route.WORKER_DIRECT)
    outcome.must_not_reach_cloud_tasks()


@scenario("DEV-LOCAL-06", requires=["DEV-01"])
def test_a_queue_in_the_environment_changes_nothing(dev: System) -> None:
    """A developer's environment may name production's queue: nothing reaches Cloud Tasks all the same."""
    dev.config.set(Setting.PROJECT, "podcast-check")
    dev.config.set(Setting.LOCATION, "us-west1")
    dev.config.set(Setting.QUEUE, "assemble")

    outcome = dev.assemble().settle()

    outcome.must_take(Route.WORKER_DIRECT)
    outcome.must_not_reach_cloud_tasks()


@scenario("DEV-LOCAL-05", requires=["DEV-06"])
def test_another_task_is_never_sent_to_the_worker(dev: System) -> None:
    """A task whose path is not a worker task runs locally, however the worker is configured."""
    outcome = dev.dispatch_another_task()

    outcome.must_print(
        "DEV MODE WORKER CHECK:",
        "  is_worker_task=False",
        "  Will use worker: False",
        "DEV MODE: Worker config invalid or not a worker task",
    )
    outcome.must_not_reach_the_worker()
    outcome.must_not_reach_cloud_tasks()
