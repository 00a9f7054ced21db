"""``dispatchcheck``: the command.

Exit codes: 0 pass, 1 fail, 2 inconclusive, 64 wrong usage, 70 a bug of the harness itself.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from harness import evidence, identity, profile
from harness.errors import HarnessError, UsageError
from harness.model import Verdict
from harness.proving import canary
from harness.proving import command as proving
from harness.survey import add_command
from harness.topologies.crowd import CROWD_OF_A_RELEASE
from reports import proof
from reports.commands import add_commands

_ROOT = Path(__file__).resolve().parent.parent
_REFERENCE = _ROOT / "reference_impl" / "dispatchcheck.toml"
_EXIT = {Verdict.PASS: 0, Verdict.FAIL: 1, Verdict.INCONCLUSIVE: 2, Verdict.NOT_APPLICABLE: 2}
_AFTER_CTRL_C_S = 60.0  # scenarios that have begun are still judged
_PYTEST_INTERRUPTED, _PYTEST_INTERNAL, _PYTEST_USAGE = 2, 3, 4


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    options = _parser().parse_args(arguments)
    try:
        code: int = options.run(options)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read what is printed, such as head, has gone. Python would complain of it once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _EXIT[Verdict.INCONCLUSIVE]
    except HarnessError as problem:
        print(f"dispatchcheck: {problem}", file=sys.stderr)
        return problem.exit_code
    except Exception:  # noqa: BLE001 - whatever it is, it is a bug of ours, and no verdict
        traceback.print_exc()
        print("dispatchcheck: this is a bug of dispatchcheck itself; nothing was decided", file=sys.stderr)
        return HarnessError.exit_code
    return code


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="dispatchcheck", description="Verifies job dispatchers.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=_Parser)
    verify = commands.add_parser(
        "verify", help="run the scenarios against a system under test and give a verdict"
    )
    verify.add_argument(
        "--profile", type=Path, help="the system under test (default: the reference dispatcher)"
    )
    verify.add_argument(
        "--source", type=Path, help="judge the source in this folder instead of the profile's"
    )
    verify.add_argument("--out", type=Path, help="where the run folder goes (default: reports/out)")
    verify.add_argument(
        "-n",
        "--processes",
        default="auto",
        help="how many scenarios run at once (default: auto, a few for each processor)",
    )
    verify.add_argument("-k", dest="filter", help="only scenarios that match, as in pytest")
    verify.add_argument("scenarios", nargs="*", help="folders, files or node ids (default: all scenarios)")
    verify.add_argument(
        "--canary",
        type=Path,
        metavar="PATCH",
        help="the known-bad dispatcher that must be found in the same run",
    )
    verify.add_argument("--shard", metavar="I/N", help="run only part I of N, alike on every machine")
    verify.add_argument("--shard-durations", type=Path, help="results.json of an earlier run, to divide by")
    verify.set_defaults(run=_verify)
    digest = commands.add_parser(
        "digest", help="print the digest of a system under test's source, for gate --sut-digest"
    )
    digest.add_argument("--profile", type=Path, default=_REFERENCE, help="as for verify")
    digest.add_argument("--source", type=Path, help="as for verify")
    digest.set_defaults(run=_digest)
    proving.add_command(commands)
    add_commands(commands)
    add_command(commands)
    fake = commands.add_parser(
        "fake", help="run one of the fakes alone: cloud-tasks or worker-gateway", add_help=False
    )
    fake.add_argument("words", nargs=argparse.REMAINDER)
    fake.set_defaults(run=_fake)
    return parser


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> None:  # type: ignore[override]
        """Wrong usage has the exit code 64 and not argparse's 2, which means inconclusive here."""
        self.print_usage(sys.stderr)
        self.exit(UsageError.exit_code, f"{self.prog}: {message}\n")


def _fake(options: argparse.Namespace) -> int:
    """Become the fake's own process: its signals, its output and its exit code are then its own."""
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", "fake_services", *options.words])  # noqa: S606 - our own program


