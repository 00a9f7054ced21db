"""What every run must satisfy, whatever its scenario asked: the checks that make silence impossible."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from harness import journal as journals
from harness.errors import Finding, Inconclusive, Violation
from harness.model import Hidden, Job, Observation
from harness.oracles import effects, events, route, secrets


def judge(
    observations: Sequence[Observation],
    *,
    jobs: Sequence[Job],
    given: Collection[tuple[str, str]],
    hidden: Collection[Hidden],
    planted: Iterable[str],
    expectations: int,
    unfired: Sequence[str],
    settled_at: int,
) -> None:
    """Judge a run whose scenario was satisfied.

    Args:
        observations: everything, the processes' last words included.
        jobs: what was submitted.
        given: episode and job id of what the worker was given without the API.
        hidden: routes that faults took off the wire, and when.
        planted: the secrets to be hunted.
        expectations: how many expectations the scenario stated.
        unfired: faults that were injected and struck nothing.
        settled_at: position in the journal up to which the run was judged as settled; 0 if it never was.

    Raises:
        Violation: the dispatcher did something that is wrong in every scenario.
        Inconclusive: the scenario's pass would rest on missing evidence.
    """
    for job in (job for job in jobs if not job.in_crowd):
        mine = journals.of_job(observations, job)
        _raise(route.disagreement(route.witnesses(mine, route.hidden_during(hidden, mine))))
        _raise(route.claimed_too_early(mine))
    _raise(effects.unexpected(jobs, journals.effects(observations), given))
    _raise(events.of_strangers(journals.events(observations), _episodes(observations, jobs, given)))
    requests = [o for o in observations if o.kind == "request"]
    _raise(effects.corroborated(journals.effects(observations), requests))
    _raise(secret_kept(observations, planted))
    _unexpected_requests(observations)
    _unparsed_lines(observations)
    if unfired:
        raise Inconclusive(
            f"the fault(s) {', '.join(unfired)} never struck: the scenario shows nothing about them. "
            "Either the dispatcher did not make the call, or the fault matches another one."
        )
    if not expectations:
        raise Inconclusive("the scenario expected nothing: call a must_… method of its outcome")
    _came_too_late(observations, settled_at)


def secret_kept(observations: Iterable[Observation], planted: Iterable[str]) -> Finding | None:
    """The planted secrets are in nothing that the dispatcher wrote or answered."""
    return secrets.hunt(_written_by_the_dispatcher(observations), planted)


def _episodes(
    observations: Iterable[Observation], jobs: Iterable[Job], given: Iterable[tuple[str, str]]
) -> set[str]:
    """Every episode that the harness has asked for, in whatever way."""
    asked = " ".join(o.text for o in observations if o.kind == "stimulus")
    return {*asked.split(), *(job.episode_id for job in jobs), *(episode_id for episode_id, _ in given)}


def _came_too_late(observations: Iterable[Observation], settled_at: int) -> None:
    """What was judged as absent must not come afterwards."""
    after = [o for o in observations if settled_at and o.seq > settled_at]
    late = [o.text for o in after if o.kind == "effect"]
    late += [o.text for o in after if o.kind == "log" and o.fields["event"] and "job_id" in o.fields["data"]]
    if late:
        raise Inconclusive(f"after the run was judged as settled, there came: {'; '.join(late)}")


def _raise(finding: Finding | None) -> None:
    if finding is not None:
        raise Violation(finding)


def _written_by_the_dispatcher(observations: Iterable[Observation]) -> Iterable[tuple[str, str]]:
    for o in observations:
        if o.kind == "log":
            yield f"a log line of the {o.source}", o.text
        elif o.kind in {"answer", "state"}:
            yield f"an answer of the {o.source}", str(o.fields["body"])
        elif o.kind == "reply" and o.fields["forwarded"] and not o.fields["fault"]:
            yield "an answer of the worker", str(o.fields.get("reply_body_text", ""))
        elif o.kind in {"request", "attempt.sent"}:
            yield "a URL", str(o.fields.get("path", o.fields.get("url", "")))


def _unexpected_requests(observations: Iterable[Observation]) -> None:
    surprises = [f"{o.source}: {o.text}" for o in observations if o.kind == "unexpected"]
    if surprises:
        raise Violation(Finding("requests that the fakes know", "; ".join(surprises), oracle="closing"))


def _unparsed_lines(observations: Iterable[Observation]) -> None:
    unread = [o for o in observations if o.kind == "log" and o.fields["form"] == "unparsed"]
    if unread:
        first = unread[0]
        raise Inconclusive(
            f"{len(unread)} log line(s) look like events and cannot be read; the first is of the {first.source}: "
            f"{first.text!r} ({first.fields['problem']})"
        )
