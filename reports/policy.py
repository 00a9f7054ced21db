"""``policy.toml``: what a release asks of a run, and ``decide``: whether a run satisfies it.

A policy can excuse what is not known, by name and with a reason; it cannot excuse a failure.
"""

from __future__ import annotations

import datetime as dt
import fnmatch
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from harness.errors import UsageError
from reports import proof
from reports.results import CANARY

Unknown = Literal["INCONCLUSIVE", "NOT VERIFIED"]
_ACCEPTED = {"PASS", "EXCLUDED"}
_MOST_NAMED = 5


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Excuse(_Section):
    """``[[excuse]]``: requirements about which nothing need be known, and why."""

    requirements: tuple[str, ...] = Field(min_length=1)
    verdicts: tuple[Unknown, ...] = ("NOT VERIFIED",)
    because: str = Field(min_length=1)
    until: dt.date | None = None


class FirstChoice(_Section):
    """``[[first_choice]]``: where nothing is broken or configured otherwise, these take this route and no other."""

    requirements: tuple[str, ...] = Field(min_length=1)
    mode: Literal["dev", "prod"]
    route: Literal["cloud_tasks", "worker_direct", "inline"]


class Policy(_Section):
    """What must be so for a release to go.

    Attributes:
        levels: requirements of these levels must pass.
        max_age_h: how many hours old the evidence may be; None for any age.
        sut_digest: the digest that is being released; "" leaves it to the command line.
        require_sut_digest: say no unless a digest is given, here or on the command line.
        require_prove: the kill matrix must be there, without survivors and false alarms.
        require_canary: the known-bad dispatcher must have been found in this run.
        require_evidence: the evidence must lie beside the results, where the gate checks one against the other. Without
            it, a results.json that somebody edited with care is believed.
    """

    version: Literal[1]
    levels: tuple[Literal["core", "extended"], ...] = Field(default=("core",), min_length=1)
    max_age_h: float | None = Field(default=None, gt=0)
    sut_digest: str = ""
    require_sut_digest: bool = False
    require_prove: bool = False
    require_canary: bool = False
    require_evidence: bool = True
    first_choice: tuple[FirstChoice, ...] = ()
    excuse: tuple[Excuse, ...] = ()


