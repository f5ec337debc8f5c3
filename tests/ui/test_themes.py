"""Every text can be read: in 24-bit colours, 256, 16, dark, light and without colours."""

from __future__ import annotations

from itertools import product

import pytest
from rich.color import Color, ColorSystem
from textual.theme import Theme
from trtdbg_ui.text import Tone
from trtdbg_ui.widgets.palette import LineMark
from trtdbg_ui.widgets.themes import Depth, depth_of, theme, themes

from tests.ui.canned import report
from tests.ui.fakes import Stage
from trtdbg.policy import Timing
from trtdbg.viewing import Look

SYSTEMS = {
    Depth.MANY: ColorSystem.TRUECOLOR,
    Depth.SOME: ColorSystem.EIGHT_BIT,
    Depth.FEW: ColorSystem.STANDARD,
}
LEAST = 4.5
"""Contrast that text needs by WCAG 2.1, level AA."""
LEAST_ON_MARKS = 2.8
"""A line that is marked is one of many, and its words stand in the details too."""
EVERY = list(product((Look.DARK, Look.LIGHT, Look.MONO), Depth))


def shown(colour: str, depth: Depth) -> tuple[float, ...]:
    """Returns red, green and blue, 0 to 1, as a terminal of so many colours shows them."""
    return tuple(
        c / 255 for c in Color.parse(colour).downgrade(SYSTEMS[depth]).get_truecolor()
    )


def contrast(one: str, other: str, depth: Depth) -> float:
    dark, bright = sorted(_light(shown(each, depth)) for each in (one, other))
    return (bright + 0.05) / (dark + 0.05)


def _light(levels: tuple[float, ...]) -> float:
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in levels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def tones(found: Theme) -> dict[str, str]:
    named = {n: c for n, c in found.variables.items() if n.startswith("tone-")}
    return {"foreground": str(found.foreground), **named}


@pytest.mark.parametrize(("look", "depth"), EVERY)
def test_every_tone_can_be_read_on_the_board_and_in_dialogs(look: Look, depth: Depth) -> None:
    found = theme(look, depth)
    grounds = {str(found.background), str(found.surface)}
    faint = {
        (name, ground, round(contrast(colour, ground, depth), 1))
        for name, colour in tones(found).items()
        for ground in grounds
        if contrast(colour, ground, depth) < LEAST
    }
    assert not faint


@pytest.mark.parametrize(("look", "depth"), EVERY)
def test_the_words_of_header_and_footer_can_be_read(look: Look, depth: Depth) -> None:
    found = theme(look, depth)
    used = ("foreground", "tone-dim", "tone-key", "tone-good", "tone-warn", "tone-bad")
    for name in used:
        assert contrast(tones(found)[name], str(found.panel), depth) > 3.3, name


@pytest.mark.parametrize(("look", "depth"), EVERY)
def test_marked_lines_can_be_read(look: Look, depth: Depth) -> None:
    found = theme(look, depth)
    for mark, (name, colour) in product(LineMark, tones(found).items()):
        if name != "tone-dim":
            ground = found.variables[mark.value]
            assert contrast(colour, ground, depth) > LEAST_ON_MARKS, (mark, name)


@pytest.mark.parametrize(("look", "depth"), EVERY)
def test_the_line_of_the_cursor_stands_out(look: Look, depth: Depth) -> None:
    found = theme(look, depth)
    ground = found.variables[LineMark.CURSOR.value]
    assert shown(ground, depth) != shown(str(found.background), depth)


@pytest.mark.parametrize("depth", Depth)
def test_every_theme_colours_every_tone(depth: Depth) -> None:
    with_colour = set(Tone) - {Tone.PLAIN, Tone.STRONG, Tone.LINK}
    for found in themes(depth):
        assert {f"tone-{tone.value}" for tone in with_colour} <= set(found.variables)


@pytest.mark.parametrize(
    ("system", "depth"),
    [
        ("truecolor", Depth.MANY),
        ("256", Depth.SOME),
        ("standard", Depth.FEW),
        (None, Depth.MANY),
    ],
)
def test_the_terminal_says_how_many_colours_there_are(
    system: str | None, depth: Depth
) -> None:
    assert depth_of(system) is depth


@pytest.mark.parametrize(
    ("term", "colours", "depth"),
    [
        ("xterm-256color", "truecolor", Depth.MANY),
        ("xterm-256color", "", Depth.SOME),
        ("xterm", "", Depth.FEW),
    ],
)
def test_the_app_takes_the_themes_of_its_terminal(
    term: str, colours: str, depth: Depth, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", term)
    monkeypatch.setenv("COLORTERM", colours)
    stage = Stage(Timing.LATE, [report(Timing.LATE)])
    assert stage.app.current_theme == theme(Look.DARK, depth)
    stage.app.begin_with(stage.app.state, stage.app.theme, (), picture=True)
    assert stage.app.current_theme == theme(Look.DARK, Depth.MANY)
