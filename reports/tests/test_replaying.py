from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from harness import cli, context, evidence, sealed
from harness import outcome as outcome_module
from harness.errors import Finding, UsageError, Violation
from harness.ledger import Call, Ledger
from harness.model import Route, Setting, Verdict
from harness.oracles import effects
from harness.outcome import Answer, Outcome, Setup
from reports.replay import in_words, replay
from reports.tests import made


def outcome_of(system: context.SystemRecord) -> Outcome:
    setup = Setup(5.0, "http://127.0.0.1/api", "X-Tasks-Auth", system.secret, {Setting.SECRET: "TASKS_AUTH"})
    return Outcome(system.jobs[0], system.observations, frozenset(), setup, Ledger())


def calls_of(outcome: Outcome) -> list[Call]:
    """What a scenario would expect, recorded as it expects it."""
    outcome.must_take(Route.CLOUD_TASKS)
    outcome.must_have_one_effect(on=Route.CLOUD_TASKS)
    outcome.must_log("worker.assemble.start", by="worker")
    answer = Answer(202, "fine", 0.1, outcome.ledger)
    answer.must_be(200, 202)
    return outcome.ledger.calls


@pytest.fixture
def run(tmp_path: Path) -> Path:
    system = made.record()
    account = made.shown(system, closing=True)
    result = made.scenario("PROD-HEALTHY-01", account=account)
    return made.run_folder(
        tmp_path / "run", {"PROD-HEALTHY-01": (result, system, calls_of(outcome_of(system)))}
    )


def test_old_evidence_gives_its_old_verdict(run: Path) -> None:
    judged = replay(run)
    assert [(one.then, one.now, one.note) for one in judged] == [("PASS", "PASS", "")]
    assert list(in_words(judged)) == ["1 scenarios judged again, 0 changed"]


def test_what_is_read_is_what_was_written_but_for_the_secret(run: Path) -> None:
    found = context.read(run / "evidence" / "PROD-HEALTHY-01").systems[0]
    assert found.jobs == made.record().jobs
    assert found.secret == "[secret]"
    text = "".join(path.read_text("utf-8") for path in run.rglob("*") if path.is_file())
    assert made.SECRET not in text


