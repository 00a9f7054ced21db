from __future__ import annotations

import io
import json
import textwrap
from typing import cast

import pytest
from _pytest._io import TerminalWriter

from harness import failure
from harness.errors import Finding
from harness.model import Level
from harness.plugin.display import FailureText
from harness.requirements import Requirement
from harness.tests.build import (
    CHECKING,
    DISPATCHED,
    ENQUEUE_FAILED,
    JOB,
    TRYING,
    Fact,
    answer,
    effect,
    event,
    journal,
    log,
    reply,
    request,
    rpc,
    stimulus,
)

REQUIREMENT = Requirement("PROD-03", Level.CORE, "a refused task goes to the worker directly")


def render(finding: Finding, *facts: Fact) -> str:
    return failure.render(
        scenario="PROD-FALLBACK-02",
        title="A task that was refused goes to the worker.",
        requirements=[REQUIREMENT],
        finding=finding,
        observations=journal(*facts),
        evidence="reports/out/r/evidence/PROD-FALLBACK-02",
        rerun="pytest 'scenarios/prod/test_fallback.py::test_x[a]'",
    )


def test_the_text_of_a_failure() -> None:
    finding = Finding(
        expected="the way cloud_tasks failed → worker_direct served",
        observed="from the wire: cloud_tasks failed → inline served\nfrom the logs: cloud_tasks failed",
        nearest="the wire and the logs disagree: the log does not tell what happened",
        oracle="route",
    )
    facts = [
        stimulus(),
        event(CHECKING, job=None),
        rpc("UNAVAILABLE"),
        answer(),
        log("INFO: a plain line"),
        event(ENQUEUE_FAILED, job=None, reason="unavailable", detail="the service is down"),
        log("event=broken line"),
        effect(role="api"),
    ]

    assert render(finding, *facts) == textwrap.dedent(
        """\
        PROD-FALLBACK-02: A task that was refused goes to the worker.

        requirement PROD-03 (core): a refused task goes to the worker directly

        expected:  the way cloud_tasks failed → worker_direct served
        observed:  from the wire: cloud_tasks failed → inline served
                   from the logs: cloud_tasks failed
        nearest:   the wire and the logs disagree: the log does not tell what happened

        time line (seconds since the run began):
             0.100 harness        asks for the assembly of ep-1
             0.200 api            event=assemble.service.checking_cloud_tasks
             0.300 cloud_tasks    CreateTask → UNAVAILABLE
             0.400 api            answers 202 after 5 ms
             0.600 api            event=tasks.cloud.enqueue_failed reason=unavailable detail="the service is down"
             0.700 api            event=broken line
             0.800 storage        job job-1 assembled in the api

        evidence:  reports/out/r/evidence/PROD-FALLBACK-02
        again:     pytest 'scenarios/prod/test_fallback.py::test_x[a]'"""
    )


def test_without_anything_near_there_is_no_such_line() -> None:
    text = render(Finding("a", "b"))

    assert "nearest" not in text
    assert "expected:  a\nobserved:  b\n\ntime line" in text
    assert "  nothing was observed\n" in text


@pytest.mark.parametrize("observed", ["", "\nsecond", "  indented\n\nafter a gap"])
def test_odd_texts_keep_their_label(observed: str) -> None:
    lines = render(Finding("a", observed)).splitlines()
    start = next(n for n, line in enumerate(lines) if line.startswith("observed:"))
    size = max(1, len(observed.splitlines()))

    assert [line[11:] for line in lines[start : start + size]] == (observed.splitlines() or [""])


@pytest.mark.parametrize("count", [1, 19, 20])
def test_a_short_time_line_is_shown_whole(count: int) -> None:
    lines = failure.time_line(journal(*[rpc() for _ in range(count)]))

    assert len(lines) == count
    assert not any("…" in line for line in lines)


@pytest.mark.parametrize("count", [21, 22, 500])
def test_the_middle_of_a_long_time_line_is_left_out_and_counted(count: int) -> None:
    facts = [event(DISPATCHED, job=None, n=str(n)) for n in range(count)]
    lines = failure.time_line(journal(*facts))
    numbers = [int(line.rpartition("n=")[2]) for line in lines if "n=" in line]

    assert len(lines) == failure.LONGEST_TIME_LINE == 20
    assert numbers == [*range(10), *range(count - 9, count)]
    assert lines[10] == f"           … {count - 19} more in journal.jsonl …"


