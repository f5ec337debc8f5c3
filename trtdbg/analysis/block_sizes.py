"""What other minimum block sizes bring and hide, of partitions that were made."""

from __future__ import annotations

from trtdbg.analysis.causes import operators_outside
from trtdbg.analysis.summary import broken_end, count
from trtdbg.records import BlockSize, Report, Verdict

SIZES = (1, 2, 3, 5, 10, 20)
"""Minimum block sizes that are tried; 5 is torch_tensorrt's own."""


def row(report: Report) -> BlockSize:
    """Returns the partition of a report, whose settings hold the minimum block size."""
    size = report.settings.min_block_size
    if broken_end(report) is not None:
        return BlockSize(
            min_block_size=size, engines=None, torch_ops=None, boundary_casts=None
        )
    hidden = sum(n.verdict is Verdict.ACCEPT for n in operators_outside(report))
    return BlockSize(
        min_block_size=size,
        engines=len(report.engines),
        torch_ops=len(report.torch_ops),
        boundary_casts=len(report.boundary_casts),
        hidden=hidden,
    )


def recommended(rows: tuple[BlockSize, ...]) -> BlockSize | None:
    """Returns the partition with the fewest pieces, the smallest size of several.

    A piece is an engine, or an operator in PyTorch. None if nothing was partitioned, or the
    sizes make no difference.
    """
    known = [row for row in rows if row.engines is not None and row.torch_ops is not None]
    if not known:
        return None
    first = known[0]
    if all(
        (each.engines, each.torch_ops) == (first.engines, first.torch_ops) for each in known
    ):
        return None
    return min(known, key=lambda row: (_pieces(row), row.min_block_size))


def _pieces(row: BlockSize) -> int:
    """Returns how many pieces a run is made of: engines, and operators in PyTorch."""
    return (row.engines or 0) + (row.torch_ops or 0)


def block_size_lines(report: Report) -> list[str]:
    """Returns a line a size, and which makes the fewest pieces."""
    rows = report.block_sizes
    if rows is None:
        return []
    lines = [_line(each) for each in rows]
    best = recommended(rows)
    if best is None:
        return [*lines, "all of them make the same partition"]
    hides = (
        f"it leaves {count(best.hidden, 'accepted operator')} to PyTorch"
        if best.hidden
        else "it hides nothing"
    )
    return [
        *lines,
        f"--min-block-size {best.min_block_size} makes the fewest pieces (engines and "
        f"operators in PyTorch) of those tried; {hides}; not timed",
    ]


def _line(row: BlockSize) -> str:
    if row.engines is None:
        return f"--min-block-size {row.min_block_size}: no partition"
    parts = [
        count(row.engines, "engine"),
        f"{count(row.torch_ops or 0, 'operator')} left to PyTorch",
        count(row.boundary_casts or 0, "boundary cast"),
    ]
    hidden = f"; hides {count(row.hidden, 'accepted operator')}" if row.hidden else ""
    return f"--min-block-size {row.min_block_size}: {', '.join(parts)}{hidden}"
