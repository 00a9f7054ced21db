"""What a scenario can do to the dispatcher's dependencies: Cloud Tasks, and the gateway before the worker."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import fake_services.faults
from fake_services.cloud_tasks import CloudTasks, CloudTasksConfig
from fake_services.cloud_tasks import TlsIdentity as FakeTlsIdentity
from fake_services.exchange import Exchange
from fake_services.host import Host
from fake_services.worker_gateway import WorkerGateway, WorkerGatewayConfig
from harness.errors import HarnessError
from harness.faults import Fault, Layer, Means, Party
from harness.journal import Journal
from harness.topologies import redirect
from harness.topologies.darkness import Darkness
from harness.topologies.ground import Fakes

# Few and quick, so that a task that nobody ever takes is given up, and judged, within a second.
_RETRIES = {"min_backoff": 0.05, "max_backoff": 1.0, "max_doublings": 5}
_LISTENERS = (Means.LISTENER, Means.CERTIFICATE)
_CALLS = {Party.CLOUD_TASKS: "CreateTask", Party.WORKER: "*"}


class Dependency:
    """One fake, its faults, and its part of the journal."""

    def __init__(self, fake: CloudTasks | WorkerGateway, party: Party, journal: Journal) -> None:
        self._fake = fake
        self._party = party
        self._journal = journal
        self._in_force: list[Fault] = []
        self._never_struck: list[str] = []
        self._forget = fake.journal.subscribe(self._record)
        self.darkness = Darkness(journal)

    def inject(self, fault: Fault) -> None:
        """Put a fault in force: from now on, for as many calls as it says, or until ``heal``.

        Raises:
            HarnessError: the fault strikes somebody else.
        """
        if fault.strikes is not self._party or fault.layer is Layer.PROCESS:
            raise HarnessError(
                f"{fault.name} does not strike {self._party} on the wire: use inject of the System"
            )
        self._journal.record("harness", "fault", f"inject {fault.name}: {fault.imitates}", name=fault.name)
        self._in_force.append(fault)
        self.darkness.falls(fault)
        if fault.on_the_wire:
            self._put_in_force(fault)  # else the topology starts the dispatcher with another environment

    def _put_in_force(self, fault: Fault) -> None:
        if fault.means is Means.SCRIPT:
            self._fake.faults.add(_on_the_wire(fault))
        else:
            self._fake.refuse_connections(True)

    def heal(self) -> None:
        """Lift every fault. Faults of names and addresses act at start only, and are lifted by a restart."""
        self._journal.record("harness", "fault", f"heal {self._party}")
        self._never_struck = self.unfired()
        self._lift()
        for fault in self._in_force:
            if fault.on_the_wire:
                self.darkness.lifts(fault)
        self._in_force.clear()
        self._fake.faults.clear()

    def _lift(self) -> None:
        if self.suffers(Means.CLOSED_PORT):
            self._fake.refuse_connections(False)

    def api_started(self) -> None:
        """The API was started with what is in force now: what was healed before is over."""
        self.darkness.lifts_but_for(*self._in_force)

    def suffers(self, means: Means) -> bool:
        """Whether a fault of that kind is in force."""
        return any(fault.means is means for fault in self._in_force)

    def unfired(self) -> list[str]:
        """Names of faults that struck nothing, as far as that can be counted; healed ones too."""
        return self._never_struck + [fault.name for fault in self._fake.faults.unfired()]

    def moving(self) -> str:
        """What is still going on, or "" when nothing is."""
        return "" if self._fake.idle else self._fake.pending_summary()

    def hanging(self) -> str:
        """Who waits for something that a fault withholds, or "" when nobody does."""
        count = self._fake.hanging
        return f"{count} caller(s) hang at {self._party}" if count else ""

    def refuse_connections(self, *, refuse: bool) -> None:
        """Close the fake's port, or open it again."""
        self._fake.refuse_connections(refuse)

    @property
    def control_url(self) -> str:
        """Where the fake shows its journal, its state and its faults, and takes orders."""
        return self._fake.control_url

    def close(self) -> None:
        """Stop recording."""
        self._forget()

    def _record(self, exchange: Exchange) -> None:
        fields: dict[str, Any] = dict(exchange.fields)
        describe = _DESCRIPTIONS.get(exchange.kind, _describe_anything)
        self._journal.record(exchange.source, exchange.kind, describe(fields), **fields)


class CloudTasksDependency(Dependency):
    """The fake Cloud Tasks."""

    def __init__(self, host: Host, journal: Journal, *, queue: str, fakes: Fakes) -> None:
        identity = redirect.server_identity()
        config = CloudTasksConfig(
            host=fakes.address,
            grpc_port=fakes.cloud_tasks_port,
            tls=FakeTlsIdentity(cert_pem=identity.cert_pem, key_pem=identity.key_pem),
            hosts=fakes.hosts,
            is_access_token=fakes.is_access_token,
        )
        self._cloud_tasks = host.start(CloudTasks(config))
        self._host = host
        self.port = self._cloud_tasks.grpc_port
        super().__init__(self._cloud_tasks, Party.CLOUD_TASKS, journal)
        self._queue = queue
        retries = {"max_attempts": fakes.max_attempts, **_RETRIES}
        self._cloud_tasks.create_queue(queue, retry_config=retries)

    def retry_for_ever(self) -> None:
        """Try tasks until they succeed, as a real queue does for days: the worker may be away for long."""
        self._cloud_tasks.update_queue(self._queue, retry_config=_RETRIES | {"max_attempts": -1})

    def close(self) -> None:
        """Stop the fake."""
        super().close()
        self._host.stop(self._cloud_tasks)


