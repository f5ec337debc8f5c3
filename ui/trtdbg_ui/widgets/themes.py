"""A dark, a light and a colourless theme, and the colours of tones under any theme."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final

from textual.theme import Theme

from trtdbg.viewing import Look

DARK_TONES: Final = {
    "tone-dim": "#8a93a3",
    "tone-head": "#8fb8d8",
    "tone-key": "#a3d95b",
    "tone-good": "#7ed492",
    "tone-warn": "#f0b35e",
    "tone-bad": "#ff7b86",
    "tone-float": "#79c0ff",
    "tone-wide-float": "#ffb86b",
    "tone-int": "#c5a5f2",
    "tone-wide-int": "#e58fe0",
    "tone-bool": "#d9cf7a",
    "tone-complex": "#7fd6cf",
    "tone-wide-complex": "#ffb86b",
    "line-hit": "#3a3414",
    "cursor-focused": "#2b4a68",
    "cursor-blurred": "#242b36",
}
LIGHT_TONES: Final = {
    "tone-dim": "#636b78",
    "tone-head": "#1f5f8b",
    "tone-key": "#3f6d00",
    "tone-good": "#17702f",
    "tone-warn": "#8a5300",
    "tone-bad": "#b3202f",
    "tone-float": "#0b57a8",
    "tone-wide-float": "#a04800",
    "tone-int": "#6a3fb0",
    "tone-wide-int": "#9a1f8f",
    "tone-bool": "#6b5f00",
    "tone-complex": "#006b66",
    "tone-wide-complex": "#a04800",
    "line-hit": "#fff0b8",
    "cursor-focused": "#bcd8f0",
    "cursor-blurred": "#e2e6ec",
}
_GREY: Final = "#b4b4b4"
_WHITE: Final = "#f2f2f2"
MONO_TONES: Final = {
    **dict.fromkeys(DARK_TONES, _WHITE),
    "tone-dim": "#8c8c8c",
    "tone-float": _GREY,
    "tone-int": _GREY,
    "tone-bool": _GREY,
    "tone-complex": _GREY,
    "line-hit": "#333333",
    "cursor-focused": "#4d4d4d",
    "cursor-blurred": "#2b2b2b",
}
"""Greys; signs, words and bold letters tell the rest."""

DARK: Final = Theme(
    name="trtdbg-dark",
    primary="#4b8fc4",
    secondary="#8fb8d8",
    accent="#a3d95b",
    warning="#f0b35e",
    error="#ff7b86",
    success="#7ed492",
    foreground="#dde3ec",
    background="#12161d",
    surface="#181e27",
    panel="#232b37",
    dark=True,
    variables=DARK_TONES,
)
LIGHT: Final = Theme(
    name="trtdbg-light",
    primary="#1f5f8b",
    secondary="#3d78a6",
    accent="#3f6d00",
    warning="#8a5300",
    error="#b3202f",
    success="#17702f",
    foreground="#1b212a",
    background="#fbfcfd",
    surface="#f1f3f6",
    panel="#dfe4ea",
    dark=False,
    variables=LIGHT_TONES,
)
MONO: Final = Theme(
    name="trtdbg-mono",
    primary="#8c8c8c",
    secondary=_GREY,
    accent=_WHITE,
    warning=_WHITE,
    error=_WHITE,
    success=_WHITE,
    foreground="#dcdcdc",
    background="#101010",
    surface="#1a1a1a",
    panel="#2b2b2b",
    dark=True,
    variables=MONO_TONES,
)

THEMES: Final = (DARK, LIGHT, MONO)
"""In the order in which the key goes through them."""

_BY_LOOK: Final = {Look.DARK: DARK, Look.LIGHT: LIGHT, Look.MONO: MONO}


def theme_of(look: Look | None) -> str:
    """Returns the name of the theme to begin with; without a wish NO_COLOR decides."""
    if look is None:
        look = Look.MONO if os.environ.get("NO_COLOR") else Look.DARK
    return _BY_LOOK[look].name


def next_theme(name: str) -> str:
    """Returns the name of the theme after that one; after one of Textual's, the first."""
    names = [theme.name for theme in THEMES]
    return names[(names.index(name) + 1) % len(names)] if name in names else names[0]


def tones_of(theme: Theme) -> Mapping[str, str]:
    """Returns the colours of tones for a theme that does not name them."""
    return DARK_TONES if theme.dark else LIGHT_TONES
