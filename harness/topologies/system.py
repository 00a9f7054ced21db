"""The handle to one running system under test and its fakes: what scenarios stimulate."""

from __future__ import annotations

import itertools
import json
import secrets
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

from fake_services.host import Host
from harness import journal as journals
from harness.clock import Deadline, wait
from harness.errors import Finding, Inconclusive, SutFailed
from harness.faults import Means
from harness.journal import Journal
from harness.ledger import Ledger
from harness.model import Job, Mode, Setting
from harness.outcome import Answer, Outcome, Setup
from harness.profile import Profile
from harness.topologies import episodes, http, redirect
from harness.topologies.configuration import LOCATION, PROJECT, QUEUE, Configuration
from harness.topologies.dependencies import CloudTasksDependency, WorkerDependency
from harness.topologies.episodes import Episode
from harness.topologies.process import Launcher
from harness.topologies.processes import Child, Server
from harness.topologies.settling import EffectScanner, settle

_END_EVENT = "assemble.job.settled"
_HTTP_TIMEOUT_S = 60.0
_numbers = itertools.count(1)


class Submission:
    """A job that was submitted and may still be on its way."""

    def __init__(self, system: System, job: Job) -> None:
        self._system = system
        self.job = job

    def settle(self) -> Outcome:
        """Wait until nothing moves any more.

        Raises:
            Inconclusive: something keeps moving beyond the profile's bound.
            SutFailed: a process ended by itself meanwhile.
        """
        return self._system.settle(self.job)


