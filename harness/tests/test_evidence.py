from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import evidence
from harness.errors import Finding, UsageError
from harness.evidence import ScenarioResult
from harness.ledger import Check
from harness.model import Verdict
from harness.tests.build import SECRET, Fact, answer, effect, event, journal, log, request, rpc, stimulus

RESULT = ScenarioResult(
    scenario="PROD-X-01",
    node="scenarios/prod/test_x.py::test_x[a b]",
    title="It works.",
    requires=("PROD-01", "ONCE-01"),
    level="core",
    verdict=Verdict.FAIL,
    duration_s=1.25,
    blame="sut",
    message="expected → observed\n",
    checks=("met: is accepted", "not met: has one effect"),
    folder="PROD-X-01-a",
    figures=({"name": "throughput", "value": 41.7, "unit": "jobs/s", "at_least": 20},),
)


def files_of(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text("utf-8") for path in folder.rglob("*") if path.is_file()}


def corrupt(run: Path, text: str) -> None:
    folder = run / "evidence" / "X-01"
    folder.mkdir(parents=True)
    (folder / "verdict.json").write_text(text, encoding="utf-8")


def test_a_result_survives_the_disk(tmp_path: Path) -> None:
    evidence.write_result(tmp_path, RESULT)

    assert evidence.read_results(tmp_path) == [RESULT]
    assert list(files_of(tmp_path)) == ["verdict.json"]


@given(st.text(), st.sampled_from(Verdict), st.lists(st.text()))
def test_any_message_survives_the_disk(
    tmp_path_factory: pytest.TempPathFactory, message: str, verdict: Verdict, checks: list[str]
) -> None:
    run = tmp_path_factory.mktemp("run")
    result = replace(RESULT, message=message, verdict=verdict, checks=tuple(checks))

    evidence.write_result(run, result)

    assert evidence.read_results(run) == [result]


def test_results_are_read_in_the_order_of_their_scenarios(tmp_path: Path) -> None:
    for scenario, node in (("B-01", "n"), ("A-02", "z"), ("A-02", "a")):
        result = replace(RESULT, scenario=scenario, node=node, folder=f"{scenario}-{node}")
        evidence.write_result(tmp_path, result)

    assert [(r.scenario, r.node) for r in evidence.read_results(tmp_path)] == [
        ("A-02", "a"),
        ("A-02", "z"),
        ("B-01", "n"),
    ]


def test_a_run_without_evidence_has_no_results(tmp_path: Path) -> None:
    assert evidence.read_results(tmp_path) == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        "{}",
        '{"version": 1}',
        json.dumps({"version": 1, "requires": [], "checks": [], "verdict": "PERFECT"}),
        json.dumps({"version": 1, "requires": 5, "checks": [], "verdict": "PASS"}),
        json.dumps({"version": 1, "requires": [], "checks": [], "verdict": "PASS", "unknown": 1}),
    ],
)
def test_a_corrupt_verdict_is_named(tmp_path: Path, text: str) -> None:
    corrupt(tmp_path, text)

    with pytest.raises(UsageError, match=r"corrupt evidence: X-01/verdict\.json: "):
        evidence.read_results(tmp_path)


@pytest.mark.parametrize("version", [0, 2, "1", None])
def test_a_verdict_of_another_version_is_told_so(tmp_path: Path, version: object) -> None:
    corrupt(tmp_path, json.dumps({"version": version, "of": "another form"}))

    with pytest.raises(UsageError, match=r"X-01/verdict\.json has version .*; this reads version 1"):
        evidence.read_results(tmp_path)


def test_the_facts_of_a_run_survive_the_disk(tmp_path: Path) -> None:
    evidence.write_run(tmp_path / "new", name="r", selected=["a"])

    assert evidence.read_run(tmp_path / "new") == {"version": 1, "name": "r", "selected": ["a"]}


@pytest.mark.parametrize("text", [None, "", "{"])
def test_what_is_no_run_folder_is_named(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "run.json").write_text(text)

    with pytest.raises(UsageError, match="is not a run folder"):
        evidence.read_run(tmp_path)


