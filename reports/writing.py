"""Writes every report of a run into its folder: ``results.json`` first, the rest derived from it."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic_core import to_json

from harness.requirements import Requirements
from reports import ctrf, github, intoto, junit, sarif
from reports.checklist import checklist
from reports.from_evidence import account
from reports.page import page
from reports.policy import Policy
from reports.release import release
from reports.results import as_bytes

_STATEMENT = "statement.json"  # where there is one: without a digest of the system under test it would speak of nothing


def write_all(
    run: Path, requirements: Requirements | None = None, *, policy: Policy | None = None
) -> dict[str, Any]:
    """Write ``results.json`` and all that is derived from it into a run folder, from what stands in it.

    Args:
        run: the folder.
        requirements: the list, where the folder does not say by which it was judged.
        policy: by which the checklists decide; None for the default one.

    Returns:
        The document of ``results.json``.

    Raises:
        UsageError: the evidence cannot be read.
    """
    with _collector_paused():
        document = account(run, requirements)
        write_reports(run, document, policy=policy)
    return document


@contextmanager
def _collector_paused() -> Iterator[None]:
    """Without the search for cycles: there are none among millions of JSON values, and it takes a sixth of the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def write_reports(folder: Path, document: Mapping[str, Any], *, policy: Policy | None = None) -> None:
    """Write ``results.json`` and every report that follows from it: all of them or, where the disk is full, none.

    File names are fixed, so that pipelines find them.

    Raises:
        OSError: one of them cannot be written; what was there before is there still.
    """
    unfinished: dict[Path, Path] = {}
    try:
        for name, content in _everything(document, policy):
            part = unfinished[folder / name] = folder / f".{name}.{os.getpid()}.new"
            part.write_bytes(content)
    except OSError:
        for part in unfinished.values():
            part.unlink(missing_ok=True)
        raise
    if folder / _STATEMENT not in unfinished:
        (folder / _STATEMENT).unlink(missing_ok=True)
    for path, part in reversed(unfinished.items()):  # which needs no space; what a gate decides by comes last
        part.replace(path)


def _everything(document: Mapping[str, Any], policy: Policy | None) -> Iterator[tuple[str, bytes]]:
    yield "results.json", as_bytes(document)
    for name, text in _derived(document, policy):
        yield name, text.encode("utf-8", "backslashreplace")


def _derived(document: Mapping[str, Any], policy: Policy | None) -> Iterator[tuple[str, str]]:
    yield "checklist.md", checklist(document, policy)
    yield "checklist.json", _json(release(document, policy))
    yield "checklist.html", page(document, policy)
    yield "junit.xml", junit.junit(document)
    yield "ctrf.json", _json(ctrf.ctrf(document))
    yield "summary.md", github.summary(document, policy)
    yield "annotations.txt", github.workflow_commands(document)
    if (statement := intoto.statement(document, policy)) is not None:
        yield _STATEMENT, _json(statement)
    yield "findings.sarif", _json(sarif.sarif(document))


def _json(document: Mapping[str, Any]) -> str:
    return to_json(document, indent=1).decode() + "\n"
