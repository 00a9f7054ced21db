"""Runs the scenarios again and again, in random order beside a CPU hog, and reports every verdict that differs.

Run it with: make stability, or python benchmarks/stability.py [--runs N] [SCENARIOS …]

Each run is a pytest of its own with another seed, printed so that it can be repeated. The hog is one niced process
for each processor, which ends by itself. The evidence of a run that differs from the first is kept, that of the
others is removed. The exit status is 0 when every run had the same verdict for every scenario and all passed, 1 when
not, 2 when a run did not come to its end within its limit.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from time import monotonic

ROOT = Path(__file__).resolve().parent.parent
_HOG = "import time; end = time.monotonic() + {limit_s}\nwhile time.monotonic() < end: pass"
_NICE = 10

Verdicts = dict[str, str]


def main(arguments: list[str] | None = None) -> int:
    """Run, compare and print; see the module for the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("scenarios", nargs="*", default=["scenarios"])
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--workers", default="auto", help="as pytest -n (default: %(default)s)")
    parser.add_argument("--limit-s", type=float, default=600.0, help="for one run (default: %(default)s)")
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument("--no-hog", action="store_true")
    options = parser.parse_args(arguments)
    out = Path(tempfile.mkdtemp(prefix="stability-"))
    first: Verdicts = {}
    unstable: set[str] = set()
    bad = 0
    with contextlib.nullcontext() if options.no_hog else _hog(options.runs * options.limit_s):
        for number in range(options.runs):
            seed = options.first_seed + number
            began = monotonic()
            verdicts = _run(out / f"seed-{seed}", seed, options)
            took_s = monotonic() - began
            if verdicts is None:
                print(f"seed {seed}: not at its end after {took_s:.0f} s: {out / f'seed-{seed}'}", flush=True)
                return 2
            first = first or verdicts
            differing = differences(first, verdicts)
            failed = sorted(
                name for name, verdict in verdicts.items() if verdict not in ("PASS", "NOT_APPLICABLE")
            )
            unstable.update(differing)
            bad += bool(differing or failed)
            print(
                f"seed {seed}: {len(verdicts)} verdicts in {took_s:.0f} s, {len(failed)} not passed",
                flush=True,
            )
            for name, (before, now) in differing.items():
                print(f"  {name}: {before}, now {now}")
            for name in failed:
                print(f"  {verdicts[name]}: {name}")
            if not (differing or failed):
                shutil.rmtree(out / f"seed-{seed}", ignore_errors=True)
    print(f"{options.runs} runs, {len(first)} scenarios, {len(unstable)} with different verdicts")
    if bad:
        print(f"evidence: {out}")
        return 1
    shutil.rmtree(out, ignore_errors=True)
    return 0 if first else 2


def differences(first: Verdicts, other: Verdicts) -> dict[str, tuple[str, str]]:
    """The scenarios whose verdicts differ, and those that only one of the runs has."""
    return {
        name: (first.get(name, "missing"), other.get(name, "missing"))
        for name in sorted(first.keys() | other.keys())
        if first.get(name) != other.get(name)
    }


def _run(folder: Path, seed: int, options: argparse.Namespace) -> Verdicts | None:
    """The verdicts of one run by the tests' names; None when it left none, or was ended for its length."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", options.workers]
    command += [f"--randomly-seed={seed}", f"--run-folder={folder}", *options.scenarios]
    folder.mkdir(parents=True)
    with (folder / "pytest.txt").open("w") as output:
        process = subprocess.Popen(
            command, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            process.wait(options.limit_s)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return None
    results = folder / "results.json"
    if not results.is_file():
        return None
    rows = json.loads(results.read_text("utf-8"))["scenarios"]
    return {row["node"]: row["verdict"] for row in rows}


@contextlib.contextmanager
def _hog(limit_s: float) -> Iterator[None]:
    """One busy process for each processor, while this lasts and never longer than ``limit_s``."""
    program = _HOG.format(limit_s=limit_s)
    command = ["nice", "-n", str(_NICE), sys.executable, "-c", program]
    hogs = [subprocess.Popen(command) for _ in range(os.cpu_count() or 1)]
    try:
        yield
    finally:
        for hog in hogs:
            hog.kill()
            hog.wait()


if __name__ == "__main__":
    sys.exit(main())
