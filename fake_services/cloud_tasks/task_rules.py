"""What a task may look like, and how the service fills it in before it is stored."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING
from urllib.parse import quote
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from fake_services.cloud_tasks.errors import invalid
from fake_services.cloud_tasks.headers import check_headers, is_the_services
from fake_services.cloud_tasks.queue_settings import app_engine_host, check_retry

if TYPE_CHECKING:
    from fake_services.cloud_tasks.config import Semantics
    from fake_services.cloud_tasks.names import QueueName
    from fake_services.cloud_tasks.protos import Message

__all__ = ["APP_ENGINE_USER_AGENT", "GET", "METHODS", "USER_AGENT", "complete_task"]

POST, GET, HEAD, PUT, DELETE, PATCH, OPTIONS = 1, 2, 3, 4, 5, 6, 7
METHODS = {1: "POST", 2: "GET", 3: "HEAD", 4: "PUT", 5: "DELETE", 6: "PATCH", 7: "OPTIONS"}

USER_AGENT = "Google-Cloud-Tasks"
APP_ENGINE_USER_AGENT = "AppEngine-Google; (+http://code.google.com/appengine)"

_S_US = 1_000_000
_URL_LIMIT = 2083
_SENT_AS_THEY_ARE = "".join(map(chr, range(0x21, 0x7F)))


def complete_task(task: Message, queue: QueueName, now_us: int, semantics: Semantics) -> int:
    """Check a v2 Task as it was sent and fill in what the service fills in; changed in place.

    Returns:
        Its schedule time, in microseconds.

    Raises:
        ApiError: INVALID_ARGUMENT for anything that the service refuses.
    """
    for field in ("dispatch_count", "response_count", "first_attempt", "last_attempt", "view"):
        task.ClearField(field)
    kind = task.WhichOneof("message_type")
    if kind == "http_request":
        _complete_http(task)
    elif kind == "app_engine_http_request":
        _complete_app_engine(task, queue)
    else:
        raise invalid("Task.messageType must be set: either httpRequest or appEngineHttpRequest is required.")
    if task.HasField("retry_config"):
        check_retry(task.retry_config)
    schedule_us = _complete_schedule(task, now_us, semantics)
    task.create_time.FromSeconds(now_us // _S_US)
    return schedule_us


def _complete_http(task: Message) -> None:
    request = task.http_request
    if not request.url:
        raise invalid("HttpRequest.url is required.")
    if not request.url.startswith(("http://", "https://")):
        raise invalid("HttpTarget.url must start with 'http://' or 'https://'.")
    if _encoded_length(request.url) > _URL_LIMIT:
        raise invalid(f"HttpRequest.url must be at most {_URL_LIMIT} characters long.")
    request.http_method = _method(request.http_method, "HttpRequest")
    if request.body and request.http_method not in {POST, PUT, PATCH}:
        raise invalid(f"HttpRequest.body is not allowed for HTTP method {METHODS[request.http_method]}.")
    check_headers(request.headers.items(), "HttpRequest.headers")
    for name in [name for name in request.headers if is_the_services(name)]:
        del request.headers[name]
    request.headers["User-Agent"] = USER_AGENT
    token = request.WhichOneof("authorization_header")
    if token is not None and not getattr(request, token).service_account_email:
        raise invalid("service_account_email must be set.")
    if task.HasField("dispatch_deadline"):
        deadline_us = _duration_us(task.dispatch_deadline, "Task.dispatchDeadline")
        if not 15 * _S_US <= deadline_us <= 1800 * _S_US:
            raise invalid("Task.dispatchDeadline must be between [15s, 30m].")
        task.dispatch_deadline.FromMilliseconds(deadline_us // 1000)
    else:
        task.dispatch_deadline.FromSeconds(600)


def _encoded_length(url: str) -> int:
    """How long it is when sent: what no URL may hold is percent-encoded. Source: RPC reference, HttpRequest.url."""
    return len(quote(url, safe=_SENT_AS_THEY_ARE))


def _complete_app_engine(task: Message, queue: QueueName) -> None:
    request = task.app_engine_http_request
    request.relative_uri = request.relative_uri or "/"
    if not request.relative_uri.startswith("/"):
        raise invalid("AppEngineHttpRequest.relativeUri must start with '/'.")
    if " " in request.relative_uri:
        raise invalid("AppEngineHttpRequest.relativeUri cannot contain spaces.")
    if _encoded_length(request.relative_uri) > _URL_LIMIT:
        raise invalid(f"AppEngineHttpRequest.relativeUri must be at most {_URL_LIMIT} characters long.")
    request.http_method = _method(request.http_method, "AppEngineHttpRequest")
    if request.body and request.http_method not in {POST, PUT}:
        raise invalid(
            f"AppEngineHttpRequest.body is not allowed for HTTP method {METHODS[request.http_method]}."
        )
    check_headers(request.headers.items(), "AppEngineHttpRequest.headers")
    _complete_app_engine_headers(request)
    request.app_engine_routing.host = app_engine_host(request.app_engine_routing, queue.project)
    if task.HasField("dispatch_deadline"):
        deadline_us = _duration_us(task.dispatch_deadline, "Task.dispatchDeadline")
        if deadline_us and not 15 * _S_US <= deadline_us <= 86_415 * _S_US:
            raise invalid("Task.dispatchDeadline must be between [15s, 24h15s].")
        if deadline_us:
            task.dispatch_deadline.FromMilliseconds(deadline_us // 1000)
        else:
            task.ClearField("dispatch_deadline")


def _complete_app_engine_headers(request: Message) -> None:
    headers = request.headers
    own_agent = next((value for name, value in headers.items() if name.lower() == "user-agent"), "")
    for name in [name for name in headers if is_the_services(name)]:
        del headers[name]
    headers["User-Agent"] = f"{own_agent} {APP_ENGINE_USER_AGENT}".strip()
    if request.body:
        headers["Content-Length"] = str(len(request.body))
        if not any(name.lower() == "content-type" for name in headers):
            headers["Content-Type"] = "application/octet-stream"


def _method(given: int, where: str) -> int:
    if given and given not in METHODS:
        raise invalid(f"{where}.httpMethod is not a known HTTP method.")
    return given or POST


def _duration_us(duration: Message, where: str) -> int:
    seconds, nanos = duration.seconds, duration.nanos
    if abs(seconds) > 315_576_000_000 or abs(nanos) > 999_999_999:
        raise invalid(f"{where} is not a valid duration.")
    return int(seconds * _S_US + nanos // 1000)


def _complete_schedule(task: Message, now_us: int, semantics: Semantics) -> int:
    schedule_us = now_us
    if task.HasField("schedule_time"):
        seconds, nanos = task.schedule_time.seconds, task.schedule_time.nanos
        if not -62_135_596_800 <= seconds <= 253_402_300_799 or not 0 <= nanos <= 999_999_999:
            raise invalid("Task.scheduleTime is not a valid timestamp.")
        schedule_us = seconds * _S_US + nanos // 1000
    if schedule_us - now_us > semantics.schedule_horizon_s * _S_US:
        hours = int(semantics.schedule_horizon_s // 3600)
        raise invalid(
            f"The Task.scheduleTime, {_pacific(schedule_us)}, is too far in the future. "
            f"Schedule time must be no more than {hours}h in the future."
        )
    schedule_us = max(schedule_us, now_us)
    task.schedule_time.FromMicroseconds(schedule_us)
    return schedule_us


def _pacific(when_us: int) -> str:
    try:
        zone: dt.tzinfo = ZoneInfo("America/Los_Angeles")
    except ZoneInfoNotFoundError:  # a slim image without time zone data
        zone = dt.timezone(dt.timedelta(hours=-8))
    return dt.datetime.fromtimestamp(when_us / _S_US, zone).isoformat()
