"""Which routes a job took, from two witnesses: the wire and the logs.

The wire is what the fakes and the storage saw; the logs are what the dispatcher says. Each is read without the
other, and where they disagree that is a violation by itself, whatever the scenario expected.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from harness import journal as journals
from harness.errors import Finding
from harness.journal import events
from harness.model import Effect, Event, Hidden, Observation, Result, Route, Step
from harness.oracles.events import FALSE

_CLOUD_TASKS_HEADER = "x-cloudtasks-taskname"
_CLAIMS = {
    "tasks.cloud.enqueued": Route.CLOUD_TASKS,
    "assemble.service.worker_direct_dispatched": Route.WORKER_DIRECT,
}
_DENIALS = {
    "tasks.cloud.enqueue_failed": Route.CLOUD_TASKS,
    "assemble.service.worker_direct_failed": Route.WORKER_DIRECT,
}
# ALREADY_EXISTS answers a second try whose first reply was lost: the task is there, as the dispatcher wanted.
_TASK_IS_THERE = {("OK", "reply"), ("ALREADY_EXISTS", "error"), ("ALREADY_EXISTS", "reply")}


def from_wire(
    observations: Sequence[Observation], effects: Iterable[Effect], *, sent: Collection[str] | None = None
) -> tuple[Step, ...]:
    """The way of one job as the fakes and the storage saw it.

    A route that was skipped, or tried where nobody can see it (a closed port, a name that does not resolve), is
    not on the wire.

    Args:
        observations: those of one job, in order.
        effects: those of the same job.
        sent: the short names of the tasks that Cloud Tasks has sent, where not all is in the observations.
    """
    replies = {o.fields["id"]: o for o in observations if o.source == "worker_gateway" and o.kind == "reply"}
    sent = tasks_sent(observations) if sent is None else sent
    seen: list[tuple[float, Step]] = []
    for o in observations:
        if o.kind == "rpc" and o.fields["method"] == "CreateTask":
            accepted = (o.fields["code"], o.fields["observed"]) in _TASK_IS_THERE
            seen.append(
                (
                    _when_it_came(o, observations),
                    Route.CLOUD_TASKS.served if accepted else Route.CLOUD_TASKS.failed,
                )
            )
        elif o.kind == "request" and not delivered_by_cloud_tasks(o, sent):
            reply = replies.get(o.fields["id"])
            seen.append(
                (o.seq, Route.WORKER_DIRECT.served if _accepted(reply) else Route.WORKER_DIRECT.failed)
            )
    seen += [(effect.seq, Route.INLINE.served) for effect in effects if effect.role == "api"]
    return tuple(step for _, step in sorted(seen, key=lambda pair: pair[0]))


def _when_it_came(call: Observation, observations: Sequence[Observation]) -> float:
    """Where a call belongs among the observations: one that was held back is recorded only with its effect.

    By then its caller may have gone on to the next route.
    """
    if not (waited_s := call.fields.get("waited_s")):
        return call.seq
    came_s = call.at_s - waited_s
    return next(o.seq for o in observations if o.at_s >= came_s) - 0.5


def tasks_sent(observations: Iterable[Observation]) -> set[str]:
    """The short names of the tasks that Cloud Tasks has sent."""
    return {str(o.fields["task"]).rpartition("/")[2] for o in observations if o.kind == "attempt.sent"}


def delivered_by_cloud_tasks(request: Observation, sent: Collection[str]) -> bool:
    """Whether a request at the gateway is one that Cloud Tasks sent: its header names a task that was sent.

    The header alone proves nothing, as the dispatcher could set it itself.
    """
    return any(
        name.lower() == _CLOUD_TASKS_HEADER and value in sent for name, value in request.fields["headers"]
    )


def _accepted(reply: Observation | None) -> bool:
    if reply is None or reply.fields["observed"] != "reply":
        return False
    status = reply.fields["status"]
    if reply.fields["fault"]:  # whoever spoke in the worker's place proves nothing about the worker
        status = reply.fields.get("upstream_status")
    return isinstance(status, int) and 200 <= status < 300


def from_logs(observations: Iterable[Observation]) -> tuple[Step, ...]:
    """The way of one job as the API's log tells it, read from the events that the requirements name."""
    reader = _LogReader()
    for event in events(observations):
        if event.source == "api":
            reader.read(event)
    return reader.finish()


