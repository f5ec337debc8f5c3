"""What the terminal shows, against golden text; `UPDATE_GOLDEN=1 pytest` writes it anew."""

from __future__ import annotations

import io
import os
from pathlib import Path

import msgspec
import pytest
from rich.console import Console, RenderableType

from tests import canned
from trtdbg.outputs import pages
from trtdbg.records import NodeRecord, Report, Verdict

GOLDEN = Path(__file__).parents[2] / "golden"

PAGES: dict[str, RenderableType] = {
    "report_upstream": pages.report(canned.UPSTREAM),
    "report_late_all_nodes": pages.report(canned.LATE, all_nodes=True),
    "report_lowering_failed": pages.report(canned.LOWERING_FAILED),
    "build": pages.build(canned.built(canned.UPSTREAM, canned.BUILT, canned.FAILED)),
    "doctor": pages.environment(canned.ENVIRONMENT),
}


def printed(page: RenderableType, width: int, *, color: bool = False) -> str:
    console = Console(
        file=io.StringIO(),
        width=width,
        force_terminal=color,
        color_system="standard" if color else None,
        markup=False,
        highlight=False,
        emoji=False,
    )
    with console.capture() as captured:
        console.print(page)
    return "".join(f"{line.rstrip()}\n" for line in captured.get().splitlines())


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("name", PAGES)
def test_page_is_as_the_golden_file(name: str, width: int) -> None:
    text = printed(PAGES[name], width)
    path = GOLDEN / f"{name}_{width}.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(text)
    assert text == path.read_text()


@pytest.mark.parametrize("width", [40, 60, 80, 200])
@pytest.mark.parametrize("name", PAGES)
def test_page_fits_the_width_and_cuts_nothing_short(name: str, width: int) -> None:
    text = printed(PAGES[name], width)
    assert max(len(line) for line in text.splitlines()) <= width
    assert "…" not in text


def wide(count: int) -> Report:
    """Returns a report with `count` retyped nodes."""
    node = canned.UPSTREAM.nodes[3]
    nodes = tuple(msgspec.structs.replace(node, name=f"sin_{i}") for i in range(count))
    return msgspec.structs.replace(canned.UPSTREAM, nodes=nodes, torch_ops=())


def test_a_large_report_says_how_many_nodes_it_leaves_out() -> None:
    text = printed(pages.report(wide(100)), 120)
    assert "Nodes (first 25 of 100 refused or retyped; --all-nodes shows all 100)" in text
    assert "sin_24 " in text
    assert "sin_25 " not in text
    assert "sin_99 " in printed(pages.report(wide(100), all_nodes=True), 120)


def test_names_that_look_like_markup_are_shown_as_they_are() -> None:
    node: NodeRecord = msgspec.structs.replace(
        canned.UPSTREAM.nodes[2], name="[red]odd[/red]", verdict=Verdict.CRASHED
    )
    report = msgspec.structs.replace(canned.UPSTREAM, nodes=(node,))
    text = printed(pages.report(report), 120, color=True)
    assert "[red]odd[/red]" in text
    assert "crashed" in text


def test_findings_of_one_kind_are_counted_after_the_fifth() -> None:
    first = canned.UPSTREAM.findings[0]
    findings = (
        *(
            msgspec.structs.replace(first, message=f"{word} {first.message}")
            for word in ("ant", "bee", "cat", "dog", "elk", "fox", "gnu", "hen")
        ),
        *canned.UPSTREAM.findings[1:],
    )
    report = msgspec.structs.replace(canned.UPSTREAM, findings=findings)
    text = printed(pages.report(report), 200)
    assert text.count("TD101 warning") == 5
    assert "and 3 more TD101" in text
    everything = pages.findings(findings)
    assert everything is not None
    assert printed(everything, 200).count("TD101 warning") == 8


def test_an_output_that_tensorrt_does_not_have_is_left_out() -> None:
    node = msgspec.structs.replace(canned.UPSTREAM.nodes[3], tensorrt=("FLOAT", None, None))
    report = msgspec.structs.replace(canned.UPSTREAM, nodes=(node,))
    assert "FLOAT     accept" in printed(pages.report(report), 160)


def test_a_value_with_several_outputs_lists_their_dtypes() -> None:
    node = msgspec.structs.replace(
        canned.UPSTREAM.nodes[2], original=("float64", "int64"), truncated=("float32", "int64")
    )
    report = msgspec.structs.replace(canned.UPSTREAM, nodes=(node,))
    assert "float64, int64" in printed(pages.report(report), 160)


def test_a_timed_build_shows_each_way_whether_it_differs_and_the_profile() -> None:
    from trtdbg.records import Comparison, Contender, Execution, LayerTime, TimingRecord

    def timing(median: float) -> TimingRecord:
        return TimingRecord(
            median_ms=median, p10_ms=median * 0.9, p90_ms=median * 1.2, runs=100
        )

    def against(name: str, ratio: float, *, exceeds: bool) -> Comparison:
        return Comparison(
            against=name,
            ratio=ratio,
            low=ratio * 0.95,
            high=ratio * 1.05,
            exceeds_noise=exceeds,
        )

    found = Execution(
        device="NVIDIA L4",
        inputs="example inputs",
        contenders=(
            Contender(name="engines", timing=timing(0.5), max_abs_error=2.5e-6),
            Contender(name="eager", timing=timing(1.0)),
            Contender(name="torch_tensorrt", error="RuntimeError: no converter"),
        ),
        comparisons=(
            against("eager", 0.5, exceeds=True),
            against("late", 1.01, exceeds=False),
        ),
    )
    engine = msgspec.structs.replace(
        canned.UPSTREAM.engines[0],
        timing=timing(0.25),
        timing_unavailable=None,
        profile=(
            LayerTime(name="Add", median_ms=0.05),
            LayerTime(name="MatMul", median_ms=0.15),
        ),
    )
    report = msgspec.structs.replace(canned.UPSTREAM, engines=(engine,), execution=found)
    text = printed(pages.build(report, layers=True), 120)
    assert "Whole program on NVIDIA L4, example inputs" in text
    assert "Against eager: faster beyond the noise (0.50 of its time, 0.47 to 0.53)" in text
    assert "Against late: no difference beyond the noise (1.01 of its time" in text
    assert "torch_tensorrt: RuntimeError: no converter" in text
    assert "0.250 ms (10th to 90th percentile 0.225 to 0.300, 100 runs)" in text
    assert text.index("MatMul") < text.index("Add  ")
    assert "75%" in text
