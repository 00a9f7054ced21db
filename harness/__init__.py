"""Drives a dispatcher, records what it does, and judges it.

The names here are what scenarios use; everything else is the harness's own. What stands behind a name is imported when
it is first asked for: a process that needs a part of the harness does not wait for all of it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from harness.scenario import scenario  # now: later the module, which has the same name, would be taken for it

if TYPE_CHECKING:
    from harness import faults, matrix
    from harness.faults import Fault, Point
    from harness.matrix import Cells
    from harness.model import Mode, Route, Setting, Verdict
    from harness.oracles.cells import Cell
    from harness.outcome import Answer, Outcome
    from harness.topologies.inprocess import InProcess
    from harness.topologies.system import System

__all__ = [
    "Answer",
    "Cell",
    "Cells",
    "Fault",
    "InProcess",
    "Mode",
    "Outcome",
    "Point",
    "Route",
    "Setting",
    "System",
    "Verdict",
    "faults",
    "matrix",
    "scenario",
]

_WHERE = {
    "Answer": "harness.outcome",
    "Cell": "harness.oracles.cells",
    "Cells": "harness.matrix",
    "Fault": "harness.faults",
    "InProcess": "harness.topologies.inprocess",
    "Mode": "harness.model",
    "Outcome": "harness.outcome",
    "Point": "harness.faults",
    "Route": "harness.model",
    "Setting": "harness.model",
    "System": "harness.topologies.system",
    "Verdict": "harness.model",
}


if not TYPE_CHECKING:  # else a name that is not there would be one of any type

    def __getattr__(name: str) -> Any:
        """Import what stands behind a name. Source: PEP 562."""
        if name in ("faults", "matrix"):
            return importlib.import_module(f"harness.{name}")
        if name not in _WHERE:
            raise AttributeError(f"module 'harness' has no name {name!r}; it has {', '.join(__all__)}")
        value = globals()[name] = getattr(importlib.import_module(_WHERE[name]), name)
        return value
