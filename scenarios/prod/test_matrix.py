"""Production, every combination: what the decision table says for a cell is what the dispatcher does."""

from __future__ import annotations

import pytest

from harness import Cell, Cells, InProcess, Mode, System, matrix, scenario


@scenario(
    "PROD-MATRIX-01",
    requires=[
        "PROD-01",
        "PROD-02",
        "PROD-03",
        "PROD-04",
        "PROD-05",
        "PROD-06",
        "PROD-09",
        "PROD-12",
        "LOG-02",
        "LOG-03",
    ],
)
@pytest.mark.parametrize("cells", matrix.outcomes(Mode.PROD), ids=str)
def test_every_outcome(decisions: InProcess, cells: Cells) -> None:
    """Whatever the worker answers and whatever is configured, what Cloud Tasks did decides which way comes next."""
    outcome = decisions.run(cells)

    outcome.must_agree_with_the_decision_table()


@scenario("PROD-MATRIX-02", requires=["ONCE-01", "ONCE-02", "ONCE-03", "ONCE-07"], level="extended")
@pytest.mark.parametrize("cells", matrix.lost_answers(Mode.PROD), ids=str)
def test_every_lost_answer(decisions: InProcess, cells: Cells) -> None:
    """Whichever answer is lost, the next route takes the job with the same key, and it is assembled once."""
    outcome = decisions.run(cells)

    outcome.must_agree_with_the_decision_table()


@scenario(
    "PROD-MATRIX-03", requires=["CONF-03", "CONF-04", "CONF-07", "PROD-04", "PROD-06", "PROD-12", "CONF-06"]
)
@pytest.mark.parametrize("cells", matrix.configurations(Mode.PROD), ids=str)
def test_every_two_odd_settings(decisions: InProcess, cells: Cells) -> None:
    """Any two settings that are odd, missing or invalid at the same time lead to the way that is left."""
    outcome = decisions.run(cells)

    outcome.must_agree_with_the_decision_table()


@scenario("PROD-MATRIX-04", requires=["PROD-01", "PROD-03", "PROD-05", "PROD-06", "LOG-02", "LOG-03"])
@pytest.mark.parametrize("cell", matrix.selected(Mode.PROD), ids=str)
def test_selected_cells_with_real_processes(prod: System, cell: Cell) -> None:
    """With real processes and real faults, the same table holds."""
    outcome = prod.run(cell)

    outcome.must_agree_with_the_decision_table(cell)