def test_an_oracle_that_became_stricter_changes_the_verdict(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stricter = Finding("two effects", "one")
    monkeypatch.setattr(effects, "exactly_one", lambda *_, **__: stricter)
    judged = replay(run)
    assert (judged[0].now, judged[0].changed) == ("FAIL", True)
    assert next(in_words(judged)).startswith("PROD-HEALTHY-01: PASS → FAIL: expected two effects")


def test_a_leak_is_found_again_although_the_secret_is_masked(tmp_path: Path) -> None:
    system = made.record(made.log(9, "api", f"token is {made.SECRET}"))
    account = made.shown(system, closing=True)
    result = made.scenario("LEAK-01", Verdict.FAIL, account=account)
    run = made.run_folder(tmp_path / "run", {"LEAK-01": (result, system, calls_of(outcome_of(system)))})
    assert replay(run)[0].now == "FAIL"


def test_a_dispatcher_that_writes_the_mark_itself_leaks_nothing(tmp_path: Path) -> None:
    system = made.record(made.log(9, "api", "TASKS_AUTH=[secret]"))
    result = made.scenario("MARK-01", account=made.shown(system, closing=True))
    run = made.run_folder(tmp_path / "run", {"MARK-01": (result, system, calls_of(outcome_of(system)))})
    assert replay(run)[0].now == "PASS"


def test_a_failure_that_today_is_none_is_not_yet_a_pass(tmp_path: Path) -> None:
    system = made.record()
    account = {**made.shown(system), "judged_by": "expectation"}
    result = made.scenario("OLD-FAIL-01", Verdict.FAIL, account=account)
    run = made.run_folder(tmp_path / "run", {"OLD-FAIL-01": (result, system, calls_of(outcome_of(system)))})
    assert (replay(run)[0].now, replay(run)[0].changed) == ("INCONCLUSIVE", True)


def test_a_verdict_that_no_oracle_gave_is_left_as_it_is(tmp_path: Path) -> None:
    system = made.record()
    result = made.scenario("SLOW-01", Verdict.INCONCLUSIVE, account=made.shown(system))
    run = made.run_folder(tmp_path / "run", {"SLOW-01": (result, system, [])})
    assert not replay(run)[0].changed
    assert "no oracle" in replay(run)[0].note


def edit(path: Path) -> None:
    path.write_text(path.read_text("utf-8").replace("worker", "api", 1), encoding="utf-8")


def remove(path: Path) -> None:
    path.unlink()


def add(path: Path) -> None:
    path.with_name("more.log").write_text("nothing\n", encoding="utf-8")


@pytest.mark.parametrize("name", ["journal.jsonl", "context.json", "worker.log", "verdict.json"])
@pytest.mark.parametrize(("alter", "word"), [(edit, "changed"), (remove, "removed"), (add, "added")])
def test_an_altered_folder_is_refused(run: Path, name: str, alter: Callable[[Path], None], word: str) -> None:
    path = run / "evidence" / "PROD-HEALTHY-01" / name
    if alter is edit and "worker" not in path.read_text("utf-8"):
        path.write_text(path.read_text("utf-8") + " ", encoding="utf-8")
    else:
        alter(path)
    with pytest.raises(UsageError, match=f"was altered since it was written: {word}"):
        replay(run)


def test_an_altered_run_json_is_refused(run: Path) -> None:
    (run / "run.json").write_text("{}", encoding="utf-8")
    with pytest.raises(UsageError, match=r"changed: run\.json"):
        replay(run)


def test_a_folder_that_was_never_sealed_is_refused(run: Path) -> None:
    (run / "SHA256SUMS").unlink()
    with pytest.raises(UsageError, match="no readable SHA256SUMS"):
        replay(run)
    (run / "SHA256SUMS").write_text("not a hash\n", encoding="utf-8")
    with pytest.raises(UsageError, match="line 1"):
        replay(run)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("context.json", "{"),
        ("context.json", '{"version": 9}'),
        ("context.json", '{"version": 1, "mark": "[secret]", "judged": 0, "systems": [], "calls": []}'),
        ("journal.jsonl", "nonsense\n"),
        ("journal.jsonl", '{"seq": 1}\n'),
    ],
)
def test_corrupt_evidence_is_inconclusive_and_never_a_pass(run: Path, name: str, content: str) -> None:
    (run / "evidence" / "PROD-HEALTHY-01" / name).write_text(content, encoding="utf-8")
    sealed.seal(run)  # as one who wants it to look right would
    judged = replay(run)
    assert judged[0].now == "INCONCLUSIVE"
    assert judged[0].note


def test_an_expectation_that_is_gone_is_inconclusive(run: Path) -> None:
    path = run / "evidence" / "PROD-HEALTHY-01" / "context.json"
    document = json.loads(path.read_text("utf-8"))
    document["calls"][0]["method"] = "must_dance"
    path.write_text(json.dumps(document), encoding="utf-8")
    sealed.seal(run)
    assert "must_dance" in replay(run)[0].note


def test_the_command_gives_the_verdict_as_its_exit_code(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["replay", str(run)]) == 0
    assert "1 scenarios judged again, 0 changed" in capsys.readouterr().out
    add(run / "evidence" / "PROD-HEALTHY-01" / "api.log")
    assert cli.main(["replay", str(run)]) == 64


def test_expectations_are_recorded_also_when_they_are_not_met() -> None:
    outcome = outcome_of(made.record())
    with pytest.raises(Violation):
        outcome.must_take(Route.INLINE)
    assert [(call.method, call.arguments) for call in outcome.ledger.calls] == [
        ("must_take", (Route.INLINE,))
    ]


def test_every_class_with_expectations_is_recorded() -> None:
    found = [
        (kind.__name__, name, hasattr(method, "__wrapped__"))
        for kind in vars(outcome_module).values()
        if isinstance(kind, type)
        for name, method in vars(kind).items()
        if name.startswith("must_")
    ]
    assert len(found) > 20
    assert [entry for entry in found if not entry[2]] == []


def test_a_half_written_file_is_never_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "results.json"
    evidence.write_text(path, "old")

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="No space"):
        evidence.write_text(path, "new")
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["results.json"]
