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


class Look(NamedTuple):
    """How a cell is painted; each part as it stands in an SGR sequence."""

    attributes: frozenset[str] = frozenset()
    foreground: str = ""
    background: str = ""


Cell = tuple[str, Look]
"""A character and its look; the second cell of a wide character is empty."""
Row = list[Cell]

_PLAIN: Final = Look()
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
                    if wanted != look and not (text == " " and _as_blank(look, wanted)):
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
                look = _look(style)
        return update if at == len(data) and row is not None else None

    def _row(self, y: int, shown: Mapping[int, Row]) -> Row:
        if y not in self.rows:
            self.rows[y] = list(shown.get(y, ()))
        return self.rows[y]


def _put(row: Row, x: int, text: str, look: Look) -> int:
    """Writes text into a row and returns the column after it."""
    blank = (" ", _look_of_blank(look))
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


def _wide_and_narrow(text: str, look: Look, blank: Cell) -> Iterator[Cell]:
    """Yields the cells of a text with characters of no, one or two cells."""
    held = ""
    for char in text:
        size = get_character_cell_size(char)
        if size == 0:
            # Combined with the character before it.
            held += char
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
def _look(style: str) -> Look:
    """Returns the look of an SGR sequence that begins with a reset, or follows one."""
    codes = style.split(";") if style else []
    attributes, foreground, background = [], "", ""
    while codes:
        code = codes.pop(0)
        if code in ("38", "48"):
            # 5 and a number, or 2 and red, green, blue.
            length = 2 if codes[:1] == ["5"] else 4
            colour, codes = ";".join([code, *codes[:length]]), codes[length:]
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
    return Look(frozenset(attributes), foreground, background)


_NOTHING: Final = frozenset({"", "0", "39", "49"})
_FOREGROUNDS: Final = frozenset(str(n) for n in (*range(30, 38), *range(90, 98)))
_BACKGROUNDS: Final = frozenset(str(n) for n in (*range(40, 48), *range(100, 108)))


@lru_cache(maxsize=4096)
def _look_of_blank(look: Look) -> Look:
    """Returns what of a look can be seen where there is no character."""
    if look.attributes & _SEEN_ON_BLANKS:
        return look
    return Look(background=look.background)


@lru_cache(maxsize=4096)
def _as_blank(look: Look, wanted: Look) -> bool:
    """Returns whether a blank looks as wanted without another style."""
    return _look_of_blank(look) == wanted


@lru_cache(maxsize=4096)
def _step(look: Look, wanted: Look) -> str:
    """Returns the shortest sequence from one look to another."""
    lost = look.attributes - wanted.attributes
    lost_colour = (look.foreground and not wanted.foreground) or (
        look.background and not wanted.background
    )
    if lost or lost_colour:
        codes = ["0", *sorted(wanted.attributes), wanted.foreground, wanted.background]
    else:
        codes = sorted(wanted.attributes - look.attributes)
        if wanted.foreground != look.foreground:
            codes.append(wanted.foreground)
        if wanted.background != look.background:
            codes.append(wanted.background)
    sgr = ";".join(code for code in codes if code)
    return "\x1b[m" if sgr == "0" else f"\x1b[{sgr}m"
