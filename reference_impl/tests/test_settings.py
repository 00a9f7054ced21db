"""How the configuration is read."""

from __future__ import annotations

import importlib.util
import os
import re
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import pytest

from reference_impl.settings import (
    EnvFile,
    Mode,
    Settings,
    StartUpWarning,
    load_env_file,
    settings_at_start_up,
)
from reference_impl.values import ConfigError, Secret, WorkerUrl, parse_flag, parse_worker_url

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.parametrize("raw", ["true", "1", "yes", "on", "TRUE", " Yes ", '"on"', "' true '"])
def test_true_in_every_spelling(raw: str) -> None:
    assert parse_flag(raw).value
    assert parse_flag(raw).valid


@pytest.mark.parametrize("raw", ["false", "0", "no", "off", "", "  ", '""', "FALSE", "'No'"])
def test_false_in_every_spelling(raw: str) -> None:
    assert not parse_flag(raw).value
    assert parse_flag(raw).valid


@pytest.mark.parametrize("raw", ["maybe", "tru", "2", "yes please", "\ttrue\nx", "XtrueX"])
def test_anything_else_is_false_and_a_warning_names_the_variable(raw: str) -> None:
    settings = Settings.from_environ({"USE_WORKER_IN_DEV": raw})
    assert not settings.use_worker_in_dev.value
    assert settings.warnings == (
        StartUpWarning("config.invalid_boolean", {"name": "USE_WORKER_IN_DEV", "value": raw}),
    )


@pytest.mark.parametrize("base", ["https://w.example", "http://w.example:8081", "https://w.example/X"])
@pytest.mark.parametrize("slashes", ["", "/", "///"])
def test_trailing_slashes_are_harmless(base: str, slashes: str) -> None:
    url = parse_worker_url(base + slashes)
    assert url == WorkerUrl(base + slashes, base)
    assert url.assemble == f"{base}/api/tasks/assemble"


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        ("", "not-set"),
        ("w.example", "no-scheme"),
        ("w.example:8080", "no-scheme"),
        ("ftp://w.example", "wrong-scheme"),
        ("https://", "no-host"),
        ("https:///path", "no-host"),
        ("https://w .example", "whitespace"),
        (" https://w.example", "whitespace"),
        ("https://w.example\n", "whitespace"),
        ("https://w.example:8081 ", "whitespace"),
        ("https://w.example\0", "whitespace"),
        ("https://user:pw@w.example", "credentials-in-url"),
        ("https://w.example/?q=1", "query-or-fragment"),
        ("https://w.example:port", "not-a-url"),
        ("https://[::1", "not-a-url"),
    ],
)
def test_an_unusable_url_says_why(raw: str, problem: str) -> None:
    settings = Settings.from_environ({"WORKER_URL_BASE": raw, "TASKS_AUTH": "s"})
    assert settings.worker == WorkerUrl(raw, problem=problem)
    assert settings.worker_problem == f"worker-url-{problem}"
    about = {"reason": problem, "value": settings.worker.shown}
    assert settings.warnings == ((StartUpWarning("config.invalid_worker_url", about),) if raw else ())
    assert "pw" not in repr(settings.warnings)


@pytest.mark.parametrize(
    ("app_env", "mode"),
    [(name, Mode.DEVELOPMENT) for name in ("dev", "development", "local", "", " Dev ")]
    + [(name, Mode.PRODUCTION) for name in ("production", "prod", "staging", "PROD", "\"Prod'")],
)
def test_known_environments(app_env: str, mode: Mode) -> None:
    assert Settings.from_environ({"APP_ENV": app_env}).mode is mode


@pytest.mark.parametrize("app_env", ["produktion", "XprodX"])
def test_an_unknown_environment_names_the_known_ones(app_env: str) -> None:
    with pytest.raises(
        ConfigError, match=rf"'{app_env.lower()}'.*dev, development, local, production, prod, staging"
    ):
        Settings.from_environ({"APP_ENV": app_env})


