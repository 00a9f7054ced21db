"""What a person sees in the terminal: a line per scenario while they run, then the table by requirement."""

from __future__ import annotations

import json
import os
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.requirements import tally

if TYPE_CHECKING:
    import pytest

_STYLE = {
    "PASS": "green",
    "FAIL": "bold red",
    "INCONCLUSIVE": "yellow",
    "NOT_APPLICABLE": "dim",
    "NOT VERIFIED": "yellow",
    "EXCLUDED": "dim",
}
_PLAIN_WIDTH = 120


class Progress:
    """Prints one line per scenario as its verdict arrives, in place of pytest's dots and letters.

    Args:
        config: pytest's configuration.
        property_name: under which a report carries what the line says.
        mark: the marker by which a scenario's reports are known.
        selected: the node ids of all scenarios of the run; may still grow while tests are collected.
    """

    def __init__(
        self, config: pytest.Config, property_name: str, mark: str, selected: Collection[str]
    ) -> None:
        self._config = config
        self._property = property_name
        self._mark = mark
        self._selected = selected
        self._done = 0

    def pytest_report_teststatus(self, report: pytest.TestReport) -> tuple[str, str, str] | None:
        """No letter where a line is printed, nor for what passed; pytest's categories stay, for its list at the end."""
        if report.passed:
            return report.outcome if report.when == "call" else "", "", ""
        if self._mark not in report.keywords or hasattr(report, "wasxfail"):
            return None
        return "error" if report.failed and report.when != "call" else report.outcome, "", ""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """The line, once the scenario is torn down and judged."""
        facts: dict[str, Any] | None = dict(report.user_properties).get(self._property)  # type: ignore[assignment]
        if facts is None or report.when != "teardown":
            return
        self._done += 1
        console = console_for(self._config.get_terminal_writer())
        total = str(len(self._selected))
        line = Text(f"{self._done:>{len(total)}}/{total}  ")
        line.append(f"{facts['verdict']:<14}", style=_STYLE[facts["verdict"]])
        line.append(f"{facts['duration_s']:6.2f} s  {facts['scenario']}  ")
        line.append(facts["title"], style="dim")
        console.print(line, no_wrap=True, overflow="ellipsis", crop=True)


def is_plain(writer: Any) -> bool:
    """Whether what goes to pytest's terminal writer has no colours and no width: under CI, and into a file."""
    return bool(os.environ.get("CI")) or not writer.hasmarkup


def console_for(writer: Any) -> Console:
    """A console on pytest's terminal writer, with its colours and width; plain, 120 columns wide, under CI."""
    plain = is_plain(writer)
    width = _PLAIN_WIDTH if plain else writer.fullwidth
    # Without markup: the brackets in a test's name are not a style.
    return Console(
        file=writer, force_terminal=not plain, no_color=plain, width=width, highlight=False, markup=False
    )


def print_summary(run: Path, reporter: Any, *, everything: bool) -> None:
    """The table by requirement, the verdict, and where the reports are.

    Args:
        run: the run folder, with its ``results.json``.
        reporter: pytest's terminal reporter, or anything with ``_tw``-like ``config.get_terminal_writer()``.
        everything: list each requirement that was not verified in a row of its own instead of in one line.
    """
    results = json.loads((run / "results.json").read_text("utf-8"))
    console = console_for(reporter.config.get_terminal_writer())
    console.print()
    console.print(_table(results, everything=everything))
    unverified = [row["id"] for row in results["requirements"] if row["verdict"] == "NOT VERIFIED"]
    if unverified and not everything:
        console.print(Text(f"NOT VERIFIED in this run: {', '.join(unverified)}", style="yellow"))
    for reason in results["reasons"]:
        console.print(f"- {reason}", soft_wrap=True)
    verdict = Text("verdict: ")
    verdict.append(results["verdict"], style=_STYLE[results["verdict"]])
    verdict.append(f"  ({results['summary']})")
    console.print(verdict, soft_wrap=True)
    console.print(f"report:  {_short(run / 'checklist.html')}", soft_wrap=True)


def _table(results: dict[str, Any], *, everything: bool) -> Table:
    table = Table(box=None, pad_edge=False, expand=True)  # the text takes what the other columns leave
    for name, width in (("requirement", 11), ("level", 8), ("verdict", 14), ("scenarios", 9)):
        table.add_column(name, no_wrap=True, min_width=width)
    table.add_column("text", no_wrap=True, overflow="ellipsis", ratio=1)
    aside = {s["folder"] for s in results["scenarios"] if s["verdict"] == "NOT_APPLICABLE"}
    for row in results["requirements"]:
        if row["verdict"] == "NOT VERIFIED" and not everything:
            continue
        table.add_row(
            row["id"],
            row["level"],
            Text(row["verdict"], style=_STYLE[row["verdict"]]),
            tally(row["passed"], row["scenarios"], aside),
            Text(row["text"]),
        )
    return table


def _short(path: Path) -> str:
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
