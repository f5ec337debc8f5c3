"""The strip: engines and gaps in order, with the cursor on one of them."""

from __future__ import annotations

from collections.abc import Sequence

from trtdbg.analysis.strip import Stretch
from trtdbg_ui.keys.keymap import key
from trtdbg_ui.text import Line, Span, Tone, line, width

_LONGEST_BLOCK = 6


def strip_line(
    stretches: Sequence[Stretch], here: int | None, failed: frozenset[int], size: int
) -> Line:
    """Returns the graph as `E0▐███▌✗✗E1▐██▌`, in `size` cells.

    What does not fit is left out at both ends of what stands around the cursor, and counted.

    Args:
        stretches: The engines and gaps in graph order.
        here: Number of the stretch of the cursor.
        failed: Engines that do not build.
        size: Cells available.
    """
    if not stretches:
        return line((" no operator runs anywhere", Tone.DIM))
    keys = f"{key('previous-stretch')} {key('next-stretch')}"
    hint = line((f"  {keys}", Tone.KEY), (" walk", Tone.DIM))
    room = size - width(hint) - 1
    most = max(len(each.nodes) for each in stretches)
    for longest in range(_LONGEST_BLOCK, -1, -1):
        parts = [
            _part(each, index == here, failed, most, longest)
            for index, each in enumerate(stretches)
        ]
        if sum(width(part) for part in parts) <= room or longest == 0:
            break
    first, last = _window([width(part) for part in parts], here or 0, room)
    before, after = first, len(parts) - last
    spans: list[Span] = [(" ", Tone.PLAIN)]
    if before:
        spans.append((f"{before} … ", Tone.DIM))
    spans += [span for part in parts[first:last] for span in part]
    if after:
        spans.append((f" … {after}", Tone.DIM))
    shown = tuple(spans)
    return (*shown, *hint) if width(shown) + width(hint) <= size else shown


def _part(
    stretch: Stretch, here: bool, failed: frozenset[int], most: int, longest: int
) -> Line:
    number = len(stretch.nodes)
    if stretch.engine is None:
        text = "✗" * min(number, 3) if longest else "✗"
        return line((f"[{text}]" if here else text, Tone.BAD))
    bad = stretch.engine in failed
    label, tone = f"E{stretch.engine}", Tone.KEY if here else Tone.PLAIN
    block = "█" * max(1, round(number / most * longest)) if longest else ""
    body = (f"▐{block}▌" if block else "▌", Tone.BAD if bad else tone)
    marked = f"[{label}]" if here else label
    return line((marked, tone), ("✖", Tone.BAD) if bad else ("", tone), body)


def _window(widths: Sequence[int], here: int, room: int) -> tuple[int, int]:
    """Returns from where to where parts fit into `room` cells, the cursor among them."""
    if sum(widths) <= room:
        return 0, len(widths)
    room -= 12
    first, last, used = here, here + 1, widths[here]
    while True:
        grown = False
        for at in (last, first - 1):
            if 0 <= at < len(widths) and used + widths[at] <= room:
                used, grown = used + widths[at], True
                first, last = min(first, at), max(last, at + 1)
        if not grown:
            return first, last
