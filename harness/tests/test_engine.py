"""Without a container engine: --topology=containers says at once what to do, and nothing else needs one."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.profile import load
from harness.tests.conftest import ROOT, Project
from harness.topologies import engine
from harness.topologies.workshop import Workshop

_ANY = """
    @scenario("ANY-01", requires=["PROD-01"])
    def test_any(prod: System) -> None:
        '''Asks for nothing but a job.'''
        prod.assemble().settle().must_be_accepted()
"""
_NEEDS_CONTAINERS = """
    @scenario("NEEDS-01", requires=["PROD-01"], topology="containers")
    def test_declared(prod: System) -> None:
        '''Says that it needs containers.'''
        raise AssertionError("it ran")


    @scenario("NEEDS-02", requires=["PROD-01"])
    def test_undeclared(prod: System) -> None:
        '''Injects what only containers have.'''
        prod.inject(faults.WORKER_PARTITIONED)
        raise AssertionError("it went on")
"""


@pytest.fixture
def no_engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no-engine.sock")


@pytest.mark.usefixtures("no_engine")
def test_it_fails_at_once_and_says_what_to_start(project: Project) -> None:
    project.write("test_any.py", _ANY)

    code, output = project.run("--topology=containers")

    assert code == pytest.ExitCode.USAGE_ERROR
    assert "no container engine answers" in output
    assert "apt-get install docker.io" in output
    assert "scripts/container-engine" in output
    assert not project.run_folder.exists()


@pytest.mark.usefixtures("no_engine")
def test_processes_need_none_and_say_what_is_not_applicable(project: Project) -> None:
    project.write("test_any.py", _ANY)
    project.write("test_needs.py", _NEEDS_CONTAINERS)

    code, output = project.run()

    assert code == 0, output
    assert project.verdicts() == {
        "ANY-01": "PASS",
        "NEEDS-01": "NOT_APPLICABLE",
        "NEEDS-02": "NOT_APPLICABLE",
    }
    assert "--topology=containers" in project.messages()["NEEDS-01"]
    assert "worker-partitioned" in project.messages()["NEEDS-02"]


def test_an_unknown_topology_is_wrong_usage(project: Project) -> None:
    project.write("test_any.py", _ANY)
    code, output = project.run("--topology=clouds")
    assert code == pytest.ExitCode.USAGE_ERROR
    assert "known are processes, containers" in output
    with pytest.raises(UsageError, match="known are processes, containers"):
        Workshop(load(ROOT / "reference_impl/dispatchcheck.toml"), "clouds")


def test_an_engine_elsewhere_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    class Elsewhere:
        class api:  # noqa: N801 - the client's name
            base_url = "http://engine.example:2375"

        def ping(self) -> None: ...

    monkeypatch.setattr("docker.from_env", lambda **_: Elsewhere())
    with pytest.raises(UsageError, match="cannot reach them"):
        engine.connect()


def test_a_profile_without_an_image_is_told_so() -> None:
    profile = load(ROOT / "reference_impl/dispatchcheck.toml").model_copy(update={"containers": None})
    with pytest.raises(UsageError, match=r"has no \[containers\]"):
        engine.section_of(profile)
