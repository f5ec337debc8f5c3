"""A dark, a light and a colourless theme for a terminal, by how many colours it has.

Text is in colours of the palette of 256: a terminal of that many shows the same, and one of
24-bit colours is sent half as many bytes. Sixteen colours are what the user's terminal makes
of them: words in bright black, or in green or yellow on white, cannot be read everywhere.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from enum import Enum
from typing import Final

from textual.theme import Theme

from trtdbg.viewing import Look


class Depth(Enum):
    """How many colours a terminal has."""

    MANY = "24-bit"
    SOME = "256"
    FEW = "16"


def depth_of(color_system: str | None) -> Depth:
    """Returns how many colours there are, as Rich calls it; None is no terminal."""
    if color_system == "256":
        return Depth.SOME
    return Depth.FEW if color_system in ("standard", "windows") else Depth.MANY


_DARK: Final = {
    "foreground": "#dadada",
    "tone-dim": "#949494",
    "tone-head": "#87afd7",
    "tone-key": "#afd75f",
    "tone-good": "#87d787",
    "tone-warn": "#ffaf5f",
    "tone-bad": "#ff8787",
    "tone-float": "#87d7ff",
    "tone-wide-float": "#ffaf5f",
    "tone-int": "#d7afff",
    "tone-wide-int": "#ff87ff",
    "tone-bool": "#d7d787",
    "tone-complex": "#87d7d7",
    "tone-wide-complex": "#ffaf5f",
}
_LIGHT: Final = {
    "foreground": "#1c1c1c",
    "tone-dim": "#626262",
    "tone-head": "#005f87",
    "tone-key": "#005f00",
    "tone-good": "#005f00",
    "tone-warn": "#875f00",
    "tone-bad": "#af0000",
    "tone-float": "#005faf",
    "tone-wide-float": "#875f00",
    "tone-int": "#5f00af",
    "tone-wide-int": "#87005f",
    "tone-bool": "#5f5f00",
    "tone-complex": "#005f5f",
    "tone-wide-complex": "#875f00",
}
_GREYS: Final = {
    **dict.fromkeys(_DARK, "#eeeeee"),
    "foreground": "#dadada",
    "tone-dim": "#949494",
    **dict.fromkeys(("tone-float", "tone-int", "tone-bool", "tone-complex"), "#b2b2b2"),
}
"""Signs, words and bold letters tell the rest."""
_ON_BLACK: Final = {
    "foreground": "#ffffff",
    "tone-dim": "#aaaaaa",
    "tone-head": "#55ffff",
    "tone-key": "#55ff55",
    "tone-good": "#55ff55",
    "tone-warn": "#ffff55",
    "tone-bad": "#ff5555",
    "tone-float": "#55ffff",
    "tone-wide-float": "#ffff55",
    "tone-int": "#ff55ff",
    "tone-wide-int": "#ff55ff",
    "tone-bool": "#aaaaaa",
    "tone-complex": "#55ffff",
    "tone-wide-complex": "#ffff55",
}
_ON_WHITE: Final = {
    **dict.fromkeys(_DARK, "#000000"),
    "tone-head": "#0000aa",
    "tone-key": "#0000aa",
    "tone-good": "#0000aa",
    "tone-warn": "#aa00aa",
    "tone-bad": "#aa0000",
    "tone-float": "#0000aa",
    "tone-wide-float": "#aa00aa",
    "tone-wide-int": "#aa00aa",
    "tone-wide-complex": "#aa00aa",
}
_WHITES: Final = {**dict.fromkeys(_DARK, "#ffffff"), "tone-dim": "#aaaaaa"}

_GROUNDS: Final = {
    # background, surface, panel, the cursor with and without the keyboard, a hit.
    (Look.DARK, Depth.MANY): (
        "#12161d",
        "#181e27",
        "#232b37",
        "#2b4a68",
        "#242b36",
        "#3a3414",
    ),
    (Look.DARK, Depth.SOME): (
        "#121212",
        "#1c1c1c",
        "#262626",
        "#444444",
        "#303030",
        "#5f5f00",
    ),
    (Look.DARK, Depth.FEW): ("#000000", "#000000", "#0000aa", "#0000aa", "#000000", "#000000"),
    (Look.LIGHT, Depth.MANY): (
        "#fbfcfd",
        "#f1f3f6",
        "#dfe4ea",
        "#bcd8f0",
        "#e2e6ec",
        "#fff0b8",
    ),
    (Look.LIGHT, Depth.SOME): (
        "#ffffff",
        "#eeeeee",
        "#dadada",
        "#afd7ff",
        "#e4e4e4",
        "#ffffaf",
    ),
    (Look.LIGHT, Depth.FEW): (
        "#ffffff",
        "#ffffff",
        "#aaaaaa",
        "#aaaaaa",
        "#ffffff",
        "#ffffff",
    ),
    (Look.MONO, Depth.MANY): (
        "#101010",
        "#1a1a1a",
        "#2b2b2b",
        "#4d4d4d",
        "#2b2b2b",
        "#333333",
    ),
    (Look.MONO, Depth.SOME): (
        "#121212",
        "#1c1c1c",
        "#262626",
        "#4e4e4e",
        "#303030",
        "#3a3a3a",
    ),
    (Look.MONO, Depth.FEW): ("#000000", "#000000", "#000000", "#555555", "#000000", "#000000"),
}
_TONES: Final = {Look.DARK: _DARK, Look.LIGHT: _LIGHT, Look.MONO: _GREYS}
_FEW_TONES: Final = {Look.DARK: _ON_BLACK, Look.LIGHT: _ON_WHITE, Look.MONO: _WHITES}
_BY_LOOK: Final = {look: f"trtdbg-{look.value}" for look in (Look.DARK, Look.LIGHT, Look.MONO)}
"""Names in the order in which the key goes through them."""


def theme(look: Look, depth: Depth) -> Theme:
    """Returns the theme of a look for so many colours; its name is the same for all."""
    tones = (_FEW_TONES if depth is Depth.FEW else _TONES)[look]
    background, surface, panel, focused, blurred, hit = _GROUNDS[look, depth]
    few = depth is Depth.FEW
    return Theme(
        name=_BY_LOOK[look],
        primary=tones["tone-head"] if few or look is not Look.DARK else "#4b8fc4",
        secondary=tones["tone-head"],
        accent=tones["tone-key"],
        warning=tones["tone-warn"],
        error=tones["tone-bad"],
        success=tones["tone-good"],
        foreground=tones["foreground"],
        background=background,
        surface=surface,
        panel=panel,
        dark=look is not Look.LIGHT,
        variables={
            **{name: colour for name, colour in tones.items() if name != "foreground"},
            "line-hit": hit,
            "cursor-focused": focused,
            "cursor-blurred": blurred,
        },
    )


def themes(depth: Depth) -> tuple[Theme, ...]:
    """Returns all themes for so many colours."""
    return tuple(theme(look, depth) for look in _BY_LOOK)


def theme_of(look: Look | None) -> str:
    """Returns the name of the theme to begin with; without a wish NO_COLOR decides."""
    if look is None:
        look = Look.MONO if os.environ.get("NO_COLOR") else Look.DARK
    return _BY_LOOK[look]


def next_theme(name: str) -> str:
    """Returns the name of the theme after that one; after one of Textual's, the first."""
    names = list(_BY_LOOK.values())
    return names[(names.index(name) + 1) % len(names)] if name in names else names[0]


DARK, LIGHT, MONO = themes(Depth.MANY)


def tones_of(theme: Theme) -> Mapping[str, str]:
    """Returns the colours of tones for a theme that does not name them."""
    return (DARK if theme.dark else LIGHT).variables