def test_unset_under_cloud_run_is_production_with_a_warning() -> None:
    settings = Settings.from_environ({"K_SERVICE": "api", "DATABASE_URL": "postgresql://h/d"})
    assert settings.mode is Mode.PRODUCTION
    about = {"assumed": "production", "reason": "k-service-set"}
    assert settings.warnings == (StartUpWarning("config.app_env_unset", about),)


@pytest.mark.parametrize("raw", ["a\r\nX-Evil: 1", "schlüssel"])
def test_a_secret_that_is_no_header_value_counts_as_not_set(raw: str) -> None:
    settings = Settings.from_environ({"TASKS_AUTH": raw, "WORKER_URL_BASE": "https://w.example"})
    assert settings.tasks_auth.reveal() == ""
    assert settings.worker_problem == "tasks-auth-not-set"
    about = {"name": "TASKS_AUTH", "reason": "not-a-header-value"}
    assert settings.warnings == (StartUpWarning("config.invalid_secret", about),)


def test_a_secret_counts_without_the_blanks_around_it() -> None:
    settings = Settings.from_environ({"TASKS_AUTH": " open sesame\n", "WORKER_URL_BASE": "https://w.example"})
    assert settings.tasks_auth.reveal() == "open sesame"
    assert (settings.tasks_auth.problem, settings.worker_problem, settings.warnings) == ("", "", ())


def test_the_secret_does_not_show_itself() -> None:
    settings = Settings.from_environ({"TASKS_AUTH": "open-sesame"})
    assert settings.tasks_auth.reveal() == "open-sesame"
    assert "open-sesame" not in f"{settings!r} {settings.tasks_auth} {Secret('open-sesame')!r}"
    assert [repr(Secret(value)) for value in ("open-sesame", "")] == ["Secret('***')", "Secret('')"]


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:open%2Fsesame@h/d",
        "postgresql+psycopg://u:open%2Fsesame@h/d",
        "postgresql://u@/d?password=open/sesame",
        "postgresql://u:other@/d?password=open/sesame",
        "postgresql://u:other@/d?sslkey=k&sslpassword=open/sesame",
        "postgresql://u@/d?password=open/sesame&password=other",
    ],
    ids=["in its place", "for a driver", "as a parameter", "in both places", "of a key", "twice"],
)
def test_a_databases_password_does_not_show_itself(url: str) -> None:
    settings = Settings.from_environ({"DATABASE_URL": url})
    assert "open/sesame" in settings.database_secrets
    assert ("other" in url) == ("other" in settings.database_secrets)
    assert "sesame" not in repr(settings)
    assert "sesame" not in repr(Settings.from_environ({"WORKER_URL_BASE": "http://u:sesame@h"}))


@pytest.mark.parametrize(
    "url", ["", "sqlite:///jobs.db", "postgresql://u@h/d"], ids=["by default", "a file", "a server"]
)
def test_a_database_without_a_password_has_none(url: str) -> None:
    assert Settings.from_environ({"DATABASE_URL": url}).database_secrets == ()


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("sesame", "is not a URL such as postgresql://user:password@host/name"),
        ("postgresql://u:sesame@[::1/d", "is not a URL such as postgresql://user:password@host/name"),
        ("mysql://u:sesame@h/d", "is for 'mysql'; use sqlite or postgresql"),
        ("postgres://u:sesame@h/d", "is for 'postgres'; use sqlite or postgresql"),
    ],
    ids=["no URL", "a broken URL", "another database", "another name of a known one"],
)
def test_a_database_that_the_store_does_not_know_is_an_error_that_hides_the_url(url: str, says: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(f"DATABASE_URL {says}") + "$") as error:
        Settings.from_environ({"DATABASE_URL": url})
    assert str(error.value) == f"DATABASE_URL {says}"


def test_a_database_that_ends_with_the_instance_is_a_warning() -> None:
    settings = Settings.from_environ({"K_SERVICE": "api", "APP_ENV": "prod"})
    assert settings.warnings == (StartUpWarning("config.local_database", {"name": "DATABASE_URL"}),)
    assert Settings.from_environ({"APP_ENV": "prod"}).warnings == ()


