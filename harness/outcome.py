"""A settled run, and the ``must_*`` methods with which a scenario says what it should have done."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from harness import journal as journals
from harness.errors import Finding
from harness.ledger import Ledger, recorded
from harness.model import Effect, Event, Job, Observation, Route, Setting, Step
from harness.oracles import agreement, budget, closing, conduct, effects, route, wire
from harness.oracles import events as event_oracle
from harness.oracles.cells import Cell

_ROLE = {Route.INLINE: "api", Route.CLOUD_TASKS: "worker", Route.WORKER_DIRECT: "worker"}


@recorded
@dataclass(frozen=True, slots=True)
class Answer:
    """What a process answered to one request of the scenario, or said when it ended.

    Attributes:
        status: the HTTP status; of a process that ended, its exit status.
        body: what it answered or said.
        took_s: seconds that it took.
    """

    status: int
    body: str
    took_s: float
    ledger: Ledger

    def must_be(self, *statuses: int) -> None:
        """The answer had one of these statuses."""
        wanted = " or ".join(map(str, statuses))
        unmet = Finding(f"status {wanted}", f"status {self.status}: {self.body[:300]}", oracle="answer")
        self.ledger.judge(f"answers {wanted}", None if self.status in statuses else unmet)

    def must_be_a_success(self) -> None:
        """The answer was a 2xx: which one says nothing."""
        unmet = Finding(
            "a status from 200 to 299", f"status {self.status}: {self.body[:300]}", oracle="answer"
        )
        self.ledger.judge("answers 2xx", None if 200 <= self.status < 300 else unmet)

    def must_mention(self, *words: str) -> None:
        """The answer's body contains each of the words."""
        missing = [word for word in words if word not in self.body]
        unmet = Finding(f"{missing} to be mentioned", repr(self.body[:600]), oracle="answer")
        self.ledger.judge(f"mentions {', '.join(words)}", unmet if missing else None)

    def must_not_mention(self, *words: str) -> None:
        """The answer's body contains none of the words."""
        present = sum(word in self.body for word in words)  # counted, not shown: one of them may be a secret
        unmet = Finding(
            f"{len(words)} word(s) not to be mentioned", f"{present} of them are", oracle="answer"
        )
        self.ledger.judge("does not mention what it must not", unmet if present else None)


@dataclass(frozen=True, slots=True)
class Setup:
    """How the run was set up, as far as its outcome is judged by it.

    Attributes:
        answer_bound_s: how long the API may take to answer.
        worker_url: where a job should be sent.
        secret_header: the header that carries the secret.
        secret: the secret, planted for this run.
        variables: the environment variable that carries each setting.
        reasons: the dispatcher's own words for reasons, by those of the fault catalogue, where they differ.
    """

    answer_bound_s: float
    worker_url: str
    secret_header: str
    secret: str
    variables: Mapping[Setting, str]
    reasons: Mapping[str, str] = field(default_factory=dict)


