"""A run that shows nothing is never green: each way of showing nothing is red, with a message of its own."""

from __future__ import annotations

from harness.tests.conftest import Project, reference_profile


def test_a_passing_test_is_turned_red_by_what_it_does_not_show(project: Project) -> None:
    project.write(
        "test_silent.py",
        """
        @scenario("GOOD-01", requires=["PROD-01"])
        def test_good(prod: System) -> None:
            '''A scenario that is all right.'''
            prod.assemble().settle().must_take(Route.CLOUD_TASKS)


        @scenario("NOTHING-01", requires=["PROD-01"])
        def test_expects_nothing(prod: System) -> None:
            '''A scenario that expects nothing.'''
            prod.assemble().settle()


        @scenario("UNUSED-01", requires=["PROD-01"])
        def test_uses_no_system() -> None:
            '''A scenario without a system.'''


        @scenario("UNFIRED-01", requires=["PROD-05"])
        def test_fault_never_strikes(prod: System) -> None:
            '''A fault at the worker, which nobody calls.'''
            prod.cloud_tasks.inject(faults.CLOUD_TASKS_UNAVAILABLE)
            prod.worker.inject(faults.WORKER_INTERNAL_ERROR)
            prod.config.unset(Setting.WORKER_URL)
            prod.assemble().settle().must_have_one_effect()


        @scenario("SKIP-01", requires=["PROD-01"])
        @pytest.mark.skip(reason="not today")
        def test_skipped(prod: System) -> None:
            '''A scenario that is skipped.'''


        @scenario("XFAIL-01", requires=["PROD-01"])
        @pytest.mark.xfail(reason="a known bug", strict=True)
        def test_expected_to_fail(prod: System) -> None:
            '''A scenario that is expected to fail, and passes.'''
            prod.assemble().settle().must_be_accepted()


        @scenario("LEAK-01", requires=["CONF-06"])
        def test_secret_in_a_url(dev: System) -> None:
            '''A secret that the dispatcher is made to show in its banner.'''
            dev.config.set_in_process(Setting.WORKER_URL, f"{dev.worker.url}/{dev.secret}")
            dev.assemble().settle().must_be_accepted()
        """,
    )

    code, output = project.run()

    assert code == 1
    assert project.verdicts() == {
        "GOOD-01": "PASS",
        "NOTHING-01": "INCONCLUSIVE",
        "UNUSED-01": "INCONCLUSIVE",
        "UNFIRED-01": "INCONCLUSIVE",
        "SKIP-01": "INCONCLUSIVE",
        "XFAIL-01": "FAIL",
        "LEAK-01": "FAIL",
    }
    messages = project.messages()
    assert "the scenario expected nothing" in messages["NOTHING-01"]
    assert "uses no system under test" in messages["UNUSED-01"]
    assert "never struck" in messages["UNFIRED-01"]
    assert "not today" in messages["SKIP-01"]
    assert "the secret nowhere" in messages["LEAK-01"]
    assert project.results["verdict"] == "FAIL"
    assert "verdict: FAIL" in output


def test_each_fault_that_never_struck_and_each_surprise_turns_a_passing_test_red(project: Project) -> None:
    project.write(
        "test_surprises.py",
        """
        @scenario("HEALED-01", requires=["PROD-01"])
        def test_a_fault_healed_before_it_struck(prod: System) -> None:
            '''A fault that is lifted before anybody meets it.'''
            prod.worker.inject(faults.WORKER_UNAVAILABLE)
            prod.worker.heal()
            prod.assemble().settle().must_take(Route.CLOUD_TASKS)


        @scenario("LISTENER-01", requires=["PROD-01"])
        def test_a_listener_that_nobody_meets(prod: System) -> None:
            '''A broken port that nobody connects to.'''
            prod.worker.inject(faults.WORKER_RESETS_AT_HEAD)
            prod.config.unset(Setting.WORKER_URL)
            prod.assemble().settle().must_have_one_effect(on=Route.INLINE)


        @scenario("POINT-01", requires=["PROD-01"])
        def test_a_point_that_does_not_come(prod: System) -> None:
            '''A pause that waits for an event of development.'''
            job = prod.assemble().settle()
            prod.inject(faults.WORKER_PAUSED.at(faults.logged("dev.local_start", by="api")))
            job.must_take(Route.CLOUD_TASKS)


        @scenario("UNEXPECTED-01", requires=["PROD-01"])
        def test_a_request_that_no_fake_knows(prod: System) -> None:
            '''A request at the worker before there is one.'''
            prod.send("worker", "POST", prod.worker.task_url, b"", {}).must_be(502)
            prod.settle().must_have_no_effect()


        @scenario("UNPARSED-01", requires=["PROD-01"])
        def test_a_line_that_cannot_be_read(prod: System) -> None:
            '''A line that begins like an event and breaks off.'''
            prod.start()
            with open(f"/proc/{prod._api.process.pid}/fd/1", "w") as log:
                log.write('event="tasks.cloud.enqueued episode_id=\\n')
            prod.assemble().settle().must_take(Route.CLOUD_TASKS)
        """,
    )

    code, _ = project.run()

    messages = project.messages()
    assert (code, project.verdicts()) == (
        1,
        {
            "HEALED-01": "INCONCLUSIVE",
            "LISTENER-01": "INCONCLUSIVE",
            "POINT-01": "INCONCLUSIVE",
            "UNEXPECTED-01": "FAIL",
            "UNPARSED-01": "INCONCLUSIVE",
        },
    ), messages
    assert "worker-503 never struck" in messages["HEALED-01"]
    assert "worker-resets-at-head never struck" in messages["LISTENER-01"]
    assert "worker-paused never struck" in messages["POINT-01"]
    assert "requests that the fakes know" in messages["UNEXPECTED-01"]
    assert "look like events and cannot be read" in messages["UNPARSED-01"]


