"""The page in a real Chromium: what it shows, and that nothing in it acts."""

from __future__ import annotations

import re

from harness.model import Verdict
from reports import diagram
from reports.page import page
from reports.policy import Policy
from reports.tests import hostile, made
from reports.tests.browsing import Open, proved, some


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


def test_the_list_says_in_a_line_what_was_found(open_page: Open) -> None:
    document = some()
    finding = document["scenarios"][0]["account"]["finding"]
    finding |= {"expected": "a\nmore", "observed": "<b>x</b>" + "y" * 500}
    tab = open_page(document)
    why = tab.locator("details.scenario .why")
    assert why.all_text_contents() == ["expected a observed <b>x</b>" + "y" * 152 + "…"]
    assert why.is_visible()
    tab.locator("details.scenario summary").first.click()
    assert not why.is_visible(), "the whole of it stands below"


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


def test_the_drawing_for_allure_is_a_file_of_its_own() -> None:
    story = made.shown(made.record())["story"]
    text = diagram.diagram(story, standalone=True)
    assert text.startswith('<svg xmlns="http://www.w3.org/2000/svg"')
