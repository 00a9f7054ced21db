"""The handle to one running system under test and its fakes: what scenarios stimulate."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from harness import faults
from harness import journal as journals
from harness.errors import Finding, Inconclusive, NotApplicable, SutFailed
from harness.faults import Fault, Layer, Means, Party
from harness.journal import Journal
from harness.ledger import Ledger
from harness.model import Hidden, Job, Mode, Setting
from harness.oracles import route
from harness.oracles.cells import Cell
from harness.outcome import Answer, Outcome, Setup
from harness.profile import Profile, Program
from harness.topologies import cell as cells
from harness.topologies import crowd, redirect, told
from harness.topologies.afflictions import Afflictions
from harness.topologies.asking import Asking
from harness.topologies.configuration import LOCATION, PROJECT, QUEUE, Configuration
from harness.topologies.crowd import Crowd
from harness.topologies.dependencies import CloudTasksDependency
from harness.topologies.server import Child, Server
from harness.topologies.settling import BETWEEN_LOOKS_S, EffectScanner, settle
from harness.topologies.waits import Waits
from harness.topologies.worker import Worker
from harness.topologies.workshop import Workshop

_END_EVENT = "assemble.job.settled"


class System(Asking, Waits):
    """An API and a worker, in one mode, with a fake Cloud Tasks and a gateway before the worker.

    A process starts with the first request that it has a part in, so that a scenario can say before how it is
    configured.

    Attributes:
        config: how the API is configured.
        cloud_tasks: the fake Cloud Tasks, for injecting faults.
        worker: the worker behind its gateway, for injecting faults and for requests without the API.
        given: episode and job id of what the worker was given without the API.
        settled_at: position in the journal up to which it was last judged as settled.
        folder: where its processes work.
        ground: what it stands on: processes, or containers.
    """

    def __init__(
        self, profile: Profile, mode: Mode, folder: Path, *, workshop: Workshop, ledger: Ledger
    ) -> None:
        super().__init__()
        self.profile = profile
        self.mode = mode
        self.ledger = ledger
        self.journal = Journal()
        self.given: set[tuple[str, str]] = set()
        self.settled_at = 0
        self.folder = folder
        for sub in ("api", "worker"):
            (folder / sub).mkdir(parents=True)
        host = workshop.host()
        self.ground = workshop.ground(folder, self.journal)
        self._storage = self.ground.storage
        self.secret = self.ground.secret
        queue = f"projects/{PROJECT}/locations/{LOCATION}/queues/{QUEUE}"
        self.cloud_tasks = CloudTasksDependency(host, self.journal, queue=queue, fakes=self.ground.fakes)
        self.worker = Worker(self, host, self.ground.fakes)
        self.config = Configuration(
            profile,
            mode,
            folder,
            ground=self.ground,
            worker_url=self.worker.url,
            secret=self.secret,
            journal=self.journal,
        )
        self._scanner = EffectScanner(self._storage, profile.storage, self.journal)
        self._scanner.pass_over()
        self._api = self._server(Party.API, profile.api)
        self._worker = self._server(Party.WORKER, profile.worker)
        self._twins: dict[Party, Server] = {}
        self._afflictions = Afflictions(
            journal=self.journal,
            folder=folder,
            servers={Party.API: self._api, Party.WORKER: self._worker},
            ground=self.ground,
            asking=lambda: self._under_way > 0,
        )

    def _server(self, party: Party, program: Program, folder: str = "") -> Server:
        where = self.folder / (folder or party)
        where.mkdir(exist_ok=True)
        return Server(party, program, self.profile, self.journal, where, self.ground)

    @property
    def environment(self) -> dict[str, dict[str, str]]:
        """The variables that the API is given, by where they stand, for the evidence."""
        return self.config.shown()

    @property
    def hidden(self) -> tuple[Hidden, ...]:
        """The routes that faults took off the wire, and when."""
        places = (self.cloud_tasks.darkness, self.worker.darkness, self._afflictions.darkness)
        return tuple(hidden for place in places for hidden in place.hidden)

    def unfired(self) -> list[str]:
        """Names of faults that were injected and struck nothing, as far as that can be counted."""
        return self.cloud_tasks.unfired() + self.worker.unfired() + self._afflictions.unfired()

    def inject(self, fault: Fault) -> None:
        """Put a fault in force, whomever it strikes; one of a process strikes at once or when it starts.

        Raises:
            NotApplicable: it cannot be brought about where the system runs.
        """
        lacking = self.ground.lacks(fault)
        if lacking:
            raise NotApplicable(f"{fault.name}: {lacking}")
        if fault.means is Means.MOVE:
            self._move_worker(fault)
        elif fault.layer is Layer.PROCESS or fault.needs or fault.means in (Means.CLOCK, Means.DEAD_PROXY):
            self._afflictions.inject(fault)
            if fault.means is Means.DISCONNECT and fault.strikes is Party.API:
                self.worker.cut_off(cut=True)
        elif fault.means is Means.NO_MODULE:
            self.journal.record("harness", "fault", f"inject {fault.name}: {fault.imitates}", name=fault.name)
            self.config.without_module("google.cloud.tasks_v2")
        elif fault.strikes is Party.CLOUD_TASKS:
            self.cloud_tasks.inject(fault)
        else:
            self.worker.inject(fault)

    def heal(self) -> None:
        """Lift the faults of processes that can be lifted while they run; a worker that started late is ready."""
        late = self._afflictions.suffers(Means.LATE_START, Party.WORKER)
        self._afflictions.heal()
        self.worker.cut_off(cut=False)
        if late:
            self._worker.wait_until_ready()
        for server in self.servers:
            server.look_again()
        if self._worker.url:
            self.worker.forward_to(self._worker.url, *self._urls_of_twin(Party.WORKER))
        if late:
            self.worker.refuse_connections(refuse=False)

    def _move_worker(self, fault: Fault) -> None:
        text = f"inject {fault.name}: {fault.imitates}"
        self.journal.record("harness", "fault", text, name=fault.name)
        self._worker.kill()
        self.worker.move(self.ground.move_worker())
        self.start()

    def start(self) -> None:
        """Start what is not running, the worker first, and wait until all processes are ready.

        Raises:
            SutFailed: one of them ended, or was not ready in time.
        """
        self._start_what_is_not_running({Party.WORKER: self._worker, Party.API: self._api})

    def start_worker(self) -> None:
        """As ``start``, without the API, which has no part in what is asked of the worker alone."""
        self._start_what_is_not_running({Party.WORKER: self._worker})

    def _start_what_is_not_running(self, servers: Mapping[Party, Server]) -> None:
        started = {party: server for party, server in servers.items() if server.process is None}
        if not started:
            return
        for party, server in started.items():
            self._start(party, server)
            if self._afflictions.suffers(Means.TWICE, party):
                self._twins[party] = self._server(party, server.program, f"{party}-2")
                self._start(party, self._twins[party])
        if Party.WORKER in started and self._afflictions.suffers(Means.LATE_START, Party.WORKER):
            del started[Party.WORKER]
            self.worker.refuse_connections(refuse=True)
        for party, server in started.items():
            server.wait_until_ready()
            if party in self._twins:
                self._twins[party].wait_until_ready()
            self._afflictions.started(party)
        if Party.API in started:
            self.cloud_tasks.api_started()
            self.worker.api_started()
        if self._worker.url:
            self.worker.forward_to(self._worker.url, *self._urls_of_twin(Party.WORKER))

    def _start(self, party: Party, server: Server) -> None:
        config, is_api = self.config, party is Party.API
        environment = self._environment_of_api() if is_api else config.common()
        environment |= self._afflictions.environment(party)
        warm = (config.warm or not is_api) and not self._afflictions.cold(party)
        server.start(environment, config.values, warm=warm)

    def _urls_of_twin(self, party: Party) -> list[str]:
        return [self._twins[party].url] if party in self._twins else []

    def _urls_of_api(self) -> list[str]:
        return [self._api.url, *self._urls_of_twin(Party.API)]

    def _check_alive(self) -> None:
        self._api.check_alive()
        self._worker.check_alive()

    def _episode_length_s(self) -> float:
        return self._afflictions.episode_length_s

    def restart(self) -> None:
        """Stop the API, and start what is not running, with the configuration as it is now."""
        self._afflictions.await_struck()
        self._api.stop()
        self._scanner.scan()  # what it finished belongs to it, and not to what starts now
        self.start()

    def kill(self) -> None:
        """End the API as a crash of its machine does: SIGKILL, no last word."""
        self.inject(faults.API_KILLED)

    def must_refuse_to_start(self) -> Answer:
        """The API ends by itself, and not with status 0, instead of starting.

        Returns:
            Its exit status, and what it wrote last.
        """
        began = time.monotonic()
        finding, text, status = Finding("an API that refuses to start", "it started", oracle="process"), "", 0
        try:
            self.start()
        except SutFailed as failure:
            finding, text, status = failure.finding, "\n".join(failure.last_words.lines), failure.status or 0
            refused = failure.last_words.source == "api" and failure.status not in (None, 0)
            self.ledger.judge("refuses to start", None if refused else finding)
        else:
            self.ledger.judge("refuses to start", finding)
        return Answer(status, text, time.monotonic() - began, self.ledger)

    def must_run_what_is_shipped(self, *told: str) -> None:
        """What runs is the image that was built, unchanged, and was told nothing that production does not tell it.

        Args:
            told: the variables that it is given beside those of the profile.
        """
        found = [
            self.ground.shipped(server.role, server.process, told)
            for server in self.servers
            if server.process
        ]
        self.ledger.judge("what is shipped", next(filter(None, found), None))

    def must_have_asked(self, source: str, what: str) -> None:
        """The dispatcher has asked something of a fake that is there in containers only.

        Args:
            source: ``metadata`` or ``name_server``.
            what: the path, or the name.
        """
        asked = [o for o in self.journal.observations if o.source == source]
        right = any(what in (o.fields.get("path"), o.fields.get("name")) for o in asked)
        seen = "\n".join(o.text for o in asked) or "nobody asked anything"
        self.ledger.judge(
            f"asks {source}", None if right else Finding(f"a question for {what}", seen, oracle="wire")
        )

    def check_config(self) -> Answer:
        """Run the command that shows the configuration, as the API would find it.

        Returns:
            Its exit status and its output.

        Raises:
            Inconclusive: the profile names no such command, or it does not end.
        """
        if self.profile.check_config is None:
            raise Inconclusive(
                "the profile has no [check_config]: it names no command that shows the configuration"
            )
        command = Child(
            "check-config",
            self.profile.check_config,
            self.profile,
            self.journal,
            self._api.folder,
            self.ground,
        )
        began = time.monotonic()
        command.start(self._environment_of_api(), self.config.values, warm=True)
        status = command.wait_until_ended()
        text = "\n".join(o.text for o in journals.log_lines(self.journal.observations, source="check-config"))
        return Answer(status, text, time.monotonic() - began, self.ledger)

    def assemble_many(self, count: int, *, troubles: Sequence[Collection[Fault]] = ((),)) -> Crowd:
        """Ask the API to assemble so many episodes, by several clients at once.

        Args:
            count: how many.
            troubles: what is in force while one equal part of the requests after the other is made.

        Raises:
            Inconclusive: the API did not answer, or accepted without saying which job.
        """
        return crowd.submit(self, count, troubles)

    def run(self, cell: Cell) -> Outcome:
        """Have one episode assembled as a cell of the decision table says, and wait until nothing moves.

        Raises:
            Inconclusive, SutFailed: as ``assemble`` and ``settle``.
        """
        return cells.run(self, cell)

    def settle(self, job: Job | None = None) -> Outcome:
        """Wait until nothing moves any more, and return what was observed of the job, or of everything."""
        self._afflictions.await_struck()
        running = [server.process for server in self.servers if server.process is not None]
        crowded = sum(job.in_crowd for job in self.jobs)
        ends_with_event = "settled-event" in self.profile.profile.capabilities and not self._afflictions.mute
        settle(
            journal=self.journal,
            scanner=self._scanner,
            end_event=_END_EVENT if ends_with_event else "",
            jobs=self.jobs,
            processes=running,
            moving=lambda: self.cloud_tasks.moving() or self.worker.moving(),
            hanging=lambda: self.cloud_tasks.hanging() or self.worker.hanging(),
            within_s=self.profile.settle.within_s + crowded * crowd.SECONDS_PER_JOB,
            between_looks_s=crowd.BETWEEN_LOOKS_S if crowded else BETWEEN_LOOKS_S,
            stuck_after_s=self.ground.stuck_after_s,
            quiet_s=self.profile.settle.quiet_s,
        )
        for server in self.servers:
            server.check_alive()
        told.record(self.journal, self.profile.status, self._api.url, [job] if job else self.jobs)
        seen = self.journal.observations
        self.settled_at = len(seen)
        observations = tuple(journals.of_job(seen, job)) if job else seen
        return Outcome(
            job=job,
            jobs=(job,) if job else tuple(self.jobs),
            observations=observations,
            hidden=route.hidden_during(self.hidden, observations),
            setup=Setup(
                answer_bound_s=self.profile.trigger.answer_s,
                worker_url=self.worker.task_url,
                secret_header=self.profile.worker_endpoint.secret_header,
                secret=self.secret,
                variables={setting: self.profile.variable(setting) for setting in Setting},
                reasons=self.profile.reasons,
            ),
            ledger=self.ledger,
        )

    def count_effects(self) -> int:
        """How many effects there are by now."""
        self._scanner.scan()
        return self._scanner.count

    def stop(self, *, satisfied: bool = False) -> None:
        """Stop processes and fakes; what they wrote until their end is in the journal afterwards.

        Args:
            satisfied: the scenario was; a worker to which nothing was done may then be kept for another one.
        """
        self._afflictions.release()
        untouched = satisfied and self.settled_at > 0 and not self._twins and not self._afflictions.ever
        keep = untouched and self.ground.keeps
        stopping = [server for server in self.servers if not (keep and server is self._worker)]
        for server in stopping:
            server.ask_to_stop()  # all before waiting for any
        for server in stopping:
            server.stop()
        if keep:
            self._worker.keep_or_stop()
        self._scanner.scan()
        self.cloud_tasks.close()
        self.worker.close()
        self.ground.close()

    @property
    def servers(self) -> list[Server]:
        """Every API and worker, running or not."""
        return [self._api, self._worker, *self._twins.values()]

    def _environment_of_api(self) -> dict[str, str]:
        nowhere = self.cloud_tasks.suffers(Means.NO_SUCH_HOST)
        environment = self.ground.variables(self.cloud_tasks.port, PROJECT, nowhere=nowhere)
        if self.cloud_tasks.suffers(Means.NO_CREDENTIALS):
            environment |= redirect.without_credentials(self.folder)
        environment |= self.config.of_api()
        worker_url = self.profile.variable(Setting.WORKER_URL)
        if self.worker.suffers(Means.NO_SUCH_HOST):
            environment[worker_url] = redirect.NO_WORKER
        if self.worker.wants_tls:
            environment |= redirect.trust(self.folder / "cloud")
            environment[worker_url] = self.worker.url.replace("http:", "https:")
        return environment
