"""``pytest --serve=FD``: instead of running what was collected, runs the tests that somebody asks for, one by one.

Loading everything that a scenario needs takes longer than the scenario. So ``dispatchcheck prove`` keeps some pytest
processes that have it all, and asks them to judge copy after copy of a dispatcher.

The descriptor is a socket. First comes ``{"tests": [...]}`` with what was collected. A request is a line
``{"node": …, "run": …, "profile": …, "source": …}``; its reply a line with the result, as ``verdict.json`` has it.
The end of the socket ends the process, and interrupts a test that is running.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import socket
import threading
from pathlib import Path
from typing import Any

import pytest

from harness import evidence
from harness.oracles.secrets import mask
from harness.plugin.state import FINDING, RESULT, RUN, TARGET, Target
from harness.scenario import info_of


def pytest_addoption(parser: pytest.Parser) -> None:
    """The option."""
    parser.getgroup("dispatchcheck").addoption(
        "--serve", dest="dc_serve", type=int, help="internal: see prove"
    )


def pytest_runtestloop(session: pytest.Session) -> bool | None:
    """Serve, where that is asked for."""
    fd = session.config.getoption("dc_serve")
    if fd is None:
        return None
    if session.testsfailed:
        raise session.Interrupted("a file of scenarios cannot be read")
    signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever starts us may ignore it
    with socket.socket(fileno=fd) as channel:
        _serve(session, channel)
    return True


def _serve(session: pytest.Session, channel: socket.socket) -> None:
    items = {item.nodeid: item for item in session.items if info_of(item)}
    requests = _Requests(channel)
    _send(channel, {"tests": [_described(item) for item in items.values()]})
    while (request := requests.next()) is not None:
        _send(channel, _judge(items[request["node"]], request))


def _judge(item: pytest.Item, request: dict[str, str]) -> dict[str, Any]:
    item.stash = pytest.Stash()  # nothing of an earlier time counts
    item.stash[TARGET] = Target(Path(request["run"]), Path(request["profile"]), Path(request["source"]))
    if isinstance(item, pytest.Function):
        item._initrequest()  # noqa: SLF001 - a test that runs again needs new fixtures; pytest has no public name for it
    item.config.hook.pytest_runtest_protocol(item=item, nextitem=None)
    result, finding, run = item.stash[RESULT], item.stash.get(FINDING, None), item.stash.get(RUN, None)
    reason = f"expected {finding.expected}; observed {finding.observed}" if finding else ""
    return {
        "verdict": result.verdict,
        "blame": result.blame,
        "message": result.message,
        "duration_s": result.duration_s,
        "oracle": finding.oracle if finding else "",
        "reason": mask(reason, run.planted if run else ()),
    }


def _described(item: pytest.Item) -> dict[str, Any]:
    info = info_of(item)
    assert info is not None, "only scenarios are served"
    return {
        "node": item.nodeid,
        "folder": evidence.folder_name(info.id, item.nodeid),
        "scenario": info.id,
        "title": info.title,
        "requires": info.requires,
    }


def _send(channel: socket.socket, document: dict[str, Any]) -> None:
    channel.sendall(json.dumps(document).encode() + b"\n")


class _Requests:
    """Reads requests in a thread of its own, to notice at once when nobody is there any more."""

    def __init__(self, channel: socket.socket) -> None:
        self._read: queue.SimpleQueue[dict[str, str] | None] = queue.SimpleQueue()
        self._waiting = threading.Event()
        threading.Thread(target=self._listen, args=(channel,), name="requests", daemon=True).start()

    def next(self) -> dict[str, str] | None:
        """The next request, or None when there will be none."""
        self._waiting.set()
        request = self._read.get()
        self._waiting.clear()
        return request

    def _listen(self, channel: socket.socket) -> None:
        with channel.makefile("r", encoding="utf-8") as lines:
            for line in lines:
                self._read.put(json.loads(line))
        self._read.put(None)
        if not self._waiting.is_set():
            os.kill(os.getpid(), signal.SIGINT)
