"""A system under test that does not start: one clear message with its last words, and nothing hangs."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import profile
from harness.errors import HarnessError, SutFailed, UsageError
from harness.ledger import Ledger
from harness.model import Mode
from harness.tests.conftest import reference_profile
from harness.topologies.system import System
from harness.topologies.workshop import Workshop

_API = (
    'command = ["{python}", "-m", "uvicorn", "reference_impl.api:app", "--host", "127.0.0.1", "--port", "0"]'
)
# The worker is not what these tests are about: one that is there at once.
_SMALL_WORKER = """[worker]
command = ["{python}", "-u", "-m", "http.server", "0", "--bind", "127.0.0.1"]
ready_log = 'Serving HTTP on 127\\.0\\.0\\.1 port (?P<port>\\d+)'
health = "/"

"""


class Starter:
    """Starts a system under test whose API is started in another way than the reference says."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._workshop: Workshop | None = None
        self._system: System | None = None

    def start(self, api_command: str, *, ready_s: float = 20, preload: str = "") -> None:
        text = reference_profile().replace(_API, f"command = {api_command}", 1)
        text = text[: text.index("[worker]")] + _SMALL_WORKER + text[text.index("[environment]") :]
        text = re.sub(r"^preload = \[[^]]*\]$", "", text, flags=re.MULTILINE)
        lines = [line for line in text.splitlines() if not line.startswith("ready_s")]
        at = lines.index("[start]") + 1
        lines[at:at] = [f"ready_s = {ready_s}", f"preload = [{preload}]"]
        path = self._folder / "dispatchcheck.toml"
        path.write_text("\n".join(lines), encoding="utf-8")
        self._workshop = Workshop(profile.load(path))
        self._system = System(
            self._workshop.profile,
            Mode.PROD,
            self._folder / "run",
            workshop=self._workshop,
            ledger=Ledger(),
        )
        self._system.start()

    def stop(self) -> None:
        if self._system is not None:
            self._system.stop()
        if self._workshop is not None:
            self._workshop.close()


@pytest.fixture
def starter(tmp_path: Path) -> Iterator[Starter]:
    made = Starter(tmp_path)
    yield made
    made.stop()


def test_it_exits_at_once(starter: Starter) -> None:
    with pytest.raises(SutFailed) as failure:
        starter.start('["{python}", "-c", "import sys; print(1 + 1); sys.exit(\'no database\')"]')

    text = str(failure.value)
    assert "it ended with status 1 before it was ready" in text
    assert "last lines of the api" in text
    assert "    2" in text
    assert "    no database" in text


def test_it_never_becomes_ready(starter: Starter) -> None:
    with pytest.raises(SutFailed) as failure:
        starter.start(
            '["{python}", "-c", "import time; print(\'warming up\', flush=True); time.sleep(100)"]',
            ready_s=2,
        )

    text = str(failure.value)
    assert "it was not ready within 2 s (seen last: no line that matches 'Uvicorn running" in text
    assert "    warming up" in text


def test_it_is_never_healthy(starter: Starter) -> None:
    code = "import time; print('Uvicorn running on http://127.0.0.1:1', flush=True); time.sleep(100)"
    with pytest.raises(SutFailed) as failure:
        starter.start(f'["{{python}}", "-c", "{code}"]', ready_s=2)

    assert "seen last: /healthz: ConnectError" in str(failure.value)


def test_its_port_is_in_use(starter: Starter) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SutFailed) as failure:
            starter.start(_API.partition(" = ")[2].replace('"0"]', f'"{port}"]'))

    assert "it ended with status" in str(failure.value)
    assert "address already in use" in str(failure.value)


def test_its_program_does_not_exist(starter: Starter) -> None:
    with pytest.raises(HarnessError, match=r"cannot start 'no-such-program'.*No such file or directory"):
        starter.start('["no-such-program"]')


def test_a_module_to_be_imported_first_does_not_exist(starter: Starter) -> None:
    with pytest.raises(HarnessError, match=r"no_such_module.*Correct \[start\] preload in the profile"):
        starter.start('["{python}"]', preload='"no_such_module"')


def test_a_missing_profile_names_the_file_and_the_option(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot read the profile .*nowhere.toml.*--profile"):
        profile.load(tmp_path / "nowhere.toml")
