"""What the engine and the kernel can do to a container: how the faults that need containers are brought about.

Source: tc-tbf(8), "packets larger than the bucket are dropped"; tc-netem(8); mount(2) and
setns(2); Docker Engine API 1.41.
"""

from __future__ import annotations

import functools
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fake_services.faults import Fault as FakeFault
from harness.clock import Deadline, wait
from harness.errors import HarnessError, Inconclusive
from harness.faults import Fault, Means, Observed
from harness.topologies.container import Container

if TYPE_CHECKING:
    from harness.topologies.containers import Containers

_SMALL = (
    "tbf",
    "rate",
    "1mbit",
    "burst",
    "200",
    "limit",
    "10000",
)  # bytes: a handshake passes, an answer does not
_VOLUME_BYTES = 4_000_000
_COMMAND_WITHIN_S = 20.0
_DIES_WITHIN_S = 30.0
_MEMORY_LIMIT_MB = 192
_TAKE_MEMORY = (
    "taken = []\nwhile True: taken.append(bytearray(1 << 20))"  # runs in the container, beside the server
)
# Runs on this machine, and then sees the files as the container does; the image needs no program for that.
_MOUNT = """
import ctypes, os, sys

libc = ctypes.CDLL(None, use_errno=True)
NEW_MOUNTS, READ_ONLY, REMOUNT, BIND, DETACH = 0x20000, 1, 32, 4096, 2


def call(name, *arguments):
    if getattr(libc, name)(*arguments) != 0:
        sys.exit(f"{name}: {os.strerror(ctypes.get_errno())}")


pid, how, place = sys.argv[1], sys.argv[2], sys.argv[3].encode()
call("setns", os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY), NEW_MOUNTS)
if how == "read-only":
    call("mount", place, place, None, BIND, None)
    call("mount", None, place, None, BIND | REMOUNT | READ_ONLY, None)
else:
    call("umount2", place, DETACH)
"""
_NAMES = {
    Observed.ERROR: ("error", ""),
    Observed.GARBAGE: ("error", "NXDOMAIN"),
    Observed.TIMEOUT: ("timeout", ""),
}


def lacking(fault: Fault) -> str:
    """Why a fault of a container cannot be brought about on this machine; "" where it can.

    Raises:
        Inconclusive: a program that it needs is not installed.
    """
    return _without_netem() if fault.means is Means.NETEM else ""


def prepare(ground: Containers, fault: Fault) -> None:
    """What has to be so before the containers start."""
    if fault.means is Means.FULL_VOLUME:
        ground.use_small_volume(_VOLUME_BYTES)


def strike(ground: Containers, fault: Fault, container: Container) -> None:
    """Bring the fault about, and return when it has taken effect."""
    match fault.means:
        case Means.DISCONNECT:
            ground.disconnect(container)
        case Means.NAMES:
            observed, message = _NAMES[fault.observed]
            ground.names.faults.add(
                FakeFault(name=fault.name, observed=observed, message=message, times=None)  # type: ignore[arg-type]
            )
        case Means.FREEZE:
            container.made.pause()
        case Means.SMALL_PACKETS:
            _shape(container, *_SMALL)
        case Means.NETEM:
            _shape(container, "netem", *fault.netem.split())
        case Means.FULL_VOLUME:
            _fill(ground.storage / "ballast")
        case Means.READ_ONLY:
            _mount(ground, container, "read-only")
        case Means.MEMORY:
            _exhaust_memory(container)
        case _:
            raise HarnessError(f"{fault.name} is not one of a container")


def undo(ground: Containers, fault: Fault, container: Container) -> None:
    """End what ``strike`` began, where that ends at all."""
    match fault.means:
        case Means.DISCONNECT:
            ground.connect(container)
        case Means.NAMES:
            ground.names.faults.clear()
        case Means.FREEZE:
            container.made.reload()
            if container.made.status == "paused":
                container.made.unpause()
        case Means.SMALL_PACKETS | Means.NETEM:
            _in_network_of(container, "tc", "qdisc", "del", "dev", "eth0", "root")
        case Means.FULL_VOLUME:
            (ground.storage / "ballast").unlink(missing_ok=True)
        case Means.READ_ONLY:
            _mount(ground, container, "as before")
        case _:
            pass


def _shape(container: Container, *how: str) -> None:
    _in_network_of(container, "tc", "qdisc", "add", "dev", "eth0", "root", *how)


def _in_network_of(container: Container, *command: str) -> None:
    if container.running:
        _run("nsenter", f"--net=/proc/{container.pid}/ns/net", *command)


def _fill(file: Path) -> None:
    """Write until the volume has no byte left."""
    with file.open("wb", buffering=0) as ballast:
        size = 1 << 16
        while size:
            try:
                ballast.write(b"\0" * size)
            except OSError:
                size //= 2


def _mount(ground: Containers, container: Container, how: str) -> None:
    """Mount the storage over itself, read-only: what is open stays open, and nothing else can be written."""
    if container.running:
        _run(sys.executable, "-c", _MOUNT, str(container.pid), how, ground.values["storage"])


def _exhaust_memory(container: Container) -> None:
    made: Any = container.made
    limit = f"{_MEMORY_LIMIT_MB}m"
    made.update(mem_limit=limit, memswap_limit=limit)
    # The kernel ends who has the highest score: the server, as in a pod without guarantees.
    Path(f"/proc/{container.pid}/oom_score_adj").write_text("1000", encoding="ascii")
    taking = made.client.api.exec_create(made.id, ["python", "-c", _TAKE_MEMORY], stdout=False, stderr=False)
    made.client.api.exec_start(taking["Id"], detach=True)
    try:
        wait(lambda: None if container.running else True, Deadline(_DIES_WITHIN_S), lambda: "it still runs")
    except TimeoutError as problem:
        raise Inconclusive(f"the kernel did not end the server at {limit} of memory: {problem}") from None
    if not container.out_of_memory:
        raise Inconclusive(f"the server ended with status {container.status}, and not at its memory limit")


@functools.cache
def _without_netem() -> str:
    try:
        _run("unshare", "--net", "tc", "qdisc", "add", "dev", "lo", "root", "netem", "delay", "1ms")
    except HarnessError as problem:
        return f"this machine's kernel has no netem ({problem})"
    return ""


def _run(*command: str) -> None:
    for program in {command[0], "tc"} & {"nsenter", "unshare", "tc"}:
        if shutil.which(program) is None:
            raise Inconclusive(
                f"{program} is not installed: Debian and Ubuntu have it in "
                f"{'iproute2' if program == 'tc' else 'util-linux'}"
            )
    done = subprocess.run(command, capture_output=True, text=True, timeout=_COMMAND_WITHIN_S, check=False)
    if done.returncode != 0:
        raise HarnessError(f"{' '.join(command[-8:])} failed: {done.stderr.strip() or done.returncode}")