def test_tokens_without_an_audience_are_a_warning() -> None:
    account = {"TASKS_OIDC_SERVICE_ACCOUNT": "tasks@proj"}
    missing = StartUpWarning("config.no_oidc_audience", {"name": "TASKS_OIDC_AUDIENCE"})
    assert Settings.from_environ(account).warnings == (missing,)
    assert Settings.from_environ(account | {"WORKER_URL_BASE": "https://w.example"}).warnings == ()
    assert Settings.from_environ(account | {"TASKS_OIDC_AUDIENCE": "https://w.example"}).warnings == ()


@pytest.mark.parametrize(
    ("name", "raw"),
    [
        ("ASSEMBLY_MAX_S", "1801"),
        ("TASKS_ENQUEUE_TIMEOUT_S", "9.5"),
        ("JOB_LEASE_S", "soon"),
        ("WORKER_THREADS", "0"),
    ],
)
def test_a_number_out_of_range_is_an_error_that_names_it(name: str, raw: str) -> None:
    with pytest.raises(ConfigError, match=f"^{name}=('soon' is not a number|{raw} is out of range: )"):
        Settings.from_environ({name: raw})


def test_the_longest_assembly_fits_the_longest_dispatch_deadline(settings: Callable[..., Settings]) -> None:
    assert settings().assembly_max_s <= 1800


class TestImportedAfresh:
    """What each variable is like is decided while the module is imported, so here it is imported again."""

    @pytest.fixture
    def fresh(self) -> ModuleType:
        spec = importlib.util.find_spec("reference_impl.settings")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    @pytest.mark.parametrize(
        ("name", "meaning", "low", "high", "default"),
        [
            ("TASKS_ENQUEUE_TIMEOUT_S", "bounds the call to Cloud Tasks", 0.05, 9.0, 5.0),
            ("WORKER_CONNECT_TIMEOUT_S", "bounds the connection to the worker", 0.05, 60.0, 2.0),
            (
                "WORKER_TIMEOUT_S",
                "bounds the call to the worker, which assembles in it",
                0.05,
                86_400.0,
                1800.0,
            ),
            ("WORKER_BREAKER_S", "how long a worker that timed out is left alone", 0.0, 3600.0, 15.0),
            ("HANDOVER_MAX_S", "bounds both calls together; then inline", 0.1, 90_000.0, 1805.0),
            ("ASSEMBLY_MAX_S", "bounds one assembly", 1.0, 1800.0, 1800.0),
            ("ASSEMBLY_BYTES_PER_S", "spares the disk; 0 is full speed", 0, 10**12, 0),
            ("JOB_LEASE_S", "how long a job of a dead process is left alone", 0.2, 600.0, 5.0),
            (
                "JOB_OVERDUE_S",
                "how long a job that was handed over may have no effect",
                1.0,
                604_800.0,
                3600.0,
            ),
            ("SHUTDOWN_GRACE_S", "how long work goes on after SIGTERM", 0.0, 3600.0, 8.0),
            ("DISPATCH_THREADS", "calls to Cloud Tasks at once", 1, 256, 8),
            ("BACKGROUND_THREADS", "direct calls and inline jobs at once", 1, 256, 8),
            ("WORKER_THREADS", "assemblies at once in the worker", 1, 256, 16),
        ],
    )
    def test_a_number_has_its_bounds_and_its_default(
        self, fresh: ModuleType, name: str, meaning: str, low: float, high: float, default: float
    ) -> None:
        (attribute,) = (at for at, each in fresh.variables() if (each.name, each.meaning) == (name, meaning))

        def read(raw: str) -> float:
            value = getattr(fresh.Settings.from_environ({name: raw}), attribute)
            assert type(value) is type(default)
            return float(value)

        assert [read(raw) for raw in ("", f" {low} ", str(high))] == [default, low, high]
        bounds = f"{low:g} to {high:g}"
        for beyond in (low - 0.01, high + 1):
            with pytest.raises(ConfigError, match=re.escape(f"{name}={beyond} is out of range: {bounds}")):
                read(str(beyond))

    @pytest.mark.parametrize(
        ("name", "meaning", "attribute"),
        [
            ("K_SERVICE", "set by Cloud Run: the log is JSON", "cloud_run_service"),
            ("GOOGLE_CLOUD_PROJECT", "the queue's project", "project"),
            ("TASKS_LOCATION", "the queue's location", "location"),
            ("TASKS_QUEUE", "the queue's name", "queue"),
            ("TASKS_OIDC_SERVICE_ACCOUNT", "whose tokens the worker accepts as well", "oidc_service_account"),
            ("TASKS_OIDC_AUDIENCE", "for whom they are", "oidc_audience"),
        ],
    )
    def test_a_text_counts_without_the_blanks_around_it(
        self, fresh: ModuleType, name: str, meaning: str, attribute: str
    ) -> None:
        variable = dict(fresh.variables())[attribute]
        assert (variable.name, variable.meaning) == (name, meaning)
        assert getattr(fresh.Settings.from_environ({name: " a text\n"}), attribute) == "a text"
        assert getattr(fresh.Settings.from_environ({}), attribute) == ""

    def test_tokens_are_for_the_workers_own_url_unless_somebody_says_otherwise(
        self, fresh: ModuleType
    ) -> None:
        worker = {"WORKER_URL_BASE": "https://w.example/"}
        assert fresh.Settings.from_environ(worker).oidc_audience == "https://w.example/api/tasks/assemble"
        assert fresh.Settings.from_environ(worker | {"TASKS_OIDC_AUDIENCE": "me"}).oidc_audience == "me"

    def test_everything_shows_itself_but_the_database(self, fresh: ModuleType) -> None:
        shown = repr(fresh.Settings.from_environ({"DATABASE_URL": "postgresql://u:sesame@h/d"}))
        assert {at for at, _ in fresh.variables() if f"{at}=" not in shown} == {"database_url"}