def test_nothing_collected_is_no_pass(project: Project) -> None:
    code, _ = project.run()

    assert code == 5
    assert not (project.run_folder / "results.json").exists()


def test_without_an_end_event_nothing_is_judged_while_a_caller_still_hangs(project: Project) -> None:
    project.write(
        "test_hanging.py",
        """
        @scenario("HANG-01", requires=["ONCE-03"], level="extended")
        @pytest.mark.parametrize("fault", [faults.WORKER_ANSWERS_LATE, faults.WORKER_HALF_OPEN], ids=str)
        def test_the_job_has_its_effect_and_the_api_still_waits(prod: System, fault) -> None:
            '''The effect is there at once; what the API does when it gives up belongs to the run.'''
            prod.cloud_tasks.inject(faults.CLOUD_TASKS_UNAVAILABLE)
            prod.worker.inject(fault)
            outcome = prod.assemble().settle()
            outcome.must_take(Route.CLOUD_TASKS.failed, Route.WORKER_DIRECT.failed, Route.INLINE)
            outcome.must_log_once("assemble.service.falling_back_to_inline")
        """,
    )
    profile = project.folder / "without-end-event.toml"
    text = reference_profile()
    assert text.count('"settled-event", ') == 1
    profile.write_text(text.replace('"settled-event", ', ""), encoding="utf-8")

    code, output = project.run(f"--profile={profile}")

    assert code == 0, output


def test_everything_not_applicable_is_no_pass(project: Project) -> None:
    project.write(
        "test_extended.py",
        """
        @scenario("EXT-01", requires=["CONF-08"], level="extended")
        def test_needs_a_capability(prod: System) -> None:
            '''Needs a capability that the profile does not claim.'''
        """,
    )
    profile = project.folder / "modest.toml"
    text = reference_profile().replace(
        'capabilities = ["idempotent", "durable", "settled-event", "strict-config"]', "capabilities = []"
    )
    profile.write_text(text, encoding="utf-8")

    code, _ = project.run(f"--profile={profile}")

    assert code == 1
    assert project.verdicts() == {"EXT-01": "NOT_APPLICABLE"}
    assert project.results["verdict"] == "INCONCLUSIVE"
    assert project.results["reasons"][0] == "no scenario was applicable"


def test_an_unknown_requirement_stops_the_run_and_names_the_known_ones(project: Project) -> None:
    project.write(
        "test_unknown.py",
        """
        @scenario("UNKNOWN-01", requires=["PROD-99"])
        def test_unknown(prod: System) -> None:
            '''Proves a requirement that does not exist.'''
        """,
    )

    code, output = project.run()

    assert code == 4
    assert "UNKNOWN-01 names the unknown requirement 'PROD-99'; known are PROD-01, PROD-02" in output


def test_a_test_among_scenarios_that_is_none_stops_the_run(project: Project) -> None:
    project.write("test_plain.py", "\n\ndef test_plain() -> None:\n    assert True\n")

    code, output = project.run()

    assert code == 4
    assert "test_plain is not a scenario; declare it with @scenario" in output


def test_two_scenarios_with_one_id_stop_the_run(project: Project) -> None:
    body = """
        @scenario("TWICE-01", requires=["PROD-01"])
        def test_it(prod: System) -> None:
            '''The same id in two files.'''
        """
    project.write("test_a.py", body)
    project.write("test_b.py", body)

    code, output = project.run()

    assert code == 4
    assert "the scenario id TWICE-01 is used by" in output


