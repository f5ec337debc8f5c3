"""A report with the look-ups that the screen needs, each made once."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from trtdbg.analysis.alike import alike
from trtdbg.analysis.by_place import by_line, by_module
from trtdbg.analysis.conclusions import is_call
from trtdbg.analysis.layers import LayerRow, layer_rows
from trtdbg.analysis.strip import Stretch, stretches
from trtdbg.analysis.summary import constants_that_matter, is_operator, left_to_pytorch
from trtdbg.outputs.report import is_saved_report
from trtdbg.records import (
    BuildStatus,
    Cause,
    Consequence,
    ConstantRecord,
    EngineRecord,
    Finding,
    Level,
    LineRow,
    ModuleRow,
    NodeError,
    NodeRecord,
    Report,
)
from trtdbg_ui.model.causes import causes_of
from trtdbg_ui.model.filters import keeps, names_of, wide
from trtdbg_ui.model.folding import Folding, folded, graph_parts, result_parts
from trtdbg_ui.model.ordering import pass_key, result_key
from trtdbg_ui.model.pass_rows import Mark, SnapshotRow, snapshot
from trtdbg_ui.model.view import USUAL, Quick, View

LEVELS = (Level.ERROR, Level.WARNING, Level.NOTE)
"""Worst first."""


def read_only_kind(model: str) -> str:
    """Returns what a file is about which no worker can be asked."""
    return "saved report" if is_saved_report(model) else "compiled program"


class Loaded:
    """One report, indexed. It is never changed: a build gives another one."""

    def __init__(self, report: Report) -> None:
        """Wraps `report`; nothing is computed before it is asked for."""
        self.report = report
        self._rows: dict[Showing, RowSequence] = {}
        self._layers: dict[int, list[LayerRow]] = {}

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
    def alike(self) -> Mapping[Hashable, tuple[Finding, ...]]:
        """The same findings, those that are alike together."""
        return alike(self.findings)

    @cached_property
    def findings_of(self) -> Mapping[str, tuple[Finding, ...]]:
        """Findings by the name of their node, worst first."""
        found: dict[str, tuple[Finding, ...]] = {}
        for finding in self.findings:
            if finding.node is not None:
                found[finding.node] = (*found.get(finding.node, ()), finding)
        return found

    @cached_property
    def refused(self) -> Mapping[int, Finding]:
        """Why engines do not build, by engine: the engine as a whole, or else one node."""
        failed = {
            engine.index
            for engine in self.report.engines
            if engine.build.status is BuildStatus.FAILED
        }
        return {
            finding.engine: finding
            for code in ("TD102", "TD503")
            for finding in reversed(self.findings)
            if finding.code == code and finding.engine in failed
        }

    @cached_property
    def operators_of(self) -> Mapping[int, int]:
        """Number of operators by engine; an engine's other nodes are its constants."""
        return Counter(
            node.engine
            for node in self.report.nodes
            if node.engine is not None and is_operator(node)
        )

    @cached_property
    def narrowed(self) -> tuple[ConstantRecord, ...]:
        """Constants that truncation narrows, those that lose something first."""
        found = [c for c in self.report.constants if c.original != c.truncated]
        telling = constants_that_matter(found)
        return (*telling, *(c for c in found if c not in telling))

    @cached_property
    def node_of_constant(self) -> Mapping[str, str]:
        """Name of the node that stands for a constant, by the constant's name."""
        return {n.constant: n.name for n in self.report.nodes if n.constant is not None}

    @cached_property
    def left(self) -> frozenset[str]:
        """Names of the operator nodes left to PyTorch."""
        return frozenset(node.name for node in left_to_pytorch(self.report))

    @cached_property
    def causes(self) -> tuple[Cause, ...]:
        """Why the model is not one engine; empty if it is."""
        return causes_of(self.report)

    @cached_property
    def lines(self) -> tuple[LineRow, ...]:
        """What became of each source line, what costs the most first."""
        return self.report.lines or by_line(self.report)

    @cached_property
    def modules(self) -> tuple[ModuleRow, ...]:
        """What became of each module, from the model down."""
        return self.report.modules or by_module(self.report)

    def telling(self, names: Iterable[str]) -> str | None:
        """Returns the one of some nodes that is worth a look first: one of a cause, if any."""
        found = [self.nodes[name] for name in names if name in self.nodes]
        guilty = (node.name for node in found if node.name in self.guilty)
        operators = (node.name for node in found if is_call(node))
        return next(guilty, next(operators, found[0].name if found else None))

    @cached_property
    def guilty(self) -> frozenset[str]:
        """Names of the operators that some cause names, in PyTorch or in an engine."""
        return self.left.union(*(cause.nodes for cause in self.causes))

    @cached_property
    def stretches(self) -> tuple[Stretch, ...]:
        """Engines and gaps in graph order."""
        return stretches(self.report.nodes, self.left)

    @cached_property
    def stretch_of(self) -> Mapping[str, int]:
        """Number of the stretch by the name of a node."""
        return {name: i for i, each in enumerate(self.stretches) for name in each.nodes}

    @cached_property
    def failed_engines(self) -> frozenset[int]:
        """Engines that TensorRT refuses."""
        failed = (e.index for e in self.report.engines if e.build.status is BuildStatus.FAILED)
        named = (index for cause in self.causes for index in cause.engines)
        return frozenset((*failed, *named))

    @cached_property
    def damage_of(self) -> Mapping[str, NodeError]:
        """What truncation does to the numbers, by node; empty until somebody asked."""
        numerics = self.report.numerics
        return {error.name: error for error in numerics.nodes} if numerics else {}

    @cached_property
    def consequence_of(self) -> Mapping[str, Consequence]:
        """What accepting a refused node would change; empty until somebody asked."""
        weighed = self.report.consequences
        return {each.node: each for each in weighed.tried} if weighed else {}

    def layers(self, engine: EngineRecord) -> list[LayerRow]:
        """Returns the layers of one of the engines, with source lines and remarks."""
        if engine.index not in self._layers:
            self._layers[engine.index] = layer_rows(self.report, engine)
        return self._layers[engine.index]

    def is_problem(self, name: str) -> bool:
        """Returns whether a node is left to PyTorch or has a finding."""
        return name in self.left or name in self.findings_of

    def rows(self, showing: Showing) -> RowSequence:
        """Returns the rows of the node table; the latest ones are kept."""
        if showing not in self._rows:
            while len(self._rows) >= _KEPT_ROWS:
                del self._rows[next(iter(self._rows))]
            self._rows[showing] = (
                ResultRows(self, showing.view)
                if showing.place is None
                else SnapshotRows(self, showing)
            )
        return self._rows[showing]


