"""What is sent to a target: method, URL and headers of one attempt. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

from fake_services.cloud_tasks.headers import is_the_services
from fake_services.cloud_tasks.task_rules import GET, METHODS

if TYPE_CHECKING:
    from collections.abc import Callable

    from fake_services.cloud_tasks.protos import Message
    from fake_services.cloud_tasks.task import StoredTask

__all__ = ["Outgoing", "outgoing", "override_url"]

_ALWAYS = 2  # UriOverride.UriOverrideEnforceMode: IF_NOT_EXISTS is 1, ALWAYS and unspecified mean ALWAYS
_IF_NOT_EXISTS = 1
_HTTP = 1  # UriOverride.Scheme


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One request as it goes out, but for Host and Content-Length, which depend on where redirects lead.

    `is_http` tells an HTTP target from an App Engine one.
    """

    method: str
    url: str
    headers: list[tuple[str, str]]
    body: bytes
    is_http: bool = True


def outgoing(
    task: StoredTask,
    message: Message,
    authorize: Callable[[Message, str], str],
    app_engine_base: Callable[[str], str],
) -> Outgoing:
    """The next attempt's request.

    Args:
        task: Its counters tell the informational headers; dispatch_count already includes this attempt.
        message: The stored v2 Task.
        authorize: Makes the Authorization header for a token configuration and the default audience.
        app_engine_base: URL to which App Engine tasks for a service go; "" for the host that the task names.
    """
    if message.WhichOneof("message_type") == "http_request":
        return _http(task, message, authorize)
    return _app_engine(task, message, app_engine_base)


def _http(task: StoredTask, message: Message, authorize: Callable[[Message, str], str]) -> Outgoing:
    request = message.http_request
    settings = task.queue.settings
    method, url, body = request.http_method, request.url, request.body
    token = request.WhichOneof("authorization_header")
    token_config = getattr(request, token) if token else None
    headers = dict(request.headers)
    if settings.HasField("http_target"):
        target = settings.http_target
        if target.HasField("uri_override"):
            url = override_url(url, target.uri_override)
        if target.http_method:
            method = target.http_method
            if method == GET:
                body = b""
        for override in target.header_overrides:
            if not is_the_services(override.header.key):
                _set(headers, override.header.key, override.header.value)
        queue_token = target.WhichOneof("authorization_header")
        if queue_token:
            token_config = getattr(target, queue_token)
    sent = [
        ("X-CloudTasks-QueueName", task.queue.short_name),
        ("X-CloudTasks-TaskName", task.task_id),
        ("X-CloudTasks-TaskRetryCount", str(task.dispatch_count - 1)),
        ("X-CloudTasks-TaskExecutionCount", str(task.non_5xx_count)),
        ("X-CloudTasks-TaskETA", _eta(task.schedule_us)),
    ]
    if task.dispatch_count > 1:
        sent.append(("X-CloudTasks-TaskPreviousResponse", str(task.last_status)))
        sent.append(("X-CloudTasks-TaskRetryReason", ""))
    if token_config is not None:
        _drop(headers, "authorization")
        sent.append(("Authorization", authorize(token_config, url)))
    sent += headers.items()
    return Outgoing(METHODS.get(method, "POST"), url, sent, body)


def _app_engine(task: StoredTask, message: Message, base_of: Callable[[str], str]) -> Outgoing:
    request = message.app_engine_http_request
    settings = task.queue.settings
    routing = request.app_engine_routing
    if settings.HasField("app_engine_routing_override"):
        routing = settings.app_engine_routing_override
    headers = dict(request.headers)
    _drop(headers, "content-length")
    sent = [
        ("X-AppEngine-QueueName", task.queue.short_name),
        ("X-AppEngine-TaskName", task.task_id),
        ("X-AppEngine-TaskRetryCount", str(task.dispatch_count - 1)),
        ("X-AppEngine-TaskExecutionCount", str(task.response_count)),
        ("X-AppEngine-TaskETA", _eta(task.schedule_us)),
    ]
    if task.dispatch_count > 1:
        timed_out = task.last_code == "DEADLINE_EXCEEDED" or task.last_status == 0
        sent.append(("X-AppEngine-TaskPreviousResponse", "0" if timed_out else str(task.last_status)))
        sent.append(("X-AppEngine-TaskRetryReason", "Instance Unavailable" if timed_out else "App Error"))
    sent += headers.items()
    return Outgoing(
        METHODS.get(request.http_method, "POST"),
        (base_of(routing.service or "default").rstrip("/") or f"https://{routing.host}")
        + request.relative_uri,
        sent,
        request.body,
        is_http=False,
    )


def override_url(url: str, override: Message) -> str:
    """A task's URL after its queue's UriOverride.

    Source: "Configure Cloud Tasks queues", queue-level routing; RPC reference, UriOverride. Port 0 and an
    empty query clear theirs. A URL that cannot be read stays as it is: the attempt fails on it.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return url
    fill_only = override.uri_override_enforce_mode == _IF_NOT_EXISTS
    scheme, path, query = parts.scheme, parts.path, parts.query
    if override.HasField("scheme") and not (fill_only and scheme):
        scheme = "http" if override.scheme == _HTTP else "https"
    if override.HasField("host") and not (fill_only and host):
        host = override.host
    if override.HasField("port") and not (fill_only and port):
        port = override.port or None
    if override.HasField("path_override") and not (fill_only and path.strip("/")):
        path = override.path_override.path
        path = path if path.startswith("/") or not path else "/" + path
    if override.HasField("query_override") and not (fill_only and query):
        query = override.query_override.query_params
    bracketed = f"[{host}]" if ":" in host else host
    return urlunsplit((scheme, bracketed if port is None else f"{bracketed}:{port}", path, query, ""))


def _eta(when_us: int) -> str:
    """Epoch seconds as a decimal fraction, as in a dump of the real header (1666670855.3296249)."""
    return f"{when_us // 1_000_000}.{when_us % 1_000_000:06d}".rstrip("0").removesuffix(".") + (
        ".0" if when_us % 1_000_000 == 0 else ""
    )


def _set(headers: dict[str, str], name: str, value: str) -> None:
    _drop(headers, name)
    headers[name] = value


def _drop(headers: dict[str, str], name: str) -> None:
    wanted = name.lower()
    for key in [key for key in headers if key.lower() == wanted]:
        del headers[key]
