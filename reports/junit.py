"""JUnit XML, from ``results.json`` and not from pytest: the same whether the run was parallel, sharded or cut off.

What has no verdict is an error in the file, so that no reader takes an incomplete run for a green one.
"""

from __future__ import annotations

import datetime as dt
import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from typing import Any

_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_INCOMPLETE = "this run is incomplete"


def junit(results: Mapping[str, Any]) -> str:
    """The file's text: one suite for each file of scenarios, one case for each scenario."""
    by_file: dict[str, list[Mapping[str, Any]]] = {}
    for scenario in results["scenarios"]:
        by_file.setdefault(scenario["node"].partition("::")[0], []).append(scenario)
    root = ET.Element("testsuites", name="dispatchcheck")
    began = dt.datetime.fromtimestamp(results["run"].get("began_at", 0), tz=dt.UTC)
    suites = [_suite(root, file, scenarios, began) for file, scenarios in sorted(by_file.items())]
    if not results.get("complete", True):
        suites.append(_incomplete(root, results, began))
    for name in ("tests", "failures", "errors"):
        root.set(name, str(sum(int(suite.get(name, "0")) for suite in suites)))
    root.set("time", f"{sum(scenario['duration_s'] for scenario in results['scenarios']):.3f}")
    ET.indent(root)
    return f'<?xml version="1.0" encoding="utf-8"?>\n{ET.tostring(root, encoding="unicode")}\n'


def _suite(
    root: ET.Element, name: str, scenarios: Sequence[Mapping[str, Any]], began: dt.datetime
) -> ET.Element:
    suite = _new_suite(root, name, began)
    suite.set("time", f"{sum(scenario['duration_s'] for scenario in scenarios):.3f}")
    for scenario in scenarios:
        case = ET.SubElement(
            suite,
            "testcase",
            classname=_clean(scenario["scenario"]),
            name=_clean(scenario["folder"]),
            time=f"{scenario['duration_s']:.3f}",
        )
        _outcome(case, scenario)
        out = ET.SubElement(case, "system-out")
        files = [*scenario.get("files", ()), "verdict.json"]
        attached = "\n".join(f"[[ATTACHMENT|evidence/{scenario['folder']}/{file}]]" for file in files)
        out.text = _clean(f"{scenario['title']}\nrequires {', '.join(scenario['requires'])}\n{attached}")
    _count(suite)
    return suite


def _incomplete(root: ET.Element, results: Mapping[str, Any], began: dt.datetime) -> ET.Element:
    suite = _new_suite(root, "incomplete run", began)
    for name in results.get("missing") or [_INCOMPLETE]:
        case = ET.SubElement(suite, "testcase", classname="incomplete", name=_clean(name), time="0.000")
        error = ET.SubElement(case, "error", message="no verdict: the run is incomplete", type="INCONCLUSIVE")
        error.text = _clean("\n".join(results["reasons"]))
    _count(suite)
    return suite


def _new_suite(root: ET.Element, name: str, began: dt.datetime) -> ET.Element:
    return ET.SubElement(
        root, "testsuite", name=_clean(name), timestamp=f"{began:%Y-%m-%dT%H:%M:%S}", time="0.000"
    )


def _outcome(case: ET.Element, scenario: Mapping[str, Any]) -> None:
    element = {"FAIL": "failure", "INCONCLUSIVE": "error", "NOT_APPLICABLE": "skipped"}.get(
        scenario["verdict"]
    )
    if element is None:
        return
    message = scenario["message"] or scenario["verdict"]
    child = ET.SubElement(case, element, message=_clean(message.splitlines()[0]))
    if element != "skipped":
        child.set("type", scenario["blame"] or scenario["verdict"])
        child.text = _clean(message)


def _count(suite: ET.Element) -> None:
    suite.set("tests", str(len(suite.findall("testcase"))))
    for name, element in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        suite.set(name, str(len(suite.findall(f"testcase/{element}"))))


def _clean(text: str) -> str:
    """Text without the characters that XML 1.0 cannot hold."""
    return _FORBIDDEN.sub("\N{REPLACEMENT CHARACTER}", text)
