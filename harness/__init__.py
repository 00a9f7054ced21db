"""Drives a dispatcher, records what it does, and judges it.

The names here are what scenarios use; everything else is the harness's own.
"""

from harness import faults, matrix
from harness.faults import Fault, Point
from harness.matrix import Cells
from harness.model import Mode, Route, Setting, Verdict
from harness.oracles.cells import Cell
from harness.outcome import Answer, Outcome
from harness.scenario import scenario
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
