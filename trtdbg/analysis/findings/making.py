"""How findings are made, and the words that several rules share."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from trtdbg.analysis.codes import Code, Explanation
from trtdbg.records import Finding, Level, NodeRecord, Report


class Maker(Protocol):
    """Makes a finding of a code, at the level of its entry if none is given."""

    def __call__(
        self,
        code: Code,
        message: str,
        node: NodeRecord | None = None,
        *,
        level: Level | None = None,
        engine: int | None = None,
    ) -> Finding:
        """Returns the finding; `maker` says what its fields are."""


def maker(entries: Iterable[Explanation]) -> Maker:
    """Returns what makes the findings of some entries.

    The message gets the node's source line behind it; the engine is the node's if none is
    given.
    """
    levels = {entry.code: entry.level for entry in entries}

    def make(
        code: Code,
        message: str,
        node: NodeRecord | None = None,
        *,
        level: Level | None = None,
        engine: int | None = None,
    ) -> Finding:
        place = f" ({node.source})" if node is not None and node.source is not None else ""
        return Finding(
            code=code.value,
            level=level or levels[code],
            node=node.name if node is not None else None,
            message=f"{message}{place if place != ' ()' else ''}",
            source=node.source if node is not None else None,
            engine=engine if engine is not None else node.engine if node is not None else None,
        )

    return make


class ExportedRows:
    """Finds the rows of what exported nodes became; made once, as a graph can be large."""

    def __init__(self, report: Report, nodes: dict[str, NodeRecord]) -> None:
        graph = report.passes[0].graph if report.passes else ()
        self._exported = {n.name: n for n in (report.graph_nodes[i] for i in graph)}
        self._nodes = nodes
        self._became: dict[str | None, list[NodeRecord]] = {}
        for node in report.nodes:
            self._became.setdefault(node.from_node, []).append(node)

    def row(self, name: str) -> NodeRecord | None:
        """Returns the row of what a node became, or of the node itself if nothing is left."""
        exported = self._exported.get(name)
        became = self._became.get(name, [])
        if became:
            target = exported.target if exported is not None else None
            return next((node for node in became if node.target == target), became[0])
        if name in self._nodes or exported is None:
            return self._nodes.get(name)
        return NodeRecord(
            name=name,
            op=exported.op,
            target=exported.target,
            source=exported.source,
            args=exported.args,
            operands=exported.operands,
        )


def bracketed(node: NodeRecord | None) -> str:
    """Returns a node's operator in brackets; nothing for an input, a constant or no node."""
    return f" ({node.target})" if node is not None and node.op == "call_function" else ""


def fractional_scalar(args: str) -> str | None:
    """Returns a number with a fraction among a node's arguments as text; None without."""
    for part in args.split(", "):
        try:
            value = float(part)
        except ValueError:
            continue
        if not value.is_integer():
            return part
    return None