def test_a_scenario_that_never_ran_is_missed(project: Project) -> None:
    project.write(
        "test_stop.py",
        """
        @scenario("STOP-01", requires=["PROD-01"])
        def test_first(prod: System) -> None:
            '''Fails, and the run stops.'''
            prod.assemble().settle().must_take(Route.INLINE)


        @scenario("STOP-02", requires=["PROD-01"])
        def test_second(prod: System) -> None:
            '''Never runs.'''
        """,
    )

    project.run("-x")

    assert project.verdicts() == {"STOP-01": "FAIL"}
    assert any("1 selected scenario(s) left no verdict" in reason for reason in project.results["reasons"])


def test_everything_skipped_is_no_pass(project: Project) -> None:
    project.write(
        "test_skipped.py",
        """
        @scenario("SKIP-01", requires=["PROD-01"])
        @pytest.mark.skip(reason="not today")
        def test_skipped(prod: System) -> None:
            '''A scenario that is skipped.'''
        """,
    )

    code, _ = project.run()

    assert code == 1
    assert project.verdicts() == {"SKIP-01": "INCONCLUSIVE"}
    assert project.results["verdict"] == "INCONCLUSIVE"


def test_everything_deselected_is_no_pass(project: Project) -> None:
    project.write(
        "test_good.py",
        """
        @scenario("GOOD-01", requires=["PROD-01"])
        def test_good(prod: System) -> None:
            '''A scenario that is all right.'''
        """,
    )

    code, _ = project.run("-k", "no_such_scenario")

    assert code == 5
    assert not (project.run_folder / "results.json").exists()


def test_a_path_that_does_not_exist_is_no_pass(project: Project) -> None:
    code, output = project.run("scenarios/nowhere")

    assert code == 4
    assert "nowhere" in output


def test_in_a_whole_run_a_requirement_without_scenario_and_without_reason_is_no_pass(
    project: Project,
) -> None:
    project.write(
        "test_good.py",
        """
        @scenario("GOOD-01", requires=["PROD-01"])
        def test_good(prod: System) -> None:
            '''A scenario that is all right.'''
            prod.assemble().settle().must_take(Route.CLOUD_TASKS)
        """,
    )

    code, _ = project.run("--whole")

    assert code == 1
    assert project.verdicts() == {"GOOD-01": "PASS"}
    assert project.results["verdict"] == "INCONCLUSIVE"
    (reason,) = project.results["reasons"]
    assert reason.startswith("no scenario, and no stated reason why there is none, for: DEV-01, ")
    assert "LIVE-01" not in reason, "the list says why no scenario proves it"
    assert "PROD-01" not in reason


def test_an_expected_failure_that_passes_is_no_pass_though_pytest_would_let_it(project: Project) -> None:
    project.write(
        "test_xfail.py",
        """
        @scenario("XFAIL-01", requires=["PROD-01"])
        @pytest.mark.xfail(reason="a known bug", strict=False)
        def test_expected_to_fail(prod: System) -> None:
            '''A scenario that may fail, and passes.'''
            prod.assemble().settle().must_be_accepted()
        """,
    )

    code, _ = project.run()

    assert (code, project.verdicts()) == (1, {"XFAIL-01": "FAIL"})
    assert "a known bug" in project.messages()["XFAIL-01"]


def test_a_worker_of_xdist_that_crashes_is_no_pass(project: Project) -> None:
    project.write(
        "test_crash.py",
        """
        import os
        import signal


        @scenario("CRASH-01", requires=["PROD-01"])
        def test_crashes(prod: System) -> None:
            '''Takes the process of its tests with it.'''
            os.kill(os.getpid(), signal.SIGKILL)


        @scenario("GOOD-01", requires=["PROD-01"])
        def test_good(prod: System) -> None:
            '''A scenario that is all right.'''
            prod.assemble().settle().must_take(Route.CLOUD_TASKS)
        """,
    )

    code, _ = project.run("-n", "2")

    assert code == 1
    assert project.verdicts() == {"GOOD-01": "PASS"}
    assert project.results["verdict"] == "INCONCLUSIVE"
    assert not project.results["complete"]
    assert any("CRASH" in text or "test_crashes" in text for text in project.results["reasons"])


def test_evidence_that_is_corrupt_is_no_pass(project: Project) -> None:
    project.write(
        "test_corrupt.py",
        """
        from pathlib import Path


        @scenario("GOOD-01", requires=["PROD-01"])
        def test_good(prod: System, request: pytest.FixtureRequest) -> None:
            '''A scenario that is all right, and spoils the evidence of another one.'''
            prod.assemble().settle().must_take(Route.CLOUD_TASKS)
            folder = Path(request.config.getoption("dc_run_folder")) / "evidence" / "OTHER-01"
            folder.mkdir(parents=True)
            (folder / "verdict.json").write_text('{"version": 1, "verdict": "PA')
        """,
    )

    code, output = project.run()

    assert code not in (0, 5)
    assert "corrupt evidence: OTHER-01/verdict.json" in output
    assert not project.results["complete"]
    assert project.results["verdict"] != "PASS"
