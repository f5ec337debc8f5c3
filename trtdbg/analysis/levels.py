"""The order in which findings are listed: the worst first."""

from __future__ import annotations

from trtdbg.records import Level

WORST_FIRST = tuple(reversed(Level))
"""Every level, the worst first."""


def by_severity(level: Level) -> int:
    """Returns the place of a level in a list that starts with the worst."""
    return WORST_FIRST.index(level)
