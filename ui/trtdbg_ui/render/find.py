"""What a search found, for the search line."""

from __future__ import annotations

from collections.abc import Sequence

from trtdbg_ui.keys.keymap import key
from trtdbg_ui.model.state import Find
from trtdbg_ui.text import Line, Tone, line


def find_line(find: Find, hits: Sequence[int], row: int) -> Line:
    """Returns `3 of 17` and the keys, or what is wrong with the expression."""
    if find.error is not None:
        return line((f"not a regular expression: {find.error}", Tone.BAD))
    if find.pattern is None:
        return line(("name, operator, dtype, module, code", Tone.DIM))
    keys = line(
        (f"  {key('next-hit')}", Tone.KEY),
        " next ",
        (key("previous-hit"), Tone.KEY),
        " back ",
        (key("cancel"), Tone.KEY),
        " close",
    )
    if not hits:
        return line(("nothing found", Tone.WARN), *keys)
    at = f"{hits.index(row) + 1} of {len(hits)}" if row in hits else f"{len(hits)} found"
    return line((at, Tone.GOOD), *keys)
