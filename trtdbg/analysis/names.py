"""Finds nodes by the names that users type."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from trtdbg.errors import UsageError
from trtdbg.records import NodeRecord, Report


def find_node(report: Report, name: str) -> NodeRecord:
    """Returns the node of the lowered graph with a name.

    Raises:
        UsageError: there is none; the remedy names what is spelled alike.
    """
    for node in report.nodes:
        if node.name == name:
            return node
    raise no_such_node(name, (node.name for node in report.nodes))


def no_such_node(name: str, known: Iterable[str]) -> UsageError:
    """Returns the error that says so and what is spelled alike."""
    close = difflib.get_close_matches(name, set(known), n=3)
    remedy = (
        f"did you mean {' or '.join(close)}?" if close else "`--all-nodes` lists all names"
    )
    return UsageError(f"there is no node {name!r}", remedy=remedy)
