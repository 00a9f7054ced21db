"""Writes every report of a run into its folder: ``results.json`` first, the rest derived from it."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic_core import to_json

from harness.evidence import write_bytes, write_text
from harness.requirements import Requirements
from reports import ctrf, github, intoto, junit, sarif
from reports.checklist import checklist
from reports.from_evidence import account
from reports.page import page
from reports.policy import Policy
from reports.release import release
from reports.results import as_bytes


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
        write_results(run, document)
        write_derived(run, document, policy=policy)
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


def write_results(folder: Path, document: Mapping[str, Any]) -> None:
    """Write ``results.json`` in one step."""
    write_bytes(folder / "results.json", as_bytes(document))


def write_derived(folder: Path, document: Mapping[str, Any], *, policy: Policy | None = None) -> None:
    """Write every report that follows from ``results.json``; file names are fixed, so that pipelines find them."""
    for name, text in _derived(document, policy):
        write_text(folder / name, text)


def _derived(document: Mapping[str, Any], policy: Policy | None) -> Iterator[tuple[str, str]]:
    yield "checklist.md", checklist(document, policy)
    yield "checklist.json", _json(release(document, policy))
    yield "checklist.html", page(document, policy)
    yield "junit.xml", junit.junit(document)
    yield "ctrf.json", _json(ctrf.ctrf(document))
    yield "summary.md", github.summary(document, policy)
    yield "annotations.txt", github.workflow_commands(document)
    if (statement := intoto.statement(document, policy)) is not None:
        yield "statement.json", _json(statement)
    yield "findings.sarif", _json(sarif.sarif(document))


def _json(document: Mapping[str, Any]) -> str:
    return to_json(document, indent=1).decode() + "\n"
