"""The page of a dtype diff in a real browser: no request, no error, search and hover work."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import graphviz
import pytest

from tests import canned
from trtdbg.outputs.picture import layout, page, pairs, picture, sides

browsers = pytest.importorskip(
    "playwright.sync_api", reason="playwright is not installed", exc_type=ImportError
)
CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here"),
    pytest.mark.skipif(shutil.which(graphviz.DOT_BINARY) is None, reason="no Graphviz here"),
]


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    diff = pairs.compare(
        sides.of_report(canned.UPSTREAM, "upstream"), sides.of_report(canned.LATE, "late")
    )
    drawn = layout.lay_out(diff, picture.picture(diff, "</script><b>.pt2"), "html", 60)
    path = tmp_path_factory.mktemp("page") / "diff.html"
    path.write_text(page.page(drawn.picture, drawn.data), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with browsers.sync_playwright() as playwright:
        # Root has no sandbox in a container.
        yield (
            made := playwright.chromium.launch(
                executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
            )
        )
        made.close()


@pytest.fixture
def heard() -> list[str]:
    return []


@pytest.fixture
def opened(file: Path, browser: Any, heard: list[str]) -> Iterator[Any]:
    tab = browser.new_page(viewport={"width": 1200, "height": 800})
    tab.on("console", lambda message: heard.append(f"console: {message.text}"))
    tab.on("pageerror", lambda error: heard.append(f"error: {error}"))
    tab.on("request", lambda request: heard.append(f"request: {request.url}"))
    tab.goto(file.as_uri())
    yield tab
    tab.close()


def test_page_asks_for_nothing_but_itself_and_reports_no_error(
    opened: Any, file: Path, heard: list[str]
) -> None:
    opened.wait_for_timeout(200)
    assert heard == [f"request: {file.as_uri()}"]
    assert opened.title() == "</script><b>.pt2: upstream → late"
    assert opened.locator("h1").inner_text() == "</script><b>.pt2: upstream → late"


def test_pointing_at_a_box_tells_what_happened_to_it(opened: Any) -> None:
    box = opened.locator("g.node.narrowed", has_text="_to_copy").first
    box.hover()
    told = opened.locator("#details").inner_text()
    assert "narrowed float64 → float32" in told
    assert "before: float64, reject, left to PyTorch: " in told
    opened.mouse.move(1, 1)
    assert "Point at a box" in opened.locator("#details").inner_text()


def test_search_finds_a_node_inside_a_region_and_tells_how_many(opened: Any) -> None:
    opened.keyboard.press("/")
    opened.keyboard.type("weight")
    assert opened.locator("#found").inner_text() == "1 of 1"
    assert opened.locator("g.node.hit").count() == 1
    opened.keyboard.press("Control+A")
    opened.keyboard.type("no such node")
    assert opened.locator("#found").inner_text() == "0 found"
    assert opened.locator("g.node.hit").count() == 0
    opened.keyboard.press("Escape")
    assert opened.locator("g.node.faded").count() == 0


def test_wheel_zooms_and_dragging_moves(opened: Any) -> None:
    svg = opened.locator("#drawing svg")
    first = svg.get_attribute("viewBox")
    opened.mouse.move(400, 400)
    opened.mouse.wheel(0, -400)
    opened.wait_for_function(
        "first => first !== document.querySelector('svg').getAttribute('viewBox')", arg=first
    )
    zoomed = svg.get_attribute("viewBox").split()
    assert float(zoomed[2]) < float(first.split()[2])
    opened.mouse.down()
    opened.mouse.move(500, 400)
    opened.mouse.up()
    moved = svg.get_attribute("viewBox").split()
    assert moved[2:] == zoomed[2:]
    assert float(moved[0]) < float(zoomed[0])


def test_light_and_dark_follow_the_button(opened: Any) -> None:
    opened.emulate_media(color_scheme="light")
    light = opened.evaluate("getComputedStyle(document.body).backgroundColor")
    opened.locator("#theme").click()
    dark = opened.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (light, dark) == ("rgb(255, 255, 255)", "rgb(24, 24, 27)")
