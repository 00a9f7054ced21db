"""A copy of the reference dispatcher that a test may change, and what the decision table says of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from harness import profile, survey
from harness.matrix import Cells
from harness.oracles.cells import cell
from harness.profile import Profile
from harness.survey import Survey
from harness.topologies.workshop import Workshop

PROFILE = Path(__file__).parents[2] / "reference_impl" / "dispatchcheck.toml"
BEGINS = "        events.emit(events.CHECKING, run.job)"
AGAIN = "again --cell='{cell}'"


@dataclass
class Judged:
    """A copy of the reference that may be changed, and what the decision table says of it."""

    folder: Path
    workshop: Workshop

    def change(self, module: str, old: str, new: str) -> None:
        path = self.folder / "reference_impl" / module
        text = path.read_text("utf-8")
        assert text.count(old) == 1, f"{module} has changed: {old!r} is there {text.count(old)} times"
        path.write_text(text.replace(old, new), encoding="utf-8")

    @property
    def profile(self) -> Profile:
        return profile.load(PROFILE, source=self.folder)

    def judge(self, *names: str) -> Survey:
        groups = [Cells("given", lambda: tuple(map(cell, names)))]
        return survey.survey(self.profile, self.workshop.launcher(), groups, again=AGAIN)
