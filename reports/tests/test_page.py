"""The page in a real Chromium: what it shows, how it is used by keyboard, and that nothing in it acts."""

from __future__ import annotations

import contextlib
import re
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

from harness.errors import Finding
from harness.ledger import Check
from harness.model import Verdict
from reports import diagram
from reports.page import page
from reports.policy import Policy
from reports.tests import hostile, made

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


def shown(tab: Page) -> list[str]:
    # Not the inner texts: what is off screen is not rendered, and has none.
    return tab.locator("details.scenario:not([hidden]) > summary b").all_text_contents()


def test_the_decision_stands_at_the_top_with_its_reasons(open_page: Open) -> None:
    tab = open_page(some())
    assert tab.locator("h1").inner_text().startswith("NO-GO")
    reasons = tab.locator(".reasons li").all_inner_texts()
    assert reasons[0] == "failed: PROD-03 failed"
    assert tab.locator("h1").bounding_box()["y"] < 200  # type: ignore[index]


def test_a_good_run_says_go(open_page: Open) -> None:
    policy = Policy.model_validate(
        {"version": 1, "excuse": [{"requirements": ["LIVE-*"], "because": "later"}]}
    )
    tab = open_page(made.going(), policy=policy)
    assert tab.locator("h1").inner_text().startswith("GO")
    assert "LIVE-01 is NOT VERIFIED: later" in tab.locator(".excused").text_content()  # type: ignore[operator]


def test_an_incomplete_run_says_so_and_never_go(open_page: Open) -> None:
    heading = open_page(made.going(ended_at=None)).locator("h1").inner_text()
    assert heading.startswith("NO-GO")
    assert "INCOMPLETE" in heading


def test_what_left_no_verdict_is_listed(open_page: Open) -> None:
    shown = made.scenario("A-01")
    tab = open_page(
        made.document(shown, selected=[shown.node, "scenarios/a.py::t", "scenarios/b.py::t[<b>]"])
    )
    assert tab.locator(".tiles .INCONCLUSIVE").inner_text().split() == ["2", "without", "a", "verdict"]
    tab.get_by_text("2 selected scenarios left no verdict").click()
    assert tab.locator(".missing li").all_inner_texts() == ["scenarios/a.py::t", "scenarios/b.py::t[<b>]"]


def test_what_is_missing_excluded_and_left_to_a_person_is_listed(open_page: Open) -> None:
    tab = open_page(some())
    assert "NOT VERIFIED" in tab.locator("#requirement-LIVE-01").inner_text()
    assert "the feature is gone" in tab.locator("#requirement-OLD-01").inner_text()
    assert "kill matrix: not run" in tab.locator("main").inner_text()
    assert "The canary: not run" in tab.locator("main").inner_text()
    assert tab.get_by_text("Released by:").is_visible()
    assert "never their absence" in tab.locator("main").inner_text()


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


def test_the_kill_matrix_is_a_picture_and_words(open_page: Open) -> None:
    tab = open_page(proved())
    part = tab.locator("#proof")
    assert "1 of 4 known-bad dispatchers were found for the stated reason" in part.inner_text()
    assert "The canary m-killed was found, by PROD-FALLBACK-01." in part.inner_text()
    tiles = part.locator(".board .tile").all_text_contents()
    assert tiles == [
        "≠m-other: killed for another reason",
        "?m-stale: not judged",
        "✓m-killed: killed",
        "✗m-alive: survived",
    ]  # in the order of the requirements
    rows = part.locator("table.matrix tbody tr:not(.family)")
    assert rows.count() == 4
    killed = tab.locator("#m-m-killed")
    part.get_by_text("1 found for the stated reason").click()
    assert killed.inner_text().startswith("✓\nWhat is wrong with m-killed\nPROD-03 route: PROD-FALLBACK-01")
    assert killed.locator("svg.strip").get_attribute("aria-label") == "1 killed, 1 passed"
    assert killed.locator("path.mark-3").count() == 1
    assert "for another reason PROD-03 route" in tab.locator("#m-m-other").inner_text()
    assert "survived" in tab.locator("#m-m-alive").inner_text()
    assert "the patch is stale" in tab.locator("#m-m-stale").inner_text()
    assert tab.locator(".variants li").first.inner_text().startswith("false alarm Harmless: v-alarm")
    assert "1 scenario kills" in part.locator(".more").nth(1).inner_text()


