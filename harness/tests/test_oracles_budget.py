from __future__ import annotations

from dataclasses import replace

import pytest

from harness.errors import Finding
from harness.oracles import budget
from harness.tests.build import JOB, Fact, answer, journal, reply


@pytest.mark.parametrize(
    ("answer_s", "right"), [(0.0, True), (4.99, True), (5.0, True), (5.01, False), (60.0, False)]
)
def test_answered_within(answer_s: float, *, right: bool) -> None:
    finding = budget.answered_within(replace(JOB, answer_s=answer_s), 5)

    assert (finding is None) == right
    if finding is not None:
        assert finding.expected == "an answer within 5 s"
        assert finding.observed == f"it took {answer_s:.2f} s"
        assert finding.oracle == "budget"


def before(*facts: Fact) -> Finding | None:
    seen = journal(*facts)
    return budget.answered_before(
        [o for o in seen if o.kind == "answer"], [o for o in seen if o.kind == "reply"]
    )


def test_answered_before() -> None:
    assert before(answer(), reply()) is None
    assert before(answer(), reply(), answer(), reply()) is None


@pytest.mark.parametrize(
    ("facts", "observed"),
    [
        ([reply(), answer()], "worker_gateway: answers 200, then api: answers 202 after 5 ms"),
        ([reply(500), answer(), reply()], "worker_gateway: answers 500, then api: answers"),
        ([answer()], "api: answers 202 after 5 ms"),
        ([reply()], "worker_gateway: answers 200"),
        ([], "neither"),
    ],
    ids=["after", "after the first", "never ended", "never answered", "nothing"],
)
def test_not_answered_before(facts: list[Fact], observed: str) -> None:
    finding = before(*facts)

    assert finding is not None
    assert finding.observed.startswith(observed)
    assert finding.oracle == "budget"
