"""What is sent to the terminal: few bytes, and the same screen as if all were sent."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import trtdbg_ui
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import get_character_cell_size
from textual.drivers.headless_driver import HeadlessDriver
from textual.pilot import Pilot
from trtdbg_ui.outside.painted import Painted
from trtdbg_ui.outside.terminal import Signs

from tests.ui.canned import large
from tests.ui.fakes import Stage, press, settle
from trtdbg.policy import Timing

SIZE = (120, 35)
MOST = {"j": 2_000, "pagedown": 8_000, "question_mark": 20_000, "escape": 20_000}
"""Bytes that a move, a page, help and its end may send at 120x35 in 24-bit colours."""

Style = tuple[frozenset[str], str, str]
NOTHING: Style = (frozenset(), "", "")


ENDS = {"22": {"1", "2"}, "23": {"3"}, "24": {"4"}, "27": {"7"}, "29": {"9"}}


class Terminal:
    """Shows what it is sent: as much of a terminal as the screen needs."""

    def __init__(self) -> None:
        self.cells: dict[tuple[int, int], tuple[str, Style]] = {}
        self.x = self.y = 0
        self.style = NOTHING

    def take(self, data: str) -> None:
        for piece in re.finditer(r"\x1b\[([?\d;]*)([A-Za-z])|\x1b\][^\a]*\a|([^\x1b])", data):
            numbers, kind, char = piece.groups()
            if kind == "H":
                self.y, self.x = (int(n) - 1 for n in numbers.split(";"))
            elif kind == "C":
                self.x += int(numbers or 1)
            elif kind == "m":
                self.style = _styled(self.style, numbers)
            elif char is not None and char >= " ":
                self._put(char)

    def _put(self, char: str) -> None:
        size = get_character_cell_size(char)
        if size == 0:
            return
        self.cells[self.y, self.x] = (char, self.style)
        if size == 2:
            self.cells[self.y, self.x + 1] = ("", self.style)
        self.x += size

    def seen(self) -> dict[tuple[int, int], tuple[str, Style]]:
        """Returns the cells; of a blank its background and lines through it only."""
        return {place: _seen(*cell) for place, cell in self.cells.items()}


def _seen(text: str, style: Style) -> tuple[str, Style]:
    if text.strip() or style[0] & {"4", "7", "9"}:
        return text, style
    return text, (frozenset(), "", style[2])


def _styled(style: Style, numbers: str) -> Style:
    attributes, front, back = set(style[0]), style[1], style[2]
    codes = numbers.split(";") if numbers else ["0"]
    while codes:
        code = codes.pop(0)
        if code in ("", "0"):
            attributes, front, back = set(), "", ""
        elif code in ("38", "48"):
            length = 2 if codes[0] == "5" else 4
            colour = _long(codes[:length])
            codes = codes[length:]
            front, back = (colour, back) if code == "38" else (front, colour)
        elif len(code) == 2 and code[0] in "39" and code[1] != "9":
            front = code
        elif code in ENDS:
            attributes -= ENDS[code]
        elif code in ("39", "49"):
            front, back = ("", back) if code == "39" else (front, "")
        else:
            attributes.add(code)
    return frozenset(attributes), front, back


def _long(colour: list[str]) -> str:
    """Returns red, green and blue of a colour; of the first 22 their number."""
    number = int(colour[1]) if colour[0] == "5" else 0
    if number < 22:
        return ";".join(colour)
    if number >= 232:
        levels = [8 + 10 * (number - 232)] * 3
    else:
        steps = divmod(number - 16, 36)[0], (number - 16) // 6 % 6, (number - 16) % 6
        levels = [(0, 95, 135, 175, 215, 255)[step] for step in steps]
    return ";".join(["2", *map(str, levels)])


class Both:
    """A terminal that is sent all that Textual sends, and one that is sent what changes."""

    def __init__(self) -> None:
        self.painted = Painted()
        self.all, self.few = Terminal(), Terminal()
        self.bytes = 0

    def write(self, data: str) -> None:
        changes = self.painted.changes(data)
        self.all.take(data)
        self.few.take(changes)
        self.bytes += len(changes.encode())


async def watched(stage: Stage, steps: Callable[[Pilot[int], Both], Awaitable[None]]) -> None:
    """Runs an app that believes to have a terminal."""
    both = Both()
    stage.app.painted = both.painted

    class Recorder(HeadlessDriver):
        is_headless = False

        def write(self, data: str) -> None:
            both.write(data)

    stage.app.driver_class = Recorder

    async def run(pilot: Pilot[int]) -> None:
        await settle(pilot)
        await steps(pilot, both)
        stage.app.exit()

    await stage.app.run_async(size=SIZE, auto_pilot=run)


async def test_a_move_a_page_and_help_send_few_bytes_and_show_the_same() -> None:
    sent: dict[str, int] = {}

    async def steps(pilot: Pilot[int], both: Both) -> None:
        await press(pilot, "2")
        for key in MOST:
            before = both.bytes
            await press(pilot, key)
            sent[key] = both.bytes - before
            assert both.few.seen() == both.all.seen(), key
        before = both.bytes
        await press(pilot, "ctrl+l")
        sent["ctrl+l"] = both.bytes - before

    await watched(Stage(Timing.UPSTREAM, [large(300)]), steps)
    assert all(0 < sent[key] <= most for key, most in MOST.items()), sent
    # The whole screen, which nothing else sends once it stands.
    assert sent["ctrl+l"] > sent["escape"]


def updates() -> st.SearchStrategy[list[str]]:
    """Updates as Textual sends them: a move, then styled pieces of text."""
    style = st.sampled_from(
        (
            "",
            "1",
            "1;2",
            "4",
            "21",
            "1;38;2;9;8;7",
            "38;5;3;48;2;1;1;1",
            "48;5;7",
            "91",
            "38;2;95;0;175",
        )
    )
    text = st.text("ab ▐é漢e\u0301", min_size=1, max_size=6)
    piece = st.tuples(style, text).map(
        lambda p: f"\x1b[{p[0]}m{p[1]}\x1b[0m" if p[0] else p[1]
    )
    run = st.tuples(st.integers(1, 3), st.integers(1, 9), st.lists(piece, min_size=1))
    whole = run.map(lambda r: f"\x1b[{r[0]};{r[1]}H" + "".join(r[2]))
    return st.lists(whole, min_size=1, max_size=6)


@settings(max_examples=200, deadline=None)
@given(updates())
def test_what_changes_makes_the_same_screen_as_all(pieces: list[str]) -> None:
    both = Both()
    for piece in pieces:
        both.write(piece + "\x1b[1;1H")
    assert both.few.seen() == both.all.seen()


@pytest.mark.parametrize("data", ["\x1b[?1049h", "\x1b[2;2Hab\x1b[2J", "hello", "\x1b[c"])
def test_what_is_no_update_is_sent_as_it_is_and_nothing_is_known_after_it(data: str) -> None:
    painted = Painted()
    update = "\x1b[2;2Habc\x1b[1;1H"
    assert painted.changes(update) == update
    assert painted.changes(update) == ""
    assert painted.changes(data) == data
    assert painted.changes(update) == update


@pytest.mark.parametrize("data", ["\x1b[?2026h", "\x1b]52;c;YQ==\a", "\a"])
def test_what_leaves_the_screen_alone_is_sent_and_nothing_is_forgotten(data: str) -> None:
    painted = Painted()
    update = "\x1b[2;2Habc\x1b[1;1H"
    painted.changes(update)
    assert painted.changes(data) == data
    assert painted.changes(update) == ""


def test_only_the_cells_that_differ_are_sent() -> None:
    painted = Painted()
    painted.changes("\x1b[3;1H\x1b[31mone two three\x1b[0m\x1b[1;1H")
    sent = painted.changes("\x1b[3;1H\x1b[31mone TWO three\x1b[0m\x1b[1;1H")
    assert sent == "\x1b[3;5H\x1b[31mTWO\x1b[m\x1b[1;1H"


def test_signs_that_an_encoding_lacks_are_sent_as_others_of_the_same_width() -> None:
    signs = Signs("ascii")
    assert "│ ✗ 4× _to_copy → E1▐██▌ …".translate(signs) == "| x 4x _to_copy > E1|##| ~"
    assert "漢é".translate(signs) == "???"
    assert "é│".translate(Signs("latin-1")) == "é|"
    assert "\x1b[1;1H\x1b[0m".translate(signs) == "\x1b[1;1H\x1b[0m"


def test_every_sign_of_the_screen_has_one_of_the_same_width() -> None:
    files = Path(trtdbg_ui.__file__).parent.rglob("*.py")
    signs = {char for file in files for char in file.read_text() if not char.isascii()}
    known = Signs("ascii")
    assert not {char for char in signs if "?" in char.translate(known)}
