"""The styles of tones and of marked lines under the theme in force."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Final

from rich.style import Style
from textual.color import Color

from trtdbg_ui.text import Tone


class LineMark(StrEnum):
    """Why a whole line has another background; the value is the theme's variable."""

    CURSOR = "cursor-focused"
    CURSOR_ELSEWHERE = "cursor-blurred"
    """The cursor of a list that does not have the keyboard."""
    HIT = "line-hit"


@dataclass(frozen=True)
class Palette:
    """What is laid over the style of a widget."""

    tones: Mapping[Tone, Style]
    marks: Mapping[LineMark, Style]


_FOREGROUND: Final = frozenset({Tone.PLAIN, Tone.STRONG, Tone.LINK})
_BOLD: Final = frozenset(
    {
        Tone.STRONG,
        Tone.HEAD,
        Tone.KEY,
        Tone.BAD,
        Tone.WIDE_FLOAT,
        Tone.WIDE_INT,
        Tone.WIDE_COMPLEX,
    }
)
_VARIABLES: Final = {
    tone: "foreground" if tone in _FOREGROUND else f"tone-{tone.value}" for tone in Tone
}


def palette(variables: Mapping[str, str]) -> Palette:
    """Returns the palette of a theme, made once.

    Args:
        variables: Colours by name, `App.theme_variables`.
    """
    tones = tuple(variables[_VARIABLES[tone]] for tone in Tone)
    return _palette(tones, tuple(variables[mark.value] for mark in LineMark))


@lru_cache(maxsize=16)
def _palette(tones: tuple[str, ...], marks: tuple[str, ...]) -> Palette:
    return Palette(
        {
            tone: Style(
                color=Color.parse(colour).rich_color,
                bold=tone in _BOLD or None,
                underline=tone is Tone.LINK or None,
            )
            for tone, colour in zip(Tone, tones, strict=True)
        },
        {
            mark: Style(bgcolor=Color.parse(colour).rich_color)
            for mark, colour in zip(LineMark, marks, strict=True)
        },
    )