@dataclass(frozen=True)
class Showing:
    """Which rows the node table shows."""

    place: int | None = None
    """Position in `Report.passes` of the pass whose snapshot is meant; None is the result."""
    hide_unchanged: bool = False
    """Leave out what that pass did not touch."""
    against: int | None = None
    """Position of the pass that it is compared with; None means the one before."""
    view: View = USUAL


_KEPT_ROWS = 12
"""Switching back is instant, and a large graph is not kept a hundred times over."""


class RowSequence:
    """What the node table shows: a sequence of named rows that can be searched."""

    names: tuple[str, ...]
    view: View
    folding: Folding = Folding()
    total: int
    """Number of rows with nothing left out."""

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


class ResultRows(RowSequence):
    """The lowered graph with its three dtypes, verdicts and engines."""

    def __init__(self, loaded: Loaded, view: View) -> None:
        """Takes the nodes of the report that a view shows, in its order."""
        self.loaded = loaded
        self.view = view
        report = loaded.report
        nodes = report.nodes
        self.total = len(nodes)
        if view.filtered:
            keep = keeps(report, loaded.left, view)
            nodes = tuple(node for node in nodes if keep(node))
        if view.fold:
            self.folding = folded(result_parts(nodes))
            nodes = tuple(node for node in nodes if node.name not in self.folding.hidden)
        key = result_key(view.sort or "", loaded.findings_of, loaded.damage_of)
        if key is not None:
            nodes = tuple(sorted(nodes, key=key, reverse=view.descending))
        self.nodes = nodes
        self.names = tuple(node.name for node in nodes)

    @cached_property
    def haystacks(self) -> tuple[str, ...]:
        """Name, operator, dtypes, verdict, place, codes, module and source of each node."""
        return tuple(self._haystack(node) for node in self.nodes)

    def _haystack(self, node: NodeRecord) -> str:
        dtypes = (node.original, node.inferred, node.truncated, node.tensorrt)
        engine = f"E{node.engine}" if node.engine is not None else ""
        left = "PyTorch" if node.name in self.loaded.left else ""
        source = node.source
        where = f"{source.module or ''} {source} {source.code or ''}" if source else ""
        verdict = node.verdict.value if is_call(node) else ""
        codes = " ".join(f.code for f in self.loaded.findings_of.get(node.name, ()))
        words = (
            node.name,
            node.target,
            *names_of(dtypes),
            verdict,
            engine,
            left,
            where,
            codes,
        )
        return " ".join(word for word in words if word)

    def start(self) -> int:
        """Returns the first node left to PyTorch, or with a finding, or the first operator."""
        names = self.loaded.left or self.loaded.findings_of.keys()
        found = (i for i, name in enumerate(self.names) if name in names)
        operators = (i for i, node in enumerate(self.nodes) if is_call(node))
        return next(found, next(operators, 0))