def _digest(options: argparse.Namespace) -> int:
    """Print the digest of the files that make up the system under test, as a report names what it judged."""
    judged = profile.load_to_run(options.profile, source=options.source)
    print(identity.digest(judged.source, judged.profile.files))
    return 0


def _verify(options: argparse.Namespace) -> int:
    root = _ROOT
    given = options.profile or _REFERENCE
    profile.load_to_run(given, source=options.source)  # its mistakes are said here, once and clearly
    paths = _paths(options.scenarios, root)
    run = (options.out or root / "reports" / "out").resolve() / evidence.new_run_name()
    command = [
        sys.executable,
        "-m",
        "pytest",
        "--lines",
        f"--run-folder={run}",
        "-q",
        "-r",
        "",
        "-o",
        "console_output_style=classic",  # the lines count, and no percentage of pytest's stands between them
        "-n",
        options.processes,
        f"--crowd={CROWD_OF_A_RELEASE}",
        f"--canary={(options.canary or root / 'reference_impl' / 'mutants' / f'{canary.DEFAULT}.patch').resolve()}",
    ]
    if options.profile is not None:
        command += [f"--profile={options.profile.resolve()}"]
    if options.source is not None:
        command += [f"--source={options.source.resolve()}"]
    if options.shard is not None:
        command += [f"--shard={options.shard}"]
    if options.shard_durations is not None:
        command += [f"--shard-durations={options.shard_durations.resolve()}"]
    if options.filter is not None:
        command += ["-k", options.filter]
    command += paths or ["scenarios"]
    if not (paths or options.filter or options.shard):
        command.append("--whole")
    status = _run(command, root)
    if status == _PYTEST_USAGE:
        return UsageError.exit_code
    if status == _PYTEST_INTERNAL:
        return HarnessError.exit_code
    return _exit_code(run)


def _run(command: Sequence[str], root: Path) -> int:
    """Run pytest and return how it ended; after Ctrl-C it may still write its account of what was seen up to then."""
    with subprocess.Popen(command, cwd=root, env={**os.environ, "PYTHONPATH": str(root)}) as process:
        try:
            return process.wait()
        except KeyboardInterrupt:
            print("dispatchcheck: ends with what has begun; Ctrl-C again ends it at once", file=sys.stderr)
        try:
            process.wait(_AFTER_CTRL_C_S)  # a terminal has told it as well; two of them would end it at once
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGINT)  # only we were told
        except KeyboardInterrupt:
            process.kill()
        try:
            process.wait(_AFTER_CTRL_C_S)
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            process.kill()
    return _PYTEST_INTERRUPTED


def _paths(scenarios: Sequence[str], root: Path) -> list[str]:
    """What to run, as pytest is told it; what lies here comes before what lies in the project.

    Raises:
        UsageError: there is no such file or folder; where tests run in parallel, nobody sees what pytest says of it.
    """
    found = []
    for given in scenarios:
        path = given.partition("::")[0]
        here = Path(path).exists()
        if not here and not (root / path).exists():
            raise UsageError(
                f"no scenarios {path!r}: there is no such file or folder, neither here nor in {root}"
            )
        found.append(str(Path(given).absolute()) if here else given)
    return found


def _exit_code(run: Path) -> int:
    """The exit code that a run's results call for; a run without results has shown nothing."""
    try:
        results = json.loads((run / "results.json").read_text("utf-8"))
    except OSError:
        print(
            "dispatchcheck: the run left no results: no scenario was selected, or it was cut off",
            file=sys.stderr,
        )
        return _EXIT[Verdict.INCONCLUSIVE]
    if results["canary"] is not None:
        print(proof.canary_in_words(results["canary"]))
        if not proof.found(results["canary"]):
            print("dispatchcheck: verdict: harness broken", file=sys.stderr)
            return HarnessError.exit_code
    if any(scenario["blame"] == "harness" for scenario in results["scenarios"]):
        return HarnessError.exit_code
    return _EXIT[Verdict(results["verdict"])]


if __name__ == "__main__":
    sys.exit(main())
