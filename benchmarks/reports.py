"""How long the reports of a large run take: evidence on disk to every report, and the page in a browser.

Run it with: python benchmarks/reports.py [SCENARIOS] [--page]

The evidence is made from one real-looking scenario of 41 observations, as a fallback through all three routes leaves
it, and written into as many folders as asked for. Measured is then what a run does at its end: seal the folder, read
every verdict, write results.json and every report. With --page, Chromium opens the page and filters it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import statistics
import sys
import tempfile
from pathlib import Path
from time import perf_counter as clock
from time import process_time

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from harness import evidence, requirements, sealed
from harness.ledger import Check
from reports import write_all
from reports.tests import made

ROOT = Path(__file__).resolve().parent.parent
OBSERVATIONS = 41
JOB = "4ab967d6aba14c1fb75cf436d512517b"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("scenarios", type=int, nargs="?", default=5000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--page", action="store_true")
    options = parser.parse_args()
    listed = requirements.load(ROOT / "scenarios" / "requirements.toml")
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        make(run, options.scenarios, list(listed))
        print(
            f"{options.scenarios} scenarios, {OBSERVATIONS} observations each; load {os.getloadavg()[0]:.1f}"
        )
        figures = []
        for _ in range(options.runs):
            began, busy = clock(), process_time()
            sealed.seal(run)
            sealed_at = clock()
            write_all(run, listed)
            ended = clock()
            figures.append((sealed_at - began, ended - sealed_at, ended - began, process_time() - busy))
        names = ("hash every file", "write every report", "together", "of that, processor")
        for name, values in zip(names, zip(*figures, strict=True), strict=True):
            print(
                f"{name:<20} median {statistics.median(values):5.2f} s  ({min(values):.2f} to {max(values):.2f})"
            )
        for path in ("results.json", "checklist.html", "checklist.md", "junit.xml"):
            print(f"{path:<20} {(run / path).stat().st_size / 1e6:8.2f} MB")
        if options.page:
            browse(run / "checklist.html")


def make(run: Path, count: int, ids: list[str]) -> None:
    """Write the evidence of a run."""
    said = f"event=assemble.service.checking_cloud_tasks episode_id=ep-1 job_id={JOB}"
    fields = {"episode_id": "ep-1", "job_id": "job-1"}
    more = [
        made.log(
            number, ("api", "worker")[number % 2], f"{said} n={number}", f"assemble.step_{number}", **fields
        )
        for number in range(9, OBSERVATIONS + 1)
    ]
    system = made.record(*more)
    account = made.shown(system, *(Check(f"logs assemble.step_{n}") for n in range(9, 14)), closing=True)
    told = json.dumps(account)
    folder = run / "evidence" / "first"
    evidence.write_observations(folder, system.observations, [system.secret])
    for number in range(count):
        name = f"PROD-MANY-{number:05}"
        shutil.copytree(folder, run / "evidence" / name)
        job = hashlib.md5(str(number).encode(), usedforsecurity=False).hexdigest()
        own = json.loads(told.replace(JOB, job))  # no two scenarios say the same, as in life
        result = made.scenario(name, requires=(ids[number % len(ids)],), account=own)
        evidence.write_result(run, result, [system.secret])
    shutil.rmtree(folder)
    facts = made.run_facts(selected=[made.node(f"PROD-MANY-{number:05}") for number in range(count)])
    facts.pop("version")
    evidence.write_run(run, **facts)


def browse(path: Path) -> None:
    """Open the page and filter it."""
    from playwright.sync_api import sync_playwright

    flags = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=flags)
        tab = browser.new_page()
        cdp = tab.context.new_cdp_session(tab)
        cdp.send("Performance.enable")

        def processor_ms() -> float:
            metrics = cdp.send("Performance.getMetrics")["metrics"]
            return next(m["value"] * 1000 for m in metrics if m["name"] == "ProcessTime")

        before = processor_ms()
        tab.goto(path.as_uri())
        tab.wait_for_selector("html[data-ready]")
        opened = processor_ms()
        opened_ms = tab.evaluate("performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd")
        painted_ms = tab.evaluate(
            "performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? -1"
        )
        times = tab.evaluate("""async () => {
            const box = document.getElementById("search"), times = [];
            for (const text of ["p", "pr", "many-04", "many-049", "", "live", ""]) {
                const began = performance.now();
                box.value = text;
                box.dispatchEvent(new Event("input"));
                await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
                times.push(performance.now() - began);
            }
            return times;
        }""")
        filtered = (processor_ms() - opened) / len(times)
        print(f"page: first paint {painted_ms:.0f} ms, ready {opened_ms:.0f} ms after navigation began")
        print(f"filter to next frame: median {statistics.median(times):.0f} ms, longest {max(times):.0f} ms")
        print(f"of that, processor: {opened - before:.0f} ms to open, {filtered:.0f} ms for each filtering")
        browser.close()


if __name__ == "__main__":
    main()