def test_what_was_found_as_stated_is_folded_and_its_tile_leads_there(open_page: Open) -> None:
    tab = open_page(proved(), reduced_motion="reduce")
    fold = tab.locator("#proof .rows")
    assert not tab.locator("#m-m-killed").is_visible()
    assert tab.locator("#m-m-alive").is_visible(), "a survivor is never folded away"
    tab.emulate_media(media="print")
    assert not fold.is_visible()
    tab.emulate_media(media="screen")
    tab.locator("#proof .tile[href='#m-m-killed']").click()
    tab.wait_for_function("document.querySelector('#proof .rows').open")
    assert tab.locator("#m-m-killed").is_visible()
    tab.wait_for_function("document.getElementById('m-m-killed').getBoundingClientRect().top < innerHeight")
    tab.emulate_media(media="print")
    assert fold.is_visible(), "what a reader opened is printed"


def test_a_requirement_says_how_many_were_not_applicable_and_links_what_failed_first(open_page: Open) -> None:
    scenarios = [made.scenario(f"A-{n:02}", requires=("PROD-03",)) for n in range(4)]
    scenarios.append(made.scenario("Z-01", Verdict.FAIL, requires=("PROD-03",)))
    scenarios.append(made.scenario("B-01", Verdict.NOT_APPLICABLE, requires=("PROD-03",)))
    row = open_page(made.document(*scenarios)).locator("#requirement-PROD-03")
    assert row.locator(".filter-by").inner_text() == "4/5, 1 n/a"
    assert row.locator(".shown-by a").all_inner_texts() == ["Z-01", "A-00", "A-01"]
    assert row.locator(".shown-by").inner_text().endswith("and 3 more")


def test_what_each_scenario_adds_is_said_only_where_it_is_known(open_page: Open) -> None:
    tab = open_page(proved())
    more = tab.locator("#proof .more")
    assert more.count() == 3
    more.nth(1).locator("summary").click()
    assert more.nth(1).locator("li").all_inner_texts() == ["PROD-FALLBACK-01: m-killed"]
    assert more.nth(2).locator("li").all_text_contents() == ["PROD-HEALTHY-01"]
    tab = open_page(proved(full=False))
    assert tab.locator("#proof .more").count() == 1
    assert "dispatchcheck prove --full" in tab.locator("#proof").inner_text()


def test_figures_are_shown_with_their_bounds(open_page: Open) -> None:
    document = some()
    document["scenarios"][5]["figures"] = [
        {"name": "throughput", "value": 41.72, "unit": "jobs/s", "at_least": 20},
        {"name": "jobs", "value": 500, "unit": ""},
    ]
    tab = open_page(document)
    cards = tab.locator("section .figures > .figure")
    name = document["scenarios"][5]["folder"]
    assert cards.all_inner_texts() == [
        f"throughput\n41.7 jobs/s\nat least 20 jobs/s\n{name}",
        f"jobs\n500\n{name}",
    ]
    label = cards.first.locator(".gauge").get_attribute("aria-label")
    assert label == "41.7 jobs/s, at least 20 jobs/s"
    cards.first.locator("a").click()
    tab.wait_for_selector(f"#s-{name}[data-filled]")
    assert tab.locator(f"#s-{name} .figure").count() == 2


def test_what_many_scenarios_counted_is_one_card(open_page: Open) -> None:
    document = some()
    for scenario in document["scenarios"][3:20]:
        scenario["figures"] = [{"name": "decisions compared", "value": 277, "unit": "cells"}]
    cards = open_page(document).locator("section .figures > .figure")
    first = document["scenarios"][3]["folder"]
    assert cards.all_inner_texts() == [f"decisions compared\n4,709 cells\n{first}\nand 16 more"]


def test_search_and_verdicts_filter(open_page: Open) -> None:
    tab = open_page(some())
    assert len(shown(tab)) == 62
    tab.fill("#search", "prod-03 fallback")
    assert shown(tab) == ["PROD-FALLBACK-07"]
    assert tab.locator("#count").inner_text() == "1 of 62 shown"
    tab.fill("#search", "")
    tab.get_by_label("PASS", exact=True).uncheck()
    assert shown(tab) == ["PROD-FALLBACK-07", "ONCE-LOST-01", "ONCE-TWICE-01"]
    tab.fill("#search", "no such thing")
    assert tab.get_by_text("No scenario matches.").is_visible()


