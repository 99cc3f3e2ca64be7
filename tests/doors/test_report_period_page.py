"""A period's report in Debian's chromium: read by axe, within its width, left alone by what was planted."""

import shutil
from pathlib import Path

import reported
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import sync_playwright
from test_report_period import store, told

from driftd.doors.report.period import Format, render

CHROMIUM = shutil.which("chromium")
assert CHROMIUM, "chromium is not installed: scripts/setup tests"
__all__ = ["store"]


def test_axe_finds_nothing_and_nothing_planted_runs_or_asks(store, tmp_path: Path):
    file = tmp_path / "period.html"
    file.write_text(render(Format.HTML, told(store, reported.PLANTED)), encoding="utf-8")
    with sync_playwright() as play:
        # The sandbox needs rights that a container lacks; the page is our own.
        browser = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        for scheme, width in (("light", 1280), ("dark", 390)):
            page, said = browser.new_page(color_scheme=scheme, viewport={"width": width, "height": 900}), []
            page.on("console", lambda message, said=said: said.append(message.text))
            page.on("request", lambda asked, said=said: said.append(asked.url) if asked.url != file.as_uri() else None)
            page.goto(file.as_uri())
            found = Axe().run(page).response["violations"]
            assert [(one["id"], one["impact"], one["nodes"][0]["html"]) for one in found] == []
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            assert said == []
            assert page.locator("script, img, a:not([href^='#'])").count() == 0
            page.close()
        browser.close()
