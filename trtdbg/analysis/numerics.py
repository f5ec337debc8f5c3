"""What a comparison of values says: in sentences, in rows, and where damage begins."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from trtdbg.analysis.codes import Code
from trtdbg.analysis.summary import count
from trtdbg.records import (
    Agreement,
    NodeError,
    NodeRecord,
    NotFinite,
    Numerics,
    Report,
    dtype_text,
)

WORST = 10
"""Rows of nodes that differ most."""


@dataclass(frozen=True)
class Damage:
    """A node whose value is the first to suffer, for a finding of this code."""

    code: Code
    node: str
    message: str


def damages(report: Report) -> Iterator[Damage]:
    """Yields where a value first becomes infinite, wraps around, or leaves the tolerance."""
    measured = report.numerics
    if measured is None:
        return
    rows = {row.name: row for row in measured.nodes}
    for node in report.nodes:
        row = rows.get(node.name)
        if row is None:
            continue
        before = [rows[name] for name in node.operands if name in rows]
        if row.wrapped and not any(other.wrapped for other in before):
            yield Damage(Code.TD401, row.name, _sentence(node, row, _wrapped(row), measured))
        elif row.overflowed and not any(other.overflowed for other in before):
            yield Damage(
                Code.TD402, row.name, _sentence(node, row, _overflowed(row), measured)
            )
        elif row.name == measured.first_beyond:
            yield Damage(Code.TD402, row.name, _sentence(node, row, _beyond(row), measured))


def not_finite_words(wrong: NotFinite) -> str:
    """Returns how many values are nan or infinite, in words."""
    kinds = [f"{n} nan" for n in (wrong.nan,) if n]
    kinds += [f"{n} infinite" for n in (wrong.inf,) if n]
    return f"{' and '.join(kinds)} of {count(wrong.elements, 'value')}"


def what_depends(wrong: NotFinite) -> str:
    """Returns which outputs depend on values that are not finite, in words."""
    if not wrong.outputs:
        return "no output depends on them, as a later operator leaves them out"
    noun = "output" if len(wrong.outputs) == 1 else "outputs"
    verb = "depends" if len(wrong.outputs) == 1 else "depend"
    return f"{noun} {', '.join(wrong.outputs)} {verb} on them"


def original_line(report: Report) -> str | None:
    """Returns where the original itself goes wrong, with the source line; None if nowhere."""
    wrong = report.numerics.not_finite if report.numerics is not None else None
    if wrong is None:
        return None
    node = next((n for n in report.nodes if n.name == wrong.node), None)
    place = f" ({node.source})" if node is not None and str(node.source or "") else ""
    return (
        f"The original program itself makes {not_finite_words(wrong)} at "
        f"{wrong.node}{place}, of finite ones and without any truncation: "
        f"{what_depends(wrong)}"
    )


def _sentence(node: NodeRecord, row: NodeError, what: str, measured: Numerics) -> str:
    called = node.target if node.op.startswith("call_") else node.op
    return f"{row.name} ({called}): {what}, seen on {measured.inputs}"


def _wrapped(row: NodeError) -> str:
    return f"{row.wrapped} of {row.elements} integers do not fit {dtype_text(row.computed)}"


def _overflowed(row: NodeError) -> str:
    computed = dtype_text(row.computed)
    return f"{row.overflowed} of {row.elements} values become infinite as {computed}"


def _beyond(row: NodeError) -> str:
    return (
        f"{row.beyond} of {row.elements} values are the first to differ by more than the "
        f"tolerance ({largest_error(row)})"
    )


def largest_error(row: NodeError) -> str:
    """Returns the largest error of a row, and what no number tells, in words."""
    parts = []
    if row.max_abs_error is not None:
        parts.append(f"largest error {error_text(row.max_abs_error)}")
    if row.max_rel_error is not None:
        parts.append(f"{percent_text(row.max_rel_error)} of the original")
    if row.nan_mismatches:
        parts.append(f"{row.nan_mismatches} nan in only one of both")
    if row.inf_mismatches:
        parts.append(f"{row.inf_mismatches} infinite in only one of both")
    return ", ".join(parts) or "no values"


def error_text(value: float | None) -> str:
    """Returns an error for reading, `-` where there is none."""
    return "-" if value is None else f"{value:.1e}" if value else "0"


def worst_error(row: NodeError) -> str:
    """Returns the worst that happened to any element: nan, inf, or the largest error."""
    if row.nan_mismatches:
        return "nan"
    return "inf" if row.inf_mismatches else error_text(row.max_abs_error)


def percent_text(share: float | None) -> str:
    """Returns a relative error for reading, as a percentage where that is readable."""
    if share is None:
        return "-"
    return f"{share:.1%}" if 0.001 <= share < 10 else error_text(share)


def headline(measured: Numerics) -> str:
    """Returns what became of the outputs, in one sentence."""
    if not measured.outputs:
        return measured.note or "not measured: the program has no outputs"
    counts = {
        agreement: sum(row.agreement is agreement for row in measured.outputs)
        for agreement in Agreement
    }
    total = len(measured.outputs)
    words = {
        Agreement.WITHIN: "within the tolerance",
        Agreement.BEYOND: "beyond it" if counts[Agreement.WITHIN] else "beyond the tolerance",
        Agreement.NOT_COMPARED: "not compared",
    }
    parts = [f"{counts[a]} of {total} {words[a]}" for a in Agreement if counts[a]]
    wrong = measured.not_finite
    tail = f"; {measured.note}" if measured.note else ""
    if wrong is not None and wrong.outputs:
        tail = f", as the original itself goes wrong at {wrong.node}{tail}"
    noun = "output" if total == 1 else "outputs"
    return f"{noun}: {', '.join(parts)}{tail}"


def conditions(measured: Numerics) -> str:
    """Returns on what and against which tolerance values were compared."""
    return (
        f"on {measured.inputs}, in PyTorch on the CPU; tolerance {measured.atol:g} + "
        f"{measured.rtol:g} of the original, integers exactly"
    )


def worst_nodes(measured: Numerics) -> tuple[NodeError, ...]:
    """Returns the nodes that differ, those beyond the tolerance and the most damaged first."""
    differ = [
        row
        for row in measured.nodes
        if row.beyond or row.wrapped or row.overflowed or row.max_abs_error
    ]
    return tuple(
        sorted(
            differ,
            key=lambda row: (
                -row.overflowed - row.nan_mismatches - row.inf_mismatches,
                -row.wrapped,
                -_excess(row),
            ),
        )
    )


def _excess(row: NodeError) -> float:
    """Returns an error as a multiple of the tolerance; of integers nothing is tolerated."""
    if row.times_tolerance is not None:
        return row.times_tolerance
    if row.beyond:
        return math.inf
    # A report of an older version does not say it.
    return row.max_rel_error or 0.0


def unusual_lines(measured: Numerics) -> list[str]:
    """Returns a line a reason that nodes were not run plainly or not compared, in order.

    What follows from one operator that cannot run says the same of all behind it.
    """
    alike: dict[str, list[str]] = {}
    for row in measured.nodes:
        if row.note is not None:
            alike.setdefault(row.note, []).append(row.name)
    lines = []
    for note, names in alike.items():
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        lines.append(f"{', '.join(names[:_NAMED])}{more}: {note}")
    return lines


_NAMED = 3
"""Nodes of one reason that are named before the rest is only counted."""