@pytest.mark.parametrize("written", ["logfmt", "json"])
def test_what_the_events_have_in_common_is_said_once(written: str) -> None:
    rows = [
        {"event": CHECKING},
        {"event": ENQUEUE_FAILED, "reason": "unavailable", "detail": 'it said "no"'},
        {"event": TRYING, "n": ""},
    ]
    facts = [
        log(json.dumps({**row, "job_id": "j" * 32, "trace": "t" * 60}))
        if written == "json"
        else event(row.pop("event"), job=None, **row, job_id="j" * 32, trace="t" * 60)
        for row in rows
    ]

    assert failure.time_line(journal(*facts)) == [
        f"           in common      job_id={'j' * 32} trace={'t' * 60}",
        "     0.100 api            event=assemble.service.checking_cloud_tasks",
        r'     0.200 api            event=tasks.cloud.enqueue_failed reason=unavailable detail="it said \"no\""',
        '     0.300 api            event=assemble.service.trying_worker_direct n=""',
    ]


def test_what_differs_between_events_or_is_rare_stays_in_its_line() -> None:
    facts = [
        event(TRYING, job=None, job_id="job-1", trace="t-1", url="http://w"),
        event(TRYING, job=None, job_id="job-1", trace="t-2", url="http://w"),
        event(TRYING, job=None, job_id="job-1", trace="t-1"),
    ]

    common, *lines = failure.time_line(journal(*facts))

    assert common == "           in common      job_id=job-1"
    assert [line.partition("direct ")[2] for line in lines] == [
        "trace=t-1 url=http://w",
        "trace=t-2 url=http://w",
        "trace=t-1",
    ]


def test_noise_is_not_in_the_time_line() -> None:
    noise = [
        log("INFO: x"),
        Fact("cloud_tasks", "task.gone", "gone", {}),
        Fact("cloud_tasks", "queue", "q", {}),
    ]
    signal = [answer(), log("event=a"), log("event=a b"), rpc(), request(), reply(), stimulus(), effect()]

    lines = failure.time_line(journal(*noise, *signal))

    assert [line.split()[1] for line in lines] == [fact.source for fact in signal]


def test_a_long_line_is_cut() -> None:
    (line,) = failure.time_line(journal(event(TRYING, detail="x" * 500)))

    assert len(line) == 150
    assert line.endswith("x…")


@pytest.mark.parametrize("text", ["two\nlines", "back\rover", "\x1b[2J\x1b[31mred", "bell\x07", "\u2028"])
def test_a_fact_takes_one_line_and_cannot_steer_the_terminal(text: str) -> None:
    (line,) = failure.time_line(journal(Fact("worker_gateway", "unexpected", text, {})))

    assert line.isprintable()
    assert "\n" not in line


def test_several_requirements_are_all_quoted() -> None:
    text = failure.render(
        scenario="X-01",
        title="T.",
        requirements=[REQUIREMENT, Requirement("ONCE-01", Level.EXTENDED, "once")],
        finding=Finding("a", "b"),
        observations=journal(stimulus(JOB)),
        evidence="e",
        rerun="r",
    )

    assert "requirement PROD-03 (core): a refused" in text
    assert "requirement ONCE-01 (extended): once" in text


class TestInATerminal:
    TEXT = render(Finding("the way a", "the way b", "c"), event(CHECKING, job=None, detail="x" * 300))

    def shown(self, monkeypatch: pytest.MonkeyPatch, *, markup: bool, width: int, ci: str = "") -> list[str]:
        for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("TERM", "xterm-256color")
        monkeypatch.setenv("CI", ci)
        writer = TerminalWriter(io.StringIO())
        writer.hasmarkup, writer.fullwidth = markup, width
        FailureText(self.TEXT).toterminal(writer)
        return cast("io.StringIO", writer._file).getvalue().splitlines()

    def test_it_is_coloured(self, monkeypatch: pytest.MonkeyPatch) -> None:
        lines = self.shown(monkeypatch, markup=True, width=200)

        assert lines[0].startswith("\x1b[1;31mPROD-FALLBACK-02: ")
        assert "\x1b[1;32mexpected:\x1b[0m  the way a" in lines
        assert "\x1b[1;31mobserved:\x1b[0m  the way b" in lines

    @pytest.mark.parametrize("width", [60, 100, 140])
    def test_a_line_of_the_time_line_is_as_wide_as_the_terminal(
        self, monkeypatch: pytest.MonkeyPatch, width: int
    ) -> None:
        (fact,) = [line for line in self.shown(monkeypatch, markup=True, width=width) if "event=" in line]

        assert len(fact) == width
        assert fact.endswith("…")

    def test_other_lines_are_whole_whatever_the_width(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert self.shown(monkeypatch, markup=False, width=40)[-1] == self.TEXT.splitlines()[-1]

    @pytest.mark.parametrize(("markup", "ci"), [(True, "1"), (False, "")])
    def test_it_is_plain_under_ci_and_without_a_terminal(
        self, monkeypatch: pytest.MonkeyPatch, *, markup: bool, ci: str
    ) -> None:
        lines = self.shown(monkeypatch, markup=markup, width=80, ci=ci)

        assert lines == self.TEXT.splitlines()

    def test_for_reports_it_is_its_text(self) -> None:
        assert str(FailureText(self.TEXT)) == self.TEXT
