"""The core matrix under pytest: the suites run all of it, and ``--cell`` runs one cell alone."""

from __future__ import annotations

import subprocess
import sys

from harness import matrix
from harness.model import Mode
from harness.tests.conftest import ROOT, Project, reference_profile

SUITES = ("scenarios/prod/test_matrix.py", "scenarios/dev/test_matrix.py", "scenarios/config/test_matrix.py")
ALONE = "app_env=production,cloud_tasks=unavailable,worker=503"
BODY = """
    from harness import Cell, Cells, InProcess, Mode, matrix

    @scenario("T-CELL-01", requires=["PROD-03"])
    @pytest.mark.parametrize("cells", matrix.outcomes(Mode.PROD)[:20], ids=str)
    def test_many(decisions: InProcess, cells: Cells) -> None:
        '''Many cells.'''
        decisions.run(cells).must_agree_with_the_decision_table()

    @scenario("T-CELL-02", requires=["PROD-03"])
    @pytest.mark.parametrize("cell", [Cell("dev"), Cell("prod")], ids=str)
    def test_one(prod: System, cell: Cell) -> None:
        '''One cell.'''
        prod.run(cell).must_agree_with_the_decision_table(cell)
"""


def test_the_suites_run_every_group_of_the_core_matrix() -> None:
    command = [
        sys.executable,
        "-m",
        "pytest",
        "--collect-only",
        "-q",
        "-p",
        "no:randomly",
        "-p",
        "no:cacheprovider",
        *SUITES,
    ]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True).stdout
    collected = [line.split("::")[1] for line in listed.splitlines() if "::" in line]
    wanted = [f"test_an_environment_is_never_guessed[{group}]" for group in matrix.strict()]
    for mode in Mode:
        wanted += [f"test_every_outcome[{group}]" for group in matrix.outcomes(mode)]
        wanted += [f"test_every_lost_answer[{group}]" for group in matrix.lost_answers(mode)]
        wanted += [f"test_every_two_odd_settings[{group}]" for group in matrix.configurations(mode)]
        wanted += [f"test_selected_cells_with_real_processes[{at}]" for at in matrix.selected(mode)]

    assert sorted(collected) == sorted(wanted)


def test_a_cell_runs_alone(project: Project) -> None:
    project.write("test_cells.py", BODY)

    code, output = project.run(f"--cell={ALONE}")

    assert code == 0, output
    assert "1 passed, 21 deselected" in output
    (scenario,) = project.results["scenarios"]
    assert scenario["account"]["expectations"] == [{"what": "agrees with the decision table in 1 cells"}]


def test_a_cell_of_processes_runs_alone(project: Project) -> None:
    project.write("test_cells.py", BODY)

    code, output = project.run("--cell=app_env=prod")

    assert code == 0, output
    assert "1 passed, 21 deselected" in output


def test_a_cell_that_is_in_no_scenario_is_a_usage_error(project: Project) -> None:
    project.write("test_cells.py", BODY)

    code, output = project.run("--cell=app_env=local")

    assert code == 4
    assert "no scenario here runs the cell app_env=local" in output


def test_a_cell_that_is_none_is_a_usage_error(project: Project) -> None:
    project.write("test_cells.py", BODY)

    code, output = project.run("--cell=app_env=moon")

    assert code == 4
    assert "has no app_env=moon; the classes are production, prod" in output


def test_many_cells_are_counted_and_can_be_judged_again(project: Project) -> None:
    project.write("test_cells.py", BODY)

    code, output = project.run("-k", "test_many and unavailable")
    again = subprocess.run(
        [sys.executable, "-m", "harness.cli", "replay", str(project.run_folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert code == 0, output
    (scenario,) = project.results["scenarios"]
    count = len(next(group for group in matrix.outcomes(Mode.PROD) if group.name == "unavailable").cells)
    assert scenario["account"]["expectations"] == [
        {"what": f"agrees with the decision table in {count} cells"}
    ]
    assert again.returncode == 0, again.stdout + again.stderr


def test_a_scenario_without_a_cell_shows_nothing(project: Project) -> None:
    body = """
    from harness import Cells, InProcess

    @scenario("T-CELL-03", requires=["PROD-03"])
    def test_none(decisions: InProcess) -> None:
        '''No cell.'''
        decisions.run(Cells("none", tuple)).must_agree_with_the_decision_table()
    """
    project.write("test_cells.py", body)

    code, output = project.run()

    assert code == 1
    assert project.verdicts() == {"T-CELL-03": "INCONCLUSIVE"}
    assert "no cell was run: nothing is known of the dispatcher" in output


def test_without_an_adapter_the_matrix_is_not_applicable_and_no_pass(project: Project) -> None:
    profile = project.folder / "without.toml"
    before, _, rest = reference_profile().partition("[inprocess]")
    profile.write_text(before + rest[rest.index("[storage]") :], encoding="utf-8")
    project.write("test_cells.py", BODY)

    code, output = project.run("-k", "test_many", f"--profile={profile}")

    assert code == 1
    assert set(project.verdicts().values()) == {"NOT_APPLICABLE"}
    assert "has no [inprocess]: its decisions cannot be run alone" in next(iter(project.messages().values()))
    assert "verdict: INCONCLUSIVE" in output
