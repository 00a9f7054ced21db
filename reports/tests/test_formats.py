"""What machines read: JUnit, CTRF, GitHub, in-toto, SARIF; and that hostile text stays text in all of them."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from typing import Any

import pytest

from harness.model import Verdict
from reports.checklist import checklist
from reports.ctrf import ctrf
from reports.github import LIMIT_BYTES, summary, workflow_commands
from reports.intoto import statement
from reports.junit import junit
from reports.page import page
from reports.policy import Policy
from reports.release import release
from reports.sarif import sarif
from reports.tests import hostile, made

OPEN = Policy.model_validate({"version": 1, "excuse": [{"requirements": ["LIVE-*"], "because": "later"}]})
ATTRIBUTES = {
    "testsuites": {"name", "tests", "failures", "errors", "time"},
    "testsuite": {"name", "tests", "failures", "errors", "skipped", "time", "timestamp"},
    "testcase": {"classname", "name", "time"},
    "failure": {"message", "type"},
    "error": {"message", "type"},
    "skipped": {"message"},
    "system-out": set(),
}
CHILDREN = {
    "testsuites": {"testsuite"},
    "testsuite": {"testcase"},
    "testcase": {"failure", "error", "skipped", "system-out"},
}


def mixed() -> dict[str, Any]:
    return made.document(
        made.scenario("A-01"),
        made.scenario("B-01", Verdict.FAIL, node="scenarios/dev/test_b.py::test_b[x]"),
        made.scenario("C-01", Verdict.INCONCLUSIVE),
        made.scenario("D-01", Verdict.NOT_APPLICABLE, message="NOT_APPLICABLE: no"),
    )


@pytest.mark.parametrize(
    "document", [mixed(), hostile.document(), made.document(), made.going(ended_at=None)]
)
def test_junit_is_valid(document: dict[str, Any]) -> None:
    root = ET.fromstring(junit(document))
    for element in root.iter():
        assert set(element.attrib) <= ATTRIBUTES[element.tag]
        assert {child.tag for child in element} <= CHILDREN.get(element.tag, set())
    for suite in root.findall("testsuite"):
        for name, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
            assert int(suite.attrib[name]) == len(suite.findall(f"testcase/{tag}"))
    names = [(case.get("classname"), case.get("name")) for case in root.iter("testcase")]
    assert len(names) == len(set(names)) == int(root.attrib["tests"])


def test_junit_says_what_came_of_each() -> None:
    root = ET.fromstring(junit(mixed()))
    assert (root.get("tests"), root.get("failures"), root.get("errors")) == ("4", "1", "1")
    assert [suite.get("name") for suite in root] == ["scenarios/dev/test_b.py", "scenarios/prod/test_it.py"]
    assert "[[ATTACHMENT|evidence/A-01/verdict.json]]" in (
        root.findtext(".//testcase[@name='A-01']/system-out") or ""
    )


@pytest.mark.parametrize(
    "document", [made.document(), made.going(ended_at=None), made.going(selected=["gone.py::t"])]
)
def test_what_is_incomplete_is_green_for_nobody(document: dict[str, Any]) -> None:
    assert int(ET.fromstring(junit(document)).get("errors", "0")) >= 1
    assert ctrf(document)["results"]["summary"]["failed"] >= 1
    assert "The run is incomplete" in workflow_commands(document)
    assert "NO-GO" in summary(document, OPEN)
    assert "**Release: NO-GO**" in checklist(document, OPEN)
    assert not release(document, OPEN)["decision"]["go"]
    said = statement(document, OPEN)
    assert said is None or said["predicate"]["result"] == "FAILED"
    assert sarif(document)["runs"][0]["invocations"] == [{"executionSuccessful": False}]


def test_ctrf_counts_and_names() -> None:
    found = ctrf(mixed())["results"]
    assert {key: found["summary"][key] for key in ("tests", "passed", "failed", "skipped")} == {
        "tests": 4,
        "passed": 1,
        "failed": 2,
        "skipped": 1,
    }
    assert found["summary"]["start"] == 1_767_225_600_000
    assert found["tests"][1]["message"] == "B-01 says why"
    assert {test["rawStatus"] for test in found["tests"]} == {
        "PASS",
        "FAIL",
        "INCONCLUSIVE",
        "NOT_APPLICABLE",
    }


def test_the_statement_speaks_of_the_digest() -> None:
    said = statement(made.going(), OPEN)
    assert said is not None
    assert said["_type"] == "https://in-toto.io/Statement/v1"
    assert said["subject"] == [{"name": "sut", "digest": {"sha256": "a" * 64}}]
    assert said["predicate"]["result"] == "PASSED"
    assert said["predicate"]["passedTests"] == ["PROD-HEALTHY-01", "PROD-FALLBACK-01"]
    assert statement(made.going(identity={}), OPEN) is None
    failed = statement(mixed(), OPEN)
    assert failed is not None
    assert failed["predicate"]["failedTests"] == ["B-01", "C-01"]


def test_sarif_holds_leaks_and_configuration_only() -> None:
    finding = {"finding": {"oracle": "secrets", "observed": "plain in a log line of the api"}}
    document = made.document(
        made.scenario("LEAK-01", Verdict.FAIL, account=finding),
        made.scenario("CONF-01", Verdict.FAIL, requires=("CONF-03",)),
        made.scenario("OTHER-01", Verdict.FAIL),
        made.scenario("CONF-02", requires=("CONF-03",)),
    )
    found = sarif(document)["runs"][0]["results"]
    assert [result["ruleId"] for result in found] == ["secret-leak", "configuration"]
    assert "plain in a log line" in found[0]["message"]["text"]
    assert len({result["partialFingerprints"]["scenario/v1"] for result in found}) == 2


def test_the_summary_stays_under_its_limit() -> None:
    long = [made.scenario(f"LONG-{n:04}", Verdict.FAIL, message="ü" * 4000) for n in range(400)]
    text = summary(made.document(*long))
    assert 900_000 < len(text.encode()) <= LIMIT_BYTES
    assert text.endswith("See checklist.html.\n")
    assert "The rest is left out" not in summary(mixed())


def test_annotations_are_few_and_cannot_be_forged() -> None:
    lines = workflow_commands(hostile.document()).removesuffix("\n").split("\n")
    assert len(lines) == 2
    assert all(line.startswith("::error file=") for line in lines)
    many = made.document(*(made.scenario(f"F-{n:02}", Verdict.FAIL) for n in range(30)))
    assert workflow_commands(many).count("\n") == 10


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))


def test_the_page_holds_no_element_of_a_dispatcher() -> None:
    reader = _Reader()
    reader.feed(page(hostile.document()))
    assert [dict(a).get("type") for tag, a in reader.elements if tag == "script"] == ["text/plain", None]
    assert not [tag for tag, _ in reader.elements if tag in {"img", "iframe", "object", "embed", "base"}]
    assert not [name for _, attributes in reader.elements for name in attributes if name.startswith("on")]
    links = [a.get("href") or "" for tag, a in reader.elements if tag == "a"]
    assert all(link.startswith(("#", "evidence/")) for link in links)


def test_markdown_shows_hostile_text_as_it_is() -> None:
    for text in (checklist(hostile.document()), summary(hostile.document())):
        outside = "\n".join(line for line in text.splitlines() if not line.startswith("    "))
        before = outside.split("```")[0]
        assert "<script" not in before.replace("\\<", "")
        assert not re.search(r"(?<!\\)\]\(javascript", before)
        rows = [line for line in before.splitlines() if line.startswith("| [")]
        assert len(rows) == len(made.REQUIREMENTS)


def test_every_format_is_json_where_it_says_so() -> None:
    for document in (ctrf(hostile.document()), sarif(hostile.document()), release(hostile.document())):
        assert json.loads(json.dumps(document, allow_nan=False)) == document
