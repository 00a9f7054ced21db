"""The suites read like specifications: one sentence each, no logic, and every core requirement by hand."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.tests.conftest import ROOT

SUITES = [
    path
    for name in ("dev", "prod", "config", "worker", "once")
    for path in (ROOT / "scenarios" / name).glob("*.py")
]
LOGIC = (
    *(
        ast.If,
        ast.IfExp,
        ast.For,
        ast.While,
        ast.Try,
        ast.With,
        ast.Assert,
        ast.BoolOp,
        ast.Compare,
        ast.Lambda,
    ),
    *(ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp, ast.FunctionDef, ast.Import, ast.ImportFrom),
)


def not_a_specification(source: str) -> Iterator[str]:
    """What in a file of scenarios is no specification: helpers, logic, sleeps, addresses, texts of several parts."""
    for node in ast.parse(source).body:
        if isinstance(node, ast.ClassDef):
            yield f"the class {node.name}"
        if not isinstance(node, ast.FunctionDef):
            continue
        if not node.name.startswith("test_"):
            yield f"the helper {node.name}"
        title = ast.get_docstring(node) or ""
        if not re.fullmatch(r"[^.]+(\.\S[^.]*)*\.", title) or "\n\n" in title:
            yield f"{node.name} has not one sentence: {title!r}"
        for each in (inner for statement in node.body[1:] for inner in ast.walk(statement)):
            if isinstance(each, LOGIC):
                yield f"{node.name} has logic in line {each.lineno}: {type(each).__name__}"
            if isinstance(each, ast.Constant) and "://" in str(each.value):
                yield f"{node.name} has an address in line {each.lineno}"
            if isinstance(each, ast.Attribute) and each.attr == "sleep":
                yield f"{node.name} sleeps in line {each.lineno}"


@pytest.mark.parametrize("path", SUITES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_suite_has_no_logic(path: Path) -> None:
    assert list(not_a_specification(path.read_text("utf-8"))) == []


def test_the_check_finds_what_is_none() -> None:
    source = """
class A: ...
def helper(): ...
def test_a():
    '''One. Two.'''
    if x: y()
    z("http://a")
    time.sleep(1)
def test_b():
    '''No full stop'''
def test_c():
    '''A value such as 1.5 is fine.'''
    a.b(*c, d=e)
"""
    assert [finding.split(":")[0] for finding in not_a_specification(source)] == [
        "the class A",
        "the helper helper",
        "helper has not one sentence",
        "test_a has not one sentence",
        "test_a has logic in line 6",
        "test_a has an address in line 7",
        "test_a sleeps in line 8",
        "test_b has not one sentence",
    ]


def test_every_core_requirement_has_a_scenario_by_hand_besides_the_matrix() -> None:
    by_hand = {
        id_
        for path in SUITES
        if path.name != "test_matrix.py"
        for listed in re.findall(r"requires=\[([^\]]*)\]", path.read_text("utf-8"))
        for id_ in re.findall(r'"([A-Z]+-\d+)"', listed)
    }
    listed = tomllib.loads((ROOT / "scenarios" / "requirements.toml").read_text("utf-8"))["requirement"]
    core = {each["id"] for each in listed if each["level"] == "core" and not each["id"].startswith("LIVE-")}

    assert sorted(core - by_hand) == []
