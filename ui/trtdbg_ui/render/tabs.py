"""Titles of the panes, which also name the panes that are not shown."""

from __future__ import annotations

from collections.abc import Mapping

from trtdbg_ui.model.state import BOTTOM, TOP, Pane

WORDS = {
    Pane.PASSES: "Passes",
    Pane.NODES: "Nodes",
    Pane.DETAIL: "Node",
    Pane.ENGINES: "Engines",
    Pane.FINDINGS: "Findings",
    Pane.LOG: "Log",
}


def titles(shown: frozenset[Pane], counts: Mapping[Pane, str]) -> dict[Pane, str]:
    """Returns the title of each shown pane as Textual markup.

    A pane that is not shown has its tab in the title of the one that stands in its place.
    """
    if not shown:
        return {}
    hosts = {pane: pane if pane in shown else _host(pane, shown) for pane in Pane}
    return {
        pane: "  ".join(
            _tab(other, pane, counts.get(other, "")) for other in Pane if hosts[other] is pane
        )
        for pane in shown
    }


def _host(hidden: Pane, shown: frozenset[Pane]) -> Pane:
    """Returns the shown pane that stands where a hidden one would be."""
    neighbours = [pane for pane in (TOP if hidden in TOP else BOTTOM) if pane in shown]
    if not neighbours:
        return Pane.NODES if Pane.NODES in shown else next(iter(shown))
    # The node table is the last to be replaced.
    return next((pane for pane in neighbours if pane is not Pane.NODES), Pane.NODES)


def _tab(pane: Pane, host: Pane, count: str) -> str:
    number = list(Pane).index(pane) + 1
    text = f"{number} {WORDS[pane]}{f' {count}' if count else ''}"
    style = "b" if pane is host else "$tone-dim"
    return f"[{style}][@click=app.pane('{pane.value}')]{text}[/][/]"
