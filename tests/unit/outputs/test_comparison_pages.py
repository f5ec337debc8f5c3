"""A comparison as a table that is never cut, and as a page that asks for nothing."""

from __future__ import annotations

import io
import re
import shutil
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import msgspec
import pytest
from rich.console import Console

from tests import canned
from trtdbg.analysis.comparison import (
    PolicyComparison,
    Row,
    build_totals,
    policies,
    policy_name,
    row_of,
    without_figures,
)
from trtdbg.errors import WorkerError
from trtdbg.outputs.compare.comparison_charts import BarPart, charts
from trtdbg.outputs.compare.comparison_page import page
from trtdbg.outputs.compare.comparison_table import comparison
from trtdbg.outputs.compare.comparison_words import groups
from trtdbg.outputs.pages import ControlCharsStripped
from trtdbg.policy import Settings, Timing, TruncationPolicy
from trtdbg.records import Agreement, NodeError, Numerics, TimingRecord

HOSTILE = "|<script>alert(1)</script>\x1b[31m`\"'&\n# no heading"
CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)


def rows(*, model: str = "models/island.pt2", gpu: bool = False) -> list[Row]:
    made = []
    for number, policy in enumerate(policies(TruncationPolicy())):
        wide = policy.timing in (Timing.OFF, Timing.UPSTREAM)
        report = canned.UPSTREAM if wide else canned.LATE
        record = msgspec.structs.replace(canned.BUILT, seconds=1.5 + number, cached=number > 4)
        results = [record] * len(report.engines)
        if policy.timing is Timing.OFF:
            results[1] = canned.FAILED
        report = canned.built(report, *results)
        error = NodeError(name="out", agreement=Agreement.WITHIN, max_abs_error=10.0**-number)
        report = msgspec.structs.replace(
            report,
            policy=policy,
            numerics=Numerics(
                inputs="example inputs", seed=0, atol=1, rtol=1, outputs=(error,)
            ),
            engines=tuple(
                msgspec.structs.replace(
                    engine,
                    timing=TimingRecord(median_ms=12.5, p10_ms=12, p90_ms=13, runs=9)
                    if gpu
                    else None,
                )
                for engine in report.engines
            ),
        )
        made.append(row_of(model, policy_name(policy), report, build_totals(report)))
    died = WorkerError("the worker process died of SIGSEGV while building island.pt2")
    made.append(without_figures(model, "mine.toml", TruncationPolicy(), Settings(), died))
    return made


def shown(what: PolicyComparison, width: int) -> str:
    out = io.StringIO()
    console = Console(file=out, width=width, markup=False, highlight=False, emoji=False)
    console.print(ControlCharsStripped(comparison(what)))
    return re.sub(" +$", "", out.getvalue(), flags=re.MULTILINE)


@pytest.mark.parametrize("width", [80, 120])
def test_table_is_the_golden_one(width: int) -> None:
    golden = Path(__file__).parents[2] / "golden" / f"compare_{width}.txt"
    assert shown(PolicyComparison(rows=tuple(rows())), width) == golden.read_text(
        encoding="utf-8"
    )


@pytest.mark.parametrize("width", [60, 80, 100, 120, 160])
@pytest.mark.parametrize("gpu", [False, True])
def test_no_figure_is_cut_or_folded_at_any_width(width: int, gpu: bool) -> None:
    text = shown(PolicyComparison(rows=tuple(rows(gpu=gpu))), width)
    lines = text.splitlines()
    assert max(map(len, lines)) <= width
    for figure in ("6.50 s (cached)", "1.0e-06", "34.5 kB", "1 of 2 failed", "unknown"):
        assert figure in text
    assert ("12.500 ms" in text) is gpu
    assert ("Run time not available: no CUDA device" in text) is not gpu


def test_control_characters_of_names_reach_neither_terminal_nor_page() -> None:
    one = rows(model=HOSTILE)[3]
    named = PolicyComparison(rows=(msgspec.structs.replace(one, name=HOSTILE),))
    assert "\x1b" not in shown(named, 100)
    made = page(named)
    assert "\x1b" not in made
    assert "<script>alert" not in made


