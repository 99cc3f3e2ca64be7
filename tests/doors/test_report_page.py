"""The HTML report in Debian's chromium: read by axe, searched by keys, printed, without JavaScript, and left alone."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import reported
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect, sync_playwright
from trees import NOW

from driftd.core.findings import Judgement, Verdict
from driftd.doors.report import html

CHROMIUM = shutil.which("chromium")
assert CHROMIUM, "chromium is not installed: scripts/setup tests"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as play:
        # The sandbox needs rights that a container lacks; the page is our own.
        started = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture(scope="module")
def reports(tmp_path_factory) -> dict[str, Path]:
    """Files of reports: of a fleet, a hostile one, and one with more findings than are unfolded."""
    folder = tmp_path_factory.mktemp("reports")
    (drifted, *_) = reported.fleet()
    many = [reported.finding(100 + at, b"/usr/lib/thing-%d" % at) for at in range(300)]
    many = replace(drifted, judgement=Judgement(Verdict.DRIFTED, "much", (*drifted.judgement.findings, *many)))
    looks = {"fleet": reported.fleet(), "hostile": reported.hostile(), "many": [many, *reported.fleet()[1:]]}
    for name, of in looks.items():
        (folder / f"{name}.html").write_text(html.render(of, NOW), encoding="utf-8")
    return {name: folder / f"{name}.html" for name in looks}


def opened(browser: Browser, file: Path, **context) -> tuple[Page, list[str]]:
    """The page, and everything that it complained of or asked anybody for."""
    page, said = browser.new_page(**context), []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: said.append(request.url) if request.url != file.as_uri() else None)
    page.goto(file.as_uri())
    return page, said


@pytest.mark.parametrize(
    ("name", "scheme", "width"), [("fleet", "light", 1280), ("fleet", "dark", 390), ("hostile", "light", 390)]
)
def test_axe_finds_nothing(browser: Browser, reports, name: str, scheme: str, width: int):
    page, said = opened(browser, reports[name], color_scheme=scheme, viewport={"width": width, "height": 900})
    found = Axe().run(page).response["violations"]
    assert [(one["id"], one["impact"], [node["html"] for node in one["nodes"]][:3]) for one in found] == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width, "nothing sticks out"
    assert said == []
    page.close()


def test_nothing_planted_runs_or_asks(browser: Browser, reports):
    page, _ = opened(browser, reports["hostile"])
    assert page.title().startswith("driftd: 2 drifted instances of 4")
    assert page.locator("script").count() == 1
    assert page.locator("img, a:not([href^='#'])").count() == 0
    # Even one that got in could do nothing: the policy stops it, and says so.
    with page.expect_console_message(lambda message: "Content Security Policy" in message.text):
        page.evaluate("document.body.insertAdjacentHTML('beforeend', '<b onclick=\"window.owned = 1\">x</b>')")
        page.locator("b", has_text="x").last.dispatch_event("click")
    assert page.evaluate("window.owned") is None
    page.close()


def test_keys_alone_find_a_finding(browser: Browser, reports):
    page, said = opened(browser, reports["many"])
    status = page.locator("#said")
    expect(status).to_have_text("318 findings on 4 instances")
    assert page.locator("details[open]").count() == 0
    page.keyboard.press("/")
    page.keyboard.type("eve SSHD_config")
    expect(status).to_have_text("1 finding of 318, 1 instance")
    expect(page.locator(".finding:visible")).to_have_count(1)
    expect(page.locator(".cause:visible")).to_have_count(0)
    for _ in range(3):
        page.keyboard.press("Tab")
    page.keyboard.press("Escape")
    expect(status).to_have_text("318 findings on 4 instances")
    page.get_by_label("high").uncheck()
    expect(status).to_have_text("5 findings of 318, 2 instances")
    page.get_by_label("accepted").uncheck()
    expect(status).to_have_text("3 findings of 318, 1 instance")
    summary = page.locator(".finding:visible summary").first
    summary.focus()
    page.keyboard.press("Enter")
    expect(page.locator(".finding:visible .body").first).to_be_visible()
    assert said == []
    page.close()


def test_what_is_out_of_sight_is_not_laid_out_and_takes_no_more_room_than_it_will(browser: Browser, reports):
    page, _ = opened(browser, reports["many"], viewport={"width": 1280, "height": 900})
    last = page.locator(".some").last
    laid_out = "(few) => few.querySelector('summary').checkVisibility({ contentVisibilityAuto: true })"
    assert [few.evaluate(laid_out) for few in (page.locator(".some").first, last)] == [True, False]
    high = "document.documentElement.scrollHeight"
    assumed = page.evaluate(high)
    for few in page.locator(".some").all():
        few.scroll_into_view_if_needed()
    assert abs(page.evaluate(high) / assumed - 1) < 0.2
    page.get_by_label("Search the findings").fill("lib/thing-299")
    expect(page.locator("#said")).to_have_text("1 finding of 318, 1 instance")
    expect(page.locator(".finding:visible")).to_have_count(1)
    assert page.evaluate(high) < 1500
    page.close()


def test_an_instance_without_findings_is_found_by_its_name(browser: Browser, reports):
    page, _ = opened(browser, reports["many"])
    page.get_by_label("Search the findings").fill("web/2 answer")
    expect(page.locator("#said")).to_have_text("0 findings of 318, 1 instance")
    expect(page.locator(".instance:visible")).to_have_count(1)
    expect(page.locator(".instances tbody tr:visible")).to_have_count(1)
    page.close()


def test_without_javascript_all_is_there(browser: Browser, reports):
    page, _ = opened(browser, reports["many"], java_script_enabled=False)
    assert page.locator(".tools").is_hidden()
    assert page.locator(".finding").count() == 318
    page.locator("summary").first.click()
    assert page.locator(".finding .body").first.is_visible()
    page.close()


def test_on_paper_everything_is_unfolded(browser: Browser, reports):
    page, _ = opened(browser, reports["many"])
    page.emulate_media(media="print")
    assert page.locator(".tools").is_hidden()
    assert page.locator(".finding .body").first.is_visible()
    assert len(page.pdf(format="A4")) > 100_000
    page.close()
