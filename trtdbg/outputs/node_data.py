"""Dtypes and verdicts as node data for Model Explorer, laid over the exported program.

Source: ai-edge-model-explorer 0.1.34, `node_data_builder.py` (GraphNodeData) and
`pytorch_exported_program_adapter_impl.py`, which calls a node as the exported program does.
"""

from __future__ import annotations

from typing import Final

import msgspec

from trtdbg.analysis import summary
from trtdbg.outputs.picture.dot import FILL
from trtdbg.outputs.picture.pairs import PictureChange, dtype_change
from trtdbg.outputs.picture.sides import dtype_in_force
from trtdbg.plain import escaped_json, one_line
from trtdbg.records import NodeRecord, Report, dtype_text

_LEFT: Final = "#fca5a5"
_TEXT: Final = "#18181b"


class _Result(msgspec.Struct, frozen=True, rename="camel"):
    value: str
    bg_color: str
    text_color: str = _TEXT


class _GraphData(msgspec.Struct, frozen=True, rename="camel"):
    name: str
    results: dict[str, _Result]
    show_expanded_summary_on_group_node: bool = True


def node_data(report: Report) -> bytes:
    """Returns the JSON of one set of node data: each node's dtype, and what became of it.

    A node of the export that lowering made several of is told by the worst: one left to
    PyTorch, else one whose dtype changes, else the first.
    """
    left = {node.name for node in summary.left_to_pytorch(report)}
    results: dict[str, tuple[int, _Result]] = {}
    for node in report.nodes:
        if node.op == "output":
            continue
        badness, result = _result(report, node, node.name in left)
        origin = node.from_node or node.name
        if origin not in results or results[origin][0] < badness:
            results[origin] = (badness, result)
    data = _GraphData(
        name=f"trtdbg: dtypes under {report.policy.timing.value}",
        results={one_line(name): result for name, (_, result) in results.items()},
    )
    return escaped_json(msgspec.json.format(msgspec.json.encode(data), indent=2)) + b"\n"


def _result(report: Report, node: NodeRecord, left: bool) -> tuple[int, _Result]:
    in_force = dtype_in_force(report, node)
    change = dtype_change(node.original, in_force)
    words = dtype_text(in_force)
    if change is not PictureChange.SAME:
        words = f"{dtype_text(node.original)} → {words}"
    if left:
        return 2, _Result(f"left to PyTorch, {words}", _LEFT)
    return int(change is not PictureChange.SAME), _Result(words, FILL[change][0])
