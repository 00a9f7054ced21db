"""A PostgreSQL of its own for a test run: Debian's binaries, a temporary folder, a Unix socket, no TCP."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

_BINARIES = Path("/usr/lib/postgresql")
_END_TIMEOUT_S = 90  # a disk that is busy with something else makes removing the folder slow
_START_TIMEOUT_S = 30


class PostgresUnavailable(Exception):  # noqa: N818 — it says what is the matter
    """PostgreSQL cannot be had on this machine; the message says what to install."""


def binaries() -> Path:
    """The folder with initdb and pg_ctl; the newest version. Raises PostgresUnavailable."""
    found = sorted(_BINARIES.glob("*/bin/initdb"), key=lambda path: int(path.parts[-3].split(".")[0]))
    if not found:
        raise PostgresUnavailable(
            f"no PostgreSQL under {_BINARIES}; these tests need it: apt-get install postgresql"
        )
    return found[-1].parent


# Runs the server until it is told to end by a line, or standard input ends, as when the test process is killed.
_GUARD = (
    'folder="$1"; shift; "$@" >"$folder/log" 2>&1 & read -r _; kill -QUIT $!; wait $!; cd /; rm -rf "$folder"'
)


class Postgres:
    """One running server; nothing of it outlives this process. Every test has its own `new_database`."""

    def __init__(self) -> None:
        self._bin = binaries()
        # Unix socket paths are limited to about 100 bytes, so the folder is directly in the temporary one.
        self.folder = Path(tempfile.mkdtemp(prefix="pg-"))
        self._user = _unprivileged_user()
        if self._user:
            shutil.chown(self.folder, self._user)
        self._count = 0
        data = str(self.folder / "data")
        self._run("initdb", "-D", data, "-U", "tests", "-A", "trust", "-N", "-E", "UTF8")
        server = [str(self._bin / "postgres"), "-D", data, "-k", str(self.folder)]
        options = ["-c", "listen_addresses=", "-c", "fsync=off", "-c", "max_connections=200"]
        self._guard = subprocess.Popen(
            ["sh", "-c", _GUARD, "guard", str(self.folder), *server, *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for the tests; they end the server
            **self._identity(),
        )
        self._wait_until_ready()

    def new_database(self) -> str:
        """The DATABASE_URL of a new, empty database."""
        self._count += 1
        name = f"test{self._count}"
        self._run("createdb", "-h", str(self.folder), "-U", "tests", name)
        return f"postgresql://tests@/{name}?host={self.folder}"

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Meanwhile it takes connections and requests, and answers none, as on a disk that hangs."""
        first = int((self.folder / "data/postmaster.pid").read_text().split()[0])
        others = Path(f"/proc/{first}/task/{first}/children").read_text().split()
        everybody = [first, *map(int, others)]
        for pid in everybody:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in everybody:
                os.kill(pid, signal.SIGCONT)

    def close(self) -> None:
        """Stop the server and remove its folder."""
        assert self._guard.stdin is not None
        self._guard.stdin.write(b"\n")
        self._guard.stdin.close()
        self._guard.wait(timeout=_END_TIMEOUT_S)

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + _START_TIMEOUT_S
        while True:
            try:
                return self._run("pg_isready", "-q", "-h", str(self.folder))
            except PostgresUnavailable:
                if time.monotonic() > deadline:
                    log = (self.folder / "log").read_text(errors="replace")
                    self.close()
                    raise PostgresUnavailable(f"PostgreSQL is not ready in time; its log: {log}") from None
            time.sleep(0.05)

    def _run(self, program: str, *arguments: str) -> None:
        result = subprocess.run(
            [str(self._bin / program), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=_START_TIMEOUT_S,
            check=False,
            **self._identity(),
        )
        if result.returncode:
            raise PostgresUnavailable(f"{program} failed: {result.stdout.decode(errors='replace')}")

    def _identity(self) -> dict[str, Any]:
        """Under whom, where and with which environment its programs run."""
        environment = {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C.UTF-8", "PGTZ": "UTC"}
        if self._user is None:
            return {"cwd": "/", "env": environment}
        group = pwd.getpwnam(self._user).pw_gid
        return {"cwd": "/", "env": environment, "user": self._user, "group": group, "extra_groups": []}


def _unprivileged_user() -> str | None:
    """Whom to run as: initdb refuses root."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name).pw_name
        except KeyError:
            continue
    raise PostgresUnavailable(
        "PostgreSQL refuses to run as root, and there is neither a user postgres nor nobody"
    )
