"""The core matrix in this very process, for a tool that changes the reference where it is imported: ``make mutation``.

A part of the cells of each group, evenly chosen: all of them take seconds, and such a tool runs them a thousand times,
each time in a fork of a process that has collected this file. So what can be made ready is made ready with it. No other
test run collects it.
"""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import sys
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

import pytest

from harness import matrix, profile
from harness.matrix import Cells
from harness.model import Mode, Setting
from harness.oracles import agreement
from harness.oracles.cells import Cell
from harness.oracles.conduct import Conduct
from harness.tests.conftest import ROOT
from harness.topologies.decisions import CELL_WITHIN_S, Runner
from harness.topologies.inprocess import decider_of

_OF_EACH = 40
_PROFILE = ROOT / "reference_impl" / "dispatchcheck.toml"


def _some(cells: Cells) -> Sequence[Cell]:
    return cells.cells[:: max(1, len(cells.cells) // _OF_EACH)]


_GROUPS = {
    f"{mode}-{cells}": _some(cells)
    for mode in Mode
    for cells in (*matrix.outcomes(mode), *matrix.lost_answers(mode), *matrix.configurations(mode))
} | {str(cells): _some(cells) for cells in matrix.strict()}
gc.collect()
gc.freeze()  # pytest collects garbage ten times in each fork: not what is here already


def _hung(seen: Conduct) -> NoReturn:
    """Fail the test; what catches even that is rung again, and ends the process, which is the fork of one change."""
    signal.signal(signal.SIGALRM, lambda *_: os._exit(1))
    signal.setitimer(signal.ITIMER_REAL, CELL_WITHIN_S)
    pytest.fail(seen.flaws[0])


class _Now(Runner):
    """Minds only its own business: whoever else is in this process may open connections."""

    running = False

    def _watch(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.running:
            super()._watch(event, arguments)


class Here:
    """The runner, with what it takes over only while cells run: standard output, the alarm, the path and httpx."""

    def __init__(self) -> None:
        self.profile = profile.load(_PROFILE, source=ROOT)
        before = sys.stdout, sys.stderr, signal.getsignal(signal.SIGALRM), list(sys.path)
        self._runner = _Now(decider_of(self.profile), _hung)
        self._streams, self._alarm = (sys.stdout, sys.stderr), signal.getsignal(signal.SIGALRM)
        sys.stdout, sys.stderr, _, sys.path[:] = before
        signal.signal(signal.SIGALRM, before[2])
        self._http = self._runner._world._router
        self._http.stop(
            clear=False, reset=False
        )  # other tests of this process, in any order, ask real servers

    def run(self, cells: Iterable[Cell]) -> list[tuple[Cell, Conduct]]:
        """Run cells, and say what came of each."""
        alarm = signal.signal(signal.SIGALRM, self._alarm)
        self._http.start()
        self._runner.running = True
        try:
            with contextlib.redirect_stdout(self._streams[0]), contextlib.redirect_stderr(self._streams[1]):
                return [(at, self._runner.run(at)) for at in cells]
        finally:
            self._runner.running = False
            self._http.stop(clear=False, reset=False)
            signal.signal(signal.SIGALRM, alarm)


@pytest.fixture(scope="session")
def here() -> Here:
    """One for the process: what it imports and hooks stays."""
    return Here()


@pytest.mark.parametrize("cells", _GROUPS.values(), ids=_GROUPS)
def test_the_cells_agree_with_the_decision_table(cells: Sequence[Cell], here: Here) -> None:
    variables = {setting: here.profile.variable(setting) for setting in Setting}

    for at, seen in here.run(cells):
        assert agreement.judge_one(at, seen, variables=variables, reasons=here.profile.reasons) is None
