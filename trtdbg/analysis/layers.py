"""What each layer of a network comes from, and which ones the model did not ask for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from trtdbg.dtypes import family, from_tensorrt
from trtdbg.records import (
    Dtype,
    EngineRecord,
    LayerRecord,
    NodeRecord,
    Report,
    Source,
    dtype_text,
)

_CASTS: Final = ("to_copy", "convert_element_type", "to.dtype", "type_as")
"""Parts of the names of operators that ask for a cast."""


@dataclass(frozen=True)
class LayerRow:
    """A layer with the source line it comes from."""

    layer: LayerRecord
    source: Source | None
    remark: str
    """An inserted cast, a constant of the converter, a dtype that the typing did not say."""


def layer_rows(report: Report, engine: EngineRecord) -> list[LayerRow]:
    """Returns the layers of an engine's network in their order; empty if it has none."""
    nodes = {node.name: node for node in report.nodes}
    constants = {node.name for node in report.nodes if node.op == "get_attr"}
    last = {layer.node: place for place, layer in enumerate(engine.layers)}
    return [
        LayerRow(
            layer,
            node.source if (node := nodes.get(layer.node or "")) is not None else None,
            _remark(
                layer,
                node,
                reads_constant=node is not None and not constants.isdisjoint(node.operands),
                gives_value=last[layer.node] == place,
            ),
        )
        for place, layer in enumerate(engine.layers)
    ]


def _remark(
    layer: LayerRecord, node: NodeRecord | None, *, reads_constant: bool, gives_value: bool
) -> str:
    """Returns what is remarkable about a layer; nothing about what cannot be told apart.

    Args:
        layer: the layer.
        node: the node whose converter added it, if any.
        reads_constant: the node has a constant of the model among its operands, which the
            interpreter adds as a layer of this node.
        gives_value: the node's value is this layer's.
    """
    remarks = []
    if layer.type == "CAST" and (node is None or not _asks_for_cast(node)):
        remarks.append("inserted cast")
    if (
        layer.type == "CONSTANT"
        and node is not None
        and node.op != "get_attr"
        and not reads_constant
    ):
        remarks.append("constant made by the converter")
    if gives_value and node is not None and retold(node):
        was, meant = dtype_text(node.tensorrt), dtype_text(node.truncated)
        remarks.append(f"{was}, typed as {meant}")
    return ", ".join(remarks)


def _asks_for_cast(node: NodeRecord) -> bool:
    return any(part in node.target for part in _CASTS)


def retold(node: NodeRecord) -> bool:
    """Returns whether TensorRT gives a value another dtype than the truncated typing says.

    A complex value is not compared: it is built as a pair of floats.
    """
    pairs = zip(_parts(node.truncated), _parts(node.tensorrt), strict=False)
    return any(
        meant is not None
        and real is not None
        and family(meant) != "complex"
        and from_tensorrt(real) != meant
        for meant, real in pairs
    )


def is_other_kind(node: NodeRecord) -> bool:
    """Returns whether TensorRT computes integers for a node typed as float, or the reverse."""
    if node.engine is None:
        return False
    if not isinstance(node.truncated, str) or not isinstance(node.tensorrt, str):
        return False
    real = from_tensorrt(node.tensorrt)
    return real is not None and {family(node.truncated), family(real)} == {"float", "int"}


def _parts(dtype: Dtype) -> tuple[str | None, ...]:
    return dtype if isinstance(dtype, tuple) else (dtype,)