def test_suites_filter_and_the_slowest_can_come_first(open_page: Open) -> None:
    tab = open_page(
        made.document(
            made.scenario("A-01", node="scenarios/dev/test_a.py::test_a", duration_s=1.0),
            made.scenario("B-01", node="scenarios/prod/test_b.py::test_b", duration_s=3.0),
            made.scenario("C-01", Verdict.FAIL, node="scenarios/prod/test_c.py::test_c", duration_s=2.0),
        )
    )
    assert shown(tab) == ["C-01", "A-01", "B-01"]
    tab.locator("#order").select_option("slowest first")
    assert shown(tab) == ["B-01", "C-01", "A-01"]
    tab.locator("#suite").select_option("prod")
    assert shown(tab) == ["B-01", "C-01"]
    tab.locator("#order").select_option("by name")
    tab.locator("#suite").select_option("all")
    assert shown(tab) == ["A-01", "B-01", "C-01"]


def test_a_requirement_leads_to_its_scenarios(open_page: Open) -> None:
    tab = open_page(some())
    tab.get_by_role("button", name="Show the scenarios of ONCE-02").click()
    assert shown(tab) == ["ONCE-LOST-01", "ONCE-TWICE-01"]
    tab.locator("#requirement-PROD-03 a").first.click()
    tab.wait_for_selector("#s-PROD-FALLBACK-07[open]")


def test_a_link_opens_its_scenario(open_page: Open) -> None:
    tab = open_page(some(), fragment="#s-PROD-HEALTHY-45")
    tab.wait_for_selector("#s-PROD-HEALTHY-45[data-filled]")
    assert tab.locator("#s-PROD-HEALTHY-45 svg.sequence").is_visible()


def test_a_failed_scenario_shows_what_happened(open_page: Open) -> None:
    tab = open_page(some())
    row = tab.locator("#s-PROD-FALLBACK-07")
    row.locator("> summary").click()
    assert "no event=assemble.service.falling_back_to_inline" in row.locator(".finding").inner_text()
    assert row.locator("svg.sequence .fault").text_content() == "cloud-tasks-reply-lost"
    assert row.locator("svg.sequence .bolt").count() == 1
    assert row.locator("svg.sequence .maybe").text_content() == "the caller cannot know"
    assert row.locator("svg.sequence path.lost").count() == 1
    assert row.locator("svg.sequence .sign-lost").text_content() == "?"
    assert row.locator("mark").all_inner_texts() == ["event=assemble.service.falling_back_to_inline"]
    row.locator(".env summary").click()
    environment = row.locator(".env").inner_text()
    assert "production" in environment
    assert "[secret]" in environment


def test_keyboard_alone_is_enough(open_page: Open) -> None:
    tab = open_page(some())
    tab.keyboard.press("Tab")
    assert tab.evaluate("document.activeElement.textContent") == "Skip to the scenarios"
    tab.keyboard.press("/")
    tab.keyboard.type("prod-healthy-1")
    assert len(shown(tab)) == 10
    tab.keyboard.press("ArrowDown")
    tab.keyboard.press("j")
    assert tab.evaluate("document.activeElement.querySelector('b').textContent") == "PROD-HEALTHY-11"
    tab.keyboard.press("Enter")
    tab.wait_for_selector("#s-PROD-HEALTHY-11[open][data-filled]")
    tab.keyboard.press("k")
    assert tab.evaluate("document.activeElement.querySelector('b').textContent") == "PROD-HEALTHY-10"
    tab.keyboard.press("Escape")
    assert len(shown(tab)) == 62


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [{"width": 1280, "height": 900}, PHONE], ids=["desk", "phone"])
def test_axe_finds_nothing(open_page: Open, scheme: str, size: dict[str, int]) -> None:
    document = proved()
    document["scenarios"][5]["figures"] = [
        {"name": "throughput", "value": 41.72, "unit": "/s", "at_least": 20}
    ]
    tab = open_page(document, color_scheme=scheme, viewport=size, bypass_csp=True)
    tab.locator("#s-PROD-FALLBACK-07 > summary").click()
    tab.locator("#s-PROD-HEALTHY-01 > summary").click()
    tab.wait_for_selector("#s-PROD-HEALTHY-01[data-filled]")
    tab.locator("#s-PROD-FALLBACK-07 .env summary").click()
    tab.evaluate("document.querySelectorAll('.more, .excused').forEach((each) => { each.open = true; })")
    results = Axe().run(tab)
    assert results.violations_count == 0, results.generate_report()


