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
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from dotenv import dotenv_values, load_dotenv
from dotenv.parser import parse_stream

from reference_impl.values import (
    ConfigError,
    Flag,
    Secret,
    WorkerUrl,
    database_password,
    parse_flag,
    parse_worker_url,
    read_database_url,
    read_number,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

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


@dataclass(frozen=True, slots=True)
class EnvFile:
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
        with path.open(encoding="utf-8") as stream:
            bad_lines = [binding.original.line for binding in parse_stream(stream) if binding.error]
    except FileNotFoundError:
        return EnvFile(path)
    except (OSError, UnicodeDecodeError) as error:
        return EnvFile(path, problem=f"{path} cannot be read: {type(error).__name__}")
    if bad_lines:  # the line's text may hold the secret: only its number is shown
        return EnvFile(path, problem=f"{path} line {bad_lines[0]} is not NAME=value")
    supplied = frozenset(name for name in dotenv_values(path) if name not in os.environ)
    load_dotenv(path, override=False)
    return EnvFile(path, supplied)


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything the API and the worker are told from outside. Times are in seconds."""

    mode: Mode
    use_worker_in_dev: Flag
    worker: WorkerUrl
    tasks_auth: Secret
    project: str
    location: str
    queue: str
    oidc_service_account: str
    oidc_audience: str
    media_root: Path
    database_url: str = field(repr=False)
    enqueue_timeout_s: float
    worker_connect_timeout_s: float
    worker_timeout_s: float
    handover_max_s: float
    assembly_max_s: float
    assembly_bytes_per_s: int
    job_lease_s: float
    breaker_window_s: float
    overdue_s: float
    shutdown_grace_s: float
    dispatch_threads: int
    background_threads: int
    worker_threads: int
    cloud_run_service: str
    warnings: tuple[StartUpWarning, ...] = ()

    @property
    def development(self) -> bool:
        """True when the development path is taken; the dev flag alone never decides this."""
        return self.mode is Mode.DEVELOPMENT

    @property
    def database_password(self) -> str:
        """The password inside DATABASE_URL, so that logs can mask it; empty when there is none."""
        return database_password(self.database_url)

    @property
    def worker_problem(self) -> str:
        """Why the worker cannot be called, as a slug; empty when it can."""
        if self.worker.problem:
            return f"worker-url-{self.worker.problem}"
        return "" if self.tasks_auth else "tasks-auth-not-set"

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Settings:
        """Parse the environment; raises ConfigError for what has no sensible reading."""
        warnings: list[StartUpWarning] = []
        cloud_run_service = environ.get("K_SERVICE", "").strip()
        mode = _mode(environ, cloud_run_service, warnings)
        flag = parse_flag(environ.get("USE_WORKER_IN_DEV", ""))
        if not flag.valid:
            warnings.append(
                StartUpWarning("config.invalid_boolean", {"name": "USE_WORKER_IN_DEV", "value": flag.raw})
            )
        worker = parse_worker_url(environ.get("WORKER_URL_BASE", ""))
        if worker.problem not in ("", "not-set"):
            warnings.append(
                StartUpWarning("config.invalid_worker_url", {"reason": worker.problem, "value": worker.shown})
            )
        secret = environ.get("TASKS_AUTH", "").strip()
        if not (secret.isascii() and secret.isprintable()):
            warnings.append(
                StartUpWarning(
                    "config.invalid_secret", {"name": "TASKS_AUTH", "reason": "not-a-header-value"}
                )
            )
            secret = ""
        service_account = environ.get("TASKS_OIDC_SERVICE_ACCOUNT", "").strip()
        audience = environ.get("TASKS_OIDC_AUDIENCE", "").strip() or (worker.base and worker.assemble)
        if service_account and not audience:
            warnings.append(StartUpWarning("config.no_oidc_audience", {"name": "TASKS_OIDC_AUDIENCE"}))
        media_root = Path(environ.get("MEDIA_ROOT", "").strip() or "media").absolute()
        enqueue_s = read_number(environ, "TASKS_ENQUEUE_TIMEOUT_S", 5.0, 0.05, API_BOUND_S - 1)
        worker_s = read_number(environ, "WORKER_TIMEOUT_S", 1800.0, 0.05, 86_400)
        assembly_s = read_number(environ, "ASSEMBLY_MAX_S", 1800.0, 1, 1800)
        return cls(
            mode=mode,
            use_worker_in_dev=flag,
            worker=worker,
            tasks_auth=Secret(secret),
            project=environ.get("GOOGLE_CLOUD_PROJECT", "").strip(),
            location=environ.get("TASKS_LOCATION", "").strip(),
            queue=environ.get("TASKS_QUEUE", "").strip(),
            oidc_service_account=service_account,
            oidc_audience=audience,
            media_root=media_root,
            database_url=read_database_url(environ, f"sqlite:///{media_root / 'jobs.db'}"),
            enqueue_timeout_s=enqueue_s,
            worker_connect_timeout_s=read_number(environ, "WORKER_CONNECT_TIMEOUT_S", 2.0, 0.05, 60),
            worker_timeout_s=worker_s,
            handover_max_s=read_number(environ, "HANDOVER_MAX_S", enqueue_s + worker_s, 0.1, 90_000),
            assembly_max_s=assembly_s,
            assembly_bytes_per_s=int(read_number(environ, "ASSEMBLY_BYTES_PER_S", 0, 0, 1e12)),
            job_lease_s=read_number(environ, "JOB_LEASE_S", 5.0, 0.2, 600),
            breaker_window_s=read_number(environ, "WORKER_BREAKER_S", 15.0, 0, 3600),
            overdue_s=read_number(environ, "JOB_OVERDUE_S", 2 * assembly_s, 1, 604_800),
            shutdown_grace_s=read_number(environ, "SHUTDOWN_GRACE_S", 8.0, 0, 3600),
            dispatch_threads=int(read_number(environ, "DISPATCH_THREADS", 8, 1, 256)),
            background_threads=int(read_number(environ, "BACKGROUND_THREADS", 8, 1, 256)),
            worker_threads=int(read_number(environ, "WORKER_THREADS", 16, 1, 256)),
            cloud_run_service=cloud_run_service,
            warnings=tuple(warnings),
        )


def settings_at_start_up(env_file: EnvFile) -> Settings:
    """The settings of this process; ends it with one clear line when there is no sensible reading of them."""
    if env_file.problem:
        raise SystemExit(f"configuration error: {env_file.problem}")
    try:
        return Settings.from_environ(os.environ)
    except ConfigError as error:
        raise SystemExit(f"configuration error: {error}") from None


def _mode(environ: Mapping[str, str], cloud_run_service: str, warnings: list[StartUpWarning]) -> Mode:
    name = environ.get("APP_ENV", "").strip().strip("\"'").lower()
    if name in _PRODUCTION:
        return Mode.PRODUCTION
    if name in _DEVELOPMENT:
        return Mode.DEVELOPMENT
    if name:
        known = ", ".join((*_DEVELOPMENT, *_PRODUCTION))
        raise ConfigError(
            f"APP_ENV={name!r} is not known; use one of {known}, or leave it unset for development"
        )
    if not cloud_run_service:
        return Mode.DEVELOPMENT
    warnings.append(
        StartUpWarning("config.app_env_unset", {"assumed": Mode.PRODUCTION, "reason": "k-service-set"})
    )
    return Mode.PRODUCTION
