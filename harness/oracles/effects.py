"""What a job did, counted from what it left in storage: lost, duplicated, unexpected, recovered or wrong effects.

The words are Jepsen's: *lost* is what was accepted and never happened, *duplicated* what happened more than once,
*unexpected* what nobody asked for, *recovered* what happened although its caller was told otherwise, or nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from harness.errors import Finding
from harness.model import Effect, Job, Observation, Result, Route, Step

_ORACLE = "effects"
_OFTEN = 5


def of(job: Job, effects: Sequence[Effect]) -> list[Effect]:
    """The effects of one job, or of its episode where the job was given no id."""
    return [e for e in effects if e.episode_id == job.episode_id and job.job_id in ("", e.job_id)]


def exactly_one(job: Job, effects: Sequence[Effect], *, role: str | None = None) -> Finding | None:
    """The job was assembled once, correctly, by the process that should have done it."""
    mine = of(job, effects)
    if len(mine) != 1:
        return Finding(
            expected="one effect",
            observed="no effect: the job is lost" if not mine else f"{len(mine)} effects: {_listed(mine)}",
            nearest=_listed([e for e in effects if e not in mine]) if not mine and effects else "",
            oracle=_ORACLE,
        )
    effect = mine[0]
    if role is not None and effect.role != role:
        return Finding(f"the effect in the {role}", f"it happened in the {effect.role}", oracle=_ORACLE)
    return _right(effect, job)


def recovered(job: Job, effects: Sequence[Effect], way: Sequence[Step]) -> Finding | None:
    """The job was assembled once, by a hand-over that its caller was told had failed: it was done, and nobody knew.

    Args:
        job: the job.
        effects: all effects.
        way: the job's way on the wire, as the callers saw each attempt end.
    """
    if finding := exactly_one(job, effects, role="worker"):
        return finding
    if Result.SERVED not in {step.result for step in way if step.route is not Route.INLINE}:
        return None
    return Finding(
        expected="an effect of a hand-over whose answer was lost",
        observed=f"a hand-over that was confirmed: {', '.join(map(str, way))}",
        oracle=_ORACLE,
    )


def told(jobs: Sequence[Job], states: Sequence[Observation]) -> Finding | None:
    """The dispatcher's own store, where it was asked, says that each job is done: what lies in storage is recorded."""
    last = {state.fields["job_id"]: state for state in states}
    asked = [last[job.job_id] for job in jobs if job.job_id in last]
    wrong = [state for state in asked if not state.fields["done"]]
    if not wrong:
        return None
    return Finding(
        expected="a job that is done by the API's account, too",
        observed=f"it {wrong[0].text}" + (f", and {len(wrong) - 1} more" if len(wrong) > 1 else ""),
        oracle=_ORACLE,
    )


def one_each(jobs: Sequence[Job], effects: Sequence[Effect]) -> Finding | None:
    """Each of many jobs was accepted, and was assembled once and correctly: none lost, none done twice."""
    by_job: dict[tuple[str, str], list[Effect]] = {}
    for effect in effects:
        by_job.setdefault((effect.episode_id, effect.job_id), []).append(effect)
    counts = [len(by_job.get((job.episode_id, job.job_id), ())) if job.job_id else -1 for job in jobs]
    if set(counts) == {1}:
        pairs = ((by_job[job.episode_id, job.job_id][0], job) for job in jobs)
        return next(filter(None, (_right(effect, job) for effect, job in pairs)), None)
    wrong = [
        f"job {job.job_id} of {job.episode_id}"
        for job, n in zip(jobs, counts, strict=True)
        if n not in (1, -1)
    ]
    return Finding(
        expected=f"one effect of each of {len(jobs)} jobs",
        observed=f"{counts.count(-1)} not accepted, {counts.count(0)} lost, {sum(n > 1 for n in counts)} done twice"
        if jobs
        else "no job was asked for",
        nearest=f"for example {wrong[0]}" if wrong else "",
        oracle=_ORACLE,
    )


def not_lost(job: Job, effects: Sequence[Effect]) -> Finding | None:
    """An accepted job was assembled once; one that was refused, which has no id, was not assembled."""
    if job.job_id:
        return exactly_one(job, effects)
    return none(of(job, effects))


def in_vain(ends: Sequence[Observation], within_s: float) -> Finding | None:
    """The job would not end, although Cloud Tasks has delivered it again and again, each time in vain.

    Where it was tried less often, the machine may be slow, and nothing is known.

    Args:
        ends: how the deliveries of its task ended.
        within_s: how long was waited.
    """
    failed = [end for end in ends if end.fields["outcome"] == "failed"]
    if len(failed) < _OFTEN or len(failed) != len(ends):
        return None
    return Finding(
        expected=f"a job that ends within {within_s:g} s",
        observed=f"its task was delivered {len(failed)} times, each time in vain; the last: {failed[-1].text}",
        oracle=_ORACLE,
    )


def counted(effects: Sequence[Effect], count: int, *, role: str) -> Finding | None:
    """There were exactly ``count`` effects, all by one process."""
    if len(effects) == count and all(effect.role == role for effect in effects):
        return next(filter(None, map(_truthful, effects)), None)
    return Finding(f"{count} effect(s) in the {role}", _listed(effects) or "none", oracle=_ORACLE)


def none(effects: Sequence[Effect]) -> Finding | None:
    """Nothing was assembled."""
    if not effects:
        return None
    return Finding("no effect", f"{len(effects)} effect(s): {_listed(effects)}", oracle=_ORACLE)


def unexpected(
    jobs: Sequence[Job], effects: Sequence[Effect], given: Collection[tuple[str, str]] = ()
) -> Finding | None:
    """No effect belongs to a job that nobody asked for.

    Args:
        jobs: what the API was asked for.
        effects: all effects of the run.
        given: episode and job id of what the worker was given without the API.
    """
    known = {(job.episode_id, job.job_id) for job in jobs} | set(given)
    strangers = [e for e in effects if (e.episode_id, e.job_id) not in known]
    if not strangers:
        return None
    return Finding(
        expected="effects of accepted jobs only",
        observed=f"effect(s) of unknown jobs: {_listed(strangers)}",
        oracle=_ORACLE,
    )


def _right(effect: Effect, job: Job) -> Finding | None:
    if finding := _truthful(effect):
        return finding
    if effect.audio != job.expected_audio:
        return Finding(
            expected=f"the episode's segments joined: audio with sha256 {job.expected_audio}",
            observed=f"other audio: {effect.audio}",
            oracle=_ORACLE,
        )
    return None


def _truthful(effect: Effect) -> Finding | None:
    if effect.checksum == effect.claimed_checksum:
        return None
    return Finding(
        expected=f"a manifest that tells the truth: sha256 {effect.checksum}",
        observed=f"it claims {effect.claimed_checksum}",
        oracle=_ORACLE,
    )


def corroborated(effects: Sequence[Effect], requests: Sequence[Observation]) -> Finding | None:
    """No effect says it is the worker's although the worker was never asked for the job.

    Which process an effect belongs to stands in a manifest that the dispatcher wrote; the gateway saw the request.
    """
    said = [(request.seq, str(request.fields)) for request in requests]
    for effect in (effect for effect in effects if effect.role == "worker"):
        if not any(seq < effect.seq and effect.episode_id in text for seq, text in said):
            return Finding(
                expected="a request at the worker before an effect that says it is the worker's",
                observed=f"{_listed([effect])}, and no request about {effect.episode_id}",
                oracle=_ORACLE,
            )
    return None


def _listed(effects: Sequence[Effect]) -> str:
    return ", ".join(f"job {e.job_id} in the {e.role}" for e in effects)
