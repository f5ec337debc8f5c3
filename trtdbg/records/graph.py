"""The graph as snapshots show it: nodes, sources, passes, and what a dtype and a shape are."""

from __future__ import annotations

from enum import StrEnum

import msgspec

Dtype = str | tuple[str | None, ...] | None
"""A torch dtype name, one per output for a node with several, None where it has no dtype."""


Shape = tuple[int | str | tuple[int | str, ...] | None, ...] | None
"""Sizes, a symbolic one as its expression; several shapes for a node with several outputs."""


class Record(msgspec.Struct, frozen=True):
    """Base of all records: immutable, encodable as JSON and msgpack, built by keyword."""


class Source(Record, frozen=True, kw_only=True):
    """Where in the user's model a node comes from."""

    file: str | None = None
    line: int | None = None
    module: str | None = None
    """Path of the nn.Module that held the code, like `layers.0.attention`."""
    code: str | None = None
    """The source line as the export recorded it."""

    def __str__(self) -> str:
        """Returns `model.py:41`, or the module path, or an empty string."""
        if self.file is not None:
            name = self.file.replace("\\", "/").rsplit("/", 1)[-1]
            return f"{name}:{self.line}" if self.line is not None else name
        return self.module or ""


class Phase(StrEnum):
    """The part of the pipeline that a numbered pass execution belongs to."""

    LOAD = "load"
    PRE_EXPORT = "pre_export"
    DECOMPOSITION = "decomposition"
    POST_LOWERING = "post_lowering"
    TRUNCATION = "truncation"
    PARTITION = "partition"
    BOUNDARY = "boundary"


class GraphNode(Record, frozen=True, kw_only=True):
    """One FX node as a snapshot after a pass shows it."""

    name: str
    op: str
    target: str
    dtype: Dtype = None
    """Recorded dtype: what `meta["val"]` (or `tensor_meta`) says after this pass."""
    shape: Shape = None
    args: str = ""
    """Arguments as text, operands by name."""
    operands: tuple[str, ...] = ()
    """Names of the nodes that this one reads."""
    from_node: str | None = None
    source: Source | None = None


class Subgraph(Record, frozen=True, kw_only=True):
    """A graph that a control-flow operator runs: a branch, a body, a condition.

    torch_tensorrt compiles none of them: their operators run in PyTorch, judged by nobody.
    """

    name: str
    """Path from the lowered graph, like `true_graph_0` or `true_graph_0.false_graph_0`."""
    owner: str
    """The operator that runs it, by its path."""
    operator: str
    """What that operator is, like `cond` or `while_loop`."""
    nodes: tuple[GraphNode, ...]


class Retyped(Record, frozen=True, kw_only=True):
    """A node whose recorded dtype a pass changed."""

    name: str
    before: Dtype
    after: Dtype


class PassRecord(Record, frozen=True, kw_only=True):
    """One execution of a stage that can change the graph, numbered in order."""

    index: int
    phase: Phase
    name: str
    changed: bool
    nodes: int
    """Number of nodes in the graph after it."""
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    retyped: tuple[Retyped, ...] = ()
    seconds: float = 0.0
    """Wall time of the pass itself, without taking the snapshot."""
    error: str | None = None
    """What it raised; the graph shown is then the last good one."""
    node: str | None = None
    """The node of that graph at which it raised, if the exception names one."""
    caused_by: str | None = None
    """The first exception behind the one that it raised, if there is another."""
    graph: tuple[int, ...] = ()
    """The snapshot, as indices into `Report.graph_nodes`; unchanged nodes share an entry."""


def dtype_text(dtype: Dtype) -> str:
    """Returns a dtype for display; several are joined, equal ones said once."""
    if dtype is None:
        return "-"
    if isinstance(dtype, str):
        return dtype
    names = [name or "-" for name in dtype]
    return names[0] if len(set(names)) == 1 else ", ".join(names)


def shape_text(shape: Shape) -> str:
    """Returns a shape for display, like `[2, s0, 16]`."""
    if shape is None:
        return "-"
    parts = [
        shape_text(part) if isinstance(part, tuple) else "-" if part is None else str(part)
        for part in shape
    ]
    return f"[{', '.join(parts)}]"
