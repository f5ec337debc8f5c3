"""The views by number, on the line above them."""

from __future__ import annotations

from collections.abc import Mapping

from trtdbg_ui.keys.keymap import key
from trtdbg_ui.model.state import VIEWS, Pane
from trtdbg_ui.text import Line, Span, Tone, pack, spread, width

WORDS = {
    Pane.CAUSES: "Causes",
    Pane.NODES: "Graph",
    Pane.PASSES: "Passes",
    Pane.ENGINES: "Engines",
    Pane.LOG: "Log",
    Pane.FINDINGS: "Findings",
    Pane.MODULES: "Modules",
    Pane.LINES: "Lines",
    Pane.DETAIL: "Details",
}


def tabs_line(main: Pane, counts: Mapping[Pane, str], zoom: bool, size: int) -> Line:
    """Returns the views with their keys, the one shown marked, and what zooms at the end.

    Args:
        main: The view that is shown.
        counts: How much there is in a view, where that is known.
        zoom: Whether one pane has the whole screen.
        size: Cells available.
    """
    word = "shows all panes" if zoom else "zooms"
    right: Line = ((key("zoom"), Tone.KEY), (f" {word} ", Tone.DIM))
    engines = {Pane.ENGINES: counts.get(Pane.ENGINES, "")}
    variants = (_views(main, counts, " "), _views(main, engines, ""), _views(main, {}, ""))
    fits = (v for v in variants if sum(width(part) + 1 for _, part in v) <= size)
    views = next(fits, variants[-1])
    return spread(((" ", Tone.PLAIN), *pack(views, size - 1, (" ", Tone.PLAIN))), right, size)


def _views(main: Pane, counts: Mapping[Pane, str], end: str) -> list[tuple[int, Line]]:
    """Returns the views, each with how much there is in it; `end` stands after its word."""
    parts: list[tuple[int, Line]] = []
    for pane in VIEWS:
        number = counts.get(pane, "")
        word = f"{WORDS[pane]}{f' ({number})' if number else ''}"
        shown = pane is main
        text: Span = (
            f"[{word}]" if shown else f" {word}{end}",
            Tone.STRONG if shown else Tone.DIM,
        )
        parts.append((0 if shown else 1, ((key(WORDS[pane].lower()), Tone.KEY), text)))
    return parts


def view_named(word: str) -> Pane | None:
    """Returns the view that a word of the line stands for."""
    for pane in VIEWS:
        if word in (WORDS[pane], key(WORDS[pane].lower())):
            return pane
    return None