class TestEnvFile:
    @pytest.fixture(autouse=True)
    def _clean(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("FROM_FILE", "IN_BOTH"):
            monkeypatch.setenv(name, "to be restored")
            monkeypatch.delenv(name)

    def test_the_file_is_loaded_and_the_environment_wins(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("IN_BOTH", "environment")
        (tmp_path / ".env.local").write_text("FROM_FILE='Größe'\r\nexport IN_BOTH=file\n# comment\n", "utf-8")
        loaded = load_env_file(tmp_path)
        assert (os.environ["FROM_FILE"], os.environ["IN_BOTH"]) == ("Größe", "environment")
        assert loaded == EnvFile(tmp_path / ".env.local", frozenset({"FROM_FILE"}))

    def test_no_file_is_fine(self, tmp_path: Path) -> None:
        assert load_env_file(tmp_path) == EnvFile(tmp_path / ".env.local")

    @pytest.mark.parametrize(
        ("content", "problem"), [(b"A=1\nB='sesame\n", "line 2"), (b"A=\xff\xfe", "UnicodeDecodeError")]
    )
    def test_an_unreadable_file_ends_the_process_with_one_line_that_hides_its_content(
        self, tmp_path: Path, content: bytes, problem: str
    ) -> None:
        (tmp_path / ".env.local").write_bytes(content)
        assert load_env_file(tmp_path).path == tmp_path / ".env.local"
        with pytest.raises(SystemExit, match=problem) as end:
            settings_at_start_up(load_env_file(tmp_path))
        assert "sesame" not in str(end.value)

    def test_a_folder_in_its_place_is_reported(self, tmp_path: Path) -> None:
        (tmp_path / ".env.local").mkdir()
        path = tmp_path / ".env.local"
        assert load_env_file(tmp_path) == EnvFile(path, problem=f"{path} cannot be read: IsADirectoryError")


def test_an_error_at_start_up_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APP_ENV", "nowhere")
    with pytest.raises(SystemExit, match="configuration error: APP_ENV='nowhere'"):
        settings_at_start_up(EnvFile(Path("unused")))
