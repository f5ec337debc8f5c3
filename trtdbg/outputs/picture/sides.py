"""One side of a diff: a graph with the dtypes that its values really have there."""

from __future__ import annotations

from trtdbg.analysis import summary
from trtdbg.analysis.causes import why
from trtdbg.errors import UsageError
from trtdbg.records import (
    BoundaryCast,
    Dtype,
    GraphNode,
    NodeRecord,
    PassRecord,
    Record,
    Report,
    Shape,
    Source,
    Verdict,
    dtype_text,
)


class SideNode(Record, frozen=True, kw_only=True):
    """A node as one side shows it."""

    name: str
    op: str
    target: str
    dtype: Dtype = None
    """The dtype that the value has there, not the one that a validator was asked about."""
    declared: Dtype = None
    """What the model computes it in with nothing truncated; None if that is `dtype`."""
    shape: Shape = None
    operands: tuple[str, ...] = ()
    from_node: str | None = None
    source: Source | None = None
    engine: int | None = None
    verdict: Verdict | None = None
    """The partitioner's answer; None where nobody was asked."""
    left: str | None = None
    """Why no engine holds the operator; None where one does or there are no engines yet."""


class Side(Record, frozen=True, kw_only=True):
    """One side of a diff."""

    label: str
    nodes: tuple[SideNode, ...]
    """In graph order."""
    casts: tuple[BoundaryCast, ...] = ()
    engines: tuple[str, ...] = ()
    """Names of the engines' submodules, by index."""
    partitioned: bool = True
    """False for the graph after a pass, which has no engines."""


def of_report(report: Report, label: str) -> Side:
    """Returns the partitioned graph of a report.

    Raises:
        UsageError: lowering or the partitioner failed, so that there is none.
    """
    broken = summary.broken_end(report)
    if broken is not None:
        raise UsageError(
            f"{label} has no partitioned graph: {broken}",
            remedy="name two passes before it with --from and --to",
        )
    waiting = summary.left_to_pytorch(report)
    left = {node.name: why(report, node) for node in waiting}
    nodes = tuple(
        SideNode(
            name=node.name,
            op=node.op,
            target=node.target,
            dtype=dtype_in_force(report, node),
            declared=_declared(report, node),
            shape=node.shape,
            operands=node.operands,
            from_node=node.from_node,
            source=node.source,
            engine=node.engine,
            verdict=node.verdict if node.op.startswith("call_") else None,
            left=left.get(node.name),
        )
        for node in report.nodes
    )
    engines = sorted(report.engines, key=lambda engine: engine.index)
    return Side(
        label=label,
        nodes=nodes,
        casts=report.boundary_casts,
        engines=tuple(engine.name for engine in engines),
    )


def side_node(node: GraphNode) -> SideNode:
    """Returns a node of a snapshot as a node of a side."""
    return SideNode(
        name=node.name,
        op=node.op,
        target=node.target,
        dtype=node.dtype,
        shape=node.shape,
        operands=node.operands,
        from_node=node.from_node,
        source=node.source,
    )


def of_pass(report: Report, record: PassRecord) -> Side:
    """Returns the graph after a pass, with the dtypes that its metadata says.

    Raises:
        UsageError: the report holds no snapshot of it.
    """
    label = pass_label(record)
    if not record.graph:
        raise UsageError(
            f"there is no snapshot of {label}", remedy="name another pass, or another report"
        )
    nodes = tuple(side_node(report.graph_nodes[index]) for index in record.graph)
    return Side(label=label, nodes=nodes, partitioned=False)


def find_pass(report: Report, text: str) -> PassRecord | None:
    """Returns the pass with a number or a name, the last of several; None if there is none."""
    number = text.removeprefix("#")
    if number.isdigit():
        wanted = int(number)
        return next((p for p in report.passes if p.index == wanted), None)
    return next((p for p in reversed(report.passes) if p.name == text), None)


def pass_label(record: PassRecord) -> str:
    """Returns `pass 4 run_decompositions`."""
    return f"pass {record.index} {record.name}"


def _declared(report: Report, node: NodeRecord) -> Dtype:
    declared = node.inferred or node.original
    same = dtype_text(declared) == dtype_text(dtype_in_force(report, node))
    return None if same or not node.op.startswith("call_") else declared


def dtype_in_force(report: Report, node: NodeRecord) -> Dtype:
    """Returns the dtype that a value has when the program runs.

    Under `late` and `upstream` engines compute in the truncated dtypes and PyTorch in the
    original ones; what crosses is cast. `early` truncates everywhere, `off` nowhere.
    """
    timing = report.policy.timing
    in_engine = node.engine is not None
    narrowed = timing.narrows_engines if in_engine else timing.narrows_pytorch
    if narrowed:
        return node.truncated or node.inferred or node.original
    return node.inferred or node.original
