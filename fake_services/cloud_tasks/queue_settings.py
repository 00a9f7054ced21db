"""Queue settings: defaults, limits with the service's error texts, and update masks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fake_services.cloud_tasks import protos
from fake_services.cloud_tasks.errors import invalid
from fake_services.cloud_tasks.headers import check_headers

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fake_services.cloud_tasks.protos import Message

__all__ = ["app_engine_host", "check_retry", "completed", "merged"]

_OUTPUT_ONLY = ("state", "purge_time")


def completed(given: Message) -> Message:
    """A copy of a v2 Queue as it was sent, with defaults filled in and output-only fields dropped.

    An explicit 0 cannot be told from an unset field, so it means the default.
    Source: "Configure Cloud Tasks queues", defaults; texts as captured from the service.

    Raises:
        ApiError: INVALID_ARGUMENT for a value beyond its limits.
    """
    queue = protos.Queue()
    queue.CopyFrom(given)
    for field in _OUTPUT_ONLY:
        queue.ClearField(field)
    _check_rate(queue.rate_limits)
    check_retry(queue.retry_config)
    _check_logging(queue)
    _check_target(queue)
    limits = queue.rate_limits
    limits.max_dispatches_per_second = limits.max_dispatches_per_second or 500.0
    limits.max_concurrent_dispatches = limits.max_concurrent_dispatches or 1000
    retry = queue.retry_config
    retry.max_attempts = retry.max_attempts or 100
    retry.max_doublings = retry.max_doublings or 16
    if not retry.min_backoff.ToMicroseconds():
        retry.min_backoff.FromMilliseconds(100)
    if not retry.max_backoff.ToMicroseconds():
        retry.max_backoff.FromSeconds(3600)
    if not retry.max_retry_duration.ToMicroseconds():
        retry.ClearField("max_retry_duration")
    _check_backoff_order(retry)
    _complete_parts(queue)
    return queue


def _complete_parts(queue: Message) -> None:
    # gcloud clears the routing by an empty one (and a target part by part): an empty part means none.
    routing = queue.app_engine_routing_override
    routing.ClearField("host")
    for part in ("app_engine_routing_override", "http_target", "stackdriver_logging_config"):
        if not getattr(queue, part).ByteSize():
            queue.ClearField(part)
    if queue.HasField("app_engine_routing_override"):
        routing.host = app_engine_host(routing, queue.name.split("/")[1])


def app_engine_host(routing: Message, project: str) -> str:
    """The host for an AppEngineRouting: [instance.][version.][service.]PROJECT.appspot.com."""
    parts = [part for part in (routing.instance, routing.version, routing.service) if part]
    return ".".join([*parts, project, "appspot.com"])


def merged(current: Message, given: Message, mask: Iterable[str]) -> Message:
    """The settings after an UpdateQueue: `given` where the mask says so, `current` elsewhere, completed.

    A masked path that `given` lacks goes back to its default. An empty mask updates everything.

    Raises:
        ApiError: INVALID_ARGUMENT for a path that no queue has, or for a value beyond its limits.
    """
    paths = [path for path in mask if path]
    if not paths or "*" in paths:
        given.name = current.name
        result = completed(given)
    else:
        draft = protos.Queue()
        draft.CopyFrom(current)
        for path in paths:
            _copy_path(given, draft, path)
        result = completed(draft)
    result.name = current.name
    result.state = current.state
    if current.HasField("purge_time"):
        result.purge_time.CopyFrom(current.purge_time)
    return result


def _copy_path(source: Message, target: Message, path: str, whole: str = "") -> None:
    first, _, rest = path.partition(".")
    field = target.DESCRIPTOR.fields_by_name.get(first)
    if field is None or (rest and (field.message_type is None or field.is_repeated)):
        raise _bad_path(whole or path)
    if rest:
        _copy_path(getattr(source, first), getattr(target, first), rest, whole or path)
        # A part that was cleared field by field is gone, as one that was cleared whole.
        if not source.HasField(first) and not getattr(target, first).ByteSize():
            target.ClearField(first)
    elif field.is_repeated:
        target.ClearField(first)
        getattr(target, first).extend(getattr(source, first))
    elif field.has_presence and not source.HasField(first):
        target.ClearField(first)
    elif field.message_type is not None:
        getattr(target, first).CopyFrom(getattr(source, first))
    else:
        setattr(target, first, getattr(source, first))


def _bad_path(path: str) -> Exception:
    return invalid(f"The update mask names a field that a queue does not have: {path!r}.")


def _check_rate(limits: Message) -> None:
    if not limits.max_dispatches_per_second >= 0:  # also refuses NaN
        raise invalid("RateLimits.maxDispatchesPerSecond cannot be negative.")
    if limits.max_dispatches_per_second > 500:
        raise invalid("RateLimits.maxDispatchesPerSecond must be less than or equal to 500.")
    if limits.max_concurrent_dispatches < 0:
        raise invalid("RateLimits.maxConcurrentDispatches cannot be negative.")
    if limits.max_concurrent_dispatches > 5000:
        raise invalid("RateLimits.maxConcurrentDispatches must be less than or equal to 5000.")


def check_retry(retry: Message) -> None:
    """Raise INVALID_ARGUMENT, in the service's words, for a v2 RetryConfig with a value beyond its limits."""
    if retry.max_attempts < -1:
        raise invalid("RetryConfig.maxAttempts must be greater or equal to -1.")
    if retry.max_doublings < 0:
        raise invalid("RetryConfig.maxDoublings cannot be negative.")
    for field, name in (
        ("min_backoff", "minBackoff"),
        ("max_backoff", "maxBackoff"),
        ("max_retry_duration", "maxRetryDuration"),
    ):
        duration = getattr(retry, field)
        if duration.seconds < 0 or duration.nanos < 0:
            raise invalid(f"RetryConfig.{name} cannot be negative.")
        if duration.seconds > 315_576_000_000 or duration.nanos > 999_999_999:
            raise invalid(f"RetryConfig.{name} is not a valid duration.")
    if retry.HasField("min_backoff") and retry.HasField("max_backoff"):
        _check_backoff_order(retry)


def _check_backoff_order(retry: Message) -> None:
    longest_us = retry.max_backoff.ToMicroseconds()
    if longest_us and retry.min_backoff.ToMicroseconds() > longest_us:
        raise invalid("RetryConfig.minBackoff must be less than or equal to RetryConfig.maxBackoff.")


def _check_logging(queue: Message) -> None:
    if not 0.0 <= queue.stackdriver_logging_config.sampling_ratio <= 1.0:
        raise invalid("StackdriverLoggingConfig.samplingRatio must be between 0.0 and 1.0.")


def _check_target(queue: Message) -> None:
    if not queue.HasField("http_target"):
        return
    target = queue.http_target
    override = target.uri_override
    if target.HasField("uri_override") and override.HasField("host") and not override.host:
        raise invalid("UriOverride.host cannot be empty.")
    if override.port < 0 or override.port > 65535:
        raise invalid("UriOverride.port must be between 0 and 65535.")
    for token in ("oauth_token", "oidc_token"):
        if target.HasField(token) and not getattr(target, token).service_account_email:
            raise invalid("service_account_email must be set.")
    check_headers(
        ((each.header.key, each.header.value) for each in target.header_overrides),
        "HttpTarget.headerOverrides",
    )
