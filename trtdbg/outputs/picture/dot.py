"""A picture as DOT text. Needs no Graphviz: only drawing it does.

Written without the graphviz package, which looks at each attribute of each box anew: at ten
thousand boxes that was nine tenths of the time.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from html import escape
from typing import Final

from trtdbg.outputs.picture.pairs import PictureChange
from trtdbg.outputs.picture.picture import Box, CastBox, Link, Picture
from trtdbg.plain import visible

_Colours = tuple[str, str]

FILL: Final[dict[PictureChange, _Colours]] = {
    PictureChange.NARROWED: ("#bfdbfe", "#1d4ed8"),
    PictureChange.WIDENED: ("#fed7aa", "#c2410c"),
    PictureChange.RETYPED: ("#ddd6fe", "#6d28d9"),
    PictureChange.ADDED: ("#bbf7d0", "#15803d"),
    PictureChange.REMOVED: ("#fecdd3", "#be123c"),
    PictureChange.TURNED: ("#fef08a", "#a16207"),
    PictureChange.SAME: ("#f4f4f5", "#a1a1aa"),
}
"""Fill and outline of each change; the word stands in the box too."""

_BREAK: Final = "#dc2626"
_FONT: Final = "Helvetica,Arial,sans-serif"
_SIGN: Final = {PictureChange.ADDED: "+ ", PictureChange.REMOVED: "− ", PictureChange.SAME: ""}


def dot(picture: Picture, *, bare: bool = False) -> str:
    """Returns a picture as the text of a .dot file, without heading and legend if `bare`."""
    out = ["digraph dtype_diff {\n"]
    if not bare:
        # HTML-like text stands between angle brackets and not in quotes.
        out.append(f"\tlabel={_heading(picture)} labeljust=l labelloc=t\n")
    graph = {
        "rankdir": "TB",
        "nodesep": "0.25",
        "ranksep": "0.35",
        "fontname": _FONT,
        "fontsize": "11",
        "bgcolor": "transparent" if bare else "white",
        "tooltip": picture.title,
    }
    node = {"shape": "box", "fontname": _FONT, "fontsize": "10", "margin": "0.12,0.06"}
    edge = {"fontname": _FONT, "fontsize": "9", "arrowsize": "0.6", "color": "#a1a1aa"}
    out.append(f"\t{_attributes(graph)}\n")
    out.append(f"\tnode [{_attributes(node)}]\n")
    out.append(f"\tedge [{_attributes(edge)}]\n")
    _write_cluster(out, _clusters(picture), picture, "\t")
    drawn = set[int]()
    for link in picture.links:
        _write_link(out, link, picture, drawn)
    out.append("}\n")
    return "".join(out)


def _attributes(values: Mapping[str, str]) -> str:
    """Returns attributes in the order of their names."""
    return " ".join(f"{name}={word(value)}" for name, value in sorted(values.items()))


_ID: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*|-?(\.[0-9]+|[0-9]+(\.[0-9]*)?)")
_KEYWORDS: Final = frozenset({"node", "edge", "graph", "digraph", "subgraph", "strict"})


def _html(text: str) -> str:
    return escape(visible(text))


@lru_cache(maxsize=4096)
def word(text: str) -> str:
    """Returns a text as Graphviz reads it, in quotes where it needs them."""
    text = visible(text)
    if _ID.fullmatch(text) and text.lower() not in _KEYWORDS:
        return text
    return _quoted(text)


def _quoted(text: str) -> str:
    """Returns text that Graphviz neither reads as HTML nor unescapes."""
    if "\\" in text or '"' in text:
        text = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'


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
    known: dict[tuple[tuple[int | None, int | None], str], list[_Cluster]] = {}
    for box in picture.boxes:
        place = box.engines, box.module if modules[box.engines, box.module] > 1 else ""
        if place not in known:
            known[place] = _way(top, *place, alike)
        ways[box.number] = known[place]
        known[place][-1].boxes.append(box)
    ends = [[ways[cast.source]] for cast in picture.casts]
    for link in picture.links:
        for number in link.casts:
            ends[number].append(ways[link.target])
    for number, each in enumerate(ends):
        common = [place for place in each[0] if all(place in way for way in each)]
        common[-1].casts.append(number)
    return top


def _way(
    top: _Cluster, engines: tuple[int | None, int | None], module: str, alike: bool
) -> list[_Cluster]:
    """Returns the frames that a box stands in, the outermost first."""
    before, after = engines
    steps = []
    if after is not None:
        steps.append((f"engine {after}" + ("" if alike else " after"), "engine"))
    if before is not None and not alike:
        steps.append((f"engine {before} before", "was"))
    if module:
        steps.append((module, "module"))
    way = [top]
    for label, kind in steps:
        way.append(way[-1].inner.setdefault(label, _Cluster(label, kind)))
    return way


_FRAMES: Final = {
    "engine": {"color": "#2563eb", "style": "rounded", "penwidth": "2"},
    "was": {"color": "#71717a", "style": "rounded,dashed"},
    "module": {"color": "#d4d4d8", "style": "rounded", "fontcolor": "#71717a"},
}


def _write_cluster(
    out: list[str], cluster: _Cluster, picture: Picture, indent: str, path: str = ""
) -> None:
    for box in cluster.boxes:
        out.append(f"{indent}{_box_text(box)}")
    for number in cluster.casts:
        out.append(f"{indent}{_cast_text(number, picture.casts[number])}")
    for number, inner in enumerate(cluster.inner.values()):
        frame = {
            "label": inner.label,
            "labeljust": "l",
            "labelloc": "t",
            "fontname": _FONT,
            "fontsize": "10",
            "margin": "10",
            "tooltip": inner.label,
            "class": inner.kind,
            **_FRAMES[inner.kind],
        }
        out.append(f"{indent}subgraph cluster_{path}{number} {{\n")
        out.append(f"{indent}\t{_attributes(frame)}\n")
        _write_cluster(out, inner, picture, f"{indent}\t", f"{path}{number}_")
        out.append(f"{indent}}}\n")


def _box_text(box: Box) -> str:
    several = len(box.members) > 1 and not box.border and "nodes" in box.lines[0]
    before_id, after_id = _look(
        box.change, several, box.breaks_before, box.breaks_after, box.border
    )
    name = f"n{box.number}"
    tooltip = _quoted("\n".join(box.details[:30]))
    return f"{name} [label={_label(box)} {before_id} id={name} {after_id} tooltip={tooltip}]\n"


@lru_cache(maxsize=256)
def _look(
    change: PictureChange, several: bool, breaks_before: bool, breaks_after: bool, border: bool
) -> tuple[str, str]:
    """Returns the attributes of a box before and after its id: many boxes look alike."""
    fill, outline = FILL[change]
    style = ["filled", "dashed"] if several and change is PictureChange.SAME else ["filled"]
    if not several:
        style.append("rounded")
    classes = [change.name.lower()]
    pen = "1"
    if breaks_after:
        outline, pen = _BREAK, "3"
        classes.append("breaks")
    elif breaks_before:
        outline, pen = _BREAK, "2"
        style.append("dashed")
        classes.append("broke")
    if border:
        classes.append("border")
    before = {"class": " ".join(classes), "color": outline, "fillcolor": fill}
    after = {
        "penwidth": pen,
        "peripheries": "2" if several and change is not PictureChange.SAME else "1",
        "shape": "ellipse" if border else "box",
        "style": ",".join(style),
    }
    return _attributes(before), _attributes(after)


def _label(box: Box) -> str:
    title, *rest = box.lines
    lines = [f"<B>{_html(title)}</B>", *map(_label_line, rest)]
    return f"<{'<BR/>'.join(lines)}>"


@lru_cache(maxsize=4096)
def _label_line(line: str) -> str:
    text = _html(line)
    bold = "left to PyTorch" in line or line.split(" ", 1)[0] in _LOUD
    return f"<B>{text}</B>" if bold else text


_LOUD: Final = frozenset(
    change.value
    for change in (PictureChange.NARROWED, PictureChange.WIDENED, PictureChange.RETYPED)
)


def _cast_text(number: int, cast: CastBox) -> str:
    _, colour = FILL[cast.change]
    words = f"{_SIGN[cast.change]}cast {cast.words}"
    if cast.change is not PictureChange.SAME:
        words += f" ({cast.change.value})"
    look = {
        "id": f"c{number}",
        "shape": "hexagon",
        "style": "filled,dashed" if cast.change is PictureChange.REMOVED else "filled",
        "fillcolor": "white",
        "color": colour,
        "fontcolor": colour if cast.change is not PictureChange.SAME else "#52525b",
        "fontsize": "9",
        "margin": "0.02,0.02",
        "height": "0.25",
        "tooltip": "\n".join(cast.members[:30]),
        "class": f"cast {cast.change.name.lower()}",
    }
    return f"c{number} [label={word(words)} {_attributes(look)}]\n"


def _write_link(out: list[str], link: Link, picture: Picture, drawn: set[int]) -> None:
    start, end = f"\tn{link.source} -> ", f"n{link.target}"
    # Graphviz sets a name right on its edge, which would cross it out.
    label = word("\n".join(f"   {each}" for each in link.words))
    if not link.casts:
        out.append(f"{start}{end} [label={label} {_link_look(link.change)}]\n")
        return
    for number in link.casts:
        if number not in drawn:
            drawn.add(number)
            look = _link_look(link.change)
            out.append(f"{start}c{number} [label={label} arrowhead=none {look}]\n")
        look = _link_look(link.change, picture.casts[number].change)
        out.append(f"\tc{number} -> {end} [{look}]\n")


@lru_cache(maxsize=256)
def _link_look(change: PictureChange, cast: PictureChange | None = None) -> str:
    """Returns the attributes of a link, or of its way out of a cast."""
    _, colour = FILL[change]
    changed = change is not PictureChange.SAME
    return _attributes(
        {
            "color": FILL[cast][1] if cast else colour if changed else "#a1a1aa",
            "fontcolor": colour,
            "penwidth": "2" if changed and cast is None else "1",
            "style": "dashed" if change is PictureChange.REMOVED else "solid",
            "class": f"link {change.name.lower()}",
        }
    )


def legend(picture: Picture) -> list[tuple[str, str]]:
    """Returns (kind, words) of each sign that occurs in a picture."""
    present = {box.change for box in picture.boxes} | {link.change for link in picture.links}
    signs = [
        (change.name.lower(), change.value) for change in PictureChange if change in present
    ]
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
        f'<TD CELLPADDING="4" {_SIGNS[kind]}>{_html(words)}</TD>'
        for kind, words in legend(picture)
    ]
    lines = [f"<B>{_html(picture.title)}</B>", *map(_html, picture.summary)]
    rows = [
        f'<TR><TD ALIGN="LEFT" COLSPAN="{len(signs) or 1}">{line}</TD></TR>' for line in lines
    ]
    rows += [f"<TR>{''.join(signs)}</TR>"] if signs else []
    table = '<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="4" CELLPADDING="0">'
    return f"<{table}{''.join(rows)}</TABLE>>"
