"""The topology of containers: the image that is shipped, on a network of its own, with the production path unmodified.

The API and the worker run from the image as it is. On their network, Cloud Tasks is ``cloudtasks.googleapis.com``, port
443, over TLS; credentials come from ``metadata.google.internal``, port 80, and the tokens from there are checked; names
come from DNS. All of these are fakes in the test process, which listen on the network's gateway address: the sockets
are real, every fault strikes as it does for processes, and no relay stands between that would turn a refused
connection into a closed one. For the same reason no port is published: the harness and the gateway before the worker
reach a container at its own address. The dispatcher is told two things that production does not tell it: which
authority to trust, and that the metadata server's address is not 169.254.169.254.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import shutil
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from docker.types import LogConfig
from testcontainers.core.container import DockerContainer
from testcontainers.core.network import Network

from fake_services.exchange import Exchange
from fake_services.host import Host
from fake_services.metadata import Metadata, MetadataConfig
from fake_services.name_server import NameServer, NameServerConfig
from harness.errors import Finding
from harness.faults import Fault, Means
from harness.journal import Journal
from harness.profile import Profile
from harness.topologies import engine, harm, redirect, shipped
from harness.topologies.berth import Berths
from harness.topologies.configuration import LOCATION, PROJECT
from harness.topologies.container import Container
from harness.topologies.ground import Fakes, Running, Start
from harness.topologies.networks import NetworkBerth, gateway_of

T = TypeVar("T")

CLOUD_TASKS = "cloudtasks.googleapis.com"
METADATA = "metadata.google.internal"
WORKER = "worker.dispatchcheck.internal"
LOG = LogConfig(type="json-file")
"""The engine's log that keeps where a line ends; bytes that are not UTF-8 it does not keep."""

_SYSTEMS_EACH = 100  # a container takes seconds to start; a folder, microseconds to look through
_ACCOUNT = f"dispatcher@{PROJECT}.iam.gserviceaccount.com"
_ENGINES_LOG = "the engine reads the log of a container, and goes on doing so until the container has ended"


class Dock:
    """Where the containers of one test process are: the engine, the image, and what takes everything away again."""

    def __init__(self, profile: Profile, image: str) -> None:
        self.client = engine.connect()
        self.section = engine.section_of(profile)
        owner = engine.new_owner()
        self.labels = {engine.OWNER: owner}
        engine.use_ryuk_if_it_is_here(self.client)
        self._folder = engine.new_folder(owner)
        self._reaper = engine.Reaper(owner, self._folder)
        made = None if image else engine.HeldImage(profile, other_source=True)
        self.image = made.id if made else image
        # Held by every dock: who made it for all of them may be killed, and its hold go before our containers.
        engine.hold(self.client, self.image, owner)
        if made:
            made.close()
        self._making = ThreadPoolExecutor(thread_name_prefix="engine")
        self._numbers = itertools.count(1)
        self.berths = Berths(self._new_berth, systems_each=_SYSTEMS_EACH)

    def _new_berth(self) -> NetworkBerth:
        folder = self._folder / str(next(self._numbers))
        return self.make(lambda: NetworkBerth(self.client, self.labels, folder))

    def make(self, make: Callable[[], T]) -> T:
        """Have the engine make something, to the end: who interrupts us (Ctrl-C, a time-out) does not interrupt that.

        Else the engine would finish something that nobody knows of, when the reaper has gone.
        """
        return self._making.submit(make).result()

    def close(self) -> None:
        """Take away what is left; a second call does nothing."""
        self._making.shutdown()
        self.berths.close()
        self._reaper.close()


