"""Where a task may go: Cloud Tasks in production; in development the worker, when it is configured for that.

Importing this module loads `.env.local`; nothing else happens at import.
"""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, NamedTuple

from reference_impl import events
from reference_impl.settings import load_env_file
from reference_impl.values import WORKER_TASK_PATH

if TYPE_CHECKING:
    from reference_impl.job import Job
    from reference_impl.routes import Attempt
    from reference_impl.routes.direct_worker import WorkerRoute
    from reference_impl.settings import Settings

ENV_FILE = load_env_file()

_RULE = "=" * 80


class CloudTasksCheck(NamedTuple):
    """Whether Cloud Tasks is to be tried; `reason` is a slug, `detail` names what is missing."""

    enabled: bool
    reason: str
    detail: str = ""


def check_cloud_tasks(settings: Settings) -> CloudTasksCheck:
    """Say whether Cloud Tasks is to be tried for the next job, and why; makes no call."""
    if settings.development:
        return CloudTasksCheck(enabled=False, reason="development-mode")
    variables = {
        "GOOGLE_CLOUD_PROJECT": settings.project,
        "TASKS_LOCATION": settings.location,
        "TASKS_QUEUE": settings.queue,
    }
    missing = [name for name, value in variables.items() if not value]
    if missing:
        return CloudTasksCheck(enabled=False, reason="not-configured", detail=f"{', '.join(missing)} not set")
    if settings.worker_problem:  # a task needs the worker's URL and secret as much as the direct call does
        return CloudTasksCheck(enabled=False, reason=settings.worker_problem)
    if not _library_installed():
        return CloudTasksCheck(enabled=False, reason="library-missing", detail="google-cloud-tasks")
    return CloudTasksCheck(enabled=True, reason="configured")


def should_use_cloud_tasks(settings: Settings) -> bool:
    """True when Cloud Tasks is to be tried; never in development."""
    return check_cloud_tasks(settings).enabled


def _library_installed() -> bool:
    try:
        return importlib.util.find_spec("google.cloud.tasks_v2") is not None
    except (ImportError, ValueError):
        return False


def _dispatch_local_task(path: str, job: Job, settings: Settings, worker: WorkerRoute) -> Attempt | None:
    """Development: print what is being checked, then make one attempt at the worker, or None.

    None means that the worker is not to be used; then, or when it did not confirm, the job is to run locally.
    """
    is_worker_task = path == WORKER_TASK_PATH
    flag = settings.use_worker_in_dev
    will_use_worker = flag.value and is_worker_task and not settings.worker_problem
    events.say(
        _RULE,
        "DEV MODE WORKER CHECK:",
        f"  path={path}",
        f"  USE_WORKER_IN_DEV={_one_line(flag.raw)} (parsed={flag.value})",
        f"  WORKER_URL_BASE={settings.worker.shown}",
        f"  is_worker_task={is_worker_task}",
        f"  Will use worker: {will_use_worker}",
        _RULE,
    )
    if not will_use_worker:
        events.say("DEV MODE: Worker config invalid or not a worker task")
        return None
    url = settings.worker.base + path
    events.say(f"DEV MODE: Sending {path} to worker server at {url}")
    attempt = worker.attempt(job, settings.worker_timeout_s)
    if attempt.delivered:
        events.emit(events.DEV_DISPATCHED, job, url=url, status=attempt.reason)
    else:
        events.emit(
            events.DEV_FAILED, job, reason=attempt.reason, detail=attempt.detail, verdict=attempt.verdict
        )
    return attempt


def _one_line(raw: str) -> str:
    return raw if raw.isprintable() else repr(raw)
