"""Other minimum block sizes: what each brings and hides, told from partitions."""

from __future__ import annotations

import msgspec

from tests import canned
from trtdbg.analysis.block_sizes import block_size_lines, recommended, row
from trtdbg.analysis.by_place import by_operator
from trtdbg.analysis.causes import coverage_line
from trtdbg.records import BlockSize, Report


def with_sizes(*sizes: tuple[int, int, int, int]) -> Report:
    rows = tuple(
        BlockSize(min_block_size=s, engines=e, torch_ops=t, boundary_casts=0, hidden=h)
        for s, e, t, h in sizes
    )
    return msgspec.structs.replace(canned.UPSTREAM, block_sizes=rows)


def test_the_fewest_pieces_are_recommended_with_what_they_hide() -> None:
    report = with_sizes((1, 5, 4, 0), (5, 2, 6, 2), (20, 0, 60, 56))
    assert recommended(report.block_sizes or ()) == (report.block_sizes or ())[1]
    told = block_size_lines(report)
    assert told[1].endswith(
        "6 operators left to PyTorch, no boundary casts; hides 2 accepted operators"
    )
    assert told[-1].startswith("--min-block-size 5 makes the fewest pieces")
    assert "leaves 2 accepted operators to PyTorch" in told[-1]


def test_nothing_is_recommended_where_nothing_differs_or_nothing_was_tried() -> None:
    assert block_size_lines(canned.UPSTREAM) == []
    same = with_sizes((1, 1, 0, 0), (5, 1, 0, 0))
    assert block_size_lines(same)[-1] == "all of them make the same partition"
    broken = msgspec.structs.replace(
        canned.UPSTREAM, block_sizes=(row(canned.LOWERING_FAILED),)
    )
    assert block_size_lines(broken)[0] == "--min-block-size 1: no partition"


def test_a_row_counts_what_is_accepted_and_left_out() -> None:
    made = row(canned.UPSTREAM)
    assert (made.engines, made.torch_ops, made.boundary_casts, made.hidden) == (2, 1, 1, 0)


def test_coverage_and_counts_by_operator() -> None:
    assert coverage_line(canned.UPSTREAM) == "2 of 3 operators in engines (66.7%)"
    assert coverage_line(canned.LOWERING_FAILED) is None
    rows = by_operator(canned.UPSTREAM)
    assert [(r.target, r.operators, r.torch_ops) for r in rows] == [
        ("aten._to_copy.default", 1, 1),
        ("aten.mul.Tensor", 1, 0),
        ("aten.sin.default", 1, 0),
    ]
