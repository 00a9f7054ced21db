"""A bound on the files of a container's process, which belongs to another user."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from harness.topologies.container import Container

_USER = 10001


def test_the_bound_is_set_as_the_owner_and_without_a_fork_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process that runs scenarios has threads of gRPC's, and a child that is forked from it may crash."""
    become = ["setpriv", f"--reuid={_USER}", f"--regid={_USER}", "--clear-groups"]
    seen: list[dict[str, Any]] = []
    start = subprocess.Popen.__init__

    def spy(self: Any, *arguments: Any, **options: Any) -> None:
        seen.append(options)
        start(self, *arguments, **options)

    with subprocess.Popen([*become, "sh", "-c", "echo; exec sleep 20"], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()  # it is the other user's by now
        container = Container.__new__(Container)
        container._pid = process.pid
        monkeypatch.setattr(subprocess.Popen, "__init__", spy)
        try:
            container.limit_files(4096)
            bound = _soft_bound(process.pid)
            container.limit_files(None)
            freed = _soft_bound(process.pid)
        finally:
            process.kill()

    assert (bound, freed) == ("4096", "unlimited")
    assert not [o for o in seen if {"user", "group", "extra_groups", "preexec_fn"} & o.keys()]


def _soft_bound(pid: int) -> str:
    lines = Path(f"/proc/{pid}/limits").read_text("utf-8").splitlines()
    return next(line.split()[3] for line in lines if line.startswith("Max file size"))