def test_light_and_dark_can_be_chosen(open_page: Open) -> None:
    tab = open_page(some(), color_scheme="light")
    background = "getComputedStyle(document.body).backgroundColor"
    light = tab.evaluate(background)
    tab.get_by_role("button", name="Light or dark").click()
    assert tab.evaluate(background) != light


def test_a_phone_does_not_scroll_sideways(open_page: Open) -> None:
    tab = open_page(proved(), viewport=PHONE)
    for name in ("PROD-FALLBACK-07", "ONCE-LOST-01", "PROD-HEALTHY-01"):
        tab.locator(f"#s-{name} > summary").click()
    tab.wait_for_selector("#s-PROD-HEALTHY-01[data-filled]")
    outside = tab.evaluate("""[...document.querySelectorAll("main *")]
        .filter((e) => !e.closest(".scroll") && e.getBoundingClientRect().right > 391)
        .map((e) => e.outerHTML.slice(0, 80))""")
    assert outside == []
    assert tab.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


def test_printing_opens_what_did_not_pass(open_page: Open) -> None:
    tab = open_page(some())
    tab.evaluate("dispatchEvent(new Event('beforeprint'))")
    tab.emulate_media(media="print")
    assert tab.locator("#s-PROD-FALLBACK-07 svg.sequence").is_visible()
    assert not tab.locator("form.tools").is_visible()
    assert tab.locator(".sign .line").first.is_visible()
    tab.evaluate("dispatchEvent(new Event('afterprint'))")
    assert tab.locator("details.scenario[open]").count() == 0


def test_nothing_that_a_dispatcher_wrote_acts(open_page: Open) -> None:
    document = hostile.document()
    for bypass in (False, True):  # without the page's policy, escaping alone must hold
        tab = open_page(document, bypass_csp=bypass)
        for row in tab.locator("details.scenario > summary").all():
            row.click()
        tab.wait_for_selector("#s-GOOD-01[data-filled]")
        assert tab.evaluate("window.pwned") is None
        assert tab.evaluate("[...document.scripts].filter(s => !s.type).length") == 1
        assert tab.locator("img, svg[onload], [onerror]").count() == 0
        text = tab.locator("#s-BAD-01").inner_text()
        assert hostile.SCRIPT in text
        assert hostile.TEMPLATE in text
        assert "hunter2" not in tab.content()


def test_the_page_stands_alone() -> None:
    text = page(some())
    assert not re.search(r"(src|href)=\"(https?:)?//", text)
    assert "default-src 'none'" in text


def test_thousands_open_and_filter_without_a_wait(open_page: Open) -> None:
    fine = made.shown(made.record(), Check("takes cloud_tasks served"))
    many = [made.scenario(f"PROD-MANY-{n:04}", account=fine) for n in range(5000)]
    tab = open_page(made.document(*many))
    opened_ms = tab.evaluate("performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd")
    assert opened_ms < 10_000  # a shared machine; benchmarks/reports.py measures
    took_ms = tab.evaluate("""async () => {
        const box = document.getElementById("search"), began = performance.now();
        box.value = "many-4999";
        box.dispatchEvent(new Event("input"));
        await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
        return performance.now() - began;
    }""")
    assert shown(tab) == ["PROD-MANY-4999"]
    assert took_ms < 2000
    began = time.monotonic()
    tab.locator("#s-PROD-MANY-4999 > summary").click()
    tab.wait_for_selector("#s-PROD-MANY-4999[data-filled]")
    assert time.monotonic() - began < 10


def test_the_drawing_for_allure_is_a_file_of_its_own() -> None:
    story = made.shown(made.record())["story"]
    text = diagram.diagram(story, standalone=True)
    assert text.startswith('<svg xmlns="http://www.w3.org/2000/svg"')
