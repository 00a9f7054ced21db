"""The process in which decisions run: one for each source, and no cell harms the next one."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.tests.conftest import ROOT
from harness.tests.judged import BEGINS, Judged
from harness.topologies import decisions


def test_a_source_is_never_mistaken_for_another(reference: Judged, tmp_path: Path) -> None:
    """The reference, a changed copy, and the reference again, one after the other."""
    at = "app_env=prod,cloud_tasks=unavailable"
    before = reference.judge(at)
    reference.change("assembler.py", "        if self._worker_confirms(run):", "        if False:")
    changed = reference.judge(at)
    original = Judged(ROOT, reference.workshop).judge(at)

    assert (before.exit_code, changed.exit_code, original.exit_code) == (0, 1, 0)
    assert tmp_path == reference.folder


def test_what_a_source_brings_along_does_not_judge_it(reference: Judged) -> None:
    """A folder named like the harness, in the source, is not what runs."""
    (reference.folder / "harness").mkdir()
    (reference.folder / "harness" / "__init__.py").write_text("raise SystemExit('I am the judge')\n")

    assert reference.judge("app_env=prod").exit_code == 0


def test_a_dispatcher_that_cannot_be_imported_is_said_to_be_wrong(reference: Judged) -> None:
    reference.change("assembler.py", "class Assembler:", "class Assembler(:")

    done = reference.judge("app_env=prod", "app_env=staging")

    assert done.exit_code == 1
    assert "SyntaxError" in done.findings[0].observed
    assert "reference_impl.decisions:dispatcher" in done.findings[0].expected


def test_a_dispatcher_that_ends_the_process_is_said_to_be_wrong(reference: Judged) -> None:
    reference.change("assembler.py", BEGINS, f"        __import__('os')._exit(3)\n{BEGINS}")

    done = reference.judge("app_env=prod")

    assert done.exit_code == 1
    assert "it ended the process in the middle of a cell" in done.findings[0].observed


def test_a_dispatcher_that_refuses_by_ending_the_process_has_refused(reference: Judged) -> None:
    refusal = "    settings = _settings(frozenset(environ.items()))"
    ends = f"    if environ.get('APP_ENV') == 'prodution': raise SystemExit('no')\n{refusal}"
    reference.change("decisions.py", refusal, ends)

    assert reference.judge("app_env=misspelt", "app_env=prod").exit_code == 0


def test_a_line_that_breaks_off_in_one_cell_is_not_read_in_the_next(reference: Judged) -> None:
    breaks = "        print('=' * 80, 'DEV MODE WORKER CHECK:', 'event=', sep='\\n', end='') if run.job.title else 0"
    reference.change("assembler.py", BEGINS, f"{breaks}\n{BEGINS}")

    (finding,) = reference.judge("app_env=prod,request=titled", "app_env=prod").findings

    assert "1 of them disagree" in finding.observed


def test_a_cell_that_hangs_is_found_and_the_next_ones_run_all_the_same(
    reference: Judged, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISPATCHCHECK_CELL_WITHIN_S", "0.3")
    reference.change("assembler.py", BEGINS, f"        while run.job.title: pass\n{BEGINS}")

    done = reference.judge("app_env=prod,request=titled", "app_env=prod")

    assert done.exit_code == 1
    assert "1 of them disagree" in done.findings[0].observed
    assert "it took longer than 0.3 s to take the job through the chain" in done.findings[0].observed


# What a dispatcher may do while it hangs, and what must not come of it.
WHILE_HANGING = {
    "holds what the next one needs": """\
        lock = vars(events).setdefault("lock", __import__("threading").Lock())
        lock.acquire()
        while run.job.title:
            pass
        lock.release()
""",
    "catches everything": """\
        while run.job.title:
            try:
                while run.job.title:
                    pass
            except BaseException:
                pass
""",
}


@pytest.mark.parametrize("code", WHILE_HANGING.values(), ids=WHILE_HANGING)
def test_what_a_cell_does_while_it_hangs_stays_its_own(
    reference: Judged, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISPATCHCHECK_CELL_WITHIN_S", "0.3")
    reference.change("assembler.py", BEGINS, f"{code}{BEGINS}")

    done = reference.judge("app_env=prod,request=titled", "app_env=prod")

    assert done.exit_code == 1
    assert "1 of them disagree" in done.findings[0].observed
    assert "app_env=prod,request=titled" in done.findings[0].observed


def test_after_three_cells_that_hang_the_rest_is_not_tried_and_not_passed(
    reference: Judged, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISPATCHCHECK_CELL_WITHIN_S", "0.2")
    reference.change("assembler.py", BEGINS, f"        while True: pass\n{BEGINS}")

    done = reference.judge(
        *(f"app_env=prod,cloud_tasks={code}" for code in ("ok", "aborted", "unknown", "internal"))
    )

    assert done.exit_code == 1
    assert "3 of them disagree" in done.findings[0].observed
    assert "1 cells were not tried after that" in done.findings[0].observed


def test_what_a_cell_begins_in_the_background_ends_in_its_own_world(reference: Judged) -> None:
    ask = "lambda: self._worker._client.get('http://elsewhere.test/')"
    late = f"        if run.job.title: __import__('threading').Timer(0.05, {ask}).start()\n"
    reference.change("assembler.py", BEGINS, f"{late}{BEGINS}")

    done = reference.judge("app_env=prod,request=titled", "app_env=prod")

    assert [finding.expected for finding in done.findings] == ["what the decision table says, in 2 cells"]
    assert "1 of them disagree" in done.findings[0].observed
    assert "app_env=prod,request=titled" in done.findings[0].observed
    assert "elsewhere.test" in done.findings[0].observed


def test_a_cell_has_time_enough() -> None:
    assert decisions.CELL_WITHIN_S >= 5