class SnapshotRows(RowSequence):
    """The graph after one pass, with what the pass did."""

    def __init__(self, loaded: Loaded, showing: Showing) -> None:
        """Compares a snapshot with the one before it, or with that of any other pass."""
        assert showing.place is not None
        self.loaded = loaded
        self.place = showing.place
        self.against = showing.against
        self.view = showing.view
        rows = snapshot(loaded.report, showing.place, showing.against)
        self.total = len(rows)
        if showing.hide_unchanged or showing.view.quick is Quick.CHANGED:
            rows = tuple(row for row in rows if row.mark is not Mark.SAME)
        rows = self._filtered(rows)
        if showing.view.fold:
            parts = ((row.node, (row.mark, row.before, row.after)) for row in rows)
            self.folding = folded(graph_parts(parts))
            rows = tuple(r for r in rows if r.node.name not in self.folding.hidden)
        key = pass_key(showing.view.sort or "")
        if key is not None:
            rows = tuple(sorted(rows, key=key, reverse=showing.view.descending))
        self.rows: tuple[SnapshotRow, ...] = rows
        self.names = tuple(row.node.name for row in rows)

    def _filtered(self, rows: tuple[SnapshotRow, ...]) -> tuple[SnapshotRow, ...]:
        """Returns the rows that a filter keeps; what a pass cannot know the result tells."""
        view, loaded = self.view, self.loaded
        if view.quick in (Quick.WIDE, Quick.CHANGED):
            if view.quick is Quick.WIDE:
                rows = tuple(row for row in rows if wide(row.before, row.after))
            view = replace(view, quick=None)
        if view.filtered:
            keep = keeps(loaded.report, loaded.left, view)
            names = {node.name for node in loaded.report.nodes if keep(node)}
            rows = tuple(row for row in rows if row.node.name in names)
        return rows

    @cached_property
    def haystacks(self) -> tuple[str, ...]:
        """Name, operator, dtypes, arguments, module and source line of each node."""
        return tuple(self._haystack(row) for row in self.rows)

    def _haystack(self, row: SnapshotRow) -> str:
        source = row.node.source
        where = f"{source.module or ''} {source} {source.code or ''}" if source else ""
        words = (row.node.name, row.node.target, *names_of((row.before, row.after)), where)
        return " ".join(word for word in (*words, row.node.args) if word)

    def start(self) -> int:
        """Returns the first node that the pass touched."""
        return next((i for i, r in enumerate(self.rows) if r.mark is not Mark.SAME), 0)
