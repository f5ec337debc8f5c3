"""The rows about saved reports and pictures of them."""

from __future__ import annotations

from typing import Any

from benchmarks.children import call
from benchmarks.measure import Sides, seconds

NODES = 10_000


def saved_report() -> bytes:
    """Returns a saved report of 10,000 nodes, each of its passes with a graph of as many."""
    from msgspec.structs import replace

    from tests.ui.canned import large
    from trtdbg.outputs.report import encode
    from trtdbg.records import GraphNode

    report = large(NODES)
    pool = tuple(
        GraphNode(
            name=node.name,
            op=node.op,
            target=node.target,
            dtype=node.recorded,
            shape=node.shape,
            args=node.args,
            operands=node.operands,
            from_node=node.from_node,
            source=node.source,
        )
        for node in report.nodes
    )
    graph = tuple(range(NODES))
    passes = tuple(replace(each, nodes=NODES, graph=graph) for each in report.passes)
    return encode([replace(report, graph_nodes=pool, passes=passes)])


def open_saved(subject: str) -> Sides:
    """Reads a saved report with all checks, against taking its JSON apart.

    Both in one process that imports no torch, for the import must not be what is measured.
    """
    del subject
    import tempfile
    from pathlib import Path

    folder = tempfile.TemporaryDirectory()
    path = Path(folder.name) / "report.json"
    path.write_bytes(saved_report())

    def time_of(function: str) -> float:
        # The folder is to live as long as this function.
        assert Path(folder.name).exists()
        return float(call("benchmarks.reports", function, str(path)).output)

    return Sides(lambda: time_of("read_once"), lambda: time_of("parse_once"))


def read_once(path: str) -> None:
    """Prints the seconds of reading a report in a process that cannot import torch."""
    from trtdbg.outputs.report import read_report

    _without_torch()
    print(seconds(lambda: read_report(path))())


def parse_once(path: str) -> None:
    """Prints the seconds of reading a file and parsing it as JSON."""
    from pathlib import Path

    import msgspec

    _without_torch()
    print(seconds(lambda: msgspec.json.decode(Path(path).read_bytes()))())


def _without_torch() -> None:
    import sys

    assert "torch" not in sys.modules
    sys.modules["torch"] = None  # type: ignore[assignment]


def dot_text(subject: str) -> Sides:
    """The text of a dtype diff of two passes, against torch's drawing of one of them.

    Torch's side ends at pydot's objects, which are not text yet, and begins at the drawer's
    constructor, which does the work. Ours begins at the record of the diff.
    """
    from torch.fx.passes.graph_drawer import FxGraphDrawer

    from trtdbg.outputs.picture.dot import dot
    from trtdbg.outputs.picture.pairs import compare
    from trtdbg.outputs.picture.picture import picture

    module, before, after = _two_states(
        narrowed=SCATTERED if "scattered" in subject else BLOCK
    )
    full = subject == "full"
    diff = compare(before, after)

    def ours() -> str:
        text = dot(picture(diff, "model.pt2", full=full))
        assert not full or text.count("shape=") >= NODES
        return text

    return Sides(
        seconds(ours), seconds(lambda: FxGraphDrawer(module, "model").get_dot_graph())
    )


_BLOCK_NODES = 200
BLOCK = frozenset(range(100, 108))
"""Which operators of a block are narrowed: some in a row, as attention scores are."""
SCATTERED = frozenset(range(1, _BLOCK_NODES, 2))
"""Every other one: no two boxes are alike and connected, so that none can be drawn as one."""


def _two_states(narrowed: frozenset[int]) -> tuple[Any, Any, Any]:
    """Returns a module of 10,000 nodes in 50 blocks, and it as a diff's two sides.

    Args:
        narrowed: Numbers of the operators of each block that are float64 before and float32
            after.
    """
    import torch
    from msgspec.structs import replace
    from torch.fx import Graph, GraphModule
    from torch.fx.passes.shape_prop import _extract_tensor_metadata

    from trtdbg.outputs.picture.sides import Side, side_node
    from trtdbg.records import Source
    from trtdbg.stages.capture import graph_node

    graph = Graph()
    value = graph.placeholder("x")
    operators = (torch.ops.aten.add.Tensor, torch.ops.aten.mul.Tensor)
    for number in range(NODES - 2):
        value = graph.call_function(operators[number % 2], (value, 2.0))
    graph.output(value)
    wide, narrow = (torch.empty(4, 8, dtype=d) for d in (torch.float64, torch.float32))
    sides = []
    for label in ("before", "after"):
        nodes = []
        for number, node in enumerate(graph.nodes):
            shown = narrow if label == "after" and number % _BLOCK_NODES in narrowed else wide
            node.meta["val"] = shown
            node.meta["tensor_meta"] = _extract_tensor_metadata(shown)
            source = Source(module=f"layers.{number // _BLOCK_NODES}")
            nodes.append(replace(side_node(graph_node(node)), source=source))
        sides.append(Side(label=label, nodes=tuple(nodes), partitioned=False))
    return GraphModule(torch.nn.Module(), graph), *sides
