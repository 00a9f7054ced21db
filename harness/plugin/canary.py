"""``--canary``: one more test in the run, on a known-bad dispatcher; it passes when its scenario does not."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator

import pytest

from harness import evidence
from harness.errors import UsageError
from harness.evidence import write_text
from harness.model import Verdict
from harness.plugin.state import PROFILE, RESULT, SCENARIOS, STATE, TARGET, Target
from harness.proving import canary, zoo
from harness.proving.trials import Cell
from harness.scenario import info_of


class Canary:
    """Adds the test, and says in the end what became of it. It is always the reference, whoever else is judged."""

    def __init__(self, config: pytest.Config) -> None:
        """Raises UsageError: the mutant cannot be read, or does not fit the reference any more."""
        self._state, self._root = config.stash[STATE], config.rootpath
        self._mutant: zoo.Mutant = canary.load(self._root / config.getoption("dc_canary"))
        run, profile = self._state.run / canary.FOLDER, self._root / PROFILE
        self._target = Target(run, profile, run / "source")
        if self._state.is_controller and not config.getoption("collectonly"):
            self._mutant.make(profile.parent, run / "source")

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, session: pytest.Session, items: list[pytest.Item]) -> None:
        """Put it first. Where no scenario was selected, none is run on it either: it must not hide that."""
        if not any(info_of(item) for item in items):
            return
        path = self._root / SCENARIOS / canary.SCENARIOS
        module: pytest.Module = pytest.Module.from_parent(session, path=path, nodeid="canary")
        (wanted,) = self._mutant.head.scenarios
        for item in session.genitems(module):
            info = info_of(item)
            if info is not None and evidence.folder_name(info.id, item.nodeid) == wanted:
                item.stash[TARGET] = self._target
                items.insert(0, item)
                return
        raise pytest.UsageError(
            str(UsageError(f"there is no scenario {wanted} in {path} to find the canary"))
        )

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> Iterator[None]:
        """To pytest, it has passed when it was found, and failed in its last phase when it was not."""
        report: pytest.TestReport = yield  # type: ignore[assignment]
        if item.stash.get(TARGET, None) == self._target:
            found = item.stash[RESULT].verdict == Verdict.FAIL
            report.outcome = "passed" if found or report.when != "teardown" else "failed"
            report.longrepr = None if report.passed else "the canary was not found: the harness is broken"
        return report  # type: ignore[return-value]

    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """In the main process, when all tests are done and before their account is written: ``canary.json``.

        A run that was interrupted before the canary was judged has none: nothing is broken then.
        """
        if (
            not self._state.is_controller
            or not self._state.selected
            or session.config.getoption("collectonly")
        ):
            return
        row = canary.judge(self._target.run, self._mutant, self._state.requirements)
        if exitstatus == pytest.ExitCode.INTERRUPTED and row["verdict"] == "not judged":
            shutil.rmtree(self._target.run / "source")
            return
        write_text(self._state.run / canary.FILE, json.dumps(row, indent=1, ensure_ascii=False) + "\n")
        if row["verdict"] == Cell.KILLED:
            shutil.rmtree(self._target.run / "source")  # else it stays, for whoever looks for the reason
