"""Runs one fake as a program: says on standard output where it listens, and ends when it is told to."""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
import threading
from typing import TYPE_CHECKING, TypeVar

from fake_services.host import Host, Service

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["UNUSABLE", "WRONG_USE", "run_alone"]

S = TypeVar("S", bound=Service)

WRONG_USE = 64
UNUSABLE = 1


def run_alone(name: str, fake: S, addresses: Callable[[S], dict[str, str]], *refused: type[Exception]) -> int:
    """Serve until SIGTERM or SIGINT. One line of JSON with the addresses means that it is ready.

    Args:
        name: For messages on standard error.
        fake: What to run.
        addresses: The line's content, once it has started.
        refused: Errors of a start that mean a wrong configuration.

    The process ends here, with status 0, once the fake has stopped.

    Returns:
        The exit status of a start that failed: 64 for a wrong configuration, 1 when it cannot listen.
    """
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with Host() as host:
        try:
            host.start(fake)
        except OSError as error:
            sys.stderr.write(f"{name}: {error}\n")
            return UNUSABLE
        except refused as error:
            sys.stderr.write(f"{name}: {error}\n")
            return WRONG_USE
        _collect_rarely()
        sys.stdout.write(json.dumps(addresses(fake)) + "\n")
        sys.stdout.flush()
        stop.wait()
    sys.stderr.flush()
    # Everything is closed. Taking the rest apart object by object would take seconds when many tasks wait.
    os._exit(0)


def _collect_rarely() -> None:
    """Tell the garbage collector that what a fake keeps is not garbage.

    Tasks and journal entries live long and form no cycles: looking through all of them each time there are a
    quarter more was a tenth of what a CreateTask cost.
    """
    gc.freeze()
    gc.set_threshold(20_000, 20, 100)
