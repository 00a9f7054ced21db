"""An environment that must not be guessed, in every combination with the rest of the configuration."""

from __future__ import annotations

import pytest

from harness import Cells, InProcess, matrix, scenario


@scenario("CONF-MATRIX-01", requires=["CONF-08"], level="extended")
@pytest.mark.parametrize("cells", matrix.strict(), ids=str)
def test_an_environment_is_never_guessed(decisions: InProcess, cells: Cells) -> None:
    """Whatever else is configured: a misspelt environment stops the process, none under Cloud Run is production."""
    outcome = decisions.run(cells)

    outcome.must_agree_with_the_decision_table()
