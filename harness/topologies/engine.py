"""The container engine: is it there, what is ours on it, and how all of that goes again, whatever becomes of us.

Everything that is made carries a label with its owner, a dock of a process. Three things take it away: whoever made it,
when it is done; the reaper, a process that outlives its owner by as long as that takes (``kill -9`` included); and the
next run, should both have been killed. Testcontainers' own reaper, Ryuk, is used as well where its image is there.

An image has no labels of its own: whoever needs it gives it a name, in one repository, that is the owner's. So the
image of a run stays, although its usual name may pass to what another run, perhaps of another source, builds beside it.

Source: Docker Engine API 1.41; testcontainers-python, ``core.labels``.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import docker
from docker.errors import DockerException, ImageNotFound, NotFound
from testcontainers.core.config import testcontainers_config

from harness.errors import Inconclusive, UsageError
from harness.profile import Containers as Section
from harness.profile import Profile
from harness.topologies.reaper import HELD, IN_ORDER, OWNER, remove_all_of

_BUILD_WITHIN_S = 900
_ENDED_WITHIN_S = 30
_FOLDER = "dispatchcheck-dock-"
_REAP_WITHIN_S = 60.0
_numbers = itertools.count(1)
_ADVICE = (
    "--topology=containers needs a Docker engine on this machine. Start it (as root: dockerd, or systemctl start "
    "docker), or install it (Debian, Ubuntu: apt-get install docker.io iptables); scripts/container-engine does both."
)


def connect() -> Any:  # docker has no types
    """A client of the engine.

    Raises:
        UsageError: none answers, or it is on another machine; the message says what to install or start.
    """
    try:
        client = docker.from_env(timeout=60)
        client.ping()
    except DockerException as problem:
        raise UsageError(f"no container engine answers: {_reason(problem)}. {_ADVICE}") from None
    if not str(client.api.base_url).startswith("http+docker://"):
        raise UsageError(
            f"the container engine is at {client.api.base_url}: the fakes listen in this process, and containers "
            "of another machine cannot reach them. Unset DOCKER_HOST, or run the tests there."
        )
    if os.geteuid() != 0:
        raise UsageError(
            "--topology=containers has to run as root: the fakes answer on ports 53, 80 and 443 of the containers' "
            "network, and the output of a container is followed to its last byte through /proc."
        )
    return client


def new_owner() -> str:
    """A name for labels: the process id, when it started, because ids are used again, and a number within it.

    The number, because a process may have several docks, and the end of one must take nothing from another.
    """
    return f"{os.getpid()}.{_started(os.getpid())}.{next(_numbers)}"


def is_of_the_dead(who: str) -> bool:
    """Whether the process of an owner has ended."""
    pid, _, rest = who.partition(".")
    return not pid.isdigit() or _started(int(pid)) != rest.partition(".")[0]


def sweep(client: Any) -> None:
    """Remove what dead owners left: their reaper was killed as well, or the machine was restarted."""
    for who in _owners(client):
        if is_of_the_dead(who):
            remove_all_of(client, who)
    for folder in Path(tempfile.gettempdir()).glob(f"{_FOLDER}*"):
        if is_of_the_dead(folder.name.removeprefix(_FOLDER).partition("-")[0]):
            shutil.rmtree(folder, ignore_errors=True)


def new_folder(owner: str) -> Path:
    """A folder for what an owner's containers work on; named after it, so that a sweep finds it."""
    return Path(tempfile.mkdtemp(prefix=f"{_FOLDER}{owner}-"))


class Reaper:
    """A process that waits for our end, and then removes what is the owner's, and its folder if it has one."""

    def __init__(self, owner: str, folder: Path | None = None) -> None:
        script = Path(__file__).with_name("reaper.py")
        self._owner, self._folder = owner, folder
        self._process = subprocess.Popen(
            [sys.executable, str(script), owner, *([] if folder is None else [str(folder)])],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,  # neither Ctrl-C nor a kill of our group is for it
        )

    @property
    def held_by(self) -> int:
        """The descriptor that makes it wait: for every process that has it."""
        assert self._process.stdin is not None
        return self._process.stdin.fileno()

    def close(self) -> None:
        """Let it do its work now, and wait until it has; nothing is being made any more. A second call does nothing."""
        assert self._process.stdin is not None
        if self._process.stdin.closed:
            return
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(IN_ORDER)
            self._process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            if self._process.wait(_REAP_WITHIN_S) != 0:  # it was killed
                remove_all_of(connect(), self._owner)
                if self._folder is not None:
                    shutil.rmtree(self._folder, ignore_errors=True)


