"""What export promised for the value of a node, in the form that the value has."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from typing import Any

from torch.fx import Node

from trtdbg.graphs.graph import origin_name, recorded_dtype
from trtdbg.records import Dtype


def promised(node: Node, exported: Mapping[str, Dtype], plain: Mapping[str, Dtype]) -> Dtype:
    """Returns the dtype that export promised for the node that this one came from.

    It has the form of the node's own value: one name for one tensor, a tuple for several
    outputs, None for a number. Where the exported node has another form than what it became
    (a GRU became 60 operators of one output each), the promise says the dtype only if all
    that was promised have it; else the node has the dtype that lowering gave it.

    Args:
        node: of a lowered graph.
        exported: dtypes that the exported program promises, by its nodes' names.
        plain: dtypes with nothing truncated, by lowered nodes' names.
    """
    if node.op == "output":
        return None
    own = plain.get(node.name, recorded_dtype(node))
    if own is None and node.name not in plain and "val" not in node.meta:
        return exported.get(origin_name(node) or node.name)
    wanted = exported.get(origin_name(node) or node.name)
    return in_form_of(own, wanted, _taken(node))


def in_form_of(own: Dtype, wanted: Dtype, place: int | None = None) -> Dtype:
    """Returns a promised dtype in the form of a node's own.

    Args:
        own: of the node's value as it was lowered.
        wanted: of the exported node.
        place: which output of the exported node it is, if that is known.
    """
    if own is None or wanted is None:
        return own
    if isinstance(own, tuple):
        return wanted if isinstance(wanted, tuple) and len(wanted) == len(own) else own
    if isinstance(wanted, str):
        return wanted
    if place is not None and place < len(wanted):
        return wanted[place]
    names = set(wanted)
    return names.pop() if len(names) == 1 else own


def _taken(node: Node) -> int | None:
    """Returns which output a node takes from an operator that is itself an exported one."""
    source: Any = node.args[0] if node.args else None
    if node.target is not operator.getitem or not isinstance(source, Node):
        return None
    same = origin_name(node) == (origin_name(source) or source.name)
    place = node.args[1]
    return place if same and isinstance(place, int) else None
