"""A report with the look-ups that the screen needs, each made once."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from functools import cached_property

from trtdbg.outputs.summary import left_to_pytorch
from trtdbg.records import Finding, Level, NodeRecord, Report
from trtdbg_ui.compare import Mark, SnapshotRow, snapshot
from trtdbg_ui.judged import judged

LEVELS = (Level.ERROR, Level.WARNING, Level.NOTE)
"""Worst first."""


class Loaded:
    """One report, indexed. It is never changed: a build gives another one."""

    def __init__(self, report: Report) -> None:
        """Wraps `report`; nothing is computed before it is asked for."""
        self.report = report
        self._rows: dict[tuple[int | None, bool], Rows] = {}

    @cached_property
    def nodes(self) -> Mapping[str, NodeRecord]:
        """Nodes of the lowered graph by name."""
        return {node.name: node for node in self.report.nodes}

    @cached_property
    def findings(self) -> tuple[Finding, ...]:
        """All findings, worst first, then by code; of one code in graph order."""
        return tuple(
            sorted(self.report.findings, key=lambda f: (LEVELS.index(f.level), f.code))
        )

    @cached_property
    def findings_of(self) -> Mapping[str, tuple[Finding, ...]]:
        """Findings by the name of their node, worst first."""
        found: dict[str, tuple[Finding, ...]] = {}
        for finding in self.findings:
            if finding.node is not None:
                found[finding.node] = (*found.get(finding.node, ()), finding)
        return found

    @cached_property
    def operators_of(self) -> Mapping[int, int]:
        """Number of operators by engine; an engine's other nodes are its constants."""
        return Counter(
            node.engine
            for node in self.report.nodes
            if node.engine is not None and judged(node)
        )

    @cached_property
    def left(self) -> frozenset[str]:
        """Names of the operator nodes left to PyTorch."""
        return frozenset(node.name for node in left_to_pytorch(self.report))

    def is_problem(self, name: str) -> bool:
        """Tells whether a node is left to PyTorch or has a finding."""
        return name in self.left or name in self.findings_of

    def rows(self, place: int | None, hide_unchanged: bool = False) -> Rows:
        """Returns the rows of the node table.

        Args:
            place: Position in `report.passes` of the pass whose snapshot is meant; None means
                the result.
            hide_unchanged: Leave out what that pass did not touch.
        """
        key = (place, hide_unchanged and place is not None)
        if key not in self._rows:
            self._rows[key] = (
                ResultRows(self) if place is None else SnapshotRows(self, place, key[1])
            )
        return self._rows[key]


class Rows:
    """What the node table shows: a sequence of named rows that can be searched."""

    names: tuple[str, ...]

    @cached_property
    def position(self) -> Mapping[str, int]:
        """Row number by node name."""
        return {name: index for index, name in enumerate(self.names)}

    @cached_property
    def haystacks(self) -> tuple[str, ...]:
        """What a search looks at, for each row."""
        raise NotImplementedError

    def search(self, pattern: re.Pattern[str]) -> tuple[int, ...]:
        """Returns the numbers of the rows in which the pattern occurs."""
        find = pattern.search
        return tuple(i for i, text in enumerate(self.haystacks) if find(text))

    def start(self) -> int:
        """Returns the row that is worth a look first."""
        raise NotImplementedError


class ResultRows(Rows):
    """The lowered graph with its three dtypes, verdicts and engines."""

    def __init__(self, loaded: Loaded) -> None:
        """Takes the nodes of the report."""
        self.loaded = loaded
        self.nodes = loaded.report.nodes
        self.names = tuple(node.name for node in self.nodes)

    @cached_property
    def haystacks(self) -> tuple[str, ...]:
        """Name, operator, dtypes, verdict, place, module and source line of each node."""
        return tuple(self._haystack(node) for node in self.nodes)

    def _haystack(self, node: NodeRecord) -> str:
        dtypes = (node.original, node.inferred, node.truncated, node.tensorrt)
        engine = f"E{node.engine}" if node.engine is not None else ""
        left = "PyTorch" if node.name in self.loaded.left else ""
        source = node.source
        where = f"{source.module or ''} {source}" if source else ""
        verdict = node.verdict.value if judged(node) else ""
        codes = " ".join(f.code for f in self.loaded.findings_of.get(node.name, ()))
        words = (node.name, node.target, *_words(dtypes), verdict, engine, left, where, codes)
        return " ".join(word for word in words if word)

    def start(self) -> int:
        """Returns the first node left to PyTorch, or with a finding, or the first operator."""
        names = self.loaded.left or self.loaded.findings_of.keys()
        found = (i for i, name in enumerate(self.names) if name in names)
        operators = (i for i, node in enumerate(self.nodes) if judged(node))
        return next(found, next(operators, 0))


class SnapshotRows(Rows):
    """The graph after one pass, with what the pass did."""

    def __init__(self, loaded: Loaded, place: int, hide_unchanged: bool) -> None:
        """Compares the snapshot at `place` with the one before it."""
        self.loaded = loaded
        self.place = place
        rows = snapshot(loaded.report, place)
        self.rows: tuple[SnapshotRow, ...] = (
            tuple(row for row in rows if row.mark is not Mark.SAME) if hide_unchanged else rows
        )
        self.names = tuple(row.node.name for row in self.rows)

    @cached_property
    def haystacks(self) -> tuple[str, ...]:
        """Name, operator, dtypes, arguments, module and source line of each node."""
        return tuple(self._haystack(row) for row in self.rows)

    def _haystack(self, row: SnapshotRow) -> str:
        source = row.node.source
        where = f"{source.module or ''} {source}" if source else ""
        words = (row.node.name, row.node.target, *_words((row.before, row.after)), where)
        return " ".join(word for word in (*words, row.node.args) if word)

    def start(self) -> int:
        """Returns the first node that the pass touched."""
        return next((i for i, r in enumerate(self.rows) if r.mark is not Mark.SAME), 0)


def _words(dtypes: tuple[object, ...]) -> list[str]:
    words: list[str] = []
    for dtype in dtypes:
        if isinstance(dtype, str):
            words.append(dtype)
        elif isinstance(dtype, tuple):
            words.extend(name for name in dtype if name)
    return words
