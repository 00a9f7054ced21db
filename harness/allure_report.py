"""What Allure is told of a scenario: labels, steps, attachments. Does nothing unless ``--alluredir`` is given."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from harness.account import account
from harness.context import SystemRecord
from harness.errors import Violation
from harness.ledger import Check, Figure

_TYPES = {".json": "JSON", ".jsonl": "JSON"}


def _allure() -> Any:
    """The module, if the run writes Allure results; importing it costs more than most scenarios."""
    return sys.modules.get("allure")


def label(scenario: str, title: str, requires: Iterable[str], level: str) -> None:
    """Name the scenario and its requirements: as labels, as tags to filter by, and as links."""
    if (allure := _allure()) is None:
        return
    allure.dynamic.title(f"{scenario} {title}")
    allure.dynamic.label("level", level)
    allure.dynamic.label("suite", scenario.rpartition("-")[0])
    for id_ in requires:
        allure.dynamic.label("requirement", id_)
        allure.dynamic.tag(id_)
        allure.dynamic.link(f"checklist.html#requirement-{id_}", link_type="tms", name=id_)


def step(check: Check) -> None:
    """Enter one expectation as a step that passed or failed."""
    if (allure := _allure()) is not None:
        with contextlib.suppress(Violation), allure.step(check.what):
            if check.finding is not None:
                raise Violation(check.finding)


def attach(folder: Path, systems: Sequence[SystemRecord], figures: Sequence[Figure] = ()) -> None:
    """Attach every file of evidence, the sequence as a drawing, and the figures as a table."""
    if (allure := _allure()) is None:
        return
    from reports.diagram import diagram  # here, because it is needed for Allure alone

    for path in sorted(folder.iterdir()):
        kind = getattr(allure.attachment_type, _TYPES.get(path.suffix, "TEXT"))
        allure.attach.file(str(path), name=path.name, attachment_type=kind)
    drawing = diagram(account(systems, ())["story"], standalone=True)
    allure.attach(drawing, name="diagram.svg", attachment_type=allure.attachment_type.SVG)
    if figures:
        rows = "".join(f"{figure.name}\t{figure.value}\t{figure.unit}\n" for figure in figures)
        allure.attach(rows, name="figures.tsv", attachment_type=allure.attachment_type.TSV)
