"""What others make of our files: Allure 3 builds its report, CTRF's schema and SARIF's validator find nothing."""

from __future__ import annotations

import contextlib
import fcntl
import functools
import http.server
import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from playwright.sync_api import Page, sync_playwright

from harness.model import Verdict
from reports.ctrf import ctrf
from reports.sarif import sarif
from reports.tests import hostile, made
from reports.tests.browsing import FLAGS

ROOT = Path(__file__).resolve().parent.parent.parent
NODE = Path(__file__).with_name("node")
LEAK = {"finding": {"oracle": "secrets", "observed": "plain in a log line of the api"}}
DOCUMENTS = {
    "going": made.going(),
    "empty": made.document(),
    "cut off": made.going(ended_at=None),
    "missing": made.going(selected=["gone.py::t"]),
    "mixed": made.document(
        made.scenario("LEAK-01", Verdict.FAIL, account=LEAK),
        made.scenario("CONF-01", Verdict.FAIL, requires=("CONF-03",)),
        made.scenario("ODD-01", Verdict.INCONCLUSIVE),
        made.scenario("NOT-01", Verdict.NOT_APPLICABLE, message="NOT_APPLICABLE: no"),
    ),
    "hostile": hostile.document(),
}

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="session")
def modules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The readers, as npm installs them from the committed lock: once for all processes of the test run."""
    if shutil.which("npm") is None:
        pytest.fail(
            "Allure and the validators come with npm, and there is none: run make tools, or install Node and npm"
        )
    folder = tmp_path_factory.getbasetemp().parent / "readers-of-reports"
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "installed").exists():
            for name in ("package.json", "package-lock.json"):
                shutil.copy(NODE / name, folder)
            command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"]
            done = subprocess.run(
                command, cwd=folder, capture_output=True, text=True, timeout=240, check=False
            )
            assert done.returncode == 0, done.stdout + done.stderr
            (folder / "installed").touch()
    return folder / "node_modules"


def test_the_lock_names_no_download_address() -> None:
    packages = json.loads((NODE / "package-lock.json").read_text("utf-8"))["packages"]
    assert [name for name, entry in packages.items() if "resolved" in entry] == []


@pytest.mark.parametrize("name", DOCUMENTS)
def test_ctrf_satisfies_its_schema(modules: Path, name: str) -> None:
    schema = json.loads((modules / "ctrf" / "dist" / "ctrf-schema-0.0.json").read_text("utf-8"))
    jsonschema.validate(ctrf(DOCUMENTS[name]), schema, cls=jsonschema.Draft7Validator)


def test_sarif_satisfies_its_validator_and_what_github_asks(modules: Path, tmp_path: Path) -> None:
    for name, document in DOCUMENTS.items():
        (tmp_path / f"{name.replace(' ', '-')}.sarif").write_text(
            json.dumps(sarif(document)), encoding="utf-8"
        )
    output = tmp_path / "found.json"
    tool = modules / "@microsoft" / "sarif-multitool-linux" / "Sarif.Multitool"
    tool.chmod(0o755)
    command = [
        str(tool),
        "validate",
        f"{tmp_path}/*.sarif",
        "--rule-kind",
        "Sarif;Ghas",
        "--output",
        str(output),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert f"{len(DOCUMENTS)} files scanned" in done.stdout, done.stdout + done.stderr
    found = [
        each for run in json.loads(output.read_text("utf-8-sig"))["runs"] for each in run.get("results", ())
    ]
    assert [each for each in found if each.get("level") == "error"] == []
    assert {each["ruleId"] for each in found} <= {"SARIF2005"}  # we have no address to name as the tool's


@pytest.fixture
def report(modules: Path, tmp_path: Path) -> Iterator[tuple[Page, dict[str, Any]]]:
    """Allure's report of one scenario, in a browser, and our own results of the same run."""
    run, results = tmp_path / "run", tmp_path / "allure-results"
    with contextlib.ExitStack() as stack:
        handler = functools.partial(_Quiet, directory=str(run))
        server = stack.enter_context(http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler))
        stack.callback(server.shutdown)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        here = f"http://127.0.0.1:{server.server_port}"
        command = [
            sys.executable, "-m", "pytest", "scenarios/prod/test_fallback.py", "-q", "-p", "no:cacheprovider",
            "-k", "refuses and unavailable", f"--run-folder={run}", f"--alluredir={results}",
            f"--allure-link-pattern=tms:{here}/{{}}",
        ]  # fmt: skip
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        allure = [str(modules / ".bin" / "allure"), "generate", str(results), "-o", str(run / "allure")]
        done = subprocess.run(allure, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        playwright = stack.enter_context(sync_playwright())
        path = shutil.which("chromium") or shutil.which("chromium-browser")
        browser = stack.enter_context(
            contextlib.closing(playwright.chromium.launch(executable_path=path, args=FLAGS))
        )
        tab = browser.new_page()
        tab.goto(f"{here}/allure/")
        yield tab, json.loads((run / "results.json").read_text("utf-8"))


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_allure_builds_its_report(report: tuple[Page, dict[str, Any]]) -> None:
    tab, document = report
    (scenario,) = document["scenarios"]
    tab.get_by_text(document["run"]["identity"]["sut"]["digest"]).first.wait_for()
    for name in ("scenarios", "prod", "test_fallback.py", f"{scenario['folder']} {scenario['title']}"):
        tab.get_by_text(name, exact=True).first.click()
    for check in scenario["account"]["expectations"]:
        tab.get_by_text(check["what"], exact=True).first.wait_for()
    described = tab.frame_locator("[data-testid=test-result-description-frame]")
    described.get_by_text("Cloud Tasks refuses").first.wait_for()
    address = tab.get_by_role("link", name="PROD-03", exact=True).get_attribute("href")
    tab.get_by_text("Attachments").first.click()
    for name in ("journal.jsonl", "api.log", "worker.log", "diagram.svg"):
        tab.get_by_text(name, exact=True).first.wait_for()
    assert address is not None
    tab.goto(address)
    assert tab.locator("tr:target").inner_text().startswith("PROD-03")
