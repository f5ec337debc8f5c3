"""Searches the smallest part of a sequence that still fails. Pure, free of torch.

Source: Zeller and Hildebrandt, "Simplifying and isolating failure-inducing input" (2002): the
part of ddmin that takes away, after a bisection of both ends, which is quick where one place
in a long graph is to blame.
"""

from __future__ import annotations

from collections.abc import Callable

Kept = tuple[int, ...]


def shrink(items: Kept, fails: Callable[[Kept], bool]) -> Kept:
    """Returns a part of `items` that fails and of which nothing more can be left out.

    Args:
        items: a sequence that fails, in an order in which neighbours belong together.
        fails: whether a part, which is never empty, fails as well.
    """
    length = _least(len(items), lambda length: fails(items[:length]))
    items = items[:length]
    length = _least(len(items), lambda length: fails(items[-length:]))
    items = items[-length:]
    return _without_any(items, fails)


def _least(length: int, fails: Callable[[int], bool]) -> int:
    """Returns a length that fails, the least one where every longer one fails too."""
    passing, failing = 0, length
    while failing - passing > 1:
        middle = (passing + failing) // 2
        if fails(middle):
            failing = middle
        else:
            passing = middle
    return failing


def _without_any(items: Kept, fails: Callable[[Kept], bool]) -> Kept:
    chunk = max(1, len(items) // 2)
    while True:
        smaller, start = False, 0
        while start < len(items):
            left = items[:start] + items[start + chunk :]
            if left and fails(left):
                items, smaller = left, True
            else:
                start += chunk
        if chunk == 1 and not smaller:
            return items
        chunk = max(1, chunk // 2)