def use_ryuk_if_it_is_here(client: Any) -> None:
    """Switch testcontainers' reaper off where its image is not: it would be pulled."""
    if testcontainers_config.ryuk_disabled:
        return
    try:
        client.images.get(testcontainers_config.ryuk_image)
    except ImageNotFound:
        testcontainers_config.ryuk_disabled = True


class HeldImage:
    """The image of the system under test, which stays until it is let go or our process ends.

    Somebody else may build another one meanwhile and give it the same name: this one has a name beside, which is ours.

    Args:
        profile: of the system under test, which says how the image is made.
        other_source: its source is not the one that the profile names, and its image gets a name of its own.

    Attributes:
        id: the image's.

    Raises:
        UsageError: the profile has no [containers], or its image does not exist and nothing says how to make it.
        Inconclusive: making it failed; with the end of what the command wrote.
    """

    def __init__(self, profile: Profile, *, other_source: bool) -> None:
        section = section_of(profile)
        client = connect()
        sweep(client)
        owner = new_owner()
        self._reaper = Reaper(owner)
        try:
            name = f"{section.image}-of-another-source" if other_source else section.image
            hold_name = f"{HELD}:{owner}"
            if section.build:
                values = {"source": str(profile.source), "image": name, "hold": hold_name}
                command = [part.format_map(values) for part in section.build]
                _build(command, profile.path.parent, name, self._reaper.held_by)
            # Where the command gave it our name, nobody can have come between.
            self.id = _id_of(client, hold_name, name)
            hold(client, self.id, owner)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let it go: without another name it is taken away."""
        self._reaper.close()


def hold(client: Any, image: str, owner: str) -> None:
    """Keep an image, by its id, until what is the owner's is taken away."""
    client.api.tag(image, HELD, owner)


def _build(command: Sequence[str], folder: Path, name: str, held_open: int) -> None:
    """Run the command that makes an image, to its end; who interrupts us ends it, and it may clean up."""
    try:
        with subprocess.Popen(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            pass_fds=[held_open],  # the reaper waits for it: killed we may be, and it still be building
            start_new_session=True,
        ) as process:
            try:
                output, _ = process.communicate(timeout=_BUILD_WITHIN_S)
            except BaseException:
                _end(process)
                raise
    except (OSError, subprocess.TimeoutExpired) as problem:
        raise Inconclusive(f"cannot make the image {name!r}: {problem}") from None
    if process.returncode != 0:
        last = "\n".join(output.splitlines()[-20:])
        raise Inconclusive(
            f"cannot make the image {name!r}: {' '.join(command)} ended with {process.returncode}\n{last}"
        )


def _end(process: subprocess.Popen[str]) -> None:
    """End a command with all that it started: asked first, so that it leaves nothing."""
    for number, within_s in ((signal.SIGTERM, _ENDED_WITHIN_S), (signal.SIGKILL, None)):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.communicate(timeout=within_s)
            return


def _id_of(client: Any, *names: str) -> str:
    """The id of the image with the first of these names that there is."""
    for name in names:
        with contextlib.suppress(ImageNotFound):
            return str(client.images.get(name).id)
    raise UsageError(
        f"there is no image {names[-1]!r}. Build or pull it, or say in [containers] build how it is made."
    )


def section_of(profile: Profile) -> Section:
    """What the profile says about containers.

    Raises:
        UsageError: nothing.
    """
    if profile.containers is None:
        raise UsageError(
            f"the profile {profile.name!r} has no [containers]: it names no image that --topology=containers can run"
        )
    return profile.containers


def _owners(client: Any) -> set[str]:
    labels = [
        each.labels
        for each in client.containers.list(all=True, filters={"label": OWNER}, ignore_removed=True)
    ]
    labels += [each.attrs.get("Labels") or {} for each in client.networks.list(filters={"label": OWNER})]
    labels += [each.attrs.get("Labels") or {} for each in client.volumes.list(filters={"label": OWNER})]
    named = [name for each in client.api.images(filters={"reference": HELD}) for name in each["RepoTags"]]
    return {each[OWNER] for each in labels if OWNER in each} | {
        name.removeprefix(f"{HELD}:") for name in named if name.startswith(f"{HELD}:")
    }


def _started(pid: int) -> str:
    """When a process started, in ticks since the machine did; "" when there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


def _reason(problem: Exception) -> str:
    return str(problem).splitlines()[0][:200]


__all__ = [
    "OWNER",
    "HeldImage",
    "NotFound",
    "Reaper",
    "connect",
    "hold",
    "is_of_the_dead",
    "new_owner",
    "section_of",
    "sweep",
    "use_ryuk_if_it_is_here",
]
