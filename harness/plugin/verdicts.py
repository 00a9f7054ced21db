"""From a test's phases to a verdict: what every scenario must satisfy, and what is written of it."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness import allure_report, context, debugging, evidence, judging
from harness.account import account
from harness.errors import Inconclusive, NotApplicable
from harness.evidence import ScenarioResult
from harness.model import Verdict
from harness.plugin.state import FINDING, PROPERTY, RESULT, RUN, STATE, evidence_folder, options_again, say
from harness.scenario import ScenarioInfo, info_of


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Iterator[None]:
    """After a scenario that was satisfied: what every scenario must satisfy."""
    info = info_of(pyfuncitem)
    if info is not None:
        _label_for_allure(pyfuncitem, info)
    try:
        result = yield
    except NotApplicable as problem:
        pytest.skip(f"{Verdict.NOT_APPLICABLE}: {problem}")
    if RUN in pyfuncitem.stash:
        pyfuncitem.stash[RUN].finish()
    elif info is not None:
        raise Inconclusive(f"{info.id} uses no system under test: it can show nothing")
    return result


def _label_for_allure(item: pytest.Function, info: ScenarioInfo) -> None:
    known = item.config.stash[STATE].requirements
    allure_report.label(
        info.id,
        evidence.folder_name(info.id, item.nodeid),
        info.title,
        [known[id_] for id_ in info.requires],
        info.level,
        parameters=item.callspec.params if hasattr(item, "callspec") else {},
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Judge each phase, say in the project's words what failed, and write the verdict when the test is over."""
    report: pytest.TestReport = yield  # type: ignore[assignment]
    info = info_of(item)
    if info is None:
        return report  # type: ignore[return-value]
    if call.when == "setup":
        item.stash[RESULT] = ScenarioResult(
            scenario=info.id,
            node=item.nodeid,
            title=info.title,
            requires=info.requires,
            level=info.level.value,
            verdict=Verdict.PASS,
            duration_s=0.0,
            folder=evidence.folder_name(info.id, item.nodeid),
        )
    result = _judge_phase(item, call, report, info)
    item.stash[RESULT] = result = replace(result, duration_s=round(result.duration_s + call.duration, 3))
    if call.when == "teardown":
        state, run = item.config.stash[STATE], item.stash.get(RUN, None)
        if run is not None:
            checks = run.ledger.checks
            shown = account(run.records(), checks, item.stash.get(FINDING, None), closing=run.closing)
            figures = tuple(figure.as_json() for figure in run.ledger.figures)
            result = replace(result, checks=evidence.checks_as_text(checks), account=shown, figures=figures)
        target = state.target_of(item)
        with state.evidence_is_kept():
            evidence.write_result(target.run, result, run.planted if run else ())
        if run is not None:  # now, when the fixtures are over, so that it is the test's and not a fixture's
            allure_report.attach(evidence_folder(item), run.records(), run.ledger.figures)
        if target == state.target:
            report.user_properties.append((PROPERTY, _for_progress(result)))
    return report  # type: ignore[return-value]


@pytest.hookimpl(tryfirst=True)
def pytest_exception_interact(node: pytest.Item | pytest.Collector) -> None:
    """Before the debugger of ``--pdb`` begins: how to reach what is still alive, and the evidence up to now."""
    run = node.stash.get(RUN, None)
    if run is None or not isinstance(node, pytest.Item) or not node.config.getoption("usepdb"):
        return
    folder = evidence_folder(node)
    context.write(folder, run.records(), run.ledger.calls, judged=len(run.ledger.checks))
    say(node.config, "\n" + debugging.whereabouts(run, folder))


def _judge_phase(
    item: pytest.Item, call: pytest.CallInfo[None], report: pytest.TestReport, info: ScenarioInfo
) -> ScenarioResult:
    """The result so far, made worse by what this phase raised."""
    so_far = item.stash[RESULT]
    expected_to_fail = report.__dict__.get("wasxfail")
    if report.passed and expected_to_fail is not None:
        # Where pytest is not told to be strict it lets this pass; but a bug that is gone is news, and no pass.
        report.outcome, report.longrepr = (
            "failed",
            f"[XPASS] passed, and was expected to fail: {expected_to_fail}",
        )
        del report.wasxfail
    if report.passed:
        return so_far
    raised = call.excinfo.value if call.excinfo else None
    if report.skipped:
        judgement = judging.of_skip(str(raised or report.__dict__.get("wasxfail", "")))
        verdict = judgement.verdict
    else:
        judgement = judging.of_exception(raised, _case(item, info), traceback=report.longreprtext)
        verdict = Verdict.worst([so_far.verdict, judgement.verdict])
        report.longrepr = judgement.message
    if judgement.finding is not None:
        item.stash[FINDING] = judgement.finding
    return replace(so_far, verdict=verdict, blame=judgement.blame, message=judgement.message)


def _case(item: pytest.Item, info: ScenarioInfo) -> judging.Case:
    state, run = item.config.stash[STATE], item.stash.get(RUN, None)
    return judging.Case(
        info=info,
        requirements=[state.requirements[id_] for id_ in info.requires],
        observations=run.observations if run else [],
        job=run.last_job if run else None,
        planted=run.planted if run else [],
        evidence=_short(evidence_folder(item)),
        rerun=_rerun(item),
    )


def _rerun(item: pytest.Item) -> str:
    options = options_again(item.config, item.config.stash[STATE].target_of(item))
    return " ".join(["pytest", *options, shlex.quote(item.nodeid)])


def _short(path: Path) -> str:
    with contextlib.suppress(ValueError):
        return str(path.relative_to(Path.cwd()))
    return str(path)


def _for_progress(result: ScenarioResult) -> dict[str, Any]:
    return {
        "verdict": result.verdict.value,
        "scenario": result.folder,
        "title": result.title,
        "duration_s": result.duration_s,
    }
