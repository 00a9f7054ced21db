"""Development, every combination: what the decision table says for a cell is what the dispatcher does."""

from __future__ import annotations

import pytest

from harness import Cell, Cells, InProcess, Mode, System, matrix, scenario


@scenario("DEV-MATRIX-01", requires=["DEV-01", "DEV-02", "DEV-04", "DEV-05", "DEV-07", "LOG-03"])
@pytest.mark.parametrize("cells", matrix.outcomes(Mode.DEV), ids=str)
def test_every_outcome(decisions: InProcess, cells: Cells) -> None:
    """Whatever the worker answers and whatever is configured, the job is the worker's or runs locally, once."""
    outcome = decisions.run(cells)

    outcome.must_agree_with_the_decision_table()


@scenario("DEV-MATRIX-02", requires=["ONCE-03", "DEV-07"], level="extended")
@pytest.mark.parametrize("cells", matrix.lost_answers(Mode.DEV), ids=str)
def test_every_lost_answer(decisions: InProcess, cells: Cells) -> None:
    """When the worker's answer is lost, the local run finds the job done, and it is assembled once."""
    outcome = decisions.run(cells)

    outcome.must_agree_with_the_decision_table()


@scenario("DEV-MATRIX-03", requires=["DEV-01", "DEV-05", "CONF-03", "CONF-04", "CONF-06"])
@pytest.mark.parametrize("cells", matrix.configurations(Mode.DEV), ids=str)
def test_every_two_odd_settings(decisions: InProcess, cells: Cells) -> None:
    """Any two settings that are odd, missing or invalid at the same time keep the job local, or are harmless."""
    outcome = decisions.run(cells)

    outcome.must_agree_with_the_decision_table()


@scenario("DEV-MATRIX-04", requires=["DEV-01", "DEV-02", "DEV-05", "DEV-07", "CONF-03", "CONF-04"])
@pytest.mark.parametrize("cell", matrix.selected(Mode.DEV), ids=str)
def test_selected_cells_with_real_processes(dev: System, cell: Cell) -> None:
    """With real processes and real faults, the same table holds."""
    outcome = dev.run(cell)

    outcome.must_agree_with_the_decision_table(cell)
