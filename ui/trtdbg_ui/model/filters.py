"""Which nodes a quick filter keeps."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from trtdbg.analysis.by_place import module_of
from trtdbg.analysis.conclusions import REFUSED, is_call
from trtdbg.analysis.layers import retold
from trtdbg.dtypes import is_wide
from trtdbg.records import Dtype, NodeRecord, Report
from trtdbg_ui.model.view import Quick, View

Keeps = Callable[[NodeRecord], bool]


def keeps(report: Report, left: frozenset[str], view: View) -> Keeps:
    """Returns what tells whether a view shows a node of the lowered graph.

    Args:
        report: The report whose nodes are asked about.
        left: Names of the operators left to PyTorch.
        view: The view with its filters.
    """
    tests: list[Keeps] = []
    if view.engine is not None:
        tests.append(lambda node: node.engine == view.engine)
    if view.modules:
        tests.append(_inside(frozenset(view.modules)))
    if view.line is not None:
        tests.append(lambda node: line_of(node) == view.line)
    if view.quick is not None:
        tests.append(_quick(report, left, view.quick))
    return lambda node: all(test(node) for test in tests)


def line_of(node: NodeRecord) -> tuple[str | None, int | None]:
    """Returns the file and the line that a node comes from; None twice if not known."""
    source = node.source
    return (source.file, source.line) if source is not None and source.file else (None, None)


def _inside(modules: frozenset[str]) -> Keeps:
    def inside(node: NodeRecord) -> bool:
        path = module_of(node)
        while path and path not in modules:
            path = path.rpartition(".")[0]
        return path in modules

    return inside


def names_of(dtypes: Iterable[Dtype]) -> Iterator[str]:
    """Yields the names of dtypes, those of several outputs one by one."""
    for dtype in dtypes:
        for name in dtype if isinstance(dtype, tuple) else (dtype,):
            if name is not None:
                yield name


def wide(*dtypes: Dtype) -> bool:
    """Returns whether one of the dtypes is wide."""
    return any(is_wide(name) for name in names_of(dtypes))


def _quick(report: Report, left: frozenset[str], quick: Quick) -> Keeps:
    match quick:
        case Quick.CHANGED:
            return lambda node: node.truncated != node.inferred
        case Quick.REJECTED:
            return lambda node: (
                node.name in left or (is_call(node) and node.verdict in REFUSED)
            )
        case Quick.DISAGREEING:
            return _disagreeing
        case Quick.WIDE:
            return lambda node: wide(node.original, node.inferred, node.truncated)
        case Quick.BOUNDARY:
            crossing = _crossing(report)
            return lambda node: node.name in crossing


def _disagreeing(node: NodeRecord) -> bool:
    if node.op == "output":
        return False
    return len({node.original, node.recorded, node.inferred}) > 1 or retold(node)


def _crossing(report: Report) -> frozenset[str]:
    bindings = {
        binding.name
        for engine in report.engines
        for binding in (*engine.inputs, *engine.outputs)
    }
    return frozenset(bindings | {cast.value for cast in report.boundary_casts})
