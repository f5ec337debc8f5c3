"""A picture as DOT text. Needs no Graphviz: only drawing it does."""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape
from typing import Final

import graphviz

from trtdbg.outputs.dtype_diff.compare import Change
from trtdbg.outputs.dtype_diff.picture import Box, CastBox, Link, Picture

_Colours = tuple[str, str]

FILL: Final[dict[Change, _Colours]] = {
    Change.NARROWED: ("#bfdbfe", "#1d4ed8"),
    Change.WIDENED: ("#fed7aa", "#c2410c"),
    Change.RETYPED: ("#ddd6fe", "#6d28d9"),
    Change.ADDED: ("#bbf7d0", "#15803d"),
    Change.REMOVED: ("#fecdd3", "#be123c"),
    Change.TURNED: ("#fef08a", "#a16207"),
    Change.SAME: ("#f4f4f5", "#a1a1aa"),
}
"""Fill and outline of each change; the word stands in the box too."""

_BREAK: Final = "#dc2626"
_FONT: Final = "Helvetica,Arial,sans-serif"
_SIGN: Final = {Change.ADDED: "+ ", Change.REMOVED: "− ", Change.SAME: ""}


def dot(picture: Picture, *, bare: bool = False) -> str:
    """Returns a picture as the text of a .dot file, without heading and legend if `bare`."""
    graph = graphviz.Digraph("dtype_diff")
    if not bare:
        graph.attr(label=_heading(picture), labelloc="t", labeljust="l")
    graph.attr(
        rankdir="TB",
        nodesep="0.25",
        ranksep="0.35",
        fontname=_FONT,
        fontsize="11",
        bgcolor="transparent" if bare else "white",
        tooltip=_plain(picture.title),
    )
    graph.attr("node", shape="box", fontname=_FONT, fontsize="10", margin="0.12,0.06")
    graph.attr("edge", fontname=_FONT, fontsize="9", arrowsize="0.6", color="#a1a1aa")
    _write_cluster(graph, _clusters(picture), picture)
    drawn = set[int]()
    for link in picture.links:
        _write_link(graph, link, picture, drawn)
    return str(graph.source)


@dataclass(eq=False)
class _Cluster:
    """Boxes inside a frame, and the frames inside it."""

    label: str = ""
    kind: str = ""
    boxes: list[Box] = field(default_factory=list)
    casts: list[int] = field(default_factory=list)
    """Numbers of the boundary casts that stand between boxes in it."""
    inner: dict[str, _Cluster] = field(default_factory=dict)


def _clusters(picture: Picture) -> _Cluster:
    """Returns engines after, in them those before where they differ, in them modules."""
    top = _Cluster()
    engines = {box.engines for box in picture.boxes if not box.border}
    alike = all(before == after for before, after in engines)
    modules: dict[tuple[tuple[int | None, int | None], str], int] = {}
    for box in picture.boxes:
        modules[box.engines, box.module] = modules.get((box.engines, box.module), 0) + 1
    ways: dict[int, list[_Cluster]] = {}
    for box in picture.boxes:
        before, after = box.engines
        way = []
        if after is not None:
            way.append((f"engine {after}" + ("" if alike else " after"), "engine"))
        if before is not None and not alike:
            way.append((f"engine {before} before", "was"))
        if box.module and modules[box.engines, box.module] > 1:
            way.append((box.module, "module"))
        ways[box.number] = [top]
        for label, kind in way:
            place = ways[box.number][-1]
            ways[box.number].append(place.inner.setdefault(label, _Cluster(label, kind)))
        ways[box.number][-1].boxes.append(box)
    for number, cast in enumerate(picture.casts):
        ends = [ways[cast.source]]
        ends += [ways[link.target] for link in picture.links if number in link.casts]
        common = [place for place in ends[0] if all(place in way for way in ends)]
        common[-1].casts.append(number)
    return top


_FRAMES: Final = {
    "engine": {"color": "#2563eb", "style": "rounded", "penwidth": "2"},
    "was": {"color": "#71717a", "style": "rounded,dashed"},
    "module": {"color": "#d4d4d8", "style": "rounded", "fontcolor": "#71717a"},
}


def _write_cluster(
    graph: graphviz.Digraph, cluster: _Cluster, picture: Picture, path: str = ""
) -> None:
    for box in cluster.boxes:
        _write_box(graph, box)
    for number in cluster.casts:
        _write_cast(graph, number, picture.casts[number])
    for number, inner in enumerate(cluster.inner.values()):
        name = f"cluster_{path}{number}"
        with graph.subgraph(name=name) as frame:
            frame.attr(
                label=_plain(inner.label),
                labeljust="l",
                labelloc="t",
                fontname=_FONT,
                fontsize="10",
                margin="10",
                tooltip=_plain(inner.label),
                **{"class": inner.kind},
                **_FRAMES[inner.kind],
            )
            _write_cluster(frame, inner, picture, f"{path}{number}_")


