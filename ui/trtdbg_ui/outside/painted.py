"""What a terminal shows, so that only what is to change is sent to it.

Textual sends whole widgets, and the whole screen when a dialog opens or closes: at 120x35 in
24-bit colours a move was 10 kB and help 75 kB, which is felt over SSH.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Final, NamedTuple

from rich.cells import get_character_cell_size

_PIECE: Final = re.compile(r"\x1b\[(\d+);(\d+)H|\x1b\[([\d;]*)m|\n|([^\x1b\n]+)")
"""All that an update of the screen is made of: moves, styles, ends of lines, text."""
_HARMLESS: Final = ("\x1b[?2026", "\x1b]", "\x07")
"""How sequences begin that leave the screen as it is: brackets of an update, OSC, a bell."""
_SHORTEST_GAP: Final = 4
"""Cells left out in a row; to go over fewer costs as much as to write them again."""


class Paint(NamedTuple):
    """How a cell is painted; each part as it stands in an SGR sequence."""

    attributes: frozenset[str] = frozenset()
    foreground: str = ""
    background: str = ""


Cell = tuple[str, Paint]
"""A character and its look; the second cell of a wide character is empty."""
Row = list[Cell]

_PLAIN: Final = Paint()
_UNKNOWN: Final[Cell] = ("\x1b[C", _PLAIN)
"""What stands here is not known: the cursor goes over it."""
_SEEN_ON_BLANKS: Final = frozenset({"4", "7", "9", "21", "53"})
"""Attributes that show where there is no character: lines and reversed colours."""


class Painted:
    """What a terminal shows, as far as it is known."""

    def __init__(self) -> None:
        """Knows nothing of the terminal yet."""
        self._rows: dict[int, Row] = {}
        self._cursor = ""

    def forget(self) -> None:
        """Takes nothing for known: the next update is sent whole."""
        self._rows.clear()
        self._cursor = ""

    def changes(self, data: str) -> str:
        """Returns what has to be sent in place of `data`, for the same screen.

        Args:
            data: What is about to be sent. Anything but an update of the screen is returned
                as it is.
        """
        if data.startswith(_HARMLESS):
            return data
        update = _Update.read(data, self._rows)
        if update is None:
            self.forget()
            return data
        sent = "".join(self._sent(update))
        cursor = update.cursor
        if sent or cursor != self._cursor:
            sent += cursor
        self._cursor = cursor
        return sent

    def _sent(self, update: _Update) -> Iterator[str]:
        look = _PLAIN
        for y, row in sorted(update.rows.items()):
            known = self._rows.get(y, [])
            x = -1
            for first, last in _changed(known, row):
                if x < 0:
                    yield f"\x1b[{y};{first + 1}H"
                elif first > x:
                    yield f"\x1b[{first - x}C"
                x = last
                for text, wanted in row[first:last]:
                    if text == " ":
                        wanted = _blank_after(look, wanted)
                    if wanted != look:
                        yield _step(look, wanted)
                        look = wanted
                    yield text
            self._rows[y] = row
        if look != _PLAIN:
            yield "\x1b[m"


class _Update:
    """The rows that an update touches, as they are to be."""

    def __init__(self) -> None:
        self.rows: dict[int, Row] = {}
        self.cursor = ""

    @classmethod
    def read(cls, data: str, shown: Mapping[int, Row]) -> _Update | None:
        """Returns the rows after `data`; None if it is more than moves, styles and text."""
        update = cls()
        row: Row | None = None
        look, x, at = _PLAIN, 0, 0
        for piece in _PIECE.finditer(data):
            if piece.start() != at:
                return None
            at = piece.end()
            line, column, style, text = piece.groups()
            if line:
                row = update._row(int(line), shown)
                x, update.cursor = int(column) - 1, piece.group()
            elif row is None:
                return None
            elif text:
                x, update.cursor = _put(row, x, text, look), ""
            elif style is not None:
                look = _paint(style)
        return update if at == len(data) and row is not None else None

    def _row(self, y: int, shown: Mapping[int, Row]) -> Row:
        if y not in self.rows:
            self.rows[y] = list(shown.get(y, ()))
        return self.rows[y]


def _put(row: Row, x: int, text: str, look: Paint) -> int:
    """Writes text into a row and returns the column after it."""
    blank = (" ", _paint_of_blank(look))
    if text.isascii():
        cells = [blank if char == " " else (char, look) for char in text]
    else:
        cells = list(_wide_and_narrow(text, look, blank))
    row += [_UNKNOWN] * (x - len(row))
    end = x + len(cells)
    if x < len(row) and _is_second(row[x]) and x:
        row[x - 1] = _UNKNOWN
    if end < len(row) and _is_second(row[end]):
        row[end] = _UNKNOWN
    row[x:end] = cells
    return end


def _wide_and_narrow(text: str, look: Paint, blank: Cell) -> Iterator[Cell]:
    """Yields the cells of a text with characters of no, one or two cells."""
    held = ""
    for char in text:
        size = get_character_cell_size(char)
        if size == 0:
            # Combined with the character before it, unless there is none.
            held += char if held else ""
            continue
        if held:
            yield held, look
            held = ""
        if char == " ":
            yield blank
        elif size == 2:
            yield char, look
            yield "", look
        else:
            held = char
    if held:
        yield held, look


def _changed(known: Row, row: Row) -> Iterator[tuple[int, int]]:
    """Yields from where to where a row is to be written."""
    if known == row:
        return
    known = known + [_UNKNOWN] * (len(row) - len(known))
    first = last = -1
    for x, (old, new) in enumerate(zip(known, row, strict=False)):
        if old == new or new is _UNKNOWN:
            continue
        if first >= 0 and x - last >= _SHORTEST_GAP:
            yield _whole(row, first, last)
            first = x
        elif first < 0:
            first = x
        last = x + 1
    if first >= 0:
        yield _whole(row, first, last)


def _whole(row: Row, first: int, last: int) -> tuple[int, int]:
    """Returns the range with no wide character cut in two."""
    while first and _is_second(row[first]):
        first -= 1
    while last < len(row) and _is_second(row[last]):
        last += 1
    return first, last


def _is_second(cell: Cell) -> bool:
    return not cell[0]


@lru_cache(maxsize=4096)
def _paint(style: str) -> Paint:
    """Returns the look of an SGR sequence that begins with a reset, or follows one."""
    codes = style.split(";") if style else []
    attributes, foreground, background = [], "", ""
    while codes:
        code = codes.pop(0)
        if code in ("38", "48"):
            # 5 and a number, or 2 and red, green, blue.
            length = 2 if codes[:1] == ["5"] else 4
            colour, codes = _short([code, *codes[:length]]), codes[length:]
            if code == "38":
                foreground = colour
            else:
                background = colour
        elif code in _FOREGROUNDS:
            foreground = code
        elif code in _BACKGROUNDS:
            background = code
        elif code not in _NOTHING:
            attributes.append(code)
    return Paint(frozenset(attributes), foreground, background)


def _short(colour: list[str]) -> str:
    """Returns a colour as a number of the palette of 256 if it is one of them."""
    _, kind, *levels = colour
    if kind == "2" and all(level in _LEVELS for level in levels):
        red, green, blue = (_LEVELS.index(level) for level in levels)
        number = 16 + 36 * red + 6 * green + blue
        # Users redefine the first ones: as many as a scheme of theirs has colours.
        if number > 21:
            return f"{colour[0]};5;{number}"
    if kind == "2" and levels == levels[:1] * 3 and levels[0] in _GREYS:
        return f"{colour[0]};5;{232 + _GREYS.index(levels[0])}"
    return ";".join(colour)


_LEVELS: Final = ("0", "95", "135", "175", "215", "255")
_GREYS: Final = tuple(str(8 + 10 * step) for step in range(24))
_NOTHING: Final = frozenset({"", "0", "39", "49"})
_FOREGROUNDS: Final = frozenset(str(n) for n in (*range(30, 38), *range(90, 98)))
_BACKGROUNDS: Final = frozenset(str(n) for n in (*range(40, 48), *range(100, 108)))


@lru_cache(maxsize=4096)
def _paint_of_blank(look: Paint) -> Paint:
    """Returns what of a look can be seen where there is no character."""
    if look.attributes & _SEEN_ON_BLANKS:
        return look
    return Paint(background=look.background)


@lru_cache(maxsize=4096)
def _blank_after(look: Paint, wanted: Paint) -> Paint:
    """Returns the look nearest to `look` in which a blank looks as wanted."""
    if wanted.attributes:
        return wanted
    kept = look.attributes - _SEEN_ON_BLANKS
    return Paint(kept, look.foreground, wanted.background)


@lru_cache(maxsize=4096)
def _step(look: Paint, wanted: Paint) -> str:
    """Returns a short sequence from one look to another."""
    ended = {_END_OF.get(code, "0") for code in look.attributes - wanted.attributes}
    if look.foreground and not wanted.foreground:
        ended.add("39")
    if look.background and not wanted.background:
        ended.add("49")
    if wanted == _PLAIN or "0" in ended:
        look, ended = _PLAIN, {"0"}
    # One code ends bold and dim: what stays of them begins again.
    kept = {code for code in look.attributes if _END_OF.get(code) not in ended}
    codes = [*sorted(ended), *sorted(wanted.attributes - kept)]
    codes += [wanted.foreground] if wanted.foreground != look.foreground else []
    codes += [wanted.background] if wanted.background != look.background else []
    return f"\x1b[{';'.join(code for code in codes if code)}m"


_END_OF: Final = {"1": "22", "2": "22", "3": "23", "4": "24", "5": "25", "7": "27", "9": "29"}
"""What ends an attribute and leaves the rest as it is; a reset ends the others."""
