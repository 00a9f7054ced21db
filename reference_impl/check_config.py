"""Shows how this machine's configuration is read and which route a job would take; calls nobody.

    python -m reference_impl.check_config [--json]

Exit status: 0 when the worker is reachable by configuration, 1 when not.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from reference_impl import tasks_client
from reference_impl.job import Route
from reference_impl.settings import EnvFile, Settings, settings_at_start_up, variables
from reference_impl.values import PASSWORDS_IN_A_QUERY, Flag, Secret, WorkerUrl

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_MASK = "***"
_WIDE = 10_000


@dataclass(frozen=True, slots=True)
class Row:
    """One variable: where its value came from, as written (secrets masked), as understood, and what it means."""

    name: str
    source: str
    raw: str
    parsed: str
    meaning: str


@dataclass(frozen=True, slots=True)
class Report:
    """The whole answer. `routes` are tried from left to right; `problems` say why not others."""

    mode: str
    worker_reachable: bool
    routes: tuple[str, ...]
    problems: tuple[str, ...]
    variables: tuple[Row, ...]


def examine(settings: Settings, environ: Mapping[str, str], env_file: EnvFile) -> Report:
    """Put together what is known; pure."""
    routes: list[str] = []
    problems = [f"{warning.event}: {_pairs(warning.fields)}" for warning in settings.warnings]
    if settings.development:
        if not settings.use_worker_in_dev.value:
            problems.append("USE_WORKER_IN_DEV is not true: development runs jobs locally")
        elif not settings.worker_problem:
            routes.append(Route.WORKER_DIRECT)
    else:
        check = tasks_client.check_cloud_tasks(settings)
        if check.enabled:
            routes.append(Route.CLOUD_TASKS)
        else:
            problems.append(f"Cloud Tasks will not be tried: {check.reason} {check.detail}".rstrip())
        if not settings.worker_problem:
            routes.append(Route.WORKER_DIRECT)
    if settings.worker_problem:
        problems.append(f"the worker cannot be called: {settings.worker_problem}")
    reachable = bool(routes)
    return Report(
        mode=settings.mode,
        worker_reachable=reachable,
        routes=(*routes, Route.INLINE),
        problems=tuple(problems),
        variables=tuple(_rows(settings, environ, env_file)),
    )


def _rows(settings: Settings, environ: Mapping[str, str], env_file: EnvFile) -> list[Row]:
    return [
        Row(
            name=variable.name,
            source=_source(variable.name, environ, env_file),
            raw=_shown(variable.name, environ, settings),
            parsed=_understood(getattr(settings, attribute), variable.name),
            meaning=variable.meaning,
        )
        for attribute, variable in variables()
    ]


def _understood(value: object, name: str) -> str:
    match value:
        case Flag():
            return str(value.value)
        case WorkerUrl():
            return value.base or f"invalid: {value.problem}"
        case Secret():
            return "set" if value else "not usable"
        case _:
            return _without_password(str(value)) if name == "DATABASE_URL" else str(value)


def _source(name: str, environ: Mapping[str, str], env_file: EnvFile) -> str:
    if name not in environ:
        return "default"
    return env_file.path.name if name in env_file.supplied else "environment"


def _shown(name: str, environ: Mapping[str, str], settings: Settings) -> str:
    raw = environ.get(name, "")
    if name == "TASKS_AUTH":
        return _MASK if raw else ""
    if name == "WORKER_URL_BASE":
        return settings.worker.shown
    if name == "DATABASE_URL":
        return _without_password(raw)
    return raw if raw.isprintable() else repr(raw)


def _without_password(url: str) -> str:
    try:
        address = make_url(url) if url else None
    except ArgumentError:
        return _MASK  # not understood, so it cannot be known which part is secret
    if address is None:
        return ""
    masked = {name: _MASK for name in PASSWORDS_IN_A_QUERY if name in address.query}
    address = address.update_query_dict(masked)
    return address.render_as_string(hide_password=True)


def _pairs(fields: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {value!r}" for name, value in fields.items())


def print_table(report: Report) -> None:
    """The report for people."""
    from rich import box  # imported here: --json does without
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    # Nothing is folded in a file or a pipe: half an address cannot be searched for.
    console = Console(width=None if sys.stdout.isatty() else _WIDE, highlight=False)
    table = Table(box=box.SIMPLE, title=f"mode: {report.mode}", title_justify="left")
    for heading in ("variable", "from", "as written", "as understood", "meaning"):
        table.add_column(heading, overflow="fold")
    for row in report.variables:
        table.add_row(row.name, row.source, escape(row.raw), escape(row.parsed), row.meaning)
    console.print(table)
    for problem in report.problems:
        console.print(f"problem: {escape(problem)}")
    console.print(f"a job would take: {' → '.join(report.routes)}")
    console.print(f"worker reachable by configuration: {'yes' if report.worker_reachable else 'no'}")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m reference_impl.check_config", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print the same as one JSON object")
    options = parser.parse_args(arguments)
    settings = settings_at_start_up(tasks_client.ENV_FILE)
    report = examine(settings, os.environ, tasks_client.ENV_FILE)
    if options.json:
        sys.stdout.write(json.dumps(asdict(report), indent=2) + "\n")
    else:
        print_table(report)
    return 0 if report.worker_reachable else 1


if __name__ == "__main__":
    raise SystemExit(main())
