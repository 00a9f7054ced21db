"""The event catalogue, and the one function that emits."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from reference_impl.log_format import LogSink, logfmt

if TYPE_CHECKING:
    from reference_impl.job import Job
    from reference_impl.settings import Settings

_INFO, _WARNING, _ERROR = "INFO", "WARNING", "ERROR"
CATALOGUE: dict[str, Event] = {}


class Event(NamedTuple):
    """One kind of event: its name, its severity, the fields it may carry, and when it is emitted.

    The events of a job carry `episode_id`, `job_id` and `correlation_id` besides.
    """

    name: str
    severity: str
    fields: frozenset[str]
    when: str


def _event(name: str, severity: str, fields: str, when: str) -> Event:
    CATALOGUE[name] = event = Event(name, severity, frozenset(fields.split()), when)
    return event


ENTRY = _event(
    "assemble.endpoint.entry", _INFO, "title_chars", "a request was understood; nothing is tried yet"
)
REFUSED = _event("assemble.endpoint.refused", _WARNING, "reason detail", "a request was answered 4xx")
NOT_STORED = _event(
    "assemble.endpoint.not_stored", _ERROR, "reason detail", "the job was not accepted; answered 503"
)

CHECKING = _event("assemble.service.checking_cloud_tasks", _INFO, "", "the production chain begins")
CHECKED = _event(
    "assemble.service.cloud_tasks_check",
    _INFO,
    "enabled reason detail",
    "Cloud Tasks will be tried, or why not",
)
ENQUEUED = _event("tasks.cloud.enqueued", _INFO, "task already_exists", "Cloud Tasks confirmed the task")
ENQUEUE_FAILED = _event(
    "tasks.cloud.enqueue_failed",
    _WARNING,
    "reason detail permanent verdict",
    "no confirmation; an error when permanent: the configuration is wrong and will stay wrong",
)
TRYING_WORKER = _event(
    "assemble.service.trying_worker_direct", _INFO, "url", "before the worker is called directly"
)
WORKER_DISPATCHED = _event(
    "assemble.service.worker_direct_dispatched", _INFO, "status", "the worker confirmed that the job is done"
)
WORKER_FAILED = _event(
    "assemble.service.worker_direct_failed", _WARNING, "reason detail verdict", "the worker did not confirm"
)
WORKER_SKIPPED = _event(
    "assemble.service.worker_direct_skipped", _WARNING, "reason", "the direct route was not tried"
)
FALLING_BACK = _event(
    "assemble.service.falling_back_to_inline", _WARNING, "reason", "before the job runs in the API process"
)
DEFERRED = _event(
    "assemble.service.deferred", _WARNING, "reason detail delay_s", "the job stays stored and is tried again"
)
OVERDUE = _event(
    "assemble.service.overdue", _ERROR, "reason", "a job was handed over long ago and has no effect yet"
)

INLINE_START = _event("assemble.inline.start", _INFO, "", "the API process begins the job")
INLINE_DONE = _event(
    "assemble.inline.done", _INFO, "checksum repeated", "the job is done; repeated: somebody else did it"
)
INLINE_FAILED = _event("assemble.inline.failed", _ERROR, "reason detail", "the job did not get done here")
SETTLED = _event(
    "assemble.job.settled",
    _INFO,
    "route tried outcome attempts",
    "exactly once, after everything else about a job",
)

DEV_DISPATCHED = _event(
    "tasks.dev.worker_dispatched", _INFO, "url status", "development: the worker confirmed"
)
DEV_FAILED = _event(
    "tasks.dev.worker_failed", _WARNING, "reason detail verdict", "development: it did not confirm"
)

WORKER_START = _event("worker.assemble.start", _INFO, "route", "the worker accepted a request")
WORKER_DONE = _event(
    "worker.assemble.done", _INFO, "checksum repeated", "the job is done; repeated: it was done before"
)
WORKER_ASSEMBLE_FAILED = _event(
    "worker.assemble.failed", _ERROR, "reason detail", "the job did not get done here"
)
WORKER_AUTH_REJECTED = _event(
    "worker.auth.rejected", _WARNING, "reason detail", "answered 401, or 503 while no token can be judged"
)
WORKER_REQUEST_REJECTED = _event("worker.request.rejected", _WARNING, "reason detail", "answered 4xx")

STORE_FAILED = _event(
    "store.failed", _ERROR, "reason detail", "the store could not be reached; the process goes on"
)
_event("config.invalid_boolean", _WARNING, "name value", "start-up: read as false")
_event("config.invalid_worker_url", _WARNING, "reason value", "start-up: the worker counts as not configured")
_event("config.invalid_secret", _WARNING, "name reason", "start-up: the secret counts as not configured")
_event(
    "config.no_oidc_audience",
    _WARNING,
    "name",
    "start-up: neither it nor the worker's URL is set: no token is valid",
)
_event(
    "config.local_database", _WARNING, "name", "start-up under Cloud Run: SQLite's jobs end with the instance"
)
_event("config.app_env_unset", _WARNING, "assumed reason", "start-up under Cloud Run: production is assumed")

_sink = LogSink()


def configure(settings: Settings) -> LogSink:
    """Set form and secrets of this process's log, and say what was odd about the configuration."""
    global _sink  # noqa: PLW0603 — one process has one standard output
    _sink = LogSink(
        json_lines=bool(settings.cloud_run_service),
        secrets=(settings.tasks_auth.reveal(), *settings.database_secrets),
        project=settings.project,
    )
    for warning in settings.warnings:
        emit(CATALOGUE[warning.event], None, **warning.fields)
    return _sink


def emit(event: Event, job: Job | None = None, *, severity: str = "", **fields: object) -> None:
    """Log one event; `severity` overrides the catalogue's where the fields decide it."""
    assert fields.keys() <= event.fields, f"{event.name} has no field {fields.keys() - event.fields}"
    described: dict[str, object] = {"event": event.name}
    if job is not None:
        described |= {
            "episode_id": job.episode_id,
            "job_id": job.job_id,
            "correlation_id": job.correlation_id,
        }
    for name, value in fields.items():
        if value != "":  # masked before it is quoted: quoting can change what a secret looks like
            described[name] = _sink.redact(value) if isinstance(value, str) else value
    _sink.line(severity or event.severity, logfmt(described), described, job.trace if job else "")


def say(*lines: str) -> None:
    """Print plain lines for a person at a console, together, exactly as given."""
    _sink.write("\n".join(_sink.render(_INFO, line) for line in lines))
