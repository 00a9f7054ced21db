"""Text that a dispatcher could write to break out of a report, put wherever a dispatcher's text goes."""

from __future__ import annotations

from typing import Any

from harness.errors import Finding
from harness.ledger import Check
from harness.model import Verdict
from reports.tests import made

SCRIPT = "<script>window.pwned=1</script>"
IMAGE = '"><img src=x onerror="window.pwned=1">'
BREAKS = "</pre></details></template></script></style></title><svg onload=window.pwned=1>"
TEMPLATE = "{{ 7*7 }}{% raw %}"
COMMAND = "%0A::error::forged\n::error title=x::forged\r\n"
CONTROL = "\x00\x08\x1b[31m\ud800\uffff\u2028\u202e"
MARKDOWN = "| ``` | [x](javascript:pwned) <b>&amp;"
EVERYTHING = f"{SCRIPT} {IMAGE} {BREAKS} {TEMPLATE} {COMMAND} {MARKDOWN}"


def document() -> dict[str, Any]:
    """Results in which titles, logs, payloads, reasons and environments are hostile."""
    system = made.record(
        made.log(9, "api", f"event=x title={EVERYTHING}", f"x{SCRIPT}"),
        made.log(10, "worker", EVERYTHING),
        made.observation(
            11, "worker_gateway", "request", f"POST {EVERYTHING}", id=2, method="POST", path=f"/{EVERYTHING}",
            headers=[], body_text=EVERYTHING,
        ),
        made.observation(
            12, "worker_gateway", "reply", f"answers {IMAGE}", id=2, status=None, observed="hang", forwarded=False,
            fault=f"worker{IMAGE}",
        ),
        made.observation(13, "harness", "fault", f"inject {EVERYTHING}", name=f"f{SCRIPT}"),
        made.observation(14, f"odd{IMAGE}", "unexpected", EVERYTHING),
        environment={"process": {f"NAME{IMAGE}": EVERYTHING, "API_TOKEN": "hunter2-in-the-clear"}},
    )  # fmt: skip
    finding = Finding(EVERYTHING, EVERYTHING, EVERYTHING, oracle=f"secrets{IMAGE}")
    account = made.shown(system, Check(EVERYTHING, finding), finding=finding)
    figures = ({"name": EVERYTHING, "value": 1.0, "unit": IMAGE, "at_most": 2},)
    facts: dict[str, Any] = {
        "figures": figures,
        "account": account,
        "title": EVERYTHING,
        "files": {f"a{IMAGE}.log": "0" * 64},
    }
    failed = made.scenario(
        "BAD-01", Verdict.FAIL, message=EVERYTHING, node=f"scenarios/a.py::t[{EVERYTHING}]", **facts
    )
    passed = made.scenario("GOOD-01", **facts)
    unclear = made.scenario(
        "ODD-01", Verdict.INCONCLUSIVE, message=EVERYTHING + CONTROL.replace("\ud800", "")
    )
    by = {"scenario": EVERYTHING, "requirement": IMAGE, "oracle": IMAGE, "reason": EVERYTHING}
    texts: dict[str, Any] = dict.fromkeys(
        ("id", "title", "incident", "requirement", "oracle", "problem"), EVERYTHING
    )
    mutants = [
        made.mutant("", verdict, **texts, killed_by=by if verdict.startswith("killed") else None)
        for verdict in ("killed", "killed for another reason", "survived", "not judged")
    ]
    column = {
        "folder": EVERYTHING,
        "scenario": EVERYTHING,
        "suite": IMAGE,
        "title": EVERYTHING,
        "requires": [],
    }
    variant = made.variant(EVERYTHING, "false alarm", title=EVERYTHING, alarms=[by], problem=EVERYTHING)
    prove = made.kill_matrix(*mutants, equivalent=[variant], scenarios=[column])
    document = made.document(failed, passed, unclear, profile=f"profile{IMAGE}", platform=EVERYTHING)
    return {**document, "prove": prove, "canary": mutants[2]}
