"""Reads the configuration of a fake that runs alone: command line, over environment, over a TOML file."""

from __future__ import annotations

import argparse
import dataclasses
import json
import tomllib
import typing
from pathlib import Path
from typing import Any

from fake_services.cloud_tasks.config import CloudTasksConfig, Semantics, TlsIdentity, queue_from
from fake_services.cloud_tasks.queue_yaml import queues_from_yaml

if typing.TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["PREFIX", "UsageError", "config_from"]

#: Environment variables are this and an option's name, such as CLOUD_TASKS_FAKE_GRPC_PORT.
PREFIX = "CLOUD_TASKS_FAKE_"

_PLAIN = {
    "host": "address on which every server listens",
    "grpc_port": "port of the gRPC API; 0 lets the system choose",
    "rest_port": "port of the REST API; 0 lets the system choose",
    "control_port": "port of the control plane; 0 lets the system choose",
    "auto_create_queues": "make a missing queue when a task is created in it",
    "clock": "system, frozen, or jump (to the next event when idle)",
    "clock_start_us": "what a virtual clock shows first, in microseconds since the epoch",
    "patience_s": "how long, in real seconds, a virtual clock waits for an attempt's answer",
    "verify_targets": "whether certificates of https targets are checked",
    "app_engine_url": "where App Engine tasks go",
    "firebase_functions_url": "where tasks of Firebase's admin SDKs go when they have no URL",
    "token_issuer": "the issuer of ID tokens",
    "seed": "makes generated task ids repeatable",
    "journal_capacity": "how many journal entries are kept",
    "journal_capacity_bytes": "how many bytes of payload they may hold together",
}
_LISTS = {
    "locations": "location ids that ListLocations gives",
    "projects": "the projects that exist; others are refused",
    "service_accounts": "the accounts that tokens may be made for; others are refused",
    "denied_permissions": "IAM permissions that callers lack, such as cloudtasks.tasks.create",
}
_MAPS = {
    "hosts": "NAME=ADDRESS: where targets with that host name are, such as localhost=host.docker.internal",
    "app_engine_services": "SERVICE=URL: where App Engine tasks for that service go",
}
_ONLY_IN_FILE = ("queues", "semantics")
_EXTRA = {
    "config": "TOML file with these options, [semantics] and [queues]",
    "queue": "full name of a queue to start with",
    "queue_yaml": "queue.yaml to import; needs project and location",
    "project": "project of the queues in queue.yaml",
    "location": "location of the queues in queue.yaml",
    "set": "a setting where sources disagree, such as dedup_window_s=86400",
    "tls_cert": "PEM file: serve gRPC and REST with TLS",
    "tls_key": "PEM file with the certificate's key",
    "target_ca": "PEM file: another authority to trust for https targets",
}
# May be repeated on the command line, and separated by commas there and in the environment.
_MANY = frozenset({"queue", "set", *_LISTS, *_MAPS})
# A fake that runs alone is often left running: it keeps fewer entries than one inside a test.
_JOURNAL_CAPACITY_ALONE = 10_000
_JOURNAL_BYTES_ALONE = 32 * 1024 * 1024


class UsageError(ValueError):
    """The configuration is wrong; the message says where, and what is valid."""


def config_from(arguments: list[str] | None, environment: Mapping[str, str]) -> CloudTasksConfig:
    """The configuration from all three sources.

    Raises:
        UsageError: A wrong value, an unknown key, a file that cannot be read.
        SystemExit: The command line itself is wrong, or asks for help.
    """
    given = vars(_parser().parse_args(arguments))
    options: dict[str, Any] = {}
    path = given.get("config") or environment.get(PREFIX + "CONFIG")
    if path:
        options.update(_from_file(path))
    for name in (*_PLAIN, *_LISTS, *_MAPS, *_EXTRA):
        text = environment.get(PREFIX + name.upper())
        if text is not None and name != "config":
            options[name] = [text] if name in _MANY else text
    options.update({name: value for name, value in given.items() if value is not None and name != "config"})
    return _build(options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m fake_services.cloud_tasks",
        description="Runs a Cloud Tasks fake until SIGTERM. When it is ready it prints one line of JSON with "
        "its addresses. Every option can also be an environment variable, such as "
        f"{PREFIX}GRPC_PORT, or a key of the TOML file; the command line wins, then the environment.",
    )
    for name, text in (_PLAIN | _LISTS | _MAPS | _EXTRA).items():
        flag = "--" + name.replace("_", "-")
        if name in _MANY:
            parser.add_argument(flag, action="append", help=f"{text}; may be repeated or separated by commas")
        elif name == "auto_create_queues":
            parser.add_argument(flag, action="store_const", const="true", help=text)
        else:
            parser.add_argument(flag, help=text)
    return parser


