"""What is said of programs that are analysed again and again, while somebody edits."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from trtdbg.analysis.changes import what_changed
from trtdbg.analysis.headline import headline
from trtdbg.commands import models as shared
from trtdbg.commands.shell import Shell
from trtdbg.outputs.report import Entry
from trtdbg.records import Report

Place = TypeVar("Place", bound=Hashable)
"""What stands for a program from one time to the next."""


@dataclass
class Live(Generic[Place]):
    """Keeps the last good analysis of each program, which the next one is compared with."""

    shell: Shell
    good: dict[Place, Report] = field(default_factory=dict)

    def tell(self, place: Place, entry: Entry) -> None:
        """Says what changed in a program; of a new one, what became of it.

        One that cannot be analysed to the end leaves the last good analysis in its place.

        Args:
            place: stands for the program.
            entry: its analysis, or why there is none; that was said already.
        """
        # rich is imported here so that --help stays fast.
        from trtdbg.outputs import pages

        before = self.good.get(place)
        if isinstance(entry, Report):
            self.shell.show("")
            changed = None if before is None else what_changed(before, entry)
            self.shell.show(pages.report(entry) if changed is None else pages.changes(changed))
        if shared.is_good(entry):
            self.good[place] = entry
        elif before is not None:
            self.keep(entry.model.path, before)

    def keep(self, name: str, report: Report) -> None:
        """Says that there is no new analysis of a program."""
        self.shell.note(f"{name}: the last good analysis is kept: {headline(report)}")

    def missing(self, seen: Iterable[Place], of: Iterable[Place]) -> None:
        """Says which programs there are no more, and forgets them.

        Args:
            seen: the programs there are.
            of: those that could be there.
        """
        left = set(seen)
        for place in [each for each in of if each in self.good and each not in left]:
            self.shell.note(f"{self.good.pop(place).model.path} is not there any more")
