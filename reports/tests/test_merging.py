from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import cli, evidence, sealed, sharding
from harness.errors import UsageError
from harness.evidence import ScenarioResult
from harness.model import Verdict
from harness.sharding import Shard
from reports.merge import merge
from reports.results import results
from reports.schema import read_results
from reports.tests import made
from reports.writing import write_reports

NODES = st.text("abcdef", min_size=1, max_size=6)
DURATIONS = st.floats(0, 100, allow_nan=False)


def shards_of(whole: list[ScenarioResult], lost: set[str], count: int, **run: Any) -> list[dict[str, Any]]:
    """The results of each machine, when the scenarios are divided and some leave no verdict."""
    plan = sharding.plan([s.node for s in whole], {s.node: s.duration_s for s in whole}, count)
    documents = []
    for index, part in enumerate(plan.parts, 1):
        shard = {"index": index, "of": count, "plan": plan.digest, "total": plan.total}
        facts = made.run_facts(name=f"run-{index}", shard=shard, selected=list(part), **run)
        left = [s for s in whole if s.node in part and s.node not in lost]
        documents.append(results(facts, left, made.REQUIREMENTS))
    return documents


@st.composite
def runs(draw: st.DrawFn) -> tuple[list[ScenarioResult], set[str], int]:
    names = draw(st.lists(NODES, unique=True, max_size=12))
    whole = [
        made.scenario(
            name,
            draw(st.sampled_from(list(Verdict))),
            requires=tuple(draw(st.sets(st.sampled_from([*made.REQUIREMENTS]), min_size=1, max_size=2))),
            duration_s=draw(DURATIONS),
            blame=draw(st.sampled_from(["", "sut", "harness"])),
        )
        for name in names
    ]
    lost = {s.node for s in whole if draw(st.integers(0, 9)) == 0}
    return whole, lost, draw(st.integers(1, 5))


@given(runs(), st.randoms())
def test_shards_give_the_verdict_of_one_run(
    run: tuple[list[ScenarioResult], set[str], int], random: Any
) -> None:
    whole, lost, count = run
    left = sorted((s for s in whole if s.node not in lost), key=lambda s: (s.scenario, s.node))
    one = results(made.run_facts(selected=sorted(s.node for s in whole)), left, made.REQUIREMENTS)
    shards = shards_of(whole, lost, count)
    random.shuffle(shards)
    merged = merge(shards)
    for key in ("verdict", "complete", "reasons", "summary", "requirements", "scenarios", "missing"):
        assert merged[key] == one[key], key


@given(st.dictionaries(NODES, DURATIONS, max_size=30), st.integers(1, 6), st.randoms())
def test_every_machine_makes_the_same_plan(durations: dict[str, float], count: int, random: Any) -> None:
    tests = list(durations)
    plan = sharding.plan(tests, durations, count)
    random.shuffle(tests)
    assert sharding.plan(tests, durations, count) == plan
    assert sorted(test for part in plan.parts for test in part) == sorted(tests)
    loads = [sum(durations[test] for test in part) for part in plan.parts]
    assert max(loads) <= min(loads) + max(durations.values(), default=0) + 1e-6


def test_the_plan_uses_what_was_measured() -> None:
    plan = sharding.plan(["slow", "a", "b", "new"], {"slow": 10.0, "a": 4.0, "b": 4.0}, 2)
    assert plan.parts == (("slow",), ("a", "b", "new"))


@pytest.mark.parametrize("text", ["0/2", "3/2", "1", "1/0", "a/b", "-1/2", "1/2/3"])
def test_a_wrong_shard_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError, match="write i/n"):
        sharding.parse(text)


def test_a_shard_is_read() -> None:
    assert sharding.parse("2/4") == Shard(2, 4)
    assert str(Shard(2, 4)) == "2/4"


@pytest.fixture
def three() -> list[dict[str, Any]]:
    return shards_of([made.scenario(name) for name in "abcdefg"], set(), 3)


def test_a_missing_shard_is_refused(three: list[dict[str, Any]]) -> None:
    with pytest.raises(UsageError, match="shard 2 of 3 is missing"):
        merge([three[0], three[2]])


def test_a_doubled_shard_is_refused(three: list[dict[str, Any]]) -> None:
    with pytest.raises(UsageError, match="shard 1 of 3 is there more than once"):
        merge([three[0], *three])


def test_nothing_and_a_whole_run_are_refused() -> None:
    with pytest.raises(UsageError, match="nothing to merge"):
        merge([])
    with pytest.raises(UsageError, match="not a shard"):
        merge([made.going()])


def test_shards_of_other_divisions_are_refused(three: list[dict[str, Any]]) -> None:
    three[1]["run"]["shard"]["of"] = 4
    with pytest.raises(UsageError, match="of 3 and of 4"):
        merge(three)


@pytest.mark.parametrize("part", ["sut", "profile", "suites", "harness"])
def test_mixed_identities_are_refused(three: list[dict[str, Any]], part: str) -> None:
    mixed = copy.deepcopy(three)
    mixed[1]["run"]["identity"][part]["digest"] = "sha256:" + "b" * 64
    with pytest.raises(UsageError, match=rf"differ in their identity.*\({part}\)"):
        merge(mixed)


def test_another_plan_is_refused(three: list[dict[str, Any]]) -> None:
    three[1]["run"]["shard"]["plan"] = "sha256:" + "b" * 64
    with pytest.raises(UsageError, match="plan of shards"):
        merge(three)


def test_overlapping_and_incomplete_shards_are_refused(three: list[dict[str, Any]]) -> None:
    lacking = copy.deepcopy(three)
    lacking[1]["run"]["selected"].pop()
    with pytest.raises(UsageError, match="6 scenarios together, and the plan has 7"):
        merge(lacking)
    three[1]["run"]["selected"].append(three[0]["run"]["selected"][0])
    with pytest.raises(UsageError, match="the shards overlap"):
        merge(three)


def test_an_interrupted_shard_spoils_the_run() -> None:
    shards = shards_of([made.scenario(name) for name in "ab"], set(), 2)
    shards[0]["run"]["ended_at"] = None
    merged = merge(shards)
    assert (merged["verdict"], merged["complete"]) == ("INCONCLUSIVE", False)


def test_the_command_joins_folders_with_their_evidence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = [
        made.scenario(name, account=made.shown(made.record(), closing=True)) for name in ("A-01", "B-01")
    ]
    folders = []
    for document in shards_of(whole, set(), 2):
        run = tmp_path / document["run"]["name"]
        names = {s["folder"] for s in document["scenarios"]}
        made.run_folder(run, {s.folder: (s, made.record(), []) for s in whole if s.folder in names})
        evidence.write_run(run, **{key: value for key, value in document["run"].items() if key != "version"})
        sealed.seal(run)
        write_reports(run, document)
        folders.append(str(run))
    out = tmp_path / "all"
    assert cli.main(["report", "merge", *folders, "--out", str(out)]) == 0
    assert "2 scenarios, 2 pass" in capsys.readouterr().out
    assert sealed.alterations(out) == []
    assert read_results(out / "results.json")["run"]["merged"] == ["run-1", "run-2"]
    assert (out / "evidence" / "B-01" / "journal.jsonl").is_file()
    assert cli.main(["report", "merge", *folders, "--out", str(out)]) == 64
    (Path(folders[0]) / "run.json").write_text("{}", encoding="utf-8")
    assert cli.main(["report", "merge", *folders, "--out", str(tmp_path / "new")]) == 64
    assert "was altered" in capsys.readouterr().err
