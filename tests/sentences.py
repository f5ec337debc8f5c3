"""The one sentence that says why an operator is outside, looked for in every output."""

from __future__ import annotations

import html
import io
import json
from collections import Counter
from pathlib import Path

from rich.console import Console
from trtdbg_ui.model.loaded import Loaded
from trtdbg_ui.render.causes import cause_detail
from trtdbg_ui.render.detail import fate
from trtdbg_ui.text import plain

from trtdbg import api
from trtdbg.analysis import checked
from trtdbg.analysis.causes import operators_outside, refused_in_engines, why
from trtdbg.analysis.summary import broken_end
from trtdbg.outputs import pages, report_pages
from trtdbg.outputs.ci import github, junit, sarif
from trtdbg.outputs.picture import sides
from trtdbg.plain import one_line
from trtdbg.records import Level, NodeRecord, Report

WIDE = 100_000
"""Cells of a line, so that nothing is wrapped."""


def check_sentences(report: Report) -> None:
    """Checks that each operator outside has one cause, told in one sentence everywhere."""
    named = Counter(name for cause in report.causes for name in cause.nodes)
    outside = operators_outside(report)
    wanted = {node.name for node in (*outside, *refused_in_engines(report))}
    assert {name: named[name] for name in wanted} == dict.fromkeys(wanted, 1)
    cause_of = {name: cause for cause in report.causes for name in cause.nodes}
    for node in outside:
        assert why(report, node) == cause_of[node.name].reason
    if report.causes:
        _check_text(report)
        _check_ci(report)
        _check_screen(report, outside)
    _check_diff(report, outside)
    model = api.Model("m.pt2", report.policy, report.settings, None, report)
    assert tuple(model.causes) == report.causes
    for node in outside:
        assert model.why(node.name) == cause_of[node.name].reason


def _check_text(report: Report) -> None:
    out = io.StringIO()
    Console(file=out, width=WIDE).print(pages.report(report), soft_wrap=True)
    page = html.unescape(report_pages.page([report]))
    written = report_pages.markdown([report]).replace("\\", "")
    for cause in report.causes:
        reason = one_line(cause.reason)
        for told in (out.getvalue(), page, written.replace("\\", "")):
            assert reason.replace("\\", "") in told.replace("\\", "")


def _check_ci(report: Report) -> None:
    result = checked.result(report, checked.check(report, select=(), ignore=()), frozenset())
    root = Path("/checkout")
    log = json.loads(sarif.render([result], root, baseline=False))
    said = [each["message"]["text"] for each in log["runs"][0]["results"]]
    tests = html.unescape(junit.render([result], root, Level.NOTE))
    notes = github.render([result], root).replace("%25", "%")
    for finding, text in zip(result.findings, said, strict=True):
        reason = checked.why_of(result, finding)
        if reason is None:
            continue
        assert one_line(reason) in text
        assert one_line(reason) in tests
        assert one_line(reason) in notes


def _check_screen(report: Report, outside: tuple[NodeRecord, ...]) -> None:
    loaded = Loaded(report)
    for cause in loaded.causes:
        told = [plain(each) for each in cause_detail(loaded, cause, WIDE)]
        assert any(cause.reason in text for text in told)
    for node in outside:
        if node.name in loaded.left:
            told = [plain(each) for each in fate(loaded, node, WIDE)]
            assert why(report, node) in told


def _check_diff(report: Report, outside: tuple[NodeRecord, ...]) -> None:
    if broken_end(report) is not None:
        return
    side = sides.of_report(report, "it")
    said = {node.name: node.left for node in side.nodes if node.left is not None}
    for node in outside:
        if node.name in said:
            assert said[node.name] == why(report, node)
    assert {node.name for node in outside} <= set(said)
