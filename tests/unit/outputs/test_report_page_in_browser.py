"""The HTML page of a report in a real browser: no request, no error, the filter works."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests import canned
from trtdbg.outputs.report_pages import page

browsers = pytest.importorskip(
    "playwright.sync_api", reason="playwright is not installed", exc_type=ImportError
)
NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)


@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here")
def test_page_of_a_report_filters_rows_and_asks_for_nothing(tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    file.write_text(page([canned.UPSTREAM]), encoding="utf-8")
    heard: list[str] = []
    with browsers.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        tab = browser.new_page(color_scheme="dark")
        tab.on("console", lambda message: heard.append(f"console: {message.text}"))
        tab.on("pageerror", lambda error: heard.append(f"error: {error}"))
        tab.on("request", lambda request: heard.append(f"request: {request.url}"))
        tab.goto(file.as_uri())
        assert tab.locator("h1").inner_text().startswith("island.pt2: 2 engines")
        dark = tab.evaluate("getComputedStyle(document.body).backgroundColor")
        all_rows = tab.locator("tbody tr").count()
        tab.keyboard.press("/")
        tab.keyboard.type("td301")
        shown = tab.locator("tbody tr:visible")
        assert shown.count() == 1
        assert "TD301" in shown.inner_text()
        tab.locator("#search").fill("")
        assert tab.locator("tbody tr:visible").count() == all_rows
        browser.close()
    assert dark == "rgb(24, 24, 27)"
    assert heard == [f"request: {file.as_uri()}"]
