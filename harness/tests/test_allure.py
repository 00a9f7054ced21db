"""With --alluredir, a scenario's title, labels, steps and attachments are in its Allure result."""

from __future__ import annotations

import json

from harness.tests.conftest import Project


def test_a_scenario_says_in_allure_what_it_proved(project: Project) -> None:
    project.write(
        "test_allure.py",
        """
        @scenario("ALLURE-01", requires=["PROD-01", "PROD-02"])
        @pytest.mark.parametrize("fault", [faults.CLOUD_TASKS_REFUSES[0]], ids=str)
        def test_good(prod: System, fault) -> None:
            '''One job goes through.'''
            prod.cloud_tasks.inject(fault)
            outcome = prod.assemble().settle()
            prod.ledger.figure("answer", outcome.job.answer_s, "s", at_most=5)
            outcome.must_take(Route.CLOUD_TASKS.failed, Route.WORKER_DIRECT)
            outcome.must_take(Route.INLINE)
        """,
    )
    results = project.folder / "allure"

    project.run(f"--alluredir={results}")

    (path,) = results.glob("*-result.json")
    result = json.loads(path.read_text("utf-8"))
    (scenario,) = project.results["scenarios"]
    assert result["name"] == f"{scenario['folder']} One job goes through."
    assert scenario["folder"].startswith("ALLURE-01-cloud-tasks-")
    assert [(each["name"], each["value"]) for each in result["parameters"]] == [
        ("fault", repr(scenario["folder"].removeprefix("ALLURE-01-")))
    ]
    assert [(link["name"], link["url"]) for link in result["links"]] == [
        ("PROD-01", "checklist.html#requirement-PROD-01"),
        ("PROD-02", "checklist.html#requirement-PROD-02"),
    ]
    assert result["description"].startswith("One job goes through.\n\n- **PROD-01** healthy: ")
    assert f"sut=reference {project.results['run']['identity']['sut']['digest']}" in (
        results / "environment.properties"
    ).read_text("utf-8")
    assert result["status"] == "failed"
    labels = {(label["name"], label["value"]) for label in result["labels"]}
    assert {
        ("requirement", "PROD-01"),
        ("requirement", "PROD-02"),
        ("level", "core"),
        ("suite", "ALLURE"),
    } <= labels
    assert [(step["name"], step["status"]) for step in result["steps"]] == [
        ("takes cloud_tasks failed → worker_direct served", "passed"),
        ("takes inline served", "failed"),
    ]
    attached = {attachment["name"] for attachment in result["attachments"]}
    evidence = {"journal.jsonl", "api.log", "worker.log", "verdict.json"}
    assert evidence | {"diagram.svg", "figures.tsv"} <= attached
    (figure,) = scenario["figures"]
    assert (figure["name"], figure["unit"], figure["at_most"]) == ("answer", "s", 5)
    assert 0 < figure["value"] < 5


def test_without_a_folder_nothing_is_drawn_for_allure(project: Project) -> None:
    """To draw costs more than a scenario does besides, and loads all that writes reports into every test process."""
    project.write(
        "test_plain.py",
        """
        import sys

        @scenario("ALLURE-02", requires=["PROD-01"])
        def test_first(prod: System) -> None:
            '''One job goes through.'''
            prod.assemble().settle().must_take(Route.CLOUD_TASKS)

        @scenario("ALLURE-03", requires=["PROD-01"])
        def test_second(prod: System) -> None:
            '''After it, what draws is not loaded, although Allure is.'''
            assert "allure" in sys.modules
            assert "reports" not in sys.modules
            prod.assemble().settle().must_take(Route.CLOUD_TASKS)
        """,
    )

    code, output = project.run("-n1")

    assert (code, project.verdicts()) == (0, {"ALLURE-02": "PASS", "ALLURE-03": "PASS"}), output
