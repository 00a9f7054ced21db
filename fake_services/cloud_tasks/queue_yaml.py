"""Imports App Engine's queue.yaml as queue settings.

Source: "queue.yaml reference", and what gcloud's own migration to Cloud Tasks makes of it: unlimited attempts
by default, task_retry_limit + 1 attempts, a burst of bucket_size (5), names taken for nine days,
tasks kept for the longest time that v2beta3 has.
"""

from __future__ import annotations

import re
from typing import Any

__all__ = ["queues_from_yaml"]

_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_NINE_DAYS_S = 777_600.0
_TEN_YEARS_S = 315_360_000.0
_RATE = re.compile(r"(\d+(?:\.\d+)?)/([smhd])")
_AGE = re.compile(r"(\d+(?:\.\d+)?)([smhd])")
_QUEUE_KEYS = frozenset(
    {"name", "rate", "bucket_size", "max_concurrent_requests", "mode", "target", "retry_parameters", "acl"}
)
_RETRY_KEYS = frozenset(
    {"task_retry_limit", "task_age_limit", "min_backoff_seconds", "max_backoff_seconds", "max_doublings"}
)


def queues_from_yaml(text: str, *, project: str, location: str) -> dict[str, dict[str, object]]:
    """Queue settings, as for `CloudTasksConfig.queues`, by full name.

    Raises:
        ValueError: It is no queue.yaml; the message names the queue and the key.
    """
    import yaml  # only who imports a queue.yaml needs it

    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(f"queue.yaml cannot be read: {error}") from error
    queues = content.get("queue") if isinstance(content, dict) else None
    if not isinstance(queues, list):
        raise ValueError("queue.yaml has no list of queues under the key 'queue'")  # noqa: TRY004  # one kind for all
    found: dict[str, dict[str, object]] = {}
    for queue in queues:
        if not isinstance(queue, dict) or not isinstance(queue.get("name"), str):
            raise ValueError(f"queue.yaml: a queue is a mapping with a name, not {queue!r}")  # noqa: TRY004
        name = f"projects/{project}/locations/{location}/queues/{queue['name']}"
        found[name] = _queue(queue)
    return found


def _queue(queue: dict[str, Any]) -> dict[str, object]:
    where = f"queue.yaml, queue {queue['name']!r}"
    _known(queue, _QUEUE_KEYS, where)
    if queue.get("mode", "push") != "push":
        raise ValueError(f"{where}: mode {queue['mode']!r} is not supported, only push")
    rate_per_s = _rate(queue.get("rate"), where)
    limits: dict[str, object] = {
        "max_dispatches_per_second": rate_per_s or 500.0,
        "max_concurrent_dispatches": min(
            5000, max(1, _number(queue, "max_concurrent_requests", 1000, where))
        ),
    }
    settings: dict[str, Any] = {
        "rate_limits": limits,
        "burst_size": max(1, _number(queue, "bucket_size", 5, where)),
        "dedup_window_s": _NINE_DAYS_S,
        "task_ttl_s": _TEN_YEARS_S,
        "retry_config": _retry(queue.get("retry_parameters") or {}, where),
    }
    if settings["retry_config"].get("max_doublings") == 0:
        settings["no_doublings"] = True
    if rate_per_s == 0:
        settings["state"] = "DISABLED"  # a rate of 0 stops the queue; only queue.yaml can make this state
    if "target" in queue:
        settings["app_engine_routing_override"] = {"service": str(queue["target"])}
    return settings


def _retry(given: Any, where: str) -> dict[str, object]:  # any YAML value
    where += ", retry_parameters"
    if not isinstance(given, dict):
        raise ValueError(f"{where} is a mapping, not {given!r}")  # noqa: TRY004  # one kind for all
    _known(given, _RETRY_KEYS, where)
    retry: dict[str, object] = {"max_attempts": -1}
    if "task_retry_limit" in given:
        retry["max_attempts"] = _number(given, "task_retry_limit", 0, where) + 1
    if "task_age_limit" in given:
        match = _AGE.fullmatch(str(given["task_age_limit"]))
        if match is None:
            raise ValueError(f"{where}: task_age_limit is like 2d, not {given['task_age_limit']!r}")
        retry["max_retry_duration"] = float(match[1]) * _UNITS_S[match[2]]
    for key, field in (("min_backoff_seconds", "min_backoff"), ("max_backoff_seconds", "max_backoff")):
        if key in given:
            retry[field] = _number(given, key, 0, where)
    if "max_doublings" in given:
        retry["max_doublings"] = _number(given, "max_doublings", 16, where)
    return retry


def _known(given: dict[str, Any], valid: frozenset[str], where: str) -> None:
    for key in given:
        if key not in valid:
            raise ValueError(f"{where}: unknown key {key!r}; valid are {', '.join(sorted(valid))}")


def _number(given: dict[str, Any], key: str, default: int, where: str) -> Any:  # int or float
    value = given.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{where}: {key} is a number, not {value!r}")  # noqa: TRY004  # one kind for all
    return value


def _rate(value: object, where: str) -> float:
    if value in {0, "0"}:
        return 0.0
    match = _RATE.fullmatch(str(value))
    if match is None:
        raise ValueError(f"{where}: rate is like 5/s, 30/m, 100/h or 1000/d, not {value!r}")
    return float(match[1]) / _UNITS_S[match[2]]