def test_observations_are_written_whole_and_logs_apart(tmp_path: Path) -> None:
    facts = [stimulus(), log("one"), log("two →", by="worker"), log("three", stream="stderr"), effect()]

    evidence.write_observations(tmp_path / "e", journal(*facts), [])

    files = files_of(tmp_path)
    assert sorted(files) == ["api.log", "journal.jsonl", "worker.log"]
    assert (files["api.log"], files["worker.log"]) == ("one\nthree\n", "two →\n")
    lines = [json.loads(line) for line in files["journal.jsonl"].splitlines()]
    assert [line["seq"] for line in lines] == [1, 2, 3, 4, 5]
    assert lines[4]["fields"]["role"] == "worker"
    assert {"at_s", "source", "kind", "text"} <= lines[0].keys()


def test_half_a_character_does_not_break_the_evidence(tmp_path: Path) -> None:
    evidence.write_observations(tmp_path, journal(Fact("api", "log", "\ud800", {"x": "\udfff"})), [])

    assert set(files_of(tmp_path)) == {"journal.jsonl", "api.log"}


def test_what_json_does_not_know_is_written_as_text(tmp_path: Path) -> None:
    evidence.write_observations(
        tmp_path, journal(Fact("api", "x", "t", {"bytes": b"\xff", "path": Path("/x")})), []
    )

    assert json.loads(files_of(tmp_path)["journal.jsonl"])["fields"] == {"bytes": "b'\\xff'", "path": "/x"}


@pytest.mark.parametrize("secret", [SECRET, 'quote" and \\ backslash', "Grüße, long enough"])
def test_secrets_are_masked_in_every_file(tmp_path: Path, secret: str) -> None:
    leak = f"auth={secret}."
    facts = [
        log(leak),
        event("a.b", detail=leak),
        log(json.dumps({"event": "a.b", "x": leak})),
        log(leak, by="worker"),
        request(headers=[["x", secret]], body=json.dumps({"a": leak})),
        rpc(),
        answer(body=leak),
    ]
    evidence.write_observations(tmp_path / "evidence" / "X", journal(*facts), [secret, SECRET])
    evidence.write_result(
        tmp_path, replace(RESULT, message=leak, checks=(leak,), title=leak, folder="X"), [secret, SECRET]
    )

    files = files_of(tmp_path)
    assert sorted(files) == ["api.log", "journal.jsonl", "verdict.json", "worker.log"]
    for name, text in files.items():
        for spelling in (secret, json.dumps(secret)[1:-1], SECRET):
            assert spelling not in text, name
        assert "[secret]" in text
    for line in files["journal.jsonl"].splitlines():
        json.loads(line)
    assert evidence.read_results(tmp_path)[0].message == "auth=[secret]."


def test_a_folder_is_named_after_the_scenario_and_its_parameter() -> None:
    assert evidence.folder_name("X-01", "f.py::test") == "X-01"
    assert evidence.folder_name("X-01", "f.py::test[worker-500]") == "X-01-worker-500"
    assert evidence.folder_name("X-01", "f.py::test[a[b]]").startswith("X-01-a-b-")


@pytest.mark.parametrize(
    "parameter", ["../../etc", "a/b", ".", "..", "", " ", "x" * 5000, "é" * 300, "\0", "a\nb"]
)
def test_a_folder_name_is_one_harmless_name(tmp_path: Path, parameter: str) -> None:
    name = evidence.folder_name("X-01", f"f.py::test[{parameter}]")

    (tmp_path / name).mkdir()
    assert (tmp_path / name).parent == tmp_path
    assert name.startswith("X-01")


@given(st.sets(st.text(max_size=30).filter(lambda text: text.isprintable() and "]" not in text), min_size=2))
def test_folder_names_differ_where_parameters_differ(parameters: set[str]) -> None:
    names = {evidence.folder_name("X-01", f"f.py::test[{parameter}]") for parameter in parameters}

    assert len(names) == len(parameters)


def test_long_parameters_that_end_differently_have_different_folders() -> None:
    names = {evidence.folder_name("X-01", f"f.py::test[{'x' * 400}{end}]") for end in "ab"}

    assert len(names) == 2


def test_run_names_are_unique_and_plain() -> None:
    names = {evidence.new_run_name() for _ in range(20)}

    assert len(names) > 15  # the clock's second and two random bytes
    assert all(name.replace("-", "").isalnum() for name in names)


def test_checks_as_text() -> None:
    checks = [Check("is accepted"), Check("has one effect", Finding("one", "none"))]

    assert evidence.checks_as_text(checks) == ("met: is accepted", "not met: has one effect")
