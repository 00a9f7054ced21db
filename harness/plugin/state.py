"""What one pytest process knows of the run, and where the plugin's parts keep what they share."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness import evidence, profile, requirements
from harness.errors import Finding, UsageError
from harness.evidence import ScenarioResult
from harness.run import ScenarioRun
from harness.run_folder import RunFolder
from harness.scenario import info_of
from harness.topologies.workshop import TOPOLOGIES, Workshop
from harness.topologies.zygote import Zygote

if TYPE_CHECKING:
    from harness.topologies.engine import HeldImage

PROFILE = "reference_impl/dispatchcheck.toml"
SCENARIOS = "scenarios/"
_REQUIREMENTS = "scenarios/requirements.toml"
RUN_INPUT = "dispatchcheck_run"
IMAGE_INPUT = "dispatchcheck_image"
ZYGOTE_INPUT = "dispatchcheck_zygote"
PLAN_OUTPUT = "dispatchcheck_plan"
PROBLEM_OUTPUT = "dispatchcheck_problem"
PROPERTY = "dispatchcheck"

STATE = pytest.StashKey["State"]()
RUN = pytest.StashKey[ScenarioRun]()
RESULT = pytest.StashKey[ScenarioResult]()
FINDING = pytest.StashKey[Finding]()
TARGET = pytest.StashKey["Target"]()


@dataclass(frozen=True, slots=True)
class Target:
    """What a test is judged for: whose source, by which profile, and the run folder that its evidence goes to.

    One for all tests, unless a test has its own in ``TARGET``.
    """

    run: Path
    profile_path: Path
    source: Path | None


class State:
    """What one pytest process knows of the run."""

    def __init__(self, config: pytest.Config) -> None:
        root = config.rootpath
        given, source = config.getoption("dc_profile"), config.getoption("dc_source")
        profile_path = Path(given) if given else root / PROFILE
        self.topology: str = config.getoption("dc_topology")
        if self.topology not in TOPOLOGIES:
            raise UsageError(f"unknown --topology {self.topology!r}; known are {', '.join(TOPOLOGIES)}")
        self.requirements = _load_requirements(root)
        worker_input: dict[str, str] | None = getattr(config, "workerinput", None)
        self.is_controller = worker_input is None
        folder = worker_input[RUN_INPUT] if worker_input else config.getoption("dc_run_folder")
        self.run = Path(folder) if folder else root / "reports" / "out" / evidence.new_run_name()
        self.target = Target(self.run, profile_path, Path(source) if source else None)
        if self.is_controller and any((self.run / "evidence").glob("*")):
            raise UsageError(f"{self.run} holds the evidence of another run; name a new --run-folder")
        self.image = worker_input[IMAGE_INPUT] if worker_input else ""
        self._held_image: HeldImage | None = None
        self._zygote_of_all = worker_input[ZYGOTE_INPUT] if worker_input else ""
        self._zygote: Zygote | None = None
        if self.is_controller and self.topology == "containers" and not config.getoption("collectonly"):
            self._held_image = self._build_image()  # once for the run, before any xdist worker starts
            self.image = self._held_image.id
        self.selected: set[str] = set()
        self.shard: dict[str, object] | None = None
        self.problem = ""
        """Why this process cannot go on."""
        self.folder = RunFolder(
            self.run,
            requirements=self.requirements,
            profile_path=profile_path,
            source=self.target.source,
            suites=root / SCENARIOS,
        )
        self._workshop: Workshop | None = None
        self._at_work_for: Target | None = None

    def target_of(self, item: pytest.Item) -> Target:
        """What the test is judged for."""
        return item.stash.get(TARGET, self.target)

    def workshop(self, item: pytest.Item) -> Workshop:
        """What the scenarios of this process share, for the system under test that this one judges."""
        target = self.target_of(item)
        if self._workshop is None or self._at_work_for != target:
            judged = profile.load_to_run(target.profile_path, source=target.source)
            image = self.image if target == self.target else ""
            if self._workshop is None:
                self._workshop = Workshop(judged, self.topology, image=image, zygote=self._zygote_of_all)
            else:
                self._workshop.turn_to(judged, image=image)
            self._at_work_for = target
        return self._workshop

    def zygote(self) -> str:
        """Where xdist's workers find the zygote that they share; it is made when the first of them is."""
        if self._zygote is None:
            self._zygote = Zygote()
        return self._zygote.address

    def _build_image(self) -> HeldImage:
        from harness.topologies import engine  # slow to import, and needed for containers only

        target = self.target
        judged = profile.load_to_run(target.profile_path, source=target.source)
        return engine.HeldImage(judged, other_source=target.source is not None)

    def begin(self, config: pytest.Config) -> None:
        """Leave an account that says "incomplete": what stays if this process never comes to its end."""
        if self.is_controller and self.selected and not config.getoption("collectonly"):
            self.folder.begin(
                self.selected,
                arguments=list(config.invocation_params.args),
                seed=config.getoption("randomly_seed", None),
                whole=config.getoption("dc_whole"),
            )

    @contextlib.contextmanager
    def evidence_is_kept(self) -> Iterator[None]:
        """Where evidence cannot be written, as on a full disk, the run ends: nobody could judge what comes."""
        try:
            yield
        except OSError as problem:
            self.problem = f"cannot write evidence: {problem}; the run is incomplete"
            pytest.exit(self.problem, pytest.ExitCode.INTERRUPTED)

    def close(self) -> None:
        """End what the scenarios shared."""
        if self._workshop is not None:
            self._workshop.close()
        if self._zygote is not None:
            self._zygote.close()
        if self._held_image is not None:
            self._held_image.close()


def _load_requirements(root: Path) -> requirements.Requirements:
    try:
        return requirements.load(root / _REQUIREMENTS)
    except UsageError as problem:
        # Before a plugin's options are known, pytest takes "--profile FILE" for an option and a path to test,
        # and may then take another project for its root.
        raise UsageError(
            f"{problem}. pytest took {str(root)!r} for the project's root; write options with an equals sign, "
            "as in --profile=FILE, or say --rootdir"
        ) from None


def say(config: pytest.Config, text: str) -> None:
    """Print a line among pytest's own."""
    reporter: pytest.TerminalReporter | None = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None:
        reporter.write_line(text)


def evidence_folder(item: pytest.Item) -> Path:
    """Where the evidence of a test goes."""
    info = info_of(item)
    name = evidence.folder_name(info.id if info else item.name, item.nodeid)
    return item.config.stash[STATE].target_of(item).run / "evidence" / name


def options_again(config: pytest.Config, target: Target) -> list[str]:
    """The options that say what is judged, as the command that runs something again needs them."""
    profile, topology = config.getoption("dc_profile"), config.getoption("dc_topology")
    other = topology if topology != TOPOLOGIES[0] else ""
    given = (("--profile", profile), ("--source", target.source), ("--topology", other))
    return [shlex.quote(f"{flag}={value}") for flag, value in given if value]
