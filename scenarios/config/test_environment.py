"""Configuration: where values come from, when they are read, and how they are understood."""

from __future__ import annotations

import pytest

from harness import Route, Setting, System, scenario


@scenario("CONF-FILE-01", requires=["CONF-01"])
def test_the_environment_file_is_loaded(dev: System) -> None:
    """A flag that stands in the environment file alone switches the worker on."""
    dev.config.set(Setting.WORKER_FLAG, "true")

    outcome = dev.assemble().settle()

    outcome.must_take(Route.WORKER_DIRECT)


@scenario("CONF-FILE-02", requires=["CONF-01"])
def test_the_process_environment_wins(dev: System) -> None:
    """A variable of the process environment wins over the same one in the environment file."""
    dev.config.set(Setting.WORKER_FLAG, "true")
    dev.config.set_in_process(Setting.WORKER_FLAG, "false")

    outcome = dev.assemble().settle()

    outcome.must_take(Route.WORKER_DIRECT.skipped, Route.INLINE)


@scenario("CONF-FILE-03", requires=["CONF-02"])
def test_configuration_is_read_at_start_only(dev: System) -> None:
    """An edit of the environment file changes nothing until the restart, and everything after it."""
    dev.start()
    dev.config.set(Setting.WORKER_FLAG, "false")

    edited = dev.assemble().settle()
    dev.restart()
    restarted = dev.assemble().settle()

    edited.must_take(Route.WORKER_DIRECT)
    restarted.must_take(Route.WORKER_DIRECT.skipped, Route.INLINE)


@scenario("CONF-BOOL-01", requires=["CONF-03"])
@pytest.mark.parametrize("value", ["true", "1", "YES", "On", "  true  ", '"true"', "'yes'"], ids=repr)
def test_every_spelling_of_true(dev: System, value: str) -> None:
    """Each spelling of true, in any case, with spaces and quotes around it, switches the worker on."""
    dev.config.set_in_process(Setting.WORKER_FLAG, value)

    outcome = dev.assemble().settle()

    outcome.must_take(Route.WORKER_DIRECT)


@scenario("CONF-BOOL-02", requires=["CONF-03"])
@pytest.mark.parametrize("value", ["false", "0", "No", "OFF", "", '"false"'], ids=repr)
def test_every_spelling_of_false(dev: System, value: str) -> None:
    """Each spelling of false keeps the job local."""
    dev.config.set_in_process(Setting.WORKER_FLAG, value)

    outcome = dev.assemble().settle()

    outcome.must_take(Route.WORKER_DIRECT.skipped, Route.INLINE)


@scenario("CONF-BOOL-03", requires=["CONF-03"])
@pytest.mark.parametrize("value", ["maybe", "2", "truee"])
def test_any_other_value_counts_as_false_with_a_warning(dev: System, value: str) -> None:
    """A value that is neither true nor false keeps the job local, and a warning names the variable."""
    dev.config.set_in_process(Setting.WORKER_FLAG, value)

    outcome = dev.assemble().settle()

    outcome.must_take(Route.WORKER_DIRECT.skipped, Route.INLINE)
    outcome.must_explain(Setting.WORKER_FLAG)


@scenario("CONF-URL-01", requires=["CONF-04"])
@pytest.mark.parametrize("slashes", ["/", "///"])
def test_trailing_slashes_are_harmless(dev: System, slashes: str) -> None:
    """Slashes at the end of the worker's URL do not change where the job is sent."""
    dev.config.set(Setting.WORKER_URL, dev.worker.url + slashes)

    outcome = dev.assemble().settle()

    outcome.must_call_the_worker_once()
    outcome.must_have_one_effect(on=Route.WORKER_DIRECT)


@scenario("CONF-URL-02", requires=["CONF-04", "DEV-05"])
@pytest.mark.parametrize(
    "url",
    [
        "worker.example",
        "localhost:8081",
        "ftp://worker.example",
        "http://",
        "http:///api",
        "http://worker example",
    ],
)
def test_an_invalid_worker_url_is_explained(dev: System, url: str) -> None:
    """A worker URL without a scheme or host, with a wrong scheme or with a space counts as not configured."""
    dev.config.set_in_process(Setting.WORKER_URL, url)

    outcome = dev.assemble().settle()

    outcome.must_take(Route.WORKER_DIRECT.skipped, Route.INLINE)
    outcome.must_log_a_reason_before("dev.local_start")


@scenario("CONF-MODE-01", requires=["CONF-07"])
@pytest.mark.parametrize("value", ["true", "false"])
def test_the_development_flag_means_nothing_in_production(prod: System, value: str) -> None:
    """Production takes its own way, whatever the development flag says."""
    prod.config.set(Setting.WORKER_FLAG, value)

    outcome = prod.assemble().settle()

    outcome.must_take(Route.CLOUD_TASKS)
    outcome.must_not_log(
        "dev.worker_check", "dev.sending_to_worker", "dev.worker_not_used", "dev.local_start"
    )


@scenario("CONF-MODE-02", requires=["CONF-07", "PROD-01"])
@pytest.mark.parametrize("name", ["prod", "staging", "PRODUCTION"])
def test_every_name_of_production_uses_cloud_tasks(prod: System, name: str) -> None:
    """Under each name of production, in any case, a job goes through Cloud Tasks."""
    prod.config.set(Setting.APP_ENV, name)

    outcome = prod.assemble().settle()

    outcome.must_take(Route.CLOUD_TASKS)


@scenario("CONF-MODE-03", requires=["CONF-08"], level="extended")
@pytest.mark.parametrize("name", ["prodution", "live", "test"])
def test_an_unknown_environment_stops_the_process(dev: System, name: str) -> None:
    """An environment that is none of the known ones stops the process at start-up, which names them."""
    dev.config.set(Setting.APP_ENV, name)

    last_words = dev.must_refuse_to_start()

    last_words.must_mention("APP_ENV", name, "development", "production", "staging")


@scenario("CONF-FILE-04", requires=["CONF-01"])
def test_an_unreadable_environment_file_stops_the_process(dev: System) -> None:
    """An environment file that cannot be parsed stops the process with the file and the line, not in silence."""
    dev.config.write_env_file("USE_WORKER_IN_DEV=true\n= this is not an assignment\n")

    last_words = dev.must_refuse_to_start()

    last_words.must_mention(".env.local", "line 2")
