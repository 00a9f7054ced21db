"""What a dispatcher did with one cell, and whether the decision table says the same.

A conduct is what remains of a job's observations when everything is left out that differs from run to run, such as
ids, times and texts: cells that were treated alike have the same conduct.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness import journal as journals
from harness.errors import Finding
from harness.model import Event, Observation, Result, Route, Setting, Step
from harness.oracles import route
from harness.oracles.model import A_FAILURE, A_SKIP, VOCABULARY, Decision, Said

_IDS = {"episode_id", "job_id", "correlation_id"}


@dataclass(frozen=True, slots=True)
class Told:
    """An event of the vocabulary as it was logged."""

    event: str
    reason: str = ""
    permanent: str = ""

    def __str__(self) -> str:
        """The event with what it says."""
        reason = f" reason={self.reason}" if self.reason else ""
        return f"{self.event}{reason}" + (f" permanent={self.permanent}" if self.permanent else "")


@dataclass(frozen=True, slots=True)
class Conduct:
    """What a dispatcher did with one cell.

    Attributes:
        refused: why it did not start; "" when it did.
        wire, logs: the job's way by both witnesses.
        hidden: routes whose failed steps the wire cannot show.
        told: the events of the vocabulary, in order.
        notes: the values of every other event that is about no job: warnings about the configuration.
        done_by: who assembled, once for each effect.
        flaws: what is wrong in any cell: a malformed hand-over, a secret in a log, a line that cannot be read.
    """

    refused: str = ""
    wire: tuple[Step, ...] = ()
    logs: tuple[Step, ...] = ()
    hidden: frozenset[Route] = frozenset()
    told: tuple[Told, ...] = ()
    notes: tuple[tuple[str, ...], ...] = ()
    done_by: tuple[str, ...] = ()
    flaws: tuple[str, ...] = ()

    def __str__(self) -> str:
        """One line for each kind of evidence."""
        if self.refused:
            return f"it refused to start: {self.refused}"
        lines = [*str(self._witnesses).splitlines(), f"logged: {_listed(self.told)}", _effects(self.done_by)]
        return "\n".join([*lines, *self.flaws])

    @property
    def _witnesses(self) -> route.Witnesses:
        return route.Witnesses(self.wire, self.logs, self.hidden)

    def disagrees(
        self, decision: Decision, *, variables: Mapping[Setting, str], reasons: Mapping[str, str]
    ) -> list[str]:
        """What of it is not as the decision table says, one sentence for each; nothing when all of it is.

        Args:
            decision: what the table says.
            variables: the environment variable that carries each setting.
            reasons: the dispatcher's own words for reasons, by those of the fault catalogue, where they differ.
        """
        if not decision.starts:
            return [] if self.refused else ["it must refuse to start, and it started"]
        if self.refused:
            return [f"it must start, and it refused: {self.refused}"]
        found = [] if route.judge(decision.way, self._witnesses) is None else ["the way is another one"]
        if not _are(decision.said, self.told, reasons):
            found.append("the events that tell the way are others")
        if len(self.done_by) != 1:
            found.append("the job is lost" if not self.done_by else "the job has more than one effect")
        elif decision.done_by not in ("", *self.done_by):
            found.append(f"the effect must be in the {decision.done_by}")
        for setting, words in decision.warned.items():
            if not self._warns(variables[setting], {reasons.get(word, word) for word in words}):
                found.append(f"no event says what is wrong with {variables[setting]}")
        return [*found, *self.flaws]

    def _warns(self, variable: str, words: Iterable[str]) -> bool:
        wanted = {word.lower() for word in words} or {variable.lower()}
        said = [value.lower() for note in self.notes for value in note]
        if wanted == {variable.lower()}:
            return any(variable.lower() in value for value in said)
        return bool(wanted & set(said))


def expected(decision: Decision) -> str:
    """What the decision table says, in the form of ``str(Conduct)``."""
    if not decision.starts:
        return "it refuses to start"
    way = " → ".join(map(str, decision.way))
    effect = f"one effect, in the {decision.done_by}" if decision.done_by else "one effect"
    lines = [f"the way: {way}", f"logged: {_listed(decision.said)}", effect]
    if decision.warned:
        lines.append(f"a warning about: {', '.join(decision.warned)}")
    return "\n".join(lines)


def of(
    observations: Sequence[Observation], *, hidden: Iterable[Route] = (), flaws: Iterable[Finding | None] = ()
) -> Conduct:
    """What a dispatcher did with a job, from its observations.

    Args:
        observations: those of one job, and of the start before it.
        hidden: routes whose failed steps a fault takes off the wire.
        flaws: what further oracles found.
    """
    seen = route.witnesses(observations, hidden)
    logged = [event for event in journals.events(observations) if event.source == "api"]
    found = [*flaws, route.claimed_too_early(observations), *_unread(observations)]
    return Conduct(
        wire=seen.wire,
        logs=seen.logs,
        hidden=seen.hidden,
        told=tuple(_told(logged)),
        notes=tuple((e.name, *e.fields.values()) for e in logged if not _IDS & e.fields.keys()),
        done_by=tuple(effect.role for effect in journals.effects(observations)),
        flaws=tuple(f"expected {f.expected}; observed {f.observed}" for f in found if f is not None),
    )


def _told(events: Iterable[Event]) -> Iterator[Told]:
    for event in events:
        name = event.name if event.name in VOCABULARY else _kind(event.name)
        if name:
            yield Told(name, event.fields.get("reason", ""), event.fields.get("permanent", ""))


def _kind(name: str) -> str:
    if name.endswith("failed"):
        return A_FAILURE
    return A_SKIP if name.endswith("skipped") else ""


def _unread(observations: Iterable[Observation]) -> Iterator[Finding]:
    for o in observations:
        if o.kind == "log" and o.fields["form"] == "unparsed":
            yield Finding("log lines that can be read", repr(o.text))
        elif o.kind == "unexpected":
            yield Finding("calls that the world around it knows", o.text)


def _are(said: Sequence[Said], told: Sequence[Told], reasons: Mapping[str, str]) -> bool:
    return len(said) == len(told) and all(
        _is(one, other, reasons) for one, other in zip(said, told, strict=True)
    )


def _is(said: Said, told: Told, reasons: Mapping[str, str]) -> bool:
    if said.event != told.event:
        return False
    if said.permanent is not None and told.permanent != str(said.permanent).lower():
        return False
    if not said.reasons:
        return True
    return told.reason in {reasons.get(r, r) for r in said.reasons} or (
        "" in said.reasons and told.reason != ""
    )


def _listed(events: Iterable[Said | Told]) -> str:
    return ", ".join(map(str, events)) or "no event that tells a way"


def _effects(done_by: Sequence[str]) -> str:
    if not done_by:
        return "no effect: the job is lost"
    return f"{len(done_by)} effect(s): in the {', in the '.join(done_by)}"


# -- as evidence -----------------------------------------------------------------------------------------------------


def to_json(conduct: Conduct) -> dict[str, Any]:
    """The conduct as JSON; what is empty is left out."""
    document: dict[str, Any] = {
        "refused": conduct.refused,
        "wire": [[step.route.value, step.result.value] for step in conduct.wire],
        "logs": [[step.route.value, step.result.value] for step in conduct.logs],
        "hidden": sorted(conduct.hidden),
        "told": [[told.event, told.reason, told.permanent] for told in conduct.told],
        "notes": [list(note) for note in conduct.notes],
        "done_by": list(conduct.done_by),
        "flaws": list(conduct.flaws),
    }
    return {key: value for key, value in document.items() if value}


def from_json(document: Mapping[str, Any]) -> Conduct:
    """The conduct of ``to_json``.

    Raises:
        ValueError, TypeError: it is none.
    """
    return Conduct(
        refused=document.get("refused", ""),
        wire=_steps(document.get("wire", ())),
        logs=_steps(document.get("logs", ())),
        hidden=frozenset(map(Route, document.get("hidden", ()))),
        told=tuple(Told(*told) for told in document.get("told", ())),
        notes=tuple(map(tuple, document.get("notes", ()))),
        done_by=tuple(document.get("done_by", ())),
        flaws=tuple(document.get("flaws", ())),
    )


def _steps(pairs: Iterable[tuple[str, str]]) -> tuple[Step, ...]:
    return tuple(Step(Route(name), Result(result)) for name, result in pairs)
