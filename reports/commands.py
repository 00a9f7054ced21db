"""The commands that work on what a run left: gate, replay, and report build, merge, diff, parity and history."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from harness.errors import UsageError
from harness.model import Verdict

_EXIT = {Verdict.PASS: 0, Verdict.FAIL: 1, Verdict.INCONCLUSIVE: 2, Verdict.NOT_APPLICABLE: 2}


def add_commands(commands: Any) -> None:
    """Enter the commands, with their options, into what ``ArgumentParser.add_subparsers`` returned."""
    gate = commands.add_parser("gate", help="say go or no-go for a release, in one line and an exit code")
    gate.add_argument("results", type=Path, help="results.json")
    gate.add_argument("--policy", type=Path, help="what is asked of a run (default: reports/policy.toml)")
    gate.add_argument(
        "--sut-digest", default="", metavar="sha256:…", help="the digest that is being released"
    )
    gate.set_defaults(run=_gate)

    replay = commands.add_parser("replay", help="judge old evidence again with today's oracles")
    replay.add_argument("folder", type=Path, metavar="RUN", help="a run folder")
    replay.set_defaults(run=_replay)

    report = commands.add_parser("report", help="build, merge and compare reports")
    kinds = report.add_subparsers(required=True, metavar="WHAT")
    build = kinds.add_parser(
        "build", help="write the reports of a run folder anew, also of one that was cut off"
    )
    build.add_argument("folder", type=Path, metavar="RUN")
    build.add_argument(
        "--prove",
        type=Path,
        metavar="FILE",
        help="a kill matrix, prove.json, to be taken into the run folder",
    )
    build.set_defaults(run=_build)
    merge = kinds.add_parser("merge", help="join the run folders of all shards into one")
    merge.add_argument("folders", type=Path, nargs="+", metavar="RUN")
    merge.add_argument("--out", type=Path, required=True, help="the new run folder")
    merge.set_defaults(run=_merge)
    diff = kinds.add_parser(
        "diff", help="compare two runs by requirement, route and timing; exit 1 if they differ"
    )
    diff.add_argument("before", type=Path, metavar="A", help="a run folder or a results.json")
    diff.add_argument("after", type=Path, metavar="B")
    diff.set_defaults(run=_diff)
    parity = kinds.add_parser(
        "parity", help="compare the journals of two runs in different topologies; exit 1 if they differ"
    )
    parity.add_argument("one", type=Path, metavar="A", help="a run folder")
    parity.add_argument("other", type=Path, metavar="B", help="another")
    parity.set_defaults(run=_parity)
    history = kinds.add_parser("history", help="enter runs into a history, and name the flaky scenarios")
    history.add_argument("file", type=Path, metavar="FILE", help="the history, an SQLite file")
    history.add_argument(
        "runs", type=Path, nargs="*", metavar="RUN", help="run folders or results.json to enter"
    )
    history.set_defaults(run=_history)


def _gate(options: argparse.Namespace) -> int:
    from reports.gate import gate  # here and below: each command needs a part of the reports alone

    return gate(options.results, options.policy, sut_digest=options.sut_digest)


def _replay(options: argparse.Namespace) -> int:
    from reports import replay

    judged = replay.replay(_run_folder(options.folder))
    print("\n".join(replay.in_words(judged)))
    return _EXIT[replay.verdict(judged)]


def _build(options: argparse.Namespace) -> int:
    from reports import building

    document = building.build(_run_folder(options.folder), prove=options.prove)
    print(f"{document['verdict']}: {document['summary']}")
    return _EXIT[Verdict(document["verdict"])]


def _merge(options: argparse.Namespace) -> int:
    from reports.merge import merge_folders

    document = merge_folders([_run_folder(folder) for folder in options.folders], options.out.resolve())
    print(f"{document['verdict']}: {document['summary']}")
    return _EXIT[Verdict(document["verdict"])]


def _diff(options: argparse.Namespace) -> int:
    from reports.diff import diff
    from reports.schema import read_results

    found = diff(read_results(_results_file(options.before)), read_results(_results_file(options.after)))
    print("\n".join(found) or "no difference")
    return 1 if found else 0


def _parity(options: argparse.Namespace) -> int:
    from reports import parity

    found = parity.compare(_run_folder(options.one), _run_folder(options.other))
    summary = f"{found.count} scenarios compared, {len(found.differences)} differences"
    print("\n".join([*found.left_out, *found.differences, summary]))
    return 1 if found.differences else 0


def _history(options: argparse.Namespace) -> int:
    from reports import history
    from reports.schema import read_results

    for path in options.runs:
        history.add(options.file, read_results(_results_file(path)))
    found = history.trends(options.file)
    print("\n".join(history.in_words(found)))
    return 0


def _run_folder(path: Path) -> Path:
    if not path.is_dir():
        raise UsageError(f"there is no run folder {str(path)!r}")
    return path.resolve()


def _results_file(path: Path) -> Path:
    return path / "results.json" if path.is_dir() else path