def _write_box(graph: graphviz.Digraph, box: Box) -> None:
    fill, outline = FILL[box.change]
    several = len(box.members) > 1 and not box.border and "nodes" in box.lines[0]
    style = ["filled", "dashed"] if several and box.change is Change.SAME else ["filled"]
    if not several:
        style.append("rounded")
    classes = [box.change.name.lower()]
    pen = "1"
    if box.breaks_after:
        outline, pen = _BREAK, "3"
        classes.append("breaks")
    elif box.breaks_before:
        outline, pen = _BREAK, "2"
        style.append("dashed")
        classes.append("broke")
    if box.border:
        classes.append("border")
    graph.node(
        f"n{box.number}",
        label=_label(box),
        id=f"n{box.number}",
        shape="ellipse" if box.border else "box",
        style=",".join(style),
        fillcolor=fill,
        color=outline,
        penwidth=pen,
        peripheries="2" if several and box.change is not Change.SAME else "1",
        tooltip=_plain("\n".join(box.details[:30])),
        **{"class": " ".join(classes)},
    )


def _label(box: Box) -> str:
    title, *rest = box.lines
    lines = [f"<B>{escape(title)}</B>"]
    for line in rest:
        text = escape(line)
        bold = "left to PyTorch" in line or line.split(" ", 1)[0] in _LOUD
        lines.append(f"<B>{text}</B>" if bold else text)
    return f"<{'<BR/>'.join(lines)}>"


_LOUD: Final = frozenset(
    change.value for change in (Change.NARROWED, Change.WIDENED, Change.RETYPED)
)


def _write_cast(graph: graphviz.Digraph, number: int, cast: CastBox) -> None:
    _, colour = FILL[cast.change]
    words = f"{_SIGN[cast.change]}cast {cast.words}"
    if cast.change is not Change.SAME:
        words += f" ({cast.change.value})"
    graph.node(
        f"c{number}",
        label=graphviz.nohtml(words),
        id=f"c{number}",
        shape="hexagon",
        style="filled,dashed" if cast.change is Change.REMOVED else "filled",
        fillcolor="white",
        color=colour,
        fontcolor=colour if cast.change is not Change.SAME else "#52525b",
        fontsize="9",
        margin="0.02,0.02",
        height="0.25",
        tooltip=_plain("\n".join(cast.members[:30])),
        **{"class": f"cast {cast.change.name.lower()}"},
    )


def _write_link(
    graph: graphviz.Digraph, link: Link, picture: Picture, drawn: set[int]
) -> None:
    _, colour = FILL[link.change]
    changed = link.change is not Change.SAME
    look = {
        "color": colour if changed else "#a1a1aa",
        "fontcolor": colour,
        "penwidth": "2" if changed else "1",
        "style": "dashed" if link.change is Change.REMOVED else "solid",
        "class": f"link {link.change.name.lower()}",
    }
    label = graphviz.nohtml("\n".join(link.words)) if link.words else ""
    if not link.casts:
        graph.edge(f"n{link.source}", f"n{link.target}", label=label, **look)
        return
    for number in link.casts:
        if number not in drawn:
            drawn.add(number)
            graph.edge(f"n{link.source}", f"c{number}", label=label, arrowhead="none", **look)
        tail = look | {"penwidth": "1", "color": FILL[picture.casts[number].change][1]}
        graph.edge(f"c{number}", f"n{link.target}", **tail)


def _plain(text: str) -> str:
    """Returns text that Graphviz neither reads as HTML nor unescapes."""
    return str(graphviz.nohtml(text.replace("\\", "\\\\")))


def legend(picture: Picture) -> list[tuple[str, str]]:
    """Returns (kind, words) of each sign that occurs in a picture."""
    present = {box.change for box in picture.boxes} | {link.change for link in picture.links}
    signs = [(change.name.lower(), change.value) for change in Change if change in present]
    if any(box.breaks_after for box in picture.boxes):
        signs.append(("breaks", "left to PyTorch"))
    if any(box.breaks_before and not box.breaks_after for box in picture.boxes):
        signs.append(("broke", "was left to PyTorch"))
    if any("unchanged nodes" in box.lines[0] for box in picture.boxes):
        signs.append(("region", "unchanged region"))
    if picture.casts:
        signs.append(("casts", "⬡ boundary cast (+ added, − removed)"))
    return signs


_SIGNS: Final = {
    "breaks": f'COLOR="{_BREAK}" BORDER="2"',
    "broke": f'COLOR="{_BREAK}" BORDER="2" STYLE="dashed"',
    "region": 'BORDER="1" STYLE="dashed"',
    "casts": 'BORDER="0"',
} | {change.name.lower(): f'BGCOLOR="{colours[0]}"' for change, colours in FILL.items()}


def _heading(picture: Picture) -> str:
    """Returns title, summary and legend as one HTML-like table."""
    signs = [
        f'<TD CELLPADDING="4" {_SIGNS[kind]}>{escape(words)}</TD>'
        for kind, words in legend(picture)
    ]
    lines = [f"<B>{escape(picture.title)}</B>", *map(escape, picture.summary)]
    rows = [
        f'<TR><TD ALIGN="LEFT" COLSPAN="{len(signs) or 1}">{line}</TD></TR>' for line in lines
    ]
    rows += [f"<TR>{''.join(signs)}</TR>"] if signs else []
    table = '<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="4" CELLPADDING="0">'
    return f"<{table}{''.join(rows)}</TABLE>>"