def _from_file(path: str) -> dict[str, Any]:
    try:
        content = tomllib.loads(Path(path).read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: {error}") from error
    valid = [*_PLAIN, *_LISTS, *_MAPS, *_ONLY_IN_FILE, *(name for name in _EXTRA if name != "config")]
    for key in content:
        if key not in valid:
            raise UsageError(f"{path}: unknown key {key!r}; valid are {', '.join(sorted(valid))}")
    return content


def _build(options: dict[str, Any]) -> CloudTasksConfig:
    fields: dict[str, Any] = {
        "journal_capacity": _JOURNAL_CAPACITY_ALONE,
        "journal_capacity_bytes": _JOURNAL_BYTES_ALONE,
    }
    types = typing.get_type_hints(CloudTasksConfig)
    for name in _PLAIN:
        if name in options:
            fields[name] = _converted(name, options[name], types[name])
    for name in _LISTS:
        if name in options:
            fields[name] = tuple(_texts(name, options[name]))
    for name in _MAPS:
        fields[name] = _map(name, options.get(name, {}))
    fields["queues"] = _queues(options)
    fields["semantics"] = _semantics(options)
    if "tls_cert" in options or "tls_key" in options:
        if not ("tls_cert" in options and "tls_key" in options):
            raise UsageError("tls_cert and tls_key belong together")
        fields["tls"] = TlsIdentity(cert_pem=_read(options["tls_cert"]), key_pem=_read(options["tls_key"]))
    if "target_ca" in options:
        fields["target_ca_pem"] = _read(options["target_ca"])
    return CloudTasksConfig(**fields)


def _queues(options: dict[str, Any]) -> dict[str, dict[str, object]]:
    queues: dict[str, dict[str, object]] = dict(options.get("queues", {}))
    if "queue_yaml" in options:
        if not options.get("project") or not options.get("location"):
            raise UsageError("queue_yaml needs project and location, because a queue.yaml does not name them")
        text = _read(options["queue_yaml"]).decode("utf-8", "replace")
        try:
            queues |= queues_from_yaml(text, project=options["project"], location=options["location"])
        except ValueError as error:
            raise UsageError(f"{options['queue_yaml']}: {error}") from error
    for name in _texts("queue", options.get("queue", [])):
        queues.setdefault(name, {})
    for name, settings in queues.items():
        try:
            queue_from(name, settings)
        except ValueError as error:
            raise UsageError(f"queue {name!r}: {error}") from error
    return queues


def _semantics(options: dict[str, Any]) -> Semantics:
    given = dict(options.get("semantics", {}))
    given.update(_pairs("set", options.get("set", [])))
    types = typing.get_type_hints(Semantics)
    for name in given:
        if name not in types:
            raise UsageError(f"no setting {name!r}; valid are {', '.join(sorted(types))}")
    values: dict[str, Any] = {name: _converted(name, value, types[name]) for name, value in given.items()}
    return dataclasses.replace(Semantics(), **values)


def _texts(name: str, value: object) -> list[str]:
    """A list of texts, each of which may be several, separated by commas."""
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise UsageError(f"{name} is a list of texts, not {value!r}")
    return [part.strip() for each in value for part in each.split(",") if part.strip()]


def _pairs(name: str, value: object) -> dict[str, str]:
    pairs = {}
    for each in _texts(name, value):
        key, found, text = each.partition("=")
        if not found or not key:
            raise UsageError(f"{name} takes NAME=VALUE, not {each!r}")
        pairs[key] = text
    return pairs


def _map(name: str, value: object) -> dict[str, str]:
    """Pairs from the command line or the environment, or a table of the file."""
    if not isinstance(value, dict):
        return _pairs(name, value)
    if not all(isinstance(each, str) for each in value.values()):
        raise UsageError(f"{name} is a table of texts, not {value!r}")
    return value


def _converted(name: str, value: object, wanted: Any) -> object:  # a type, as typing gives it
    choices = typing.get_args(wanted)
    if typing.get_origin(wanted) is typing.Literal:
        if value not in choices:
            raise UsageError(f"{name} is one of {', '.join(map(repr, choices))}, not {value!r}")
        return value
    kind = next((each for each in choices if each is not type(None)), wanted)
    if isinstance(value, str) and kind is not str:
        try:
            value = json.loads(value)
        except ValueError:
            raise UsageError(f"{name} is {_words(kind)}, not {value!r}") from None
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise UsageError(f"{name} is {_words(kind)}, not {value!r}")
    return value


def _words(kind: Any) -> str:  # a type
    return {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}.get(
        kind, str(kind)
    )


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}") from error
