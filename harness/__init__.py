"""Drives a dispatcher, records what it does, and judges it.

The names here are what scenarios use; everything else is the harness's own.
"""

from harness import faults
from harness.faults import Fault, Point
from harness.model import Mode, Route, Setting, Verdict
from harness.outcome import Answer, Outcome
from harness.scenario import scenario
from harness.topologies.system import System

__all__ = [
    "Answer",
    "Fault",
    "Mode",
    "Outcome",
    "Point",
    "Route",
    "Setting",
    "System",
    "Verdict",
    "faults",
    "scenario",
]
