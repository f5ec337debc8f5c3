"""The list of findings."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from textual import events

from trtdbg.records import Finding
from trtdbg_ui.render.findings import finding_line, finding_lines, member_line, times_at
from trtdbg_ui.text import Line, Tone, crop, line, width, wrap
from trtdbg_ui.widgets.cursor_view import CursorView

_MOST_WRAPPED: Final = 500
"""More findings than these take one line each: wrapping them would be felt."""


@dataclass(frozen=True)
class _Row:
    """One line, and the finding that it belongs to."""

    group: int
    member: int
    """Place in its group; 0 stands for all of them."""
    text: Line

    @property
    def place(self) -> tuple[int, int]:
        return self.group, self.member


class FindingList(CursorView):
    """Each finding in full, worst first; Enter leads to its node.

    Those that are alike take one row, which is opened to list the others below it.
    """

    def __init__(self, **kwargs: Any) -> None:
        """Starts empty."""
        super().__init__(**kwargs)
        self._groups: list[tuple[Finding, ...]] = []
        self._common: list[Hashable] = []
        """What the findings of each group have in common."""
        self._opened: frozenset[Hashable] = frozenset()
        """The same of the groups that are open; they stay so in the next report."""
        self._rows: list[_Row] = []

    def show(self, alike: Mapping[Hashable, tuple[Finding, ...]]) -> None:
        """Shows findings by what they have in common."""
        self._common, self._groups = list(alike), list(alike.values())
        self._lay_out()
        self.put_cursor(0)

    def resized(self, size: int) -> None:
        """Wraps the messages to the new width; the cursor stays with its finding."""
        here = self._rows[self.cursor].place if self.cursor < len(self._rows) else (0, 0)
        open_ = [common in self._opened for common in self._common]
        number = sum(
            len(group) if opened else 1
            for group, opened in zip(self._groups, open_, strict=True)
        )
        whole = number <= _MOST_WRAPPED
        self._rows = [
            _Row(index, member, text)
            for index, group in enumerate(self._groups)
            for member in range(len(group) if open_[index] else 1)
            for text in _lines(group, member, open_[index], max(size - 1, 1), whole=whole)
        ]
        self._count = max(len(self._rows), 1)
        # A group that was closed around the cursor leaves it on the row of the group.
        rows = {row.place: i for i, row in reversed(list(enumerate(self._rows)))}
        self.cursor = rows.get(here, rows.get((here[0], 0), 0))

    def toggle(self, row: int) -> bool:
        """Opens or closes the group of a row; tells whether there is one."""
        group = self._rows[row].group if row < len(self._rows) else None
        if group is None or len(self._groups[group]) == 1:
            return False
        self._opened ^= {self._common[group]}
        self._lay_out()
        self._reveal()
        return True

    def toggle_all(self) -> bool:
        """Opens all groups, or closes them if all are open; tells whether there are any."""
        pairs = zip(self._common, self._groups, strict=True)
        groups = frozenset(common for common, group in pairs if len(group) > 1)
        opened = self._opened
        self._opened = opened - groups if groups <= opened else opened | groups
        self._lay_out()
        self._reveal()
        return bool(groups)

    def _lay_out(self) -> None:
        self.resized(self.width_cells)
        self.recount(self._count)

    def selectable(self, index: int) -> bool:
        """Returns whether a row is the first of a finding."""
        first = index == 0 or index >= len(self._rows)
        return first or self._rows[index].place != self._rows[index - 1].place

    def continues(self, index: int) -> bool:
        """Returns whether a row is another one of the finding above."""
        return not self.selectable(index)

    def finding_at(self, row: int) -> Finding | None:
        """Returns the finding in a row; of several that are alike the first."""
        return next(iter(self.findings_at(row)), None)

    def findings_at(self, row: int) -> tuple[Finding, ...]:
        """Returns all findings that a row stands for."""
        if row >= len(self._rows):
            return ()
        found = self._rows[row]
        group = self._groups[found.group]
        return group if found.member == 0 else (group[found.member],)

    def on_click(self, event: events.Click) -> None:
        """Opens or closes a group whose number was clicked; else as in any list."""
        offset = event.get_content_offset(self)
        index = self.scroll_offset.y + offset.y if offset is not None else len(self._rows)
        super().on_click(event)
        if offset is None or index >= len(self._rows) or self._rows[index].member:
            return
        # The gutter of the cursor stands before the line.
        if self.selectable(index) and offset.x - 1 in times_at(self._rows[index].text):
            self.toggle(index)

    def line_at(self, index: int, size: int) -> Line:
        """Returns one line of a finding."""
        if not self._rows:
            return line((" no findings", Tone.DIM))
        return crop(self._rows[index].text, size)


def _lines(
    group: tuple[Finding, ...], member: int, opened: bool, size: int, *, whole: bool
) -> list[Line]:
    """Returns a finding of a group on as many lines as it takes, or cropped to one."""
    head = finding_line(group[0], size, len(group), opened=opened)
    if member:
        text = member_line(group[member], head)
        return wrap(text, size, indent=width(text[:1])) if whole else [crop(text, size)]
    if not whole:
        return [crop(head, size)]
    return finding_lines(group[0], size, len(group), opened=opened)