class System:
    """An API and a worker, in one mode, with a fake Cloud Tasks and a gateway before the worker.

    The processes start with the first request, so that a scenario can first say how they are configured.

    Attributes:
        config: how the API is configured.
        cloud_tasks: the fake Cloud Tasks, for injecting faults.
        worker: the worker behind its gateway, for injecting faults and for requests without the API.
        jobs: what the API was asked for.
        given: episode and job id of what the worker was given without the API.
        settled_at: position in the journal up to which it was last judged as settled.
    """

    def __init__(
        self, profile: Profile, mode: Mode, folder: Path, *, launcher: Launcher, host: Host, ledger: Ledger
    ) -> None:
        self.profile = profile
        self.mode = mode
        self.ledger = ledger
        self.journal = Journal()
        self.secret = f"s3cr3t/{secrets.token_urlsafe(18)}+&"  # has characters that encodings change
        self.jobs: list[Job] = []
        self.given: set[tuple[str, str]] = set()
        self.settled_at = 0
        self._folder = folder
        self._launcher = launcher
        self._storage = folder / "storage"
        for sub in ("storage", "api", "worker"):
            (folder / sub).mkdir(parents=True)
        queue = f"projects/{PROJECT}/locations/{LOCATION}/queues/{QUEUE}"
        self.cloud_tasks = CloudTasksDependency(host, self.journal, queue=queue)
        self.worker = Worker(self, host)
        self.config = Configuration(profile, mode, folder, worker_url=self.worker.url, secret=self.secret)
        self._scanner = EffectScanner(self._storage, profile.storage, self.journal)
        self._api = Server("api", profile.api, profile, self.journal, folder / "api")
        self._worker = Server("worker", profile.worker, profile, self.journal, folder / "worker")

    @property
    def environment(self) -> dict[str, dict[str, str]]:
        """The variables that the API is given, by where they stand, for the evidence."""
        return self.config.shown()

    def start(self) -> None:
        """Start what is not running, the worker first, and wait until both processes are ready.

        Raises:
            SutFailed: one of them ended, or was not ready in time.
        """
        if self._api.process is not None and self._worker.process is not None:
            return
        config = self.config
        started = [server for server in (self._worker, self._api) if server.process is None]
        for server in started:
            is_api = server is self._api
            environment = self._environment_of_api() if is_api else config.common()
            server.start(self._launcher, environment, config.values, warm=config.warm or not is_api)
        for server in started:
            server.wait_until_ready()
        self.worker.forward_to(self._worker.url)

    def restart(self) -> None:
        """Stop the API, and start what is not running, with the configuration as it is now."""
        self._api.stop()
        self.start()

    def kill(self) -> None:
        """End the API as a crash of its machine does: SIGKILL, no last word."""
        self._api.kill()

    def wait_for(self, event: str, *, by: str) -> None:
        """Wait until a process has logged an event.

        Raises:
            Inconclusive: it did not, within the profile's bound for a run.
        """
        within_s = self.profile.settle.within_s
        try:
            wait(lambda: self._logged(event, by) or None, Deadline(within_s), lambda: f"event={event}")
        except TimeoutError:
            raise Inconclusive(f"the {by} did not log event={event} within {within_s:g} s") from None

    def must_refuse_to_start(self) -> Answer:
        """The API ends by itself, and not with status 0, instead of starting.

        Returns:
            Its exit status, and what it wrote last.
        """
        began = time.monotonic()
        finding, text, status = Finding("an API that refuses to start", "it started"), "", 0
        try:
            self.start()
        except SutFailed as failure:
            finding, text, status = failure.finding, "\n".join(failure.last_words.lines), failure.status or 0
            refused = failure.last_words.source == "api" and failure.status not in (None, 0)
            self.ledger.judge("refuses to start", None if refused else finding)
        else:
            self.ledger.judge("refuses to start", finding)
        return Answer(status, text, time.monotonic() - began, self.ledger)

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
            "check-config", self.profile.check_config, self.profile, self.journal, self._api.folder
        )
        began = time.monotonic()
        command.start(self._launcher, self._environment_of_api(), self.config.values, warm=True)
        status = command.wait_until_ended()
        text = "\n".join(o.text for o in journals.log_lines(self.journal.observations, source="check-config"))
        return Answer(status, text, time.monotonic() - began, self.ledger)

    def assemble(self, *, again: Submission | None = None, **body: Any) -> Submission:
        """Ask the API to assemble an episode that was made for the purpose.

        Args:
            again: ask for the same episode as this submission did.
            body: members of the request's JSON body; none for a request without a body.

        Raises:
            Inconclusive: the API did not answer, or accepted without saying which job.
        """
        self.start()
        episode = Episode(again.job.episode_id, again.job.expected_audio) if again else self.make_episode()
        content = json.dumps(body).encode() if body else b""
        text = f"asks for the assembly of {episode.episode_id}"
        seq = self.journal.record("harness", "stimulus", text).seq
        answer = self.request(episode.episode_id, content)
        trigger = self.profile.trigger
        document: dict[str, Any] = {}
        if answer.status == trigger.accepted:
            try:
                document = json.loads(answer.body)
                document[trigger.job_id]
            except (ValueError, KeyError, TypeError):
                raise Inconclusive(
                    f"the API accepted, but its answer has no {trigger.job_id!r}: {answer.body[:300]!r}"
                ) from None
        job = Job(
            episode_id=episode.episode_id,
            job_id=str(document.get(trigger.job_id, "")),
            correlation_id=str(document.get(trigger.correlation_id, "")),
            status=answer.status,
            answer_s=answer.took_s,
            expected_audio=episode.audio,
            seq=seq,
        )
        self.jobs.append(job)
        return Submission(self, job)

    def dispatch_another_task(self) -> Outcome:
        """Ask the API for a task that the worker does not serve, and wait until nothing moves.

        Raises:
            Inconclusive: the profile names no such request.
        """
        other = self.profile.other_task
        if other is None:
            raise Inconclusive(
                "the profile has no [other_task]: it names no task that the worker does not serve"
            )
        self.start()
        episode_id = self.make_episode().episode_id
        self.journal.record("harness", "stimulus", f"asks for another task about {episode_id}")
        answer = self.send(
            "api", other.method, self._api.url + other.path.format(episode_id=episode_id), b"", {}
        )
        answer.must_be(other.accepted)
        return self.settle()

    def make_episode(self) -> Episode:
        """Put a new episode into storage."""
        name = f"ep-{secrets.token_hex(4)}-{next(_numbers)}"
        return episodes.make(self._storage, self.profile.storage.segment, name)

    def request(self, episode_id: str, content: bytes = b"") -> Answer:
        """Send the API a request with any body, right or wrong."""
        self.start()
        trigger = self.profile.trigger
        url = self._api.url + trigger.path.format(episode_id=episode_id)
        headers = {
            "content-type": "application/json",
            "x-cloud-trace-context": f"{secrets.token_hex(16)}/1;o=1",
        }
        return self.send("api", trigger.method, url, content, headers)

    def settle(self, job: Job | None = None) -> Outcome:
        """Wait until nothing moves any more, and return what was observed of the job, or of everything."""
        running = [server.process for server in (self._api, self._worker) if server.process is not None]
        settle(
            journal=self.journal,
            scanner=self._scanner,
            end_event=_END_EVENT if "settled-event" in self.profile.profile.capabilities else "",
            jobs=self.jobs,
            processes=running,
            moving=lambda: self.cloud_tasks.moving() or self.worker.moving(),
            within_s=self.profile.settle.within_s,
            stuck_after_s=self.profile.settle.stuck_after_s,
        )
        for server in (self._api, self._worker):
            server.check_alive()
        seen = self.journal.observations
        self.settled_at = len(seen)
        return Outcome(
            job=job,
            observations=tuple(journals.of_job(seen, job)) if job else seen,
            hidden=frozenset(self.cloud_tasks.hidden | self.worker.hidden),
            setup=Setup(
                answer_bound_s=self.profile.trigger.answer_s,
                worker_url=self.worker.task_url,
                secret_header=self.profile.worker_endpoint.secret_header,
                secret=self.secret,
                variables={setting: self.profile.variable(setting) for setting in Setting},
            ),
            ledger=self.ledger,
        )

    def stop(self) -> None:
        """Stop processes and fakes; what they wrote until their end is in the journal afterwards."""
        for server in (self._api, self._worker):
            server.ask_to_stop()  # both before waiting for either
        for server in (self._api, self._worker):
            server.stop()
        self._scanner.scan()
        self.cloud_tasks.close()
        self.worker.close()

    def send(self, to: str, method: str, url: str, content: bytes, headers: Mapping[str, str]) -> Answer:
        """Send one HTTP request and record its answer.

        Raises:
            Inconclusive: there was no answer.
            SutFailed: because the process has ended.
        """
        began = time.monotonic()
        try:
            reply = http.client().request(
                method, url, content=content, headers=dict(headers), timeout=_HTTP_TIMEOUT_S
            )
        except httpx.HTTPError as problem:
            self._api.check_alive()
            self._worker.check_alive()
            raise Inconclusive(f"the {to} did not answer {method} {url}: {problem!r}") from None
        took_s = time.monotonic() - began
        text = f"answers {reply.status_code} after {took_s * 1000:.0f} ms"
        self.journal.record(to, "answer", text, body=reply.text)
        return Answer(reply.status_code, reply.text, took_s, self.ledger)

    def kill_worker(self) -> None:
        """End the worker as a crash does."""
        self._worker.kill()

    def terminate_worker(self) -> None:
        """Ask the worker to end (SIGTERM), and wait until it has."""
        self._worker.stop()

    def _logged(self, event: str, by: str) -> bool:
        return any(e.name == event and e.source == by for e in journals.events(self.journal.observations))

    def _environment_of_api(self) -> dict[str, str]:
        environment = redirect.variables(self._folder / "cloud", port=self.cloud_tasks.port, project=PROJECT)
        if self.cloud_tasks.suffers(Means.NO_SUCH_HOST):
            environment |= redirect.to_nowhere()
        if self.cloud_tasks.suffers(Means.NO_CREDENTIALS):
            environment |= redirect.without_credentials(self._folder)
        environment |= self.config.of_api()
        if self.worker.suffers(Means.NO_SUCH_HOST):
            environment[self.profile.variable(Setting.WORKER_URL)] = redirect.NO_WORKER
        return environment