@dataclass(frozen=True, slots=True)
class Decision:
    """Go or no-go.

    Attributes:
        failures: what was shown to be wrong.
        unknowns: what was not shown.
        excused: what was not shown and need not be, with the policy's reason.
    """

    failures: tuple[str, ...]
    unknowns: tuple[str, ...]
    excused: tuple[str, ...]

    @property
    def go(self) -> bool:
        """Whether nothing is wrong and nothing is unknown."""
        return not self.failures and not self.unknowns

    @property
    def exit_code(self) -> int:
        """0 for go, 1 where something is wrong, 2 where something is unknown."""
        return 1 if self.failures else 2 if self.unknowns else 0

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why not; the failures first."""
        return (*self.failures, *self.unknowns)

    def __str__(self) -> str:
        """One line."""
        return "go" if self.go else f"no-go: {'; '.join(self.reasons)}"


def read_policy(path: Path) -> Policy:
    """Read a policy.

    Raises:
        UsageError: no such file, not TOML, or a key is missing, unknown or of the wrong kind.
    """
    try:
        text = path.read_text("utf-8")
    except OSError as problem:
        raise UsageError(f"cannot read the policy {str(path)!r}: {problem.strerror}") from None
    return _parse(path.name, text)


def default_policy() -> Policy:
    """The policy by which the checklist decides unless another one is given."""
    return _parse("policy.toml", resources.files("reports").joinpath("policy.toml").read_text("utf-8"))


def _parse(name: str, text: str) -> Policy:
    try:
        return Policy.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as problem:
        raise UsageError(f"{name} is not TOML: {problem}") from None
    except ValidationError as problem:
        first = problem.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise UsageError(f"{name}: {key}: {first['msg']}, got {first['input']!r}") from None


def decide(
    results: Mapping[str, Any], policy: Policy, *, now: float | None = None, sut_digest: str = ""
) -> Decision:
    """Whether a run satisfies a policy.

    Args:
        results: the document of ``results.json``.
        policy: what is asked.
        now: unix time by which the evidence's age counts; None leaves its age out.
        sut_digest: the digest that is being released, where the policy does not name it.
    """
    today = dt.datetime.fromtimestamp(
        now if now is not None else results["run"].get("began_at", 0), tz=dt.UTC
    ).date()
    failures: list[str] = []
    unknowns = [
        *_completeness(results),
        *_freshness(results, policy, now),
        *_identity(results, policy, sut_digest),
    ]
    excused: list[str] = []
    for verdict, rows in _rows_by_verdict(results, policy).items():
        if verdict == "FAIL":
            failures.append(f"{_named(rows)} failed")
            continue
        rest = []
        for row in rows:
            excuse = _excuse(row, policy, today)
            if excuse is None:
                rest.append(row)
            else:
                excused.append(f"{row['id']} is {row['verdict']}: {excuse.because}")
        if rest:
            unknowns.append(f"{_named(rest)} {'is' if len(rest) == 1 else 'are'} {verdict}")
    for choice in policy.first_choice:
        wrong, unknown = _first_choice(results, choice)
        failures += wrong
        unknowns += unknown
    unknowns += _proofs(results, policy)
    return Decision(tuple(failures), tuple(unknowns), tuple(excused))


def check_names(results: Mapping[str, Any], policy: Policy) -> None:
    """Raises UsageError when the policy names requirements that are not in the results."""
    ids = [row["id"] for row in results["requirements"]]
    patterns = [entry.requirements for entry in policy.excuse] + [
        entry.requirements for entry in policy.first_choice
    ]
    for names in patterns:
        for pattern in names:
            if not fnmatch.filter(ids, pattern):
                raise UsageError(f"the policy names {pattern!r}, and no requirement is called so")


def _completeness(results: Mapping[str, Any]) -> Iterator[str]:
    if not results.get("complete"):
        broken = [
            reason
            for reason in results["reasons"]
            if not reason.startswith(("FAIL:", "INCONCLUSIVE:", CANARY))  # these are said elsewhere
        ]
        yield f"the run is incomplete ({'; '.join(broken) or 'no account of its end'})"
    shard = results["run"].get("shard")
    if shard:
        yield f"this is only shard {shard['index']} of {shard['of']}: merge all of them first"
    if any(s["blame"] == "harness" for s in results["scenarios"]):
        yield "the harness is broken: nothing is known about what it could not run"
    elif (
        results["complete"]
        and results["verdict"] == "INCONCLUSIVE"
        and not any(s["verdict"] == "INCONCLUSIVE" for s in results["scenarios"])
    ):
        reasons = [
            reason for reason in results["reasons"] if not reason.startswith(CANARY)
        ]  # that one has its own
        if reasons or not results["reasons"]:
            yield reasons[0] if reasons else "the run is inconclusive"


def _freshness(results: Mapping[str, Any], policy: Policy, now: float | None) -> Iterator[str]:
    began_at, ended_at = results["run"].get("began_at", 0), results["run"].get("ended_at")
    if policy.max_age_h is None or now is None or ended_at is None:
        return
    age_h = (now - began_at) / 3600  # of the oldest: shards of one run may lie days apart
    if age_h > policy.max_age_h:
        yield f"the evidence is {age_h:.3g} h old; at most {policy.max_age_h:g} h is allowed"
    elif now < ended_at - 60:
        yield f"the evidence is from the future ({(ended_at - now) / 3600:.1f} h): a clock is wrong"


def _identity(results: Mapping[str, Any], policy: Policy, given: str) -> Iterator[str]:
    wanted = given or policy.sut_digest
    tested = results["run"].get("identity", {}).get("sut", {}).get("digest", "")
    if not wanted:
        if policy.require_sut_digest:
            yield "no digest of the release was given, and the policy asks for one"
    elif not tested:
        yield "the run does not say which digest it tested"
    elif tested != wanted:
        yield f"the run tested {tested}, and {wanted} is to be released"


def _rows_by_verdict(results: Mapping[str, Any], policy: Policy) -> dict[str, list[Mapping[str, Any]]]:
    found: dict[str, list[Mapping[str, Any]]] = {}
    for row in results["requirements"]:
        needed = row["level"] in policy.levels
        fine = row["verdict"] in _ACCEPTED or (row["verdict"] == "NOT_APPLICABLE" and row["capability"])
        if needed and not fine:
            found.setdefault(row["verdict"], []).append(row)
    return found


def _excuse(row: Mapping[str, Any], policy: Policy, today: dt.date) -> Excuse | None:
    for excuse in policy.excuse:
        named = _named_by(row["id"], excuse.requirements)
        if named and row["verdict"] in excuse.verdicts and (excuse.until is None or today <= excuse.until):
            return excuse
    return None


@lru_cache(1024)  # a few dozen requirements, asked about in every one of thousands of scenarios
def _named_by(id_: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatch.fnmatchcase(id_, pattern) for pattern in patterns)


def _first_choice(results: Mapping[str, Any], choice: FirstChoice) -> tuple[list[str], list[str]]:
    wanted = [f"{choice.route} served"]
    shown, wrong = 0, []
    for scenario in results["scenarios"]:
        account = scenario.get("account") or {}
        mine = any(_named_by(id_, choice.requirements) for id_ in scenario["requires"])
        in_order = not account.get("faults") and not account.get("settings")
        if not mine or not in_order or account.get("modes") != [choice.mode]:
            continue
        for job in account.get("jobs", ()):
            shown += 1
            if job["wire"] != wanted:
                wrong.append(f"{scenario['folder']} took {' → '.join(job['wire']) or 'no route'}")
    names = ", ".join(choice.requirements)
    if wrong:
        more = f" and {len(wrong) - 1} more" if len(wrong) > 1 else ""
        return [f"{choice.route} was not the first choice with nothing broken: {wrong[0]}{more}"], []
    return [], [] if shown else [f"no job of {names} shows that {choice.route} is the first choice"]


def _proofs(results: Mapping[str, Any], policy: Policy) -> Iterator[str]:
    prove, canary = results.get("prove"), results.get("canary")
    if canary is not None and not proof.found(canary):
        yield proof.canary_in_words(canary).removesuffix(".")
    if policy.require_canary and canary is None:
        yield "the canary was not run"
    if policy.require_prove and prove is None:
        yield "the kill matrix was not run"
    elif policy.require_prove and prove is not None:
        yield from proof.problems(prove, results["run"].get("identity", {}))


def _named(rows: Sequence[Mapping[str, Any]]) -> str:
    ids = [row["id"] for row in rows]
    more = f" and {len(ids) - _MOST_NAMED} more" if len(ids) > _MOST_NAMED else ""
    return f"{', '.join(ids[:_MOST_NAMED])}{more}"