@recorded
@dataclass(frozen=True, slots=True)
class Outcome:
    """Everything that was observed up to the moment when nothing moved any more.

    Attributes:
        job: the job that was submitted, or None where the scenario only called the worker.
        observations: those of the job; all of the run where there is no job.
        hidden: routes whose failed attempts a fault took off the wire.
        setup: how the run was set up.
        jobs: the job, or all that were submitted.
    """

    job: Job | None
    observations: tuple[Observation, ...]
    hidden: frozenset[Route]
    setup: Setup
    ledger: Ledger
    jobs: tuple[Job, ...] = ()

    @property
    def events(self) -> list[Event]:
        """The log events, of all processes."""
        return journals.events(self.observations)

    @property
    def effects(self) -> list[Effect]:
        """The effects."""
        return journals.effects(self.observations)

    @property
    def states(self) -> list[Observation]:
        """What the API said of its jobs in the end."""
        return [o for o in self.observations if o.kind == "state"]

    @property
    def episode_id(self) -> str:
        """The id of the episode that was to be assembled."""
        return self._job().episode_id

    @property
    def job_id(self) -> str:
        """The id that the dispatcher gave the job."""
        return self._job().job_id

    def must_be_accepted(self) -> None:
        """The API accepted the job and gave it an id, within its bound."""
        job = self._job()
        refused = Finding("an accepted job with an id", f"HTTP {job.status}", oracle="answer")
        late = budget.answered_within(job, self.setup.answer_bound_s)
        self.ledger.judge("is accepted", late if job.job_id else refused)

    def must_be_answered_within_the_bound(self) -> None:
        """The API answered within the bound that the profile states, whatever its dependencies did."""
        self.ledger.judge(
            "is answered in time", budget.answered_within(self._job(), self.setup.answer_bound_s)
        )

    def must_be_answered_before_the_worker_ends(self) -> None:
        """The API answered while the worker had not: it did not wait for it."""
        answers = [o for o in self.observations if (o.source, o.kind) == ("api", "answer")]
        replies = [o for o in self.observations if (o.source, o.kind) == ("worker_gateway", "reply")]
        self.ledger.judge("answers before the worker ends", budget.answered_before(answers, replies))

    def must_take(self, *way: Route | Step) -> None:
        """The job took exactly this way: on the wire, and by the log's own account.

        A bare route stands for one that served the job; ``Route.CLOUD_TASKS.failed`` and ``.skipped`` say what
        came before it.
        """
        expected = [step.served if isinstance(step, Route) else step for step in way]
        finding = route.judge(expected, route.witnesses(self.observations, self.hidden))
        self.ledger.judge(f"takes {' → '.join(map(str, expected))}", finding)

    def must_have_one_effect(self, *, on: Route | None = None) -> None:
        """The job was assembled exactly once, correctly, and where the route puts it; the store says it is done."""
        role = _ROLE[on] if on else None
        finding = effects.exactly_one(self._job(), self.effects, role=role)
        finding = finding or effects.told([self._job()], self.states)
        self.ledger.judge(f"has one effect{f' on {on}' if on else ''}", finding)

    def must_have_recovered_its_effect(self) -> None:
        """The job was assembled exactly once, by the worker, whose answer was lost: the next route found it done."""
        way = route.from_wire(self.observations, self.effects)
        self.ledger.judge("has recovered its effect", effects.recovered(self._job(), self.effects, way))

    def must_have_one_effect_each(self) -> None:
        """Every job of the crowd was accepted, and was assembled exactly once; the store says that it is done."""
        finding = effects.one_each(self.jobs, self.effects) or effects.told(self.jobs, self.states)
        self.ledger.judge(f"has one effect of each of {len(self.jobs)} jobs", finding)

    def must_all_be_answered_within_the_bound(self) -> None:
        """The API answered every request of the crowd within the bound that the profile states."""
        finding = budget.all_answered_within(self.jobs, self.setup.answer_bound_s)
        self.ledger.judge(f"answers {len(self.jobs)} requests in time", finding)

    def must_not_be_lost(self) -> None:
        """The job was assembled exactly once if the API accepted it, and not at all if it refused."""
        self.ledger.judge("is not lost", effects.not_lost(self._job(), self.effects))

    def must_have_effects(self, count: int) -> None:
        """This many assemblies were finished in the whole run, each by the worker."""
        self.ledger.judge(f"has {count} effect(s)", effects.counted(self.effects, count, role="worker"))

    def must_have_no_effect(self) -> None:
        """Nothing was assembled."""
        self.ledger.judge("has no effect", effects.none(self.effects))

    def must_log(self, name: str, *, by: str | None = None, **fields: str) -> None:
        """The event was logged, with at least these fields."""
        self.ledger.judge(f"logs {name}", event_oracle.present(self.events, name, fields, source=by))

    def must_log_the_reason(self, name: str, reason: str) -> None:
        """The event was logged with this reason of the fault catalogue, in the dispatcher's own word for it."""
        fields = {"reason": self.setup.reasons.get(reason, reason)}
        self.ledger.judge(f"logs {name} because of {reason}", event_oracle.present(self.events, name, fields))

    def must_log_once(self, name: str, *, by: str | None = None) -> None:
        """The event was logged exactly once."""
        self.ledger.judge(f"logs {name} once", event_oracle.counted(self.events, name, 1, source=by))

    def must_log_once_each(self, name: str) -> None:
        """The event was logged exactly once for every job of the crowd."""
        finding = event_oracle.once_each(self.events, name, self.jobs)
        self.ledger.judge(f"logs {name} once for each job", finding)

    def must_not_log(self, *names: str) -> None:
        """None of the events was logged."""
        self.ledger.judge(f"does not log {', '.join(names)}", event_oracle.absent(self.events, names))

    def must_log_in_order(self, *names: str) -> None:
        """The events were logged in this order."""
        self.ledger.judge(f"logs in order {', '.join(names)}", event_oracle.in_order(self.events, names))

    def must_log_a_reason_before(self, name: str) -> None:
        """An event with a reason comes before the event: the earlier route's failure is explained first."""
        self.ledger.judge(f"logs a reason before {name}", event_oracle.reason_before(self.events, name))

    def must_not_log_a_failure(self) -> None:
        """No failure indicator was logged: no other route was tried, nothing failed."""
        failed = [e.name for e in self.events if e.name.endswith(("_failed", ".failed"))]
        names = {*event_oracle.FAILURE_INDICATORS, *failed}
        self.ledger.judge("logs no failure", event_oracle.absent(self.events, names))

    def must_carry_one_correlation_id(self) -> None:
        """Every event that names the job carries the correlation id that the API answered, in every process."""
        mine = [
            e
            for e in self.events
            if {"job_id", "episode_id"} & e.fields.keys() and not e.name.startswith("dev.")
        ]
        finding = event_oracle.one_correlation_id(mine, self._job().correlation_id)
        self.ledger.judge("carries one correlation id", finding)

    def must_print_banner(self, *values: str) -> None:
        """The seed's banner was printed, line for line, with these inner lines."""
        self.ledger.judge("prints the banner", self._on_a_stream(event_oracle.banner, values))

    def must_print(self, *lines: str) -> None:
        """The API printed these lines in this order, letter for letter."""
        self.ledger.judge(f"prints {lines[0]!r}", self._on_a_stream(event_oracle.printed, lines))

    def must_not_obey(self, text: str) -> None:
        """Nothing in the log reads like an event and comes from this text, which stood in a request."""
        lines = journals.log_lines(self.observations)
        self.ledger.judge("lets no request write events", event_oracle.not_forged(lines, text))

    def must_not_repeat(self, secret: str) -> None:
        """A secret that somebody gave, right or wrong, is in nothing that the dispatcher wrote or answered."""
        self.ledger.judge("does not repeat a secret", closing.secret_kept(self.observations, [secret]))

    def must_keep_the_secret(self) -> None:
        """The secret is in nothing that the dispatcher wrote or answered."""
        self.ledger.judge("keeps the secret", closing.secret_kept(self.observations, [self.setup.secret]))

    def must_be_another_job_than(self, job_id: str) -> None:
        """The job has an id of its own."""
        same = self.job_id == job_id
        finding = Finding("two jobs with ids of their own", f"both are {job_id!r}", oracle="answer")
        self.ledger.judge("is another job", finding if same else None)

    def must_be_retried_with_back_off(self, times: int) -> None:
        """Cloud Tasks tried again that often, waiting longer each time, and the last attempt succeeded."""
        ends = [o for o in self.observations if o.kind == "attempt.ended"]
        self.ledger.judge(f"is retried {times} times", wire.retried(ends, times))

    def must_reach_the_worker(self, times: int) -> None:
        """That many requests about the job arrived at the worker's gateway."""
        calls = [o.text for o in self.observations if o.kind == "request"]
        listed = ", ".join(calls) or "no request"
        finding = Finding(f"{times} requests at the worker", listed, oracle="wire")
        self.ledger.judge(f"reaches the worker {times} times", None if len(calls) == times else finding)

    def must_call_the_worker_once(self) -> None:
        """One request reached the worker's gateway: a POST to the task's path, with the secret, about the job."""
        calls = [o for o in self.observations if o.kind == "request"]
        self.ledger.judge("calls the worker once", wire.one_call(calls, self._expected_call()))

    def must_enqueue_one_task(self, *, longest_assembly_s: float) -> None:
        """One task was created, and it says all that the worker needs.

        It is a POST to the worker's URL and never to the API's, with a JSON body and the secret, due at once,
        with a dispatch deadline that covers the longest assembly.
        """
        calls = [o for o in self.observations if o.kind == "rpc" and o.fields["method"] == "CreateTask"]
        finding = wire.one_task(calls, self._expected_call(), longest_assembly_s=longest_assembly_s)
        self.ledger.judge("enqueues one task", finding)

    def must_carry_the_same_payload_everywhere(self) -> None:
        """Every hand-over of the job, on each route, had the same body and the same idempotency key."""
        self.ledger.judge("carries the same payload everywhere", wire.same_payload(self.observations))

    def must_be_logged_for_cloud_run(self, *names: str) -> None:
        """Each event is one JSON object a line with severity, message and trace, and reads as in the seed."""
        finding = event_oracle.for_cloud_run(journals.log_lines(self.observations, source="api"), names)
        self.ledger.judge(f"logs {', '.join(names)} for Cloud Run", finding)

    def must_explain(self, setting: Setting) -> None:
        """An event names the environment variable that carries the setting, so that a person can correct it."""
        name = self.setup.variables[setting]
        self.ledger.judge(
            f"explains what is wrong with {name}", event_oracle.names_variable(self.events, name)
        )

    def must_agree_with_the_decision_table(self, cell: Cell | None = None) -> None:
        """The dispatcher did what the decision table says: in this cell, or in every one that was run in process."""
        variables, reasons = self.setup.variables, self.setup.reasons
        if cell is None:
            what = f"{agreement.count(self.observations)} cells"
            found = agreement.judge(self.observations, variables=variables, reasons=reasons)
        else:
            what, seen = str(cell), conduct.of(self.observations, hidden=self.hidden)
            found = agreement.judge_one(cell, seen, variables=variables, reasons=reasons)
        self.ledger.judge(f"agrees with the decision table in {what}", found)

    def must_not_reach_cloud_tasks(self) -> None:
        """No call of any kind arrived at Cloud Tasks."""
        self._absent_on_the_wire("rpc", "Cloud Tasks")

    def must_not_reach_the_worker(self) -> None:
        """No request arrived at the worker's gateway."""
        self._absent_on_the_wire("request", "the worker")

    def _absent_on_the_wire(self, kind: str, where: str) -> None:
        calls = [o.text for o in self.observations if o.kind == kind]
        finding = Finding(f"nothing at {where}", ", ".join(calls), oracle="route") if calls else None
        self.ledger.judge(f"does not reach {where}", finding)

    def _on_a_stream(
        self, oracle: Callable[[Sequence[str], Sequence[str]], Finding | None], wanted: Sequence[str]
    ) -> Finding | None:
        """Lines are judged within one stream, because two streams have no common order; either may hold them."""
        lines = journals.log_lines(self.observations, source="api")
        findings = [
            oracle([o.text for o in lines if o.fields["stream"] == stream], wanted)
            for stream in ("stdout", "stderr")
        ]
        return None if None in findings else findings[0]

    def _expected_call(self) -> wire.ExpectedCall:
        setup = self.setup
        return wire.ExpectedCall(setup.worker_url, setup.secret_header, setup.secret, self._job())

    def _job(self) -> Job:
        if self.job is None:
            raise TypeError("this outcome is not of a job: submit one with assemble()")
        return self.job
