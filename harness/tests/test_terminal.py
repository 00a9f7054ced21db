from __future__ import annotations

import io
import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from harness.terminal import Progress, print_summary

COUNTS = {"PROD-FALLBACK-12": "11/120, 3 n/a", "DEV-01": "1 n/a", "DEV-02": "1/1", "DEV-03": "1/2"}
LONG = "a requirement whose text is much longer than what is left of the line beside the other columns, " * 2
ROWS = [
    {
        "id": "PROD-FALLBACK-12",
        "level": "extended",
        "verdict": "INCONCLUSIVE",
        "passed": 11,
        "scenarios": ["x"] * 120 + ["aside"] * 3,
    },
    {"id": "DEV-01", "level": "core", "verdict": "NOT_APPLICABLE", "passed": 0, "scenarios": ["aside"]},
    {"id": "DEV-02", "level": "core", "verdict": "PASS", "passed": 1, "scenarios": ["x"]},
    {"id": "DEV-03", "level": "core", "verdict": "FAIL", "passed": 1, "scenarios": ["x", "y"]},
    {"id": "LIVE-01", "level": "core", "verdict": "NOT VERIFIED", "passed": 0, "scenarios": []},
    {"id": "LIVE-02", "level": "core", "verdict": "EXCLUDED", "passed": 0, "scenarios": []},
]


class Writer(io.StringIO):
    """As much of pytest's terminal writer as is used."""

    def __init__(self, *, hasmarkup: bool, fullwidth: int = 120) -> None:
        super().__init__()
        self.hasmarkup = hasmarkup
        self.fullwidth = fullwidth


@pytest.fixture(autouse=True)
def no_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CI", "NO_COLOR", "FORCE_COLOR", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")


def summary(tmp_path: Path, writer: Writer, *, everything: bool = True, **changes: Any) -> str:
    results = {
        "verdict": "FAIL",
        "summary": "2 scenarios, 1 pass, 1 fail",
        "reasons": [],
        "requirements": [{"text": LONG, **row} for row in ROWS],
        "scenarios": [{"folder": "x", "verdict": "PASS"}, {"folder": "aside", "verdict": "NOT_APPLICABLE"}],
        **changes,
    }
    (tmp_path / "results.json").write_text(json.dumps(results), encoding="utf-8")
    reporter = SimpleNamespace(config=SimpleNamespace(get_terminal_writer=lambda: writer))
    print_summary(tmp_path, reporter, everything=everything)
    return writer.getvalue()


def test_without_a_terminal_the_summary_is_plain(tmp_path: Path) -> None:
    text = summary(tmp_path, Writer(hasmarkup=False, fullwidth=40))

    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) in range(100, 121)


def test_under_ci_the_summary_is_plain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    text = summary(tmp_path, Writer(hasmarkup=True, fullwidth=40))

    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) in range(100, 121)


def test_a_terminal_gets_colours_and_its_own_width(tmp_path: Path) -> None:
    text = summary(tmp_path, Writer(hasmarkup=True, fullwidth=90))
    bare = re.sub(r"\x1b\[[0-9;]*m", "", text)

    assert "\x1b[" in text
    table = bare[: bare.index("verdict: ")]
    assert max(map(len, table.splitlines())) <= 90


@pytest.mark.parametrize("width", [120, 80])
def test_columns_that_are_looked_for_are_never_cut(tmp_path: Path, width: int) -> None:
    writer = Writer(hasmarkup=width != 120, fullwidth=width)
    lines = re.sub(r"\x1b\[[0-9;]*m", "", summary(tmp_path, writer)).splitlines()
    header = next(line for line in lines if line.startswith("requirement"))
    assert header.split() == ["requirement", "level", "verdict", "scenarios", "text"]

    for row in ROWS:
        (line,) = [line for line in lines if line.startswith(f"{row['id']} ")]
        cells = re.split(r"\s{2,}", line)
        assert cells[:4] == [row["id"], row["level"], row["verdict"], COUNTS.get(str(row["id"]), "-")]
        assert cells[4].startswith("a requirement")
        assert line.rstrip().endswith("…")
        assert line.index(str(row["verdict"])) == header.index("verdict")


def test_what_was_not_verified_is_named_even_when_it_has_no_row(tmp_path: Path) -> None:
    text = summary(tmp_path, Writer(hasmarkup=False), everything=False)

    assert "NOT VERIFIED in this run: LIVE-01\n" in text
    assert not any(line.startswith("LIVE-01") for line in text.splitlines())


def test_the_verdict_its_reasons_and_the_report_are_told(tmp_path: Path) -> None:
    reasons = [
        "1 selected scenario(s) left no verdict, e.g. scenarios/prod/test_x.py::test_y[cloud-tasks-aborted]",
        "FAIL: X-01-[/red] [bold]x",
    ]
    lines = summary(tmp_path, Writer(hasmarkup=False), reasons=reasons).splitlines()

    assert [line for line in lines if line.startswith("- ")] == [f"- {reason}" for reason in reasons]
    assert "verdict: FAIL  (2 scenarios, 1 pass, 1 fail)" in lines
    assert lines[-1] == f"report:  {tmp_path / 'checklist.html'}"


def progress_line(writer: Writer, **facts: Any) -> str:
    config = SimpleNamespace(get_terminal_writer=lambda: writer)
    progress = Progress(cast("pytest.Config", config), "facts", "scenario", [str(n) for n in range(293)])
    told = {"verdict": "PASS", "scenario": "X-01-a", "title": "It works.", "duration_s": 1.5, **facts}
    for when in ("setup", "call", "teardown"):
        report = SimpleNamespace(user_properties=[("facts", told)] if when == "teardown" else [], when=when)
        progress.pytest_runtest_logreport(cast("pytest.TestReport", report))
    return writer.getvalue()


def test_one_line_per_scenario() -> None:
    assert progress_line(Writer(hasmarkup=False)) == "  1/293  PASS            1.50 s  X-01-a  It works.\n"


@pytest.mark.parametrize(
    ("outcome", "when", "keywords", "status"),
    [
        ("passed", "call", {}, ("passed", "", "")),
        ("passed", "setup", {}, ("", "", "")),
        ("failed", "call", {"scenario": 1}, ("failed", "", "")),
        ("failed", "teardown", {"scenario": 1}, ("error", "", "")),
        ("skipped", "setup", {"scenario": 1}, ("skipped", "", "")),
        (
            "failed",
            "call",
            {},
            None,
        ),  # an ordinary test has no line: pytest's letter is all that is seen of it
    ],
)
def test_no_letter_of_pytests_stands_between_the_lines(
    outcome: str, when: str, keywords: dict[str, int], status: tuple[str, str, str] | None
) -> None:
    report = SimpleNamespace(
        outcome=outcome, when=when, keywords=keywords, passed=outcome == "passed", failed=outcome == "failed"
    )
    progress = Progress(cast("pytest.Config", None), "facts", "scenario", [])
    assert progress.pytest_report_teststatus(cast("pytest.TestReport", report)) == status


def test_a_long_title_is_cut_and_never_wrapped() -> None:
    text = progress_line(Writer(hasmarkup=False), verdict="NOT_APPLICABLE", title=LONG)

    assert text.count("\n") == 1
    assert len(text.rstrip()) <= 120
    assert text.startswith("  1/293  NOT_APPLICABLE")
    assert text.rstrip().endswith("…")


def test_brackets_in_a_title_are_shown() -> None:
    assert "[red]no[/red] [/x]" in progress_line(Writer(hasmarkup=False), title="[red]no[/red] [/x]")
