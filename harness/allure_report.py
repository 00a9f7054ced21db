"""What Allure is told of a scenario: labels, steps, attachments. Does nothing unless ``--alluredir`` is given."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.account import account
from harness.context import SystemRecord
from harness.errors import Violation
from harness.evidence import write_text
from harness.ledger import Check, Figure
from harness.requirements import Requirement

_TYPES = {".json": "JSON", ".jsonl": "JSON"}


def _allure() -> Any:
    """The module, if the run writes Allure results: its plugin imports it in any case."""
    allure, commons = sys.modules.get("allure"), sys.modules.get("allure_commons")
    if allure is None or commons is None or not commons.plugin_manager.hook.report_result.get_hookimpls():
        return None
    return allure


def label(
    scenario: str,
    folder: str,
    title: str,
    requires: Iterable[Requirement],
    level: str,
    *,
    parameters: Mapping[str, object],
) -> None:
    """Name the scenario and its requirements: as labels, as tags to filter by, and as links into the checklist.

    Allure makes a link only of an address that begins with http. Where the checklist is to be found is told with
    ``--allure-link-pattern=tms:https://…/{}``; without it the links show the ids alone.

    Args:
        scenario: its id.
        folder: the name of the scenario with its case, as every other report has it.
        title: its sentence.
        requires: the requirements.
        level: ``core`` or ``extended``.
        parameters: what its case is made of, to be shown by their short names.
    """
    if (allure := _allure()) is None:
        return
    requirements = list(requires)
    allure.dynamic.title(f"{folder} {title}")
    allure.dynamic.description("\n".join([title, "", *(f"- **{r.id}** {r.text}" for r in requirements)]))
    allure.dynamic.label("level", level)
    allure.dynamic.label("suite", scenario.rpartition("-")[0])
    for name, value in parameters.items():
        allure.dynamic.parameter(name, str(value))
    for requirement in requirements:
        allure.dynamic.label("requirement", requirement.id)
        allure.dynamic.tag(requirement.id)
        address = f"checklist.html#requirement-{requirement.id}"
        allure.dynamic.link(address, link_type="tms", name=requirement.id)


def environment(folder: Path, run: Mapping[str, Any]) -> None:
    """Write who was judged, by what and where, for Allure's page about the environment."""
    facts = {
        "run": run["name"],
        **{
            name: " ".join(str(identity[key]) for key in ("name", "version", "digest") if identity.get(key))
            for name, identity in run["identity"].items()
        },
        **{name: run[name] for name in ("topology", "seed", "python", "platform")},
    }
    write_text(
        folder / "environment.properties", "".join(f"{name}={value}\n" for name, value in facts.items())
    )


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
