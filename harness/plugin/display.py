"""How a scenario's failure looks in a terminal: in its colours, as wide as it is, and plain under CI."""

from __future__ import annotations

import re
from typing import Any

import pytest
from rich.text import Text

from harness.plugin.state import SCENARIOS
from harness.terminal import console_for, is_plain

_FACT = re.compile(r" {2,}\d+\.\d{3} ")
_LABEL = re.compile(r"(expected|observed|nearest|inconclusive|time line|evidence|again)\b[^:]*:")
_COLOURS = {
    "expected": "green",
    "observed": "red",
    "nearest": "yellow",
    "inconclusive": "yellow",
    "again": "cyan",
}


class FailureText(str):
    """The text of a failure; pytest asks what has this method how it wants to be shown, and reports take the text."""

    __slots__ = ()

    def toterminal(self, writer: Any) -> None:
        """Write it to pytest's terminal writer: lines of the time line are cut to its width, others are wrapped."""
        if is_plain(writer):
            writer.line(str(self))
            return
        console = console_for(writer)
        for number, line in enumerate(self.split("\n")):
            text = Text(line, style="bold red" if number == 0 else "")
            label = _LABEL.match(line)
            if label:
                text.stylize(f"bold {_COLOURS.get(label[1], '')}".strip(), 0, label.end())
            is_fact = bool(_FACT.match(line))
            console.print(text, no_wrap=is_fact, crop=is_fact, overflow="ellipsis", soft_wrap=not is_fact)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Where it is printed, which under xdist is another process than where it was written."""
    if report.nodeid.startswith(SCENARIOS) and isinstance(report.longrepr, str):
        report.longrepr = FailureText(report.longrepr)
