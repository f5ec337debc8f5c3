"""A report as Markdown and as an HTML page."""

from __future__ import annotations

import html
from html.parser import HTMLParser

import msgspec

from tests import canned
from trtdbg.analysis.causes import derive, why
from trtdbg.outputs.report_pages import MOST_ROWS, fragment, markdown, page
from trtdbg.records import FailedReport, ModelPath, Report

HOSTILE = "|<script>alert(1)</script>\x1b[31m`\"'&\n# no heading"


def hostile() -> Report:
    nodes = tuple(
        msgspec.structs.replace(node, name=HOSTILE) if node.name == "_to_copy" else node
        for node in canned.UPSTREAM.nodes
    )
    findings = tuple(
        msgspec.structs.replace(finding, message=HOSTILE)
        for finding in canned.UPSTREAM.findings
    )
    model = msgspec.structs.replace(canned.UPSTREAM.model, path=HOSTILE)
    return msgspec.structs.replace(
        canned.UPSTREAM, nodes=nodes, findings=findings, model=model
    )


class Tags(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append(tag)
        self.attributes += attrs


def test_markdown_answers_first_and_then_explains() -> None:
    lines = markdown([canned.UPSTREAM]).splitlines()
    assert lines[0] == (
        "## island.pt2: 2 engines, 1 operator left to PyTorch, 1 boundary cast under upstream"
    )
    titles = [line for line in lines if line.startswith("### ")]
    assert titles[:3] == ["### Left to PyTorch", "### Findings", "### Engines"]
    assert "### Passes that changed the graph" in titles


def test_every_row_of_a_markdown_table_has_its_headers_cells() -> None:
    for report in (canned.UPSTREAM, hostile()):
        width = 0
        for line in markdown([report], all_nodes=True).splitlines():
            if not line.startswith("|"):
                width = 0
                continue
            cells = line.replace("\\|", "").count("|")
            width = width or cells
            assert cells == width, line


def test_names_of_a_model_are_neither_markdown_nor_html() -> None:
    text = markdown([hostile()])
    assert "<script>" not in text.replace("\\<", "")
    assert "\x1b" not in text
    for made in (page([hostile()]), fragment(hostile())):
        assert "<script>alert" not in made
        assert "\x1b" not in made
    assert Tags(page([hostile()])).found.count("script") == 1


def test_page_names_nothing_outside_of_itself() -> None:
    tags = Tags(page([canned.UPSTREAM]))
    assert not {"img", "link", "iframe", "a"} & set(tags.found)
    assert not {"src", "href"} & {name for name, _ in tags.attributes}


def test_a_long_table_is_cut_in_markdown_and_says_so() -> None:
    one = canned.UPSTREAM.findings[0]
    words = [f"{a}{b}" for a in "abcdefgh" for b in "abcdefgh"][: MOST_ROWS + 7]
    rows = tuple(msgspec.structs.replace(one, message=word) for word in words)
    many = msgspec.structs.replace(canned.UPSTREAM, findings=rows)
    assert "and 7 more" in markdown([many])
    assert page([many]).count(">TD101<") == MOST_ROWS + 7


def test_several_models_are_on_one_page_failed_ones_too() -> None:
    failed = FailedReport(model=ModelPath(path="b/x.pt2"), error="is empty", exit_code=2)
    made = page([canned.UPSTREAM, failed])
    assert "<title>island.pt2 and x.pt2</title>" in made
    assert "x.pt2: no report" in made
    assert "is empty" in markdown([canned.UPSTREAM, failed])


def test_a_notebook_shows_causes_and_of_older_reports_what_is_left() -> None:
    older = fragment(canned.UPSTREAM)
    assert "Left to PyTorch" in older
    causes = derive(canned.UPSTREAM)
    made = fragment(msgspec.structs.replace(canned.UPSTREAM, causes=causes))
    assert "Causes" in made
    assert "Left to PyTorch" not in made
    assert html.escape(causes[0].reason, quote=False)[:30] in made


def test_the_page_begins_with_engines_and_gaps_in_order() -> None:
    made = html.unescape(page([canned.UPSTREAM]))
    strip = made.split('<div class="strip"', 1)[1].split("</div>", 1)[0]
    assert strip.index("E0</span>") < strip.index("✗</span>") < strip.index("E1</span>")
    (left,) = [node for node in canned.UPSTREAM.nodes if node.name == "_to_copy"]
    assert f"1 operator in PyTorch: _to_copy: {why(canned.UPSTREAM, left)}" in strip


def test_a_report_without_a_partition_has_no_strip() -> None:
    assert '<div class="strip"' not in page([canned.LOWERING_FAILED])