class WorkerDependency(Dependency):
    """The gateway through which every request to the worker goes.

    Attributes:
        url: where the dispatcher finds it.
    """

    def __init__(self, host: Host, journal: Journal, *, fakes: Fakes) -> None:
        self._gateway = host.start(WorkerGateway(WorkerGatewayConfig(upstream=None, host=fakes.address)))
        self._host = host
        self._known_as = fakes.worker_host
        self.url = f"http://{fakes.worker_host}:{self._gateway.port}"
        super().__init__(self._gateway, Party.WORKER, journal)

    def forward_to(self, url: str, *others: str) -> None:
        """Send what arrives to the real worker, and to others in turn."""
        self._gateway.set_upstream(url, *others)

    def move(self, host: str) -> None:
        """Listen on another address of this machine, on the same port, and no longer on the one up to now."""
        self._gateway.move(host)

    def cut_off(self, *, cut: bool) -> None:
        """From now on no answer reaches its caller: somebody has cut the wire, or (False) mended it."""
        self._gateway.cut_off = cut

    def unfired(self) -> list[str]:
        """As ``Dependency.unfired``, and the listeners that nobody has met."""
        met = self._gateway.listener_strikes > 0
        return super().unfired() + [
            fault.name for fault in self._in_force if fault.means in _LISTENERS and not met
        ]

    def _put_in_force(self, fault: Fault) -> None:
        match fault.means:
            case Means.LISTENER:
                assert fault.listener, "the catalogue says how"
                self._gateway.break_listener(fault.listener)
            case Means.CERTIFICATE:
                self._gateway.serve_over_tls(redirect.wrong_certificate(fault.certificate, self._known_as))
            case _:
                super()._put_in_force(fault)

    def _lift(self) -> None:
        if any(self.suffers(means) for means in (*_LISTENERS, Means.CLOSED_PORT)):
            self._gateway.mend()

    @property
    def wants_tls(self) -> bool:
        """Whether the worker has to be called by an https URL for the faults that are in force."""
        return self.suffers(Means.CERTIFICATE) or any(f.listener == "plain_text_only" for f in self._in_force)

    def close(self) -> None:
        """Stop the gateway."""
        super().close()
        self._host.stop(self._gateway)


def _on_the_wire(fault: Fault) -> fake_services.faults.Fault:
    return fake_services.faults.Fault(
        name=fault.name,
        applied=fault.applied.value,
        observed=fault.observed.value,
        method=fault.call or _CALLS[fault.strikes],
        times=fault.times,
        grpc_code=fault.grpc_code,
        http_status=fault.http_status,
        message=(fault.text or f"scripted: {fault.imitates}") if fault.grpc_code else "",
        delivery=fault.delivery,
        delay_s=fault.delay_s,
        body="" if fault.grpc_code else fault.body,  # a gRPC error says it in its message
        late=fault.late,
        midway=fault.midway,
        drip_s=fault.drip_s,
    )


def _describe_rpc(f: dict[str, Any]) -> str:
    fault = f" [fault {f['fault']}]" if f.get("fault") else ""
    ended = (
        f["code"] if f["observed"] in {"reply", "error"} else f"{f['observed']}, {f['code'] or 'no reply'}"
    )
    return f"{f['method']} → {ended}{fault}"


def _describe_attempt(f: dict[str, Any]) -> str:
    return f"delivers task {_short(f['task'])}, attempt {f['number']}, to {f['url']}"


def _describe_attempt_end(f: dict[str, Any]) -> str:
    retry = f", again in {f['retry_in_s']:g} s" if f.get("retry_in_s") is not None else ""
    return f"attempt {f['number']} of task {_short(f['task'])}: {f['status'] or f['reason']} ({f['outcome']}){retry}"


def _describe_request(f: dict[str, Any]) -> str:
    by = (
        "Cloud Tasks"
        if any(n.lower() == "x-cloudtasks-taskname" for n, _ in f["headers"])
        else "a direct caller"
    )
    return f"{f['method']} {f['path']} from {by}"


def _describe_reply(f: dict[str, Any]) -> str:
    fault = f" [fault {f['fault']}]" if f.get("fault") else ""
    return f"answers {f['status'] or f['observed']}{', forwarded' if f['forwarded'] else ', not forwarded'}{fault}"


def _describe_connection(f: dict[str, Any]) -> str:
    return f"a connection goes wrong: {f['what']}"


def _describe_anything(f: dict[str, Any]) -> str:
    return " ".join(f"{key}={value}" for key, value in f.items())


def _short(task: str) -> str:
    return task.rpartition("/")[2]


_DESCRIPTIONS: dict[str, Callable[[dict[str, Any]], str]] = {
    "rpc": _describe_rpc,
    "attempt.sent": _describe_attempt,
    "attempt.ended": _describe_attempt_end,
    "request": _describe_request,
    "reply": _describe_reply,
    "connection": _describe_connection,
}
