"""What became of each line of the user's source, and of each module.

A node counts where the export says that it comes from; what the lowering passes made carries
the place of what it was made from. A constant counts with the module that holds it. Inputs,
constants and whatever else has no line are one row without a line, so that all rows together
are the report.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any

from trtdbg.analysis.conclusions import REFUSED
from trtdbg.analysis.likeness import node_look
from trtdbg.analysis.summary import is_operator, left_to_pytorch
from trtdbg.records import (
    BoundaryCast,
    DtypeCount,
    LineRow,
    ModuleRow,
    NodeRecord,
    OperatorRow,
    Report,
    Sums,
    dtype_text,
)


def by_line(report: Report) -> tuple[LineRow, ...]:
    """Returns a row a source line: what costs the most first, then in graph order."""
    ledger = _Ledger(report)
    groups: dict[tuple[str | None, int | None], list[NodeRecord]] = {}
    for node in report.nodes:
        source = node.source
        known = source is not None and source.file is not None
        key = (source.file, source.line) if source is not None and known else (None, None)
        groups.setdefault(key, []).append(node)
    groups.setdefault((None, None), [])
    rows = [
        _line(ledger, place, nodes, ledger.strangers if place == (None, None) else ())
        for place, nodes in groups.items()
    ]
    rows = [row for row in rows if row.nodes or row.casts]
    return tuple(sorted(rows, key=_price))


def by_module(report: Report) -> tuple[ModuleRow, ...]:
    """Returns the tree of modules from the model down, a row adding up all below it.

    Numbered modules beside each other that hold the same operators, with the same dtypes,
    verdicts and places, are one row, and so are the rows below them.
    """
    ledger = _Ledger(report)
    root = _Module("")
    for node in report.nodes:
        root.at(module_of(node)).own.append(node)
    return tuple(_rows(ledger, root, 0, ledger.strangers))


def by_operator(report: Report) -> tuple[OperatorRow, ...]:
    """Returns a row an operator: what is left to PyTorch first, then the most frequent."""
    ledger = _Ledger(report)
    groups: dict[str, list[NodeRecord]] = {}
    for node in report.nodes:
        if is_operator(node):
            groups.setdefault(node.target, []).append(node)
    rows = [OperatorRow(target=name, **ledger.sums(n, ())) for name, n in groups.items()]
    return tuple(sorted(rows, key=lambda row: (-row.torch_ops, -row.refused, -row.operators)))


def costs(row: Sums) -> bool:
    """Returns whether a place has operators in PyTorch, refusals, casts or error."""
    return bool(row.torch_ops or row.refused or row.casts or row.error_share)


def _price(row: LineRow) -> tuple[float, ...]:
    price = (row.torch_ops, row.refused, row.casts, row.error_share or 0.0)
    return (*(-each for each in price), row.file is None, -row.narrowed)


def _line(
    ledger: _Ledger,
    place: tuple[str | None, int | None],
    nodes: Sequence[NodeRecord],
    casts: Sequence[BoundaryCast],
) -> LineRow:
    sources = [node.source for node in nodes if node.source is not None]
    return LineRow(
        file=place[0],
        line=place[1],
        code=next((s.code for s in sources if s.code), None) if place[0] else None,
        modules=tuple(dict.fromkeys(s.module for s in sources if s.module)),
        **ledger.sums(nodes, casts),
    )


def module_of(node: NodeRecord) -> str:
    """Returns the path of the module that a node belongs to, "" for the model itself."""
    if node.op == "get_attr":
        return node.target.rpartition(".")[0]
    source = node.source
    return source.module or "" if source is not None else ""


@dataclass
class _Module:
    """A module of the tree, or several that are alike."""

    path: str
    own: list[NodeRecord] = field(default_factory=list)
    below: dict[str, _Module] = field(default_factory=dict)
    paths: list[str] = field(default_factory=list)

    def at(self, path: str) -> _Module:
        """Returns the module of a path, made with those above it if it is not there."""
        found = self
        for name in path.split(".") if path else ():
            full = f"{found.path}.{name}" if found.path else name
            found = found.below.setdefault(name, _Module(full))
        return found

    def nodes(self) -> list[NodeRecord]:
        """Returns the nodes of the module and of all modules below it."""
        found = list(self.own)
        for module in self.below.values():
            found += module.nodes()
        return found

    def pattern(self) -> Hashable:
        """Returns what has to be the same for two blocks to be alike."""
        below = tuple((name, module.pattern()) for name, module in self.below.items())
        return tuple(map(node_look, self.own)), below

    def merged(self, others: Sequence[_Module]) -> _Module:
        """Returns one module for this and others that are alike."""
        group = (self, *others)
        below = {
            name: module.merged([other.below[name] for other in others])
            for name, module in self.below.items()
        }
        own = [node for module in group for node in module.own]
        return _Module(self.path, own, below, [p for m in group for p in m.paths or [m.path]])


def _folded(modules: Iterable[_Module]) -> Iterator[_Module]:
    """Yields modules, those that are numbered and alike as one at the place of the first."""
    groups: dict[Hashable, list[_Module]] = {}
    for module in modules:
        numbered = module.path.rpartition(".")[2].isdecimal()
        key = module.pattern() if numbered else module.path
        groups.setdefault(key, []).append(module)
    for first, *others in groups.values():
        yield first.merged(others) if others else first


def _rows(
    ledger: _Ledger, module: _Module, depth: int, casts: Sequence[BoundaryCast] = ()
) -> Iterator[ModuleRow]:
    nodes = sorted(module.nodes(), key=ledger.order)
    yield ModuleRow(
        path=module.path,
        depth=depth,
        stands_for=tuple(module.paths or [module.path]),
        own=tuple(node.name for node in sorted(module.own, key=ledger.order)),
        **ledger.sums(nodes, casts),
    )
    for below in _folded(module.below.values()):
        yield from _rows(ledger, below, depth + 1)


class _Ledger:
    """What each node of a report adds to the sums of its place."""

    def __init__(self, report: Report) -> None:
        self._order = {node.name: place for place, node in enumerate(report.nodes)}
        self._left = {node.name for node in left_to_pytorch(report)}
        self._casts: dict[str, list[BoundaryCast]] = {}
        for cast in report.boundary_casts:
            self._casts.setdefault(cast.value, []).append(cast)
        self.strangers = tuple(
            cast for cast in report.boundary_casts if cast.value not in self._order
        )
        """Casts of values that are no node of the lowered graph."""
        self._errors = arising(report)
        self._operators: dict[int, set[str]] = {}
        for node in filter(is_operator, report.nodes):
            if node.engine is not None:
                self._operators.setdefault(node.engine, set()).add(node.name)
        self._ms = {e.index: e.timing.median_ms for e in report.engines if e.timing}

    def order(self, node: NodeRecord) -> int:
        """Returns the place of a node in the graph."""
        return self._order[node.name]

    def sums(
        self, nodes: Sequence[NodeRecord], more_casts: Sequence[BoundaryCast]
    ) -> dict[str, Any]:
        """Returns the fields of `Sums` for some nodes."""
        casts = [cast for node in nodes for cast in self._casts.get(node.name, ())]
        casts += more_casts
        written = [cast.bytes for cast in casts if cast.bytes is not None]
        dtypes = Counter(name for node in nodes for name in _dtypes(node))
        errors = self._errors
        return {
            "nodes": tuple(node.name for node in nodes),
            "operators": sum(map(is_operator, nodes)),
            "engines": tuple(sorted({n.engine for n in nodes if n.engine is not None})),
            "torch_ops": sum(node.name in self._left for node in nodes),
            "refused": sum(node.verdict in REFUSED for node in nodes),
            "casts": len(casts),
            "cast_bytes": sum(written) if len(written) == len(casts) else None,
            "dtypes": tuple(
                DtypeCount(dtype=name, values=number) for name, number in dtypes.most_common()
            ),
            "narrowed": sum(map(_is_narrowed, nodes)),
            "error_share": None
            if errors is None
            else sum(errors.get(node.name, 0.0) for node in nodes),
            "engine_ms": self._time({node.name for node in nodes}),
        }

    def _time(self, names: Set[str]) -> float | None:
        """Returns the run time of the engines that hold no operator but of some nodes."""
        whole = [
            ms
            for index, ms in self._ms.items()
            if (operators := self._operators.get(index)) and operators <= names
        ]
        return sum(whole) if whole else None


def _dtypes(node: NodeRecord) -> tuple[str, ...]:
    made = node.inferred if node.inferred is not None else node.original
    if not node.op.startswith("call_") or made is None:
        return ()
    return (made,) if isinstance(made, str) else tuple(name for name in made if name)


def _is_narrowed(node: NodeRecord) -> bool:
    if node.inferred is None or node.truncated is None:
        return False
    return dtype_text(node.inferred) != dtype_text(node.truncated)


def arising(report: Report) -> Mapping[str, float] | None:
    """Returns which share of the measured error arises at each node; None if not measured.

    The shares add up to 1, or are all 0 where no node differs. Integers, of which nothing is
    tolerated, and nodes that were not compared count as 0.
    """
    measured = report.numerics
    if measured is None or not measured.nodes:
        return None
    times = {row.name: row.times_tolerance or 0.0 for row in measured.nodes}
    grown = {
        node.name: max(
            times.get(node.name, 0.0)
            - max((times.get(name, 0.0) for name in node.operands), default=0.0),
            0.0,
        )
        for node in report.nodes
    }
    total = sum(grown.values())
    return {name: value / total if total else 0.0 for name, value in grown.items()}
