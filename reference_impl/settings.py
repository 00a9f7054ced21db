"""Typed settings, read once at start-up from the process environment and `.env.local`.

The process environment wins over the file (python-dotenv's `override=False`). Nothing here is read again
after start-up: to change a setting, restart the process.

Two kinds of mistake are kept apart. A mistake that leaves a sensible reading (an odd boolean, an unusable
worker URL) is a warning in `Settings.warnings` and is logged at start-up. A mistake that leaves none (an
unknown APP_ENV, a number that is not one, a file that cannot be parsed) raises `ConfigError`, and the
process does not start.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field, fields
from enum import StrEnum
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple

from dotenv import dotenv_values, load_dotenv
from dotenv.parser import parse_stream

from reference_impl.values import (
    ConfigError,
    Flag,
    Secret,
    WorkerUrl,
    check_database_url,
    database_secrets,
    parse_flag,
    parse_number,
    parse_secret,
    parse_worker_url,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

ENV_FILE = ".env.local"
API_BOUND_S = 10.0  # the API answers within this; every deadline on the way to the answer must be shorter

_DEVELOPMENT = ("dev", "development", "local")
_PRODUCTION = ("production", "prod", "staging")


class Mode(StrEnum):
    """Which chain of routes is used; derived from APP_ENV alone."""

    DEVELOPMENT = "development"
    PRODUCTION = "production"


class StartUpWarning(NamedTuple):
    """Something to log at start-up: the event's name and its fields."""

    event: str
    fields: dict[str, str]


class EnvFile(NamedTuple):
    """What loading `.env.local` did: the names it supplied, and why it could not be read, if so."""

    path: Path
    supplied: frozenset[str] = frozenset()
    problem: str = ""


def load_env_file(directory: Path | None = None) -> EnvFile:
    """Load `.env.local` of the current directory into the environment; variables that exist already win.

    Never raises: `settings_at_start_up` turns `problem` into a ConfigError, so that importing stays harmless.
    """
    path = (directory or Path.cwd()) / ENV_FILE
    try:
        text = StringIO(path.read_bytes().decode())
    except FileNotFoundError:
        return EnvFile(path)
    except (OSError, UnicodeDecodeError) as error:
        return EnvFile(path, problem=f"{path} cannot be read: {type(error).__name__}")
    bad_lines = [binding.original.line for binding in parse_stream(text) if binding.error]
    if bad_lines:  # the line's text may hold the secret: only its number is shown
        return EnvFile(path, problem=f"{path} line {bad_lines[0]} is not NAME=value")
    supplied = frozenset(name for name in dotenv_values(path) if name not in os.environ)
    load_dotenv(path, override=False)
    return EnvFile(path, supplied)


def _mode(raw: str, above: SimpleNamespace) -> Mode:
    name = raw.strip().strip("\"'").lower()
    if name in _PRODUCTION:
        return Mode.PRODUCTION
    if name in _DEVELOPMENT:
        return Mode.DEVELOPMENT
    if name:
        known = ", ".join((*_DEVELOPMENT, *_PRODUCTION))
        raise ConfigError(
            f"APP_ENV={name!r} is not known; use one of {known}, or leave it unset for development"
        )
    return Mode.PRODUCTION if above.cloud_run_service else Mode.DEVELOPMENT


class Variable(NamedTuple):
    """One environment variable: `read` makes its value of what is written and of the settings that stand above it."""

    name: str
    meaning: str
    read: Callable[[str, SimpleNamespace], Any]


def _variable(
    name: str, meaning: str, read: Callable[[str, SimpleNamespace], Any], *, show: bool = True
) -> Any:
    return field(repr=show, metadata={Variable: Variable(name, meaning, read)})


def _text(name: str, meaning: str, default: Callable[[SimpleNamespace], str] = lambda _: "") -> Any:
    return _variable(name, meaning, lambda raw, above: raw.strip() or default(above))


def _number(
    name: str, meaning: str, low: float, high: float, default: float | Callable[[SimpleNamespace], float]
) -> Any:
    def read(raw: str, above: SimpleNamespace) -> float:
        return parse_number(name, raw, low, high, default(above) if callable(default) else default)

    return _variable(name, meaning, read)


