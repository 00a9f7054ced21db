"""The pytest plugin: options, fixtures, and the rules by which a test run becomes evidence."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness import allure_report, context, debugging, evidence, judging, profile, requirements, sharding
from harness.account import account
from harness.errors import Finding, Inconclusive, UsageError
from harness.evidence import ScenarioResult
from harness.model import Mode, Verdict
from harness.run import ScenarioRun
from harness.run_folder import RunFolder
from harness.scenario import MARK, ScenarioInfo, info_of
from harness.terminal import Progress, print_summary
from harness.topologies.system import System
from harness.topologies.workshop import Workshop

_PROFILE = "reference_impl/dispatchcheck.toml"
_SCENARIOS = "scenarios/"
_REQUIREMENTS = "scenarios/requirements.toml"
_RUN_INPUT = "dispatchcheck_run"
_PLAN_OUTPUT = "dispatchcheck_plan"
_PROPERTY = "dispatchcheck"

_state = pytest.StashKey["_State"]()
_run = pytest.StashKey[ScenarioRun]()
_result = pytest.StashKey[ScenarioResult]()
_finding = pytest.StashKey[Finding]()


class _State:
    """What one pytest process knows of the run."""

    def __init__(self, config: pytest.Config) -> None:
        root = config.rootpath
        given = config.getoption("dc_profile")
        self.profile_path = Path(given) if given else root / _PROFILE
        self._source = config.getoption("dc_source")
        self.requirements = _load_requirements(root)
        worker_input: dict[str, str] | None = getattr(config, "workerinput", None)
        self.is_controller = worker_input is None
        folder = worker_input[_RUN_INPUT] if worker_input else config.getoption("dc_run_folder")
        self.run = Path(folder) if folder else root / "reports" / "out" / evidence.new_run_name()
        if self.is_controller and any((self.run / "evidence").glob("*")):
            raise UsageError(f"{self.run} holds the evidence of another run; name a new --run-folder")
        self.selected: set[str] = set()
        self.shard: dict[str, object] | None = None
        self.folder = RunFolder(
            self.run,
            requirements=self.requirements,
            profile_path=self.profile_path,
            source=Path(self._source) if self._source else None,
            suites=root / _SCENARIOS,
        )
        self._workshop: Workshop | None = None

    def workshop(self) -> Workshop:
        """What the scenarios of this process share."""
        if self._workshop is None:
            source = Path(self._source) if self._source else None
            self._workshop = Workshop(profile.load(self.profile_path, source=source))
        return self._workshop

    def begin(self, config: pytest.Config) -> None:
        """Leave an account that says "incomplete": what stays if this process never comes to its end."""
        if self.is_controller and self.selected and not config.getoption("collectonly"):
            self.folder.begin(
                self.selected,
                arguments=list(config.invocation_params.args),
                seed=config.getoption("randomly_seed", None),
            )

    def close(self) -> None:
        if self._workshop is not None:
            self._workshop.close()


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


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options."""
    group = parser.getgroup("dispatchcheck")
    group.addoption(
        "--profile", dest="dc_profile", metavar="FILE", help=f"the system under test (default: {_PROFILE})"
    )
    group.addoption(
        "--source", dest="dc_source", metavar="DIR", help="judge the source in DIR instead of the profile's"
    )
    group.addoption(
        "--run-folder",
        dest="dc_run_folder",
        metavar="DIR",
        help="where evidence and reports go (default: reports/out/RUN)",
    )
    group.addoption("--shard", dest="dc_shard", metavar="I/N", help="run only part I of N, alike everywhere")
    group.addoption(
        "--shard-durations",
        dest="dc_shard_durations",
        metavar="FILE",
        help="results.json of an earlier run: parts take equally long by its durations",
    )
    group.addoption(
        "--lines", dest="dc_lines", action="store_true", help="one line per scenario instead of pytest's dots"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Read what all scenarios need; a mistake in it is a usage error, said once."""
    config.addinivalue_line("markers", f"{MARK}(info): an executable proof of requirements")
    try:
        state = config.stash[_state] = _State(config)
        if config.getoption("dc_shard"):
            config.pluginmanager.register(_Sharder(config), "dispatchcheck-sharder")
    except UsageError as problem:
        raise pytest.UsageError(str(problem)) from None
    if state.is_controller and config.getoption("dc_lines"):
        config.pluginmanager.register(Progress(config, _PROPERTY), "dispatchcheck-progress")


class _Sharder:
    """Keeps the tests of one shard; comes last, so that the shards divide what was selected otherwise."""

    def __init__(self, config: pytest.Config) -> None:
        self._shard = sharding.parse(config.getoption("dc_shard"))
        durations = config.getoption("dc_shard_durations")
        self._durations_s = sharding.read_durations(Path(durations)) if durations else {}

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Deselect what belongs to other shards."""
        plan = sharding.plan([item.nodeid for item in items], self._durations_s, self._shard.of)
        mine = set(plan.parts[self._shard.index - 1])
        state = config.stash[_state]
        state.shard = {
            "index": self._shard.index,
            "of": self._shard.of,
            "plan": plan.digest,
            "total": plan.total,
        }
        config.hook.pytest_deselected(items=[item for item in items if item.nodeid not in mine])
        items[:] = [item for item in items if item.nodeid in mine]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Learn from an xdist worker how the tests were divided."""
    plan = getattr(node, "workeroutput", {}).get(_PLAN_OUTPUT)
    if plan is not None:
        node.config.stash[_state].shard = plan


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell an xdist worker which run it belongs to."""
    node.workerinput[_RUN_INPUT] = str(node.config.stash[_state].run)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Every scenario names known requirements, and no two tests share an id."""
    state = config.stash[_state]
    owners: dict[str, str] = {}
    for item in items:
        info = info_of(item)
        if info is None:
            if item.nodeid.startswith(_SCENARIOS):
                raise pytest.UsageError(f"{item.nodeid} is not a scenario; declare it with @scenario(...)")
            continue
        try:
            state.requirements.check_known(info.requires, user=info.id)
        except UsageError as problem:
            raise pytest.UsageError(str(problem)) from None
        test = item.nodeid.split("[")[0]
        if owners.setdefault(info.id, test) != test:
            raise pytest.UsageError(f"the scenario id {info.id} is used by {owners[info.id]} and {test}")


def pytest_collection_finish(session: pytest.Session) -> None:
    """Remember which scenarios were selected, to notice those that leave no verdict."""
    state = session.config.stash[_state]
    state.selected.update(item.nodeid for item in session.items if info_of(item))
    state.begin(session.config)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_node_collection_finished(node: Any, ids: list[str]) -> None:
    """The same under xdist, whose main process collects nothing itself."""
    state = node.config.stash[_state]
    state.selected.update(id_ for id_ in ids if id_.startswith(_SCENARIOS))
    state.begin(node.config)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """A scenario whose requirements need a capability that the profile does not claim is not applicable."""
    info = info_of(item)
    if info is None:
        return
    state = item.config.stash[_state]
    claimed = state.workshop().profile.profile.capabilities
    needed = {state.requirements[id_].capability for id_ in info.requires} - {""}
    missing = sorted(needed - set(claimed))
    if missing:
        pytest.skip(f"{Verdict.NOT_APPLICABLE}: the profile does not claim {', '.join(missing)}")


@pytest.fixture
def scenario_run(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ScenarioRun]:
    """The run of the scenario that asks for it."""
    state = request.config.stash[_state]
    run = request.node.stash[_run] = ScenarioRun(state.workshop(), tmp_path / "run")
    run.ledger.on_check = allure_report.step
    yield run
    try:
        run.stop()
    finally:
        folder = _evidence_folder(request.node)
        context.write(folder, run.records(), run.ledger.calls, judged=len(run.ledger.checks))
        run.clean_up()
        allure_report.attach(folder, run.records())


@pytest.fixture
def dev(scenario_run: ScenarioRun) -> System:
    """A system under test in development mode, with the worker switched on in its environment file."""
    return scenario_run.system(Mode.DEV)


@pytest.fixture
def prod(scenario_run: ScenarioRun) -> System:
    """A system under test in production mode, fully configured."""
    return scenario_run.system(Mode.PROD)


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Iterator[None]:
    """After a scenario that was satisfied: what every scenario must satisfy."""
    info = info_of(pyfuncitem)
    if info is not None:
        allure_report.label(info.id, info.title, info.requires, info.level)
    result = yield
    if _run in pyfuncitem.stash:
        pyfuncitem.stash[_run].finish()
    elif info is not None:
        raise Inconclusive(f"{info.id} uses no system under test: it can show nothing")
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Judge each phase, say in the project's words what failed, and write the verdict when the test is over."""
    report: pytest.TestReport = yield  # type: ignore[assignment]
    info = info_of(item)
    if info is None:
        return report  # type: ignore[return-value]
    if call.when == "setup":
        item.stash[_result] = ScenarioResult(
            scenario=info.id,
            node=item.nodeid,
            title=info.title,
            requires=info.requires,
            level=info.level.value,
            verdict=Verdict.PASS,
            duration_s=0.0,
            folder=evidence.folder_name(info.id, item.nodeid),
        )
    result = _judge_phase(item, call, report, info)
    item.stash[_result] = result = replace(result, duration_s=round(result.duration_s + call.duration, 3))
    if call.when == "teardown":
        state, run = item.config.stash[_state], item.stash.get(_run, None)
        if run is not None:
            checks = run.ledger.checks
            shown = account(run.records(), checks, item.stash.get(_finding, None), closing=run.closing)
            result = replace(result, checks=evidence.checks_as_text(checks), account=shown)
        evidence.write_result(state.run, result, run.planted if run else ())
        report.user_properties.append((_PROPERTY, _for_progress(result)))
    return report  # type: ignore[return-value]


@pytest.hookimpl(tryfirst=True)
def pytest_exception_interact(node: pytest.Item | pytest.Collector) -> None:
    """Before the debugger of ``--pdb`` begins: how to reach what is still alive, and the evidence up to now."""
    run = node.stash.get(_run, None)
    if run is None or not isinstance(node, pytest.Item) or not node.config.getoption("usepdb"):
        return
    folder = _evidence_folder(node)
    context.write(folder, run.records(), run.ledger.calls, judged=len(run.ledger.checks))
    reporter: pytest.TerminalReporter | None = node.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None:
        reporter.write_line("\n" + debugging.whereabouts(run, folder))


def _judge_phase(
    item: pytest.Item, call: pytest.CallInfo[None], report: pytest.TestReport, info: ScenarioInfo
) -> ScenarioResult:
    """The result so far, made worse by what this phase raised."""
    so_far = item.stash[_result]
    if report.passed:
        return so_far
    raised = call.excinfo.value if call.excinfo else None
    if report.skipped:
        judgement = judging.of_skip(str(raised or report.__dict__.get("wasxfail", "")))
        verdict = judgement.verdict
    else:
        judgement = judging.of_exception(raised, _case(item, info), traceback=report.longreprtext)
        verdict = Verdict.worst([so_far.verdict, judgement.verdict])
        report.longrepr = judgement.message
    if judgement.finding is not None:
        item.stash[_finding] = judgement.finding
    return replace(so_far, verdict=verdict, blame=judgement.blame, message=judgement.message)


def _case(item: pytest.Item, info: ScenarioInfo) -> judging.Case:
    state, run = item.config.stash[_state], item.stash.get(_run, None)
    return judging.Case(
        info=info,
        requirements=[state.requirements[id_] for id_ in info.requires],
        observations=run.observations if run else [],
        job=run.last_job if run else None,
        planted=run.planted if run else [],
        evidence=_short(_evidence_folder(item)),
        rerun=_rerun(item),
    )


def _rerun(item: pytest.Item) -> str:
    options = [
        shlex.quote(f"{flag}={value}")
        for flag, name in (("--profile", "dc_profile"), ("--source", "dc_source"))
        if (value := item.config.getoption(name))
    ]
    return " ".join(["pytest", *options, shlex.quote(item.nodeid)])


def _evidence_folder(item: pytest.Item) -> Path:
    info = info_of(item)
    name = evidence.folder_name(info.id if info else item.name, item.nodeid)
    return item.config.stash[_state].run / "evidence" / name


def _short(path: Path) -> str:
    with contextlib.suppress(ValueError):
        return str(path.relative_to(Path.cwd()))
    return str(path)


def _for_progress(result: ScenarioResult) -> dict[str, Any]:
    return {
        "verdict": result.verdict.value,
        "scenario": result.folder,
        "title": result.title,
        "duration_s": result.duration_s,
    }


# Last, because an interrupted test is torn down by pytest's own hook, which needs what we close.
@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """End what the scenarios shared; in the main process, turn the evidence into results."""
    state = session.config.stash[_state]
    state.close()
    output: dict[str, object] | None = getattr(session.config, "workeroutput", None)
    if output is not None:
        output[_PLAN_OUTPUT] = state.shard
    if not state.is_controller or session.config.getoption("collectonly"):
        return
    if not state.selected:
        return
    results = state.folder.end(
        state.selected,
        shard=state.shard,
        pytest_exit=int(exitstatus),
        interrupted=exitstatus == pytest.ExitCode.INTERRUPTED,
    )
    if exitstatus == pytest.ExitCode.OK and results["verdict"] != Verdict.PASS:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """The table by requirement, the verdict, and where the reports are."""
    state = config.stash[_state]
    if (state.run / "results.json").is_file():
        print_summary(state.run, terminalreporter, everything=config.getoption("dc_lines"))
