"""What an engineer does at a desk: the debugger, -k, -x, --lf, random order, xdist's ways to divide the work."""

from __future__ import annotations

import json
import re
from pathlib import Path

import httpx

from harness.tests.conftest import Project, alive

_SUITE = """
    @scenario("DESK-01", requires=["PROD-01"])
    @pytest.mark.parametrize("number", range(3))
    def test_a_job(prod: System, number: int) -> None:
        '''A healthy job.'''
        prod.assemble().settle().must_take(Route.CLOUD_TASKS)


    @scenario("DESK-02", requires=["PROD-01"])
    @pytest.mark.xdist_group("one")
    def test_an_expectation_that_is_wrong(prod: System) -> None:
        '''A healthy job of which something else is expected.'''
        prod.assemble().settle().must_take(Route.INLINE)


    @scenario("DESK-03", requires=["DEV-02"])
    @pytest.mark.xdist_group("one")
    def test_in_development(dev: System) -> None:
        '''A healthy job in development.'''
        dev.assemble().settle().must_take(Route.WORKER_DIRECT)
    """
_UP_TO_THE_FAILURE = [("DESK-01", "PASS")] * 3 + [("DESK-02", "FAIL")]
_ALL = [*_UP_TO_THE_FAILURE, ("DESK-03", "PASS")]


def test_the_debugger_finds_the_system_alive_and_is_told_where(project: Project) -> None:
    project.write("test_desk.py", _SUITE)
    process = project.start("--pdb", "-k", "wrong")
    assert process.stdin is not None
    assert process.stdout is not None
    said = ""
    while "(Pdb)" not in said:
        read = process.stdout.read(1)
        assert read, said
        said += read

    assert "is alive, and stays so until you continue" in said
    found = re.findall(r"^  (api|worker) +(http://\S+)  pid (\d+)  in (\S+)$", said, re.MULTILINE)
    assert [role for role, *_ in found] == ["api", "worker"]
    for _, url, pid, folder in found:
        assert httpx.get(url + "/healthz").status_code == 200
        assert Path(f"/proc/{pid}/cwd").readlink() == Path(folder)
    (journal,) = re.findall(r"gateway .* control (\S+)", said)
    assert [each["kind"] for each in httpx.get(journal).json()["exchanges"]] == ["request", "reply"]
    (state,) = re.findall(r"cloud_tasks .* control (\S+)", said)
    assert httpx.get(state).status_code == 200
    (evidence,) = re.findall(r"^  evidence +(\S+)", said, re.MULTILINE)
    assert "worker.assemble.start" in (Path(evidence) / "worker.log").read_text()

    process.stdin.write("len(prod.journal.observations) > 10\nc\n")
    process.stdin.flush()
    rest = process.communicate(timeout=60)[0]
    assert "True" in rest
    assert process.returncode == 1
    assert project.verdicts() == {"DESK-02": "FAIL"}
    assert not any(alive(int(pid)) for _, _, pid, _ in found)


def test_a_part_of_the_scenarios_is_judged_as_a_part(project: Project) -> None:
    project.write("test_desk.py", _SUITE)
    cache = f"-o=cache_dir={project.folder / 'cache'}"

    assert run(project, "k", "-k", "development") == (0, [("DESK-03", "PASS")])
    assert run(project, "x", "-x", cache) == (1, _UP_TO_THE_FAILURE)
    assert run(project, "lf", "--lf", cache) == (1, [("DESK-02", "FAIL")])
    assert run(project, "random", "--randomly-seed=7") == (1, _ALL)


def test_every_way_to_divide_the_work_gives_the_same_verdicts(project: Project) -> None:
    project.write("test_desk.py", _SUITE)

    assert run(project, "group", "-n=2", "--dist=loadgroup", "--randomly-seed=1") == (1, _ALL)
    assert run(project, "steal", "-n=2", "--dist=worksteal", "--randomly-seed=2") == (1, _ALL)


def run(project: Project, folder: str, *options: str) -> tuple[int, list[tuple[str, str]]]:
    """The exit code and the verdicts of one run, which has a folder of its own."""
    code, output = project.run(*options, f"--run-folder={project.folder / folder}")
    results = project.folder / folder / "results.json"
    assert results.exists(), output
    rows = json.loads(results.read_text("utf-8"))["scenarios"]
    return code, sorted((row["scenario"], row["verdict"]) for row in rows)