class _LogReader:
    """Walks through one job's events; an attempt is open until an event says how it ended, or the next begins.

    A job may be taken up again while the pass before is still on its way, so that two passes are told in turns. What
    an attempt came to is then told when the next has begun: it belongs to the attempt that nothing was told of.
    """

    def __init__(self) -> None:
        self._steps: list[Step] = []
        self._open: Route | None = None
        self._untold: list[int] = []  # positions of attempts that were over because the next began
        self._dev = False

    def read(self, event: Event) -> None:
        match event.name:
            case "assemble.service.checking_cloud_tasks":
                self._begin(Route.CLOUD_TASKS)
            case "assemble.service.cloud_tasks_check" if event.fields.get("enabled", "true").lower() in FALSE:
                self._end(Result.SKIPPED)
            case "tasks.cloud.enqueued" | "assemble.service.worker_direct_dispatched":
                self._tell(_CLAIMS[event.name].served)
            case "tasks.cloud.enqueue_failed" | "assemble.service.worker_direct_failed":
                self._tell(_DENIALS[event.name].failed)
            case "assemble.service.trying_worker_direct":
                self._begin(Route.WORKER_DIRECT)
            case "assemble.service.falling_back_to_inline" | "dev.local_start":
                self._inline()
            case "dev.sending_to_worker":
                self._dev = True
                self._begin(Route.WORKER_DIRECT)
            case "dev.worker_not_used":
                self._steps.append(Route.WORKER_DIRECT.skipped)
            case "assemble.inline.failed":
                self._steps = [step for step in self._steps if step != Route.INLINE.served]
                self._steps.append(Route.INLINE.failed)
            case _:
                pass

    def finish(self) -> tuple[Step, ...]:
        # In development nothing is printed when the worker takes the job: that no local start follows says so.
        if self._open is not None:
            self._end(Result.SERVED if self._dev else Result.FAILED)
        return tuple(self._steps)

    def _begin(self, route: Route) -> None:
        self._leave()
        self._open = route

    def _leave(self) -> None:
        if self._open is not None:
            self._untold.append(len(self._steps))
        self._end(Result.FAILED)

    def _tell(self, step: Step) -> None:
        earlier = [n for n in self._untold if self._steps[n].route is step.route]
        if self._open is not step.route and earlier:
            self._steps[earlier[0]] = step
            self._untold.remove(earlier[0])
        else:
            self._open = step.route
            self._end(step.result)

    def _end(self, result: Result) -> None:
        if self._open is not None:
            self._steps.append(Step(self._open, result))
            self._open = None

    def _inline(self) -> None:
        self._leave()
        if not any(step.route is Route.WORKER_DIRECT for step in self._steps):
            self._steps.append(Route.WORKER_DIRECT.skipped)
        self._steps.append(Route.INLINE.served)


@dataclass(frozen=True, slots=True)
class Witnesses:
    """What both witnesses say of one job's way.

    Attributes:
        hidden: routes whose steps the wire cannot show: a failed attempt where a fault leaves no trace, an inline
            attempt that found the job done.
        mute: whether a fault has cut the API's log off, so that it says nothing any more.
    """

    wire: tuple[Step, ...]
    logs: tuple[Step, ...]
    hidden: frozenset[Route] = frozenset()
    mute: bool = False

    def __str__(self) -> str:
        """Both accounts, one a line."""
        return f"from the wire: {_way(self.wire)}\nfrom the logs: {_way(self.logs)}"

    @property
    def agree(self) -> bool:
        """Whether the log claims what the wire shows, as far as the wire can show it and the log speaks."""
        return self.mute or self.visible(self.logs) == self.visible(self.wire)

    def visible(self, steps: Iterable[Step]) -> list[Step]:
        """The steps that the wire can show."""
        return [s for s in steps if s.result is not Result.SKIPPED and not self._is_hidden(s)]

    def _is_hidden(self, step: Step) -> bool:
        if step.route is Route.INLINE:  # what fails in the API process never reaches the wire
            return step.result is Result.FAILED or step.route in self.hidden
        return step.result is Result.FAILED and step.route in self.hidden


