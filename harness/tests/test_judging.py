"""Three blames are kept apart, and no text of a judgement shows a secret."""

from __future__ import annotations

import pytest

from harness import judging
from harness.errors import (
    Finding,
    HarnessError,
    Inconclusive,
    LastWords,
    SutFailed,
    UsageError,
    Violation,
)
from harness.model import Level, Verdict
from harness.requirements import Requirement
from harness.scenario import ScenarioInfo
from harness.tests.build import JOB, SECRET, journal, stimulus

CASE = judging.Case(
    info=ScenarioInfo("X-01", "It works.", ("PROD-01",), Level.CORE),
    requirements=[Requirement("PROD-01", Level.CORE, "healthy")],
    observations=journal(stimulus()),
    job=JOB,
    planted=[SECRET],
    evidence="run/evidence/X-01",
    rerun="pytest x",
)
FINDING = Finding("a", f"b {SECRET}", oracle="route")


@pytest.mark.parametrize(
    ("raised", "verdict", "blame", "says"),
    [
        (Violation(FINDING), Verdict.FAIL, "sut", "requirement PROD-01 (core): healthy"),
        (SutFailed(FINDING, LastWords("api", ("boom",))), Verdict.FAIL, "sut", "boom"),
        (Inconclusive(f"who knows {SECRET}"), Verdict.INCONCLUSIVE, "evidence", "who knows [secret]"),
        (HarnessError("no launcher"), Verdict.INCONCLUSIVE, "harness", "the traceback"),
        (UsageError("no profile"), Verdict.INCONCLUSIVE, "harness", "the traceback"),
        (KeyError("x"), Verdict.INCONCLUSIVE, "harness", "X-01: the harness is broken"),
        (AssertionError("x"), Verdict.INCONCLUSIVE, "harness", "X-01: the harness is broken"),
        (None, Verdict.FAIL, "evidence", "the traceback"),
    ],
    ids=str,
)
def test_what_was_raised_decides_verdict_and_blame(
    raised: BaseException | None, verdict: Verdict, blame: str, says: str
) -> None:
    judged = judging.of_exception(raised, CASE, traceback=f"the traceback {SECRET}")

    assert (judged.verdict, judged.blame) == (verdict, blame)
    assert says in judged.message
    assert SECRET not in judged.message
    assert (judged.finding is not None) == isinstance(raised, Violation)


def test_a_skip_is_excused_only_where_nothing_applies() -> None:
    excused = judging.of_skip("NOT_APPLICABLE: the profile does not claim durable")
    silent = judging.of_skip("not today")

    assert (excused.verdict, excused.blame) == (Verdict.NOT_APPLICABLE, "")
    assert (silent.verdict, silent.blame) == (Verdict.INCONCLUSIVE, "evidence")
