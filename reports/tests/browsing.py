"""Pages in a real Chromium, and results that a page shows."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from harness.errors import Finding
from harness.ledger import Check
from harness.model import Verdict
from reports.page import page
from reports.policy import Policy
from reports.tests import made

FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
PHONE = {"width": 390, "height": 844}
Open = Callable[..., Page]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        pytest.fail(
            "the page is tested in a real Chromium, and there is none: run make tools, or apt-get install chromium"
        )
    with (
        sync_playwright() as playwright,
        contextlib.closing(playwright.chromium.launch(executable_path=path, args=FLAGS)) as browser,
    ):
        yield browser


@pytest.fixture
def open_page(browser: Browser, tmp_path: Path) -> Iterator[Open]:
    """Opens a page from results; whatever it asks of the network, or any error in it, fails the test."""
    with contextlib.ExitStack() as stack:
        problems: list[str] = []

        def open_(
            document: dict[str, Any], *, policy: Policy | None = None, fragment: str = "", **options: Any
        ) -> Page:
            file = tmp_path / "checklist.html"
            file.write_text(page(document, policy), encoding="utf-8", errors="replace")
            context = stack.enter_context(contextlib.closing(browser.new_context(**options)))
            tab: Page = context.new_page()
            tab.on("pageerror", lambda error: problems.append(str(error)))
            tab.on("console", lambda message: problems.append(message.text))
            tab.on(
                "request", lambda request: problems.append(request.url) if request.url != tab.url else None
            )
            tab.goto(file.as_uri() + fragment)
            tab.wait_for_selector("html[data-ready]")
            problems[:] = [problem for problem in problems if not problem.startswith(file.as_uri())]
            return tab

        yield open_
        assert problems == []


def some() -> dict[str, Any]:
    """Results with every verdict, a fault and an ambiguous reply."""
    system = made.record(
        made.observation(
            9, "cloud_tasks", "rpc", "CreateTask → hang", method="CreateTask", code="", observed="hang", applied=True,
            task=None, fault="cloud-tasks-reply-lost", request={"body": "ep-1"},
        ),
        made.log(10, "api", "event=assemble.service.falling_back_to_inline", "assemble.service.falling_back_to_inline"),
        environment={"process": {"APP_ENV": "production", "TASKS_AUTH": made.SECRET, "URL": f"x?{made.SECRET}"}},
    )  # fmt: skip
    finding = Finding("no event=assemble.service.falling_back_to_inline", "it was logged", oracle="events")
    account = made.shown(system, Check("logs no failure", finding), finding=finding)
    fine = made.shown(made.record(), Check("takes cloud_tasks served"))
    passing = [
        made.scenario(f"PROD-HEALTHY-{n:02}", account=fine, files={"api.log": "0" * 64}) for n in range(1, 60)
    ]
    return made.document(
        made.scenario("PROD-FALLBACK-07", Verdict.FAIL, requires=("PROD-03",), account=account),
        made.scenario("ONCE-LOST-01", Verdict.INCONCLUSIVE, requires=("ONCE-02",)),
        made.scenario("ONCE-TWICE-01", Verdict.NOT_APPLICABLE, requires=("ONCE-02",)),
        *passing,
    )


def proved(**changes: Any) -> dict[str, Any]:
    """Results with a kill matrix that shows every outcome, and a canary."""
    mutants = [
        made.mutant("m-killed", requirement="PROD-03"),
        made.mutant("m-other", "killed for another reason", requirement="PROD-01"),
        made.mutant("m-alive", "survived", requirement="ONCE-02"),
        made.mutant("m-stale", "not judged", requirement="PROD-01"),
    ]
    variants = [made.variant("v-green"), made.variant("v-alarm", "false alarm")]
    prove = made.kill_matrix(*mutants, equivalent=variants, **changes)
    return {**some(), "prove": prove, "canary": made.mutant("m-killed")}


def shown(tab: Page) -> list[str]:
    # Not the inner texts: what is off screen is not rendered, and has none.
    return tab.locator("details.scenario:not([hidden]) > summary .id b").all_text_contents()