def witnesses(observations: Sequence[Observation], hidden: Iterable[Route] = ()) -> Witnesses:
    """Hear both witnesses about one job.

    A process that was killed can finish neither its attempt nor its log: where the API was started again, only
    what came after the last start counts.

    Args:
        observations: those of the job.
        hidden: routes that faults took off the wire.
    """
    asked = min((o.seq for o in observations if o.kind == "stimulus"), default=0)
    start = max((o.seq for o in observations if o.fields.get("starts") == "api" and o.seq > asked), default=0)
    seen = [o for o in observations if o.seq > start]
    effects = journals.effects(seen)
    doubt = _inline_found_it_done(seen, effects)
    mute = any(o.fields.get("log_cut_off") == "api" for o in observations)
    wire = from_wire(seen, effects, sent=tasks_sent(observations))  # a task may have been sent just before
    return Witnesses(wire, from_logs(seen), frozenset(hidden) | doubt, mute)


def hidden_during(hidden: Iterable[Hidden], observations: Sequence[Observation]) -> frozenset[Route]:
    """The routes that a fault took off the wire at some time while these observations were made."""
    if not observations:
        return frozenset()
    first, last = observations[0].seq, observations[-1].seq
    return frozenset(h.route for h in hidden if h.since <= last and (h.until is None or h.until >= first))


def judge(expected: Sequence[Step], seen: Witnesses) -> Finding | None:
    """Compare a job's way with the expected one, on both witnesses."""
    if seen.visible(seen.wire) == seen.visible(expected) and list(seen.logs) == list(expected):
        return None
    nearest = (
        "the wire and the logs agree: the dispatcher took this way and says so"
        if seen.agree
        else "the wire and the logs disagree: the log does not tell what happened"
    )
    return Finding(f"the way {_way(expected)}", str(seen), nearest, oracle="route")


def disagreement(seen: Witnesses) -> Finding | None:
    """What the log claims and the wire denies, or the other way round."""
    return None if seen.agree else Finding("logs that agree with the wire", str(seen), oracle="route")


def _inline_found_it_done(observations: Sequence[Observation], effects: Iterable[Effect]) -> set[Route]:
    """INLINE, where it found the job done already by a route whose answer was lost or late.

    After an ambiguous answer a careful dispatcher goes on, and the last route then finds that the worker did the
    job: the log tells of an inline attempt, and storage holds the worker's effect alone.
    """
    lost = any(
        (o.kind == "reply" and o.fields["forwarded"] and not _accepted(o))
        or (o.kind == "rpc" and o.fields["applied"] and o.fields["observed"] != "reply")
        for o in observations
    )
    return {Route.INLINE} if lost and {effect.role for effect in effects} == {"worker"} else set()


def claimed_too_early(observations: Sequence[Observation]) -> Finding | None:
    """A log line that claims a hand-over which the other side had not seen yet.

    A line is read a moment after it was written, never before: where the claim was recorded first, it was made
    first. The opposite order proves nothing.
    """
    accepted: dict[str, list[int]] = {name: [] for name in _CLAIMS}
    sent = tasks_sent(observations)
    for o in observations:
        if o.kind == "rpc" and o.fields["method"] == "CreateTask":
            accepted["tasks.cloud.enqueued"].append(o.seq)
        elif o.kind == "request" and not delivered_by_cloud_tasks(o, sent):
            accepted["assemble.service.worker_direct_dispatched"].append(o.seq)
    for event in events(observations):
        if event.name in accepted and not any(seq < event.seq for seq in accepted[event.name]):
            return Finding(
                expected=f"event={event.name} only after the other side has seen the call",
                observed="the event was logged first" if accepted[event.name] else "nobody saw such a call",
                oracle="route",
            )
    return None


def _way(steps: Sequence[Step]) -> str:
    return " → ".join(str(step) for step in steps) or "(no route)"