def _count(name: str, meaning: str, low: int, high: int, default: int) -> Any:
    return _variable(name, meaning, lambda raw, _: int(parse_number(name, raw, low, high, default)))


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything the API and the worker are told from outside. Times are in seconds.

    Each line names the variable, what it means, its limits where it is a number, and its default.
    """

    cloud_run_service: str = _text("K_SERVICE", "set by Cloud Run: the log is JSON")
    mode: Mode = _variable("APP_ENV", "development or production", _mode)
    use_worker_in_dev: Flag = _variable(
        "USE_WORKER_IN_DEV", "development: whether jobs go to the worker", lambda raw, _: parse_flag(raw)
    )
    worker: WorkerUrl = _variable(
        "WORKER_URL_BASE", "where the worker is", lambda raw, _: parse_worker_url(raw)
    )
    tasks_auth: Secret = _variable(
        "TASKS_AUTH", "the secret that the worker asks for", lambda raw, _: parse_secret(raw)
    )
    project: str = _text("GOOGLE_CLOUD_PROJECT", "the queue's project")
    location: str = _text("TASKS_LOCATION", "the queue's location")
    queue: str = _text("TASKS_QUEUE", "the queue's name")
    oidc_service_account: str = _text("TASKS_OIDC_SERVICE_ACCOUNT", "whose tokens the worker accepts as well")
    oidc_audience: str = _text(
        "TASKS_OIDC_AUDIENCE", "for whom they are", lambda above: above.worker.base and above.worker.assemble
    )
    media_root: Path = _variable(
        "MEDIA_ROOT", "the episodes", lambda raw, _: Path(raw.strip() or "media").absolute()
    )
    database_url: str = _variable(
        "DATABASE_URL",
        "the jobs; shared by the API and the worker",
        lambda raw, above: check_database_url(raw.strip() or f"sqlite:///{above.media_root / 'jobs.db'}"),
        show=False,
    )
    enqueue_timeout_s: float = _number(
        "TASKS_ENQUEUE_TIMEOUT_S", "bounds the call to Cloud Tasks", 0.05, API_BOUND_S - 1, 5.0
    )
    worker_connect_timeout_s: float = _number(
        "WORKER_CONNECT_TIMEOUT_S", "bounds the connection to the worker", 0.05, 60, 2.0
    )
    worker_timeout_s: float = _number(
        "WORKER_TIMEOUT_S", "bounds the call to the worker, which assembles in it", 0.05, 86_400, 1800.0
    )
    breaker_window_s: float = _number(
        "WORKER_BREAKER_S", "how long a worker that timed out is left alone", 0, 3600, 15.0
    )
    handover_max_s: float = _number(
        "HANDOVER_MAX_S",
        "bounds both calls together; then inline",
        0.1,
        90_000,
        lambda above: above.enqueue_timeout_s + above.worker_timeout_s,
    )
    assembly_max_s: float = _number("ASSEMBLY_MAX_S", "bounds one assembly", 1, 1800, 1800.0)
    assembly_bytes_per_s: int = _count(
        "ASSEMBLY_BYTES_PER_S", "spares the disk; 0 is full speed", 0, 10**12, 0
    )
    job_lease_s: float = _number(
        "JOB_LEASE_S", "how long a job of a dead process is left alone", 0.2, 600, 5.0
    )
    overdue_s: float = _number(
        "JOB_OVERDUE_S",
        "how long a job that was handed over may have no effect",
        1,
        604_800,
        lambda above: 2 * above.assembly_max_s,
    )
    shutdown_grace_s: float = _number("SHUTDOWN_GRACE_S", "how long work goes on after SIGTERM", 0, 3600, 8.0)
    dispatch_threads: int = _count("DISPATCH_THREADS", "calls to Cloud Tasks at once", 1, 256, 8)
    background_threads: int = _count("BACKGROUND_THREADS", "direct calls and inline jobs at once", 1, 256, 8)
    worker_threads: int = _count("WORKER_THREADS", "assemblies at once in the worker", 1, 256, 16)
    warnings: tuple[StartUpWarning, ...] = ()

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Settings:
        """Parse the environment; raises ConfigError for what has no sensible reading."""
        above = SimpleNamespace()
        for attribute, variable in variables():
            setattr(above, attribute, variable.read(environ.get(variable.name, ""), above))
        odd = tuple(_warnings(above, app_env=environ.get("APP_ENV", "")))
        return cls(**vars(above), warnings=odd)

    @property
    def development(self) -> bool:
        """True when the development path is taken; the dev flag alone never decides this."""
        return self.mode is Mode.DEVELOPMENT

    @property
    def database_secrets(self) -> tuple[str, ...]:
        """The passwords inside DATABASE_URL, so that logs can mask them."""
        return database_secrets(self.database_url)

    @property
    def worker_problem(self) -> str:
        """Why the worker cannot be called, as a slug; empty when it can."""
        if self.worker.problem:
            return f"worker-url-{self.worker.problem}"
        return "" if self.tasks_auth else "tasks-auth-not-set"


def variables() -> Iterator[tuple[str, Variable]]:
    """Every setting's attribute and its variable, in the order in which they are read."""
    for setting in fields(Settings):
        if Variable in setting.metadata:
            yield setting.name, setting.metadata[Variable]


def _warnings(read: SimpleNamespace, *, app_env: str) -> Iterator[StartUpWarning]:
    """What was odd, and how it was understood."""
    if read.mode is Mode.PRODUCTION and not app_env.strip():
        yield StartUpWarning("config.app_env_unset", {"assumed": Mode.PRODUCTION, "reason": "k-service-set"})
    if read.cloud_run_service and read.database_url.startswith("sqlite"):
        yield StartUpWarning("config.local_database", {"name": "DATABASE_URL"})
    if not read.use_worker_in_dev.valid:
        flag = {"name": "USE_WORKER_IN_DEV", "value": read.use_worker_in_dev.raw}
        yield StartUpWarning("config.invalid_boolean", flag)
    if read.worker.problem not in ("", "not-set"):
        url = {"reason": read.worker.problem, "value": read.worker.shown}
        yield StartUpWarning("config.invalid_worker_url", url)
    if read.tasks_auth.problem:
        yield StartUpWarning(
            "config.invalid_secret", {"name": "TASKS_AUTH", "reason": read.tasks_auth.problem}
        )
    if read.oidc_service_account and not read.oidc_audience:
        yield StartUpWarning("config.no_oidc_audience", {"name": "TASKS_OIDC_AUDIENCE"})


def settings_at_start_up(env_file: EnvFile) -> Settings:
    """The settings of this process; ends it with one clear line when there is no sensible reading of them."""
    if env_file.problem:
        raise SystemExit(f"configuration error: {env_file.problem}")
    try:
        return Settings.from_environ(os.environ)
    except ConfigError as error:
        raise SystemExit(f"configuration error: {error}") from None