class Containers:
    """The ground of containers; see ``harness.topologies.ground``."""

    def __init__(self, dock: Dock, host: Host, profile: Profile, folder: Path, journal: Journal) -> None:
        self._dock = dock
        self._host = host
        self._profile = profile
        self._folder = folder
        self._parts = contextlib.ExitStack()
        self._aliases: dict[Container, list[str]] = {}
        self._volume = ""
        self._berth = dock.berths.take()
        self._parts.callback(dock.berths.leave, self._berth)
        self.storage = self._berth.storage
        self.secret = self._berth.secret
        self.network, self.gateway = self._berth.network, self._berth.gateway
        section = dock.section
        self.stuck_after_s = section.stuck_after_s or profile.settle.stuck_after_s
        self.keeps = "worker" in profile.start.reuse
        self.values: Mapping[str, str] = {
            "source": section.folder,
            "python": "python",
            "run": str(folder),
            "storage": section.storage,
        }
        try:
            self._listen(journal)
        except BaseException:
            self._parts.close()
            raise

    def _listen(self, journal: Journal) -> None:
        names = {CLOUD_TASKS: self.gateway, METADATA: self.gateway, WORKER: self.gateway}
        self.names = NameServer(NameServerConfig(names=names, host=self.gateway, port=53))
        config = MetadataConfig(
            project=PROJECT, account=_ACCOUNT, zone=f"{LOCATION}-a", host=self.gateway, port=80
        )
        self.metadata = Metadata(config)

        def record(exchange: Exchange) -> None:
            fields = dict(exchange.fields)
            what = " ".join(f"{key}={value}" for key, value in fields.items() if value is not None)
            journal.record(exchange.source, exchange.kind, what, **fields)

        for fake in (self.names, self.metadata):
            self._parts.callback(fake.journal.subscribe(record))
            self._host.start(fake)
            self._parts.callback(self._host.stop, fake)
        self._hosts = {WORKER: self.gateway}
        self.fakes = Fakes(
            address=self.gateway,
            hosts=self._hosts,
            cloud_tasks_port=443,
            worker_host=WORKER,
            max_attempts=20,
            is_access_token=self.metadata.has_issued,
        )

    def _network_itself(self) -> Any:
        return self._dock.client.networks.get(self.network.id)

    def fits(self, template: str) -> bool:
        """Whether it says nothing about where the source and the interpreter are: the image knows that."""
        return "{source}" not in template and "{python}" not in template

    def start(self, what: Start) -> Container:
        """Create a container from the image, and start it; or take the worker that waits for that."""
        section = self._dock.section
        own = {"api": section.api, "worker": section.worker}.get(what.role)
        environment = {**what.environment, **section.environment, **(own or {})}
        if what.role == "worker":
            container = self._berth.worker(environment, what.on_line, lambda: self._start(what, environment))
        else:
            container = self._start(what, environment)
        self._aliases[container] = [what.role]
        return container

    def _start(self, what: Start, environment: Mapping[str, str]) -> Container:
        section = self._dock.section
        made = DockerContainer(self._dock.image)
        made.with_envs(**environment)
        made.with_network(self.network)
        made.with_network_aliases(what.role)
        made.with_volume_mapping(self._volume or self.storage, section.storage, "rw")
        # At the same place as here, so that a path means the same on both sides; and only where one is meant.
        if any(str(self._folder) in value for value in environment.values()):
            made.with_volume_mapping(self._folder, str(self._folder), "ro")
        if preloaded := environment.get("LD_PRELOAD"):
            made.with_volume_mapping(preloaded, preloaded, "ro")
        env_file = what.folder / self._profile.start.env_file
        if env_file.exists():
            made.with_volume_mapping(env_file, f"{section.folder}/{self._profile.start.env_file}", "ro")
        if what.role not in {"api", "worker"}:
            made.with_command([part.format_map(what.values) for part in what.command.command])
        made.with_kwargs(
            labels=self._dock.labels,
            log_config=LOG,
            dns=[self.gateway],
            dns_search=["."],
            dns_opt=["timeout:1", "attempts:1"],
        )
        self._dock.make(made.start)
        return Container(
            made.get_wrapped_container(), section.port, lambda stream, line, _: what.on_line(stream, line)
        )

    def keep(self, running: Running) -> bool:
        """Keep the worker for the next system, where the profile says that it may be used again."""
        return self.keeps and not self._volume and self._berth.keep(running)

    def variables(self, port: int, project: str, *, nowhere: bool) -> dict[str, str]:
        """The authority that signed the fake's certificate, and the metadata server's address."""
        assert port == self.fakes.cloud_tasks_port, "the client cannot be told another"
        assert project == PROJECT, "the metadata server says so"
        if nowhere:
            self.names.forget(CLOUD_TASKS)
        else:
            self.names.point(CLOUD_TASKS, self.gateway)
        return {**redirect.trust_of_grpc(self._folder / "cloud"), "GCE_METADATA_IP": self.gateway}

    def share(self, path: Path) -> None:
        """Let the image's user write where the harness has made folders."""
        for each in [path, *path.rglob("*")]:
            with contextlib.suppress(OSError):  # it is replaced while we look, by who may write to it anyway
                if each.stat().st_uid == 0:
                    each.chmod(0o777 if each.is_dir() else 0o666)

    def lacks(self, fault: Fault) -> str:
        """Why a fault cannot be brought about here."""
        return _ENGINES_LOG if fault.means in {Means.CLOSED_LOG, Means.UNREAD_LOG} else harm.lacking(fault)

    def prepare(self, fault: Fault) -> None:
        """See ``harness.topologies.harm``."""
        harm.prepare(self, fault)

    def strike(self, fault: Fault, running: Running) -> None:
        """See ``harness.topologies.harm``."""
        assert isinstance(running, Container), "all that runs here is one"
        harm.strike(self, fault, running)

    def undo(self, fault: Fault, running: Running) -> None:
        """See ``harness.topologies.harm``."""
        assert isinstance(running, Container), "all that runs here is one"
        harm.undo(self, fault, running)

    def shipped(self, role: str, running: Running, told: Sequence[str]) -> Finding | None:
        """See ``harness.topologies.shipped``."""
        assert isinstance(running, Container), "all that runs here is one"
        own = self._dock.section.api if role == "api" else self._dock.section.worker
        profile = self._profile
        configured = {
            *own,
            *profile.environment,
            *profile.prod,
            *profile.worker.environment,
            *profile.slow_assembly,
        }
        mounts = {self._dock.section.storage, str(self._folder)}
        return shipped.compare(running.made, self._dock.image, {*configured, *told}, mounts)

    def disconnect(self, container: Container) -> None:
        """Take a container off the network."""
        self._network_itself().disconnect(container.made.id, force=True)

    def connect(self, container: Container) -> None:
        """Put a container back on the network, under the name that it had."""
        if container.running:
            self._network_itself().connect(container.made.id, aliases=self._aliases[container])

    def move_worker(self) -> str:
        """Let the worker's name lead to the gateway of another network, which is this machine as well."""
        elsewhere = self._dock.make(Network(docker_network_kw={"labels": self._dock.labels}).create)
        self._parts.callback(elsewhere.remove)
        address = gateway_of(self._dock.client, elsewhere)
        self.names.point(WORKER, address)
        self._hosts[WORKER] = address
        return address

    def use_small_volume(self, size: int) -> None:
        """Let the storage be a file system of its own, of so many bytes. Before anything of this system is in it."""
        self._berth.let_go()  # a worker that waits there knows the storage up to now
        options = {"type": "tmpfs", "device": "tmpfs", "o": f"size={size},mode=0777"}
        create = functools.partial(self._dock.client.volumes.create, labels=self._dock.labels)
        volume = self._dock.make(lambda: create(driver_opts=options))
        self._parts.callback(volume.remove)
        self._volume = volume.name
        shutil.rmtree(self.storage)  # with what earlier systems left there
        self.storage.symlink_to(volume.attrs["Mountpoint"])  # mounted as long as a container has it

    def close(self) -> None:
        """Stop its fakes, and leave its place."""
        self._parts.close()