class Worker(WorkerDependency):
    """The worker as scenarios see it: behind its gateway."""

    def __init__(self, system: System, host: Host) -> None:
        super().__init__(host, system.journal)
        self._system = system

    @property
    def task_url(self) -> str:
        """Where a job should be sent."""
        return self.url + self._system.profile.worker_endpoint.path

    def post(self, content: bytes | Mapping[str, Any], *, secret: str | None = None) -> Answer:
        """Send the worker a request through its gateway, with the right secret unless another is given.

        Args:
            content: the body: bytes as they are, or a mapping as JSON.
            secret: the secret to send; "" for no header at all.
        """
        system = self._system
        system.start()
        body = content if isinstance(content, bytes) else json.dumps(dict(content)).encode()
        headers = {"content-type": "application/json"}
        if secret is None or secret:
            headers[system.profile.worker_endpoint.secret_header] = (
                system.secret if secret is None else secret
            )
        return system.send("worker", "POST", self.task_url, body, headers)

    def task(self, **members: Any) -> dict[str, Any]:
        """The body of a good request about an episode made for the purpose; members replace or add to it."""
        episode = self._system.make_episode()
        job_id = f"job-{secrets.token_hex(8)}"
        self._system.given.add((episode.episode_id, job_id))
        return {
            "job_id": job_id,
            "episode_id": episode.episode_id,
            "correlation_id": f"c-{secrets.token_hex(8)}",
            **members,
        }

    def kill(self) -> None:
        """End the worker as a crash of its machine does: SIGKILL, no last word."""
        self._system.kill_worker()

    def terminate(self) -> None:
        """Ask the worker to end, as a deployment does, and wait until it has."""
        self._system.terminate_worker()

    def start(self) -> None:
        """Start the worker again."""
        self._system.start()
