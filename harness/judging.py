"""From what a test raised to a verdict: which one, who is to blame, and what a person reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness import failure
from harness import journal as journals
from harness.errors import Finding, HarnessError, Inconclusive, SutFailed, Violation
from harness.model import Job, Observation, Verdict
from harness.oracles.secrets import mask
from harness.requirements import Requirement
from harness.scenario import ScenarioInfo


@dataclass(frozen=True, slots=True)
class Case:
    """The scenario that raised something, and what was observed of it until then.

    Attributes:
        requirements: those that the scenario proves.
        observations: everything that was observed.
        job: the job that was submitted last, if any.
        planted: secrets, which appear in no message.
        evidence: where the evidence is, for people.
        rerun: the command that runs the scenario again.
    """

    info: ScenarioInfo
    requirements: Sequence[Requirement]
    observations: Sequence[Observation]
    job: Job | None
    planted: Sequence[str]
    evidence: str
    rerun: str


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict, whom it sends to work (``sut``, ``evidence``, ``harness`` or nobody), and its text."""

    verdict: Verdict
    blame: str
    message: str
    finding: Finding | None = None


def of_exception(raised: BaseException | None, case: Case, *, traceback: str) -> Judgement:
    """Judge what a phase of a test raised.

    Args:
        raised: the exception; None for an expected failure that passed.
        case: what it was raised in.
        traceback: pytest's own text of it, for what is no verdict of ours.
    """
    finding = None
    if isinstance(raised, Violation):
        finding = raised.finding
        verdict, blame, message = Verdict.FAIL, "sut", _explain(raised, case)
    elif isinstance(raised, Inconclusive):
        verdict, blame, message = Verdict.INCONCLUSIVE, "evidence", _doubt(raised, case)
    elif raised is None:
        verdict, blame, message = Verdict.FAIL, "evidence", traceback
    elif isinstance(raised, HarnessError):
        verdict, blame, message = Verdict.INCONCLUSIVE, "harness", traceback
    else:
        broken = f"{case.info.id}: the harness is broken, nothing is known about the dispatcher"
        verdict, blame, message = Verdict.INCONCLUSIVE, "harness", f"{broken}\n{traceback}"
    return Judgement(verdict, blame, mask(message, case.planted), finding)


def of_skip(reason: str) -> Judgement:
    """Judge a test that was skipped: not applicable where the plugin says so, else evidence is missing."""
    if reason.startswith(Verdict.NOT_APPLICABLE):
        return Judgement(Verdict.NOT_APPLICABLE, "", reason)
    return Judgement(Verdict.INCONCLUSIVE, "evidence", reason)


def _explain(violation: Violation, case: Case) -> str:
    finding = violation.finding
    if isinstance(violation, SutFailed):
        observed = f"{finding.observed}\n{violation.last_words}"
        finding = Finding(finding.expected, observed, oracle=finding.oracle)
    return failure.render(
        scenario=case.info.id,
        title=case.info.title,
        requirements=case.requirements,
        finding=finding,
        observations=journals.of_job(case.observations, case.job) if case.job else case.observations,
        evidence=case.evidence,
        rerun=case.rerun,
    )


def _doubt(doubt: Inconclusive, case: Case) -> str:
    return failure.render_doubt(
        scenario=case.info.id,
        title=case.info.title,
        doubt=str(doubt),
        observations=case.observations,
        evidence=case.evidence,
        rerun=case.rerun,
    )