class Tags(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.attributes: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append(tag)
        self.attributes |= {name for name, _ in attrs}


def test_page_names_nothing_outside_of_itself() -> None:
    tags = Tags(page(PolicyComparison(rows=tuple(rows()))))
    assert not {"img", "link", "iframe", "a", "image", "use"} & set(tags.found)
    assert not {"src", "href", "xlink:href"} & tags.attributes
    assert tags.found.count("script") == 1


def test_page_holds_every_row_with_its_figures_and_errors() -> None:
    made = page(PolicyComparison(rows=tuple(rows())))
    assert made.count("<tr class") == 8
    for text in ("late, constants none", "6.50 s (cached)", "SIGSEGV", "1.0e-06", "1e 1w"):
        assert text in made
    assert "Run time not available: no CUDA device" in made


def drawings(what: PolicyComparison) -> list[ElementTree.Element]:
    found = re.findall(r"<svg .*?</svg>", page(what), re.DOTALL)
    return [ElementTree.fromstring(svg) for svg in found]


def test_bars_are_as_long_as_their_figures() -> None:
    (group,) = groups(PolicyComparison(rows=tuple(rows())))
    engines, builds, sizes, errors = charts(group)
    assert engines.title == "Engines + PyTorch operators"
    by_name = {bar.name: bar for bar in engines.bars}
    upstream, late = by_name["upstream"].pieces, by_name["late"].pieces
    assert [piece.part for piece in upstream] == [BarPart.ENGINES, BarPart.TORCH_OPS]
    assert upstream[0].width == pytest.approx(2 * upstream[1].width, abs=0.2)
    assert late[0].width == pytest.approx(upstream[1].width, abs=0.2)
    assert upstream[1].x == pytest.approx(upstream[0].x + upstream[0].width, abs=0.2)
    seconds = {bar.name: bar for bar in builds.bars}
    assert seconds["late, computed none"].end > seconds["late"].end > seconds["early"].end
    decades = [bar.pieces[0].width for bar in errors.bars if bar.pieces]
    steps = [a - b for a, b in pairwise(decades)]
    assert steps == pytest.approx([steps[0]] * len(steps), abs=0.2)
    assert sizes.bars[2].value == "69.0 kB"


def test_what_failed_has_no_bar_but_a_word() -> None:
    (group,) = groups(PolicyComparison(rows=tuple(rows())))
    builds = charts(group)[1]
    failed, died = builds.bars[0], builds.bars[-1]
    assert (failed.pieces, failed.value, failed.missing) == ((), "1 of 2 failed", True)
    assert (died.pieces, died.value) == ((), "failed")


def test_a_figure_that_nobody_has_is_not_drawn() -> None:
    (group,) = groups(PolicyComparison(rows=tuple(rows())))
    assert "Run time of the engines" not in [chart.title for chart in charts(group)]
    (group,) = groups(PolicyComparison(rows=tuple(rows(gpu=True))))
    assert "Run time of the engines" in [chart.title for chart in charts(group)]


def test_drawings_are_whole_and_hold_their_text() -> None:
    found = drawings(PolicyComparison(rows=tuple(rows(gpu=True))))
    assert len(found) == 5
    for svg in found:
        width = float(svg.get("width", "0"))
        for rect in svg.iter("rect"):
            assert float(rect.get("x", "0")) + float(rect.get("width", "0")) <= width
        assert len(list(svg.iter("g"))) == 8


@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here")
def test_page_in_a_browser_shows_all_text_in_light_and_dark(tmp_path: Path) -> None:
    browsers = pytest.importorskip(
        "playwright.sync_api", reason="playwright is not installed", exc_type=ImportError
    )
    file = tmp_path / "compare.html"
    file.write_text(page(PolicyComparison(rows=tuple(rows(gpu=True)))), encoding="utf-8")
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
        style = "[getComputedStyle(document.body).backgroundColor, getComputedStyle("
        style += "document.querySelector('rect')).fill]"
        dark = tab.evaluate(style)
        outside = tab.evaluate(
            """() => [...document.querySelectorAll("svg")].flatMap((svg) => {
              const frame = svg.getBoundingClientRect();
              return [...svg.querySelectorAll("text")].filter((text) => {
                const box = text.getBoundingClientRect();
                return box.left < frame.left - 1 || box.right > frame.right + 1;
              }).map((text) => text.textContent);
            })"""
        )
        tab.locator("#theme").click()
        light = tab.evaluate(style)
        browser.close()
    assert dark == ["rgb(24, 24, 27)", "rgb(147, 197, 253)"]
    assert light == ["rgb(255, 255, 255)", "rgb(29, 78, 216)"]
    assert outside == []
    assert heard == [f"request: {file.as_uri()}"]


def test_a_row_without_its_number_of_operators_has_no_bar() -> None:
    first, *others = rows()
    lacking = msgspec.structs.replace(first, torch_ops=None)
    (group,) = groups(PolicyComparison(rows=(lacking, *others)))
    engines = charts(group)[0]
    assert engines.bars[0].missing
    assert engines.bars[0].pieces == ()


def test_the_longest_value_has_room_behind_its_bar() -> None:
    failed = msgspec.structs.replace(rows()[0], engines=123456789, torch_ops=123456789012)
    for group in groups(PolicyComparison(rows=(failed, *rows(gpu=True)))):
        for chart in charts(group):
            for bar in chart.bars:
                end = max(bar.end, chart.start) + 5 + len(bar.value) * 6.7
                assert end <= chart.width, (chart.title, bar.value)
