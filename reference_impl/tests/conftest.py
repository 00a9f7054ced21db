"""Fixtures of the reference dispatcher's tests."""

from __future__ import annotations

import math
import struct
import wave
from typing import TYPE_CHECKING, Any

import pytest

from reference_impl import events
from reference_impl.log_format import LogSink
from reference_impl.settings import Settings
from reference_impl.store import Store
from reference_impl.tests.bench import PRODUCTION, Bench
from reference_impl.tests.postgres import Postgres
from reference_impl.tests.processes import Server, Zygote
from reference_impl.tests.stores import Clock
from reference_impl.tests.stubs import CloudTasksStub, Identity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

QUEUE = {"GOOGLE_CLOUD_PROJECT": "proj", "TASKS_LOCATION": "loc", "TASKS_QUEUE": "q"}
SECRET = "hush-hush/42+x"


def write_episode(media: Path, episode_id: str = "ep1", *, segments: int = 2, frames: int = 800) -> None:
    """A few small WAV segments, the same on every call."""
    folder = media / "episodes" / episode_id / "segments"
    folder.mkdir(parents=True)
    for number in range(segments):
        tone = (round(8000 * math.sin(i * (number + 1) / 9)) for i in range(frames))
        with wave.open(str(folder / f"{number:02}.wav"), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(8000)
            file.writeframes(b"".join(struct.pack("<h", value) for value in tone))


@pytest.fixture
def media(tmp_path: Path) -> Path:
    root = tmp_path / "media"
    write_episode(root)
    return root


@pytest.fixture(autouse=True)
def _fresh_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "_sink", LogSink())


@pytest.fixture
def settings(media: Path) -> Callable[..., Settings]:
    """Settings from variables, as a process would have them."""
    return lambda **variables: Settings.from_environ({"MEDIA_ROOT": str(media)} | variables)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """For what is the same on both databases; who tests the store itself has one of `make_store`."""
    store = Store(f"sqlite:///{tmp_path / 'jobs.db'}", lease_s=5)
    yield store
    store.close()


@pytest.fixture
def bench(
    settings: Callable[..., Settings], store: Store, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Bench]:
    def make(variables: dict[str, str] | None = None, **routes: Any) -> Bench:
        return Bench(settings(**(variables or PRODUCTION)), store, capsys, **routes)

    return make


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    server = Postgres()
    yield server
    server.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Each test that uses it runs on both databases."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'jobs.db'}"
    server: Postgres = request.getfixturevalue("postgres")
    return server.new_database()


@pytest.fixture
def make_store(database_url: str) -> Iterator[Callable[..., Store]]:
    """Stores on one database, closed afterwards."""
    made: list[Store] = []

    def make(**options: object) -> Store:
        made.append(Store(database_url, **({"lease_s": 5.0} | options)))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for store in made:
        store.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="session")
def identity(tmp_path_factory: pytest.TempPathFactory) -> Identity:
    return Identity(tmp_path_factory.mktemp("identity"))


@pytest.fixture(scope="session")
def zygote() -> Iterator[Zygote]:
    process = Zygote()
    yield process
    process.close()


@pytest.fixture
def start(zygote: Zygote, tmp_path: Path, media: Path) -> Iterator[Callable[..., Server]]:
    """Start servers in the test's folder; whatever still runs afterwards is killed."""
    servers: list[Server] = []

    def start_server(app: str, *, wait: bool = True, **variables: str) -> Server:
        env = {"MEDIA_ROOT": str(media), "TASKS_AUTH": SECRET, "JOB_LEASE_S": "0.6", **variables}
        servers.append(Server(zygote, app, env, tmp_path / "run"))
        return servers[-1].ready() if wait else servers[-1]

    yield start_server
    for server in servers:
        server.stop()


@pytest.fixture
def cloud_tasks(identity: Identity) -> Iterator[CloudTasksStub]:
    stub = CloudTasksStub(identity)
    yield stub
    stub.close()


@pytest.fixture
def production(cloud_tasks: CloudTasksStub, identity: Identity) -> dict[str, str]:
    """The API's variables in production, its Cloud Tasks redirected from outside."""
    return (
        {"APP_ENV": "production", "TASKS_ENQUEUE_TIMEOUT_S": "1"}
        | QUEUE
        | identity.environment(cloud_tasks.port)
    )
