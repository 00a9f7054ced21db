from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from harness.evidence import ScenarioResult
from harness.model import Level, Verdict
from harness.requirements import Requirement, Requirements
from reports.checklist import checklist
from reports.results import results
from reports.tests.test_results import PASSED, REQUIREMENTS, RUN, result

HOSTILE = "| a | <script>x</script> [l](http://x) `code` **b** _i_ # h\n\n# heading\n- [ ] item ![i](x) \\|"

LAST = ["## Can the suites fail?", "## To be done by a person", "## Limits of the claim"]
SMALL = Path(__file__).with_name("small_checklist.md").read_text("utf-8")


def render(*scenarios: ScenarioResult, requirements: Requirements = REQUIREMENTS, **run: object) -> str:
    facts = {**RUN, "selected": [s.node for s in scenarios], **run}
    return checklist(results(facts, scenarios, requirements))


def headings(text: str) -> list[str]:
    """Headings outside fenced blocks, as a Markdown reader sees them."""
    found, fence = [], ""
    for line in text.splitlines():
        mark = re.match("`{3,}", line)
        if fence:
            fence = "" if line.rstrip() == fence else fence
        elif mark:
            fence = mark[0]
        elif line.startswith("#"):
            found.append(line)
    assert not fence, "a fence is left open"
    return found


def test_a_small_checklist() -> None:
    failed = replace(
        result("b", Verdict.FAIL, "PROD-02", blame="sut"), message="X-b: It works.\n\nexpected:  a"
    )

    assert render(PASSED, failed) == SMALL


def test_a_pass_lists_no_reasons_and_no_failures() -> None:
    text = render(PASSED)

    assert "**Verdict: PASS**" in text
    assert headings(text) == [
        "# Release checklist: reference",
        "## Requirements",
        "## Excluded",
        *LAST,
    ]
    assert "\n\n\n" not in text


def test_the_table_names_a_few_scenarios_and_the_list_below_all_of_them() -> None:
    shown = [result(str(n), Verdict.PASS) for n in range(5)] + [result("z", Verdict.FAIL, blame="sut")]
    text = render(*shown, result("na", Verdict.NOT_APPLICABLE))
    (row,) = [line for line in text.splitlines() if "| PROD-01 |" in line]
    first = "[X-z](evidence/X-z/), [X-0](evidence/X-0/), [X-1](evidence/X-1/)"
    assert f"| 5/6, 1 n/a: {first} and 4 more |" in row
    (listed,) = [line for line in text.splitlines() if line.startswith("- PROD-01: ")]
    assert re.findall(r"\[X-(\w+)]", listed) == ["z", "0", "1", "2", "3", "4", "na"]
    assert headings(text)[-1] == "## All evidence, by requirement"


def test_code_in_a_requirement_is_code() -> None:
    for text, shown in (
        ("`a_b` is *c*", "`a_b` is \\*c\\*"),
        ("`a|b` no", "\\`a\\|b\\` no"),
        ("``x` y", "\\``x` y"),
        ("one ` alone", "one \\` alone"),
        ("`<b>`", "\\`\\<b\\>\\`"),
    ):
        requirements = Requirements([Requirement("PROD-01", Level.CORE, text)])
        assert f"| {shown} |" in render(PASSED, requirements=requirements)


def test_only_a_pass_is_ticked() -> None:
    marks = {}
    for verdict in Verdict:
        (row,) = [line for line in render(result("a", verdict)).splitlines() if "| PROD-01 |" in line]
        marks[verdict] = row[:6]

    assert marks == {
        Verdict.PASS: "| [x] ",
        Verdict.INCONCLUSIVE: "| [ ] ",
        Verdict.FAIL: "| [ ] ",
        Verdict.NOT_APPLICABLE: "| [-] ",
    }
    assert "| [ ] | PROD-01 | core | NOT VERIFIED | - | first |" in render()


def test_markup_in_a_requirement_stays_in_its_cell() -> None:
    requirements = Requirements([Requirement("PROD-01", Level.CORE, HOSTILE)])
    text = render(PASSED, requirements=requirements)
    (row,) = [line for line in text.splitlines() if "| PROD-01 |" in line]

    assert len(re.findall(r"(?<!\\)(?:\\\\)*\|", row)) == 7
    assert "<script>" not in row
    assert "[l](" not in row
    assert headings(text) == ["# Release checklist: reference", "## Requirements", *LAST]


def test_markup_in_a_message_stays_in_its_block() -> None:
    for message in (HOSTILE, "```\n# out\n```", "````\n`````x\n# out", "`", "~~~\n# x", "\n```", "# a"):
        failed = replace(result("a", Verdict.FAIL), message=message)

        assert headings(render(failed)) == [
            "# Release checklist: reference",
            "## Requirements",
            "## Excluded",
            "## FAIL: X-a",
            *LAST,
        ]


def test_markup_in_names_is_shown_as_it_is() -> None:
    failed = replace(result("a", Verdict.FAIL), folder="X_*a*[b](c)|<d>", message="m")
    text = render(failed, profile="# **evil** <b>|\nx", platform="<i>", selected=["t::<b>[z]*"])

    assert text.startswith("# Release checklist: \\# \\*\\*evil\\*\\* \\<b\\>\\| x\n")
    assert "t::\\<b\\>\\[z\\]\\*" in text
    assert "## FAIL: X\\_\\*a\\*\\[b\\](c)\\|\\<d\\>\n" in text
    assert len(headings(text)) == 4 + len(LAST)


@given(st.text(), st.text(), st.text())
def test_no_text_changes_the_shape(name: str, text: str, message: str) -> None:
    requirements = Requirements([Requirement("PROD-01", Level.CORE, text)])
    failed = replace(result("a", Verdict.FAIL), message=message, title=name)

    lines = render(failed, requirements=requirements, profile=name).split("\n")
    rows = [line for line in lines if line.startswith("| [ ] | PROD-01 |")]

    assert len(rows) == 1
    assert len(re.findall(r"(?<!\\)(?:\\\\)*\|", rows[0])) == 7
    assert lines.count("## To be done by a person") == 1 + message.split("\n").count(
        "## To be done by a person"
    )
    assert lines.count("## FAIL: X-a") == 1 + message.split("\n").count("## FAIL: X-a")
