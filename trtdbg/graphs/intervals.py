"""Between which numbers the values of a graph lie, as far as constants and operators say.

This is ground for the stages that decide by ranges, not a stage.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch.fx import GraphModule, Node

from trtdbg.graphs.graph import fetch_attr


@dataclass(frozen=True)
class Interval:
    """Closed bounds of all elements of a value; infinite ones are part of it."""

    low: float
    high: float

    @property
    def largest(self) -> float:
        """The largest magnitude in it."""
        return max(abs(self.low), abs(self.high))

    def joined(self, other: Interval) -> Interval:
        """Returns the smallest interval around both."""
        return Interval(min(self.low, other.low), max(self.high, other.high))


ANYTHING = Interval(-math.inf, math.inf)

_UNIT = ("sigmoid", "softmax", "_softmax", "_safe_softmax", "hardsigmoid")
_SIGNED_UNIT = ("tanh", "sin", "cos", "erf", "sign")
MOVES = frozenset(
    """
    view _unsafe_view reshape permute transpose t expand slice select squeeze unsqueeze cat
    stack split split_with_sizes chunk unbind clone contiguous alias detach flip roll repeat
    gather index index_select embedding constant_pad_nd pixel_shuffle pixel_unshuffle
    movedim narrow unfold as_strided lift_fresh_copy select_scatter slice_scatter index_put
    scatter diagonal tril triu copy expand_copy view_copy permute_copy flatten unflatten
    masked_fill where max_pool1d max_pool2d max_pool3d reflection_pad1d reflection_pad2d
    replication_pad1d replication_pad2d upsample_nearest2d repeat_interleave getitem
    broadcast_to pad _to_copy to zeros_like relu neg abs max amax min amin sort topk
    """.split()  # noqa: SIM905
)
"""Operators whose results are values that they read, up to a sign, or written numbers."""


def intervals(module: GraphModule) -> dict[str, Interval]:
    """Returns bounds of the float and bool values of a graph, where something is known.

    Constants are read; nothing is executed. A value without an entry may be anything.
    """
    known: dict[Node, Interval] = {}
    constants: dict[str, Interval | None] = {}
    for node in module.graph.nodes:
        found = None
        if node.op == "get_attr":
            target = str(node.target)
            if target not in constants:
                constants[target] = _of_tensor(fetch_attr(module, target))
            found = constants[target]
        elif node.op == "call_function":
            found = _of_call(node, known)
        if found is None and _is_bool(node):
            found = Interval(0.0, 1.0)
        if found is not None and not math.isnan(found.low + found.high):
            known[node] = found
    return {node.name: interval for node, interval in known.items()}


def operator_name(node: Node) -> str:
    """Returns the name of an operator without namespace and overload: `exp`."""
    if node.target is operator.getitem:
        return "getitem"
    schema = getattr(node.target, "_schema", None)
    return "" if schema is None else str(schema.name).partition("::")[2]


def _of_tensor(value: Any) -> Interval | None:
    if not isinstance(value, torch.Tensor) or value.is_meta or not value.numel():
        return None
    if value.is_complex() or (value.dtype.itemsize < 2 and value.dtype.is_floating_point):
        return None
    if value.dtype == torch.bool:
        return Interval(0.0, 1.0)
    low, high = torch.aminmax(value.detach())
    return Interval(float(low), float(high))


def _is_bool(node: Node) -> bool:
    value = node.meta.get("val")
    return isinstance(value, torch.Tensor) and value.dtype == torch.bool


def _of_call(node: Node, known: Mapping[Node, Interval]) -> Interval | None:
    name = operator_name(node)
    if name in _UNIT:
        return Interval(0.0, 1.0)
    if name in _SIGNED_UNIT:
        return Interval(-1.0, 1.0)
    if name in ("full", "full_like", "scalar_tensor", "fill"):
        numbers = [each for each in node.args if type(each) in (int, float)]
        return Interval(float(numbers[-1]), float(numbers[-1])) if numbers else None
    rule = _RULES.get(name)
    if rule is not None:
        return rule(node, known)
    if name in MOVES:
        return _moved(node, known)
    return None


def _operand(item: Any, known: Mapping[Node, Interval]) -> Interval | None:
    if isinstance(item, Node):
        return known.get(item)
    if isinstance(item, (int, float)) and not isinstance(item, bool):
        return Interval(float(item), float(item))
    return None


def _moved(node: Node, known: Mapping[Node, Interval]) -> Interval | None:
    """Returns bounds of all that an operator of `MOVES` can return."""
    name, total = operator_name(node), None
    reads = [node.args[0]] if name in ("getitem", "gather", "index", "embedding") else None
    for operand in node.all_input_nodes if reads is None else reads:
        value = operand.meta.get("val") if isinstance(operand, Node) else None
        if isinstance(value, torch.Tensor) and not value.dtype.is_floating_point:
            continue
        found = _operand(operand, known)
        if found is None:
            return None
        total = found if total is None else total.joined(found)
    if total is None:
        return None
    if name in ("masked_fill", "constant_pad_nd", "where", "pad"):
        for number in (each for each in node.args[1:] if type(each) in (int, float)):
            total = total.joined(Interval(float(number), float(number)))
    if name == "relu":
        return Interval(max(total.low, 0.0), max(total.high, 0.0))
    if name in ("neg", "abs"):
        return Interval(-total.largest, total.largest)
    return total.joined(Interval(0.0, 0.0)) if name in ("tril", "triu") else total


def _pair(node: Node, known: Mapping[Node, Interval]) -> tuple[Interval, Interval] | None:
    if len(node.args) < 2 or node.kwargs.get("alpha", 1) != 1:
        return None
    one, other = (_operand(each, known) for each in node.args[:2])
    return None if one is None or other is None else (one, other)


def _sum(node: Node, known: Mapping[Node, Interval]) -> Interval | None:
    pair = _pair(node, known)
    return pair and Interval(pair[0].low + pair[1].low, pair[0].high + pair[1].high)


def _difference(node: Node, known: Mapping[Node, Interval]) -> Interval | None:
    pair = _pair(node, known)
    if pair is None:
        return None
    one, other = reversed(pair) if operator_name(node) == "rsub" else pair
    return Interval(one.low - other.high, one.high - other.low)


def _product(node: Node, known: Mapping[Node, Interval]) -> Interval | None:
    pair = _pair(node, known)
    if pair is None:
        return None
    ends = [
        0.0 if 0.0 in (a, b) else a * b
        for a in (pair[0].low, pair[0].high)
        for b in (pair[1].low, pair[1].high)
    ]
    return Interval(min(ends), max(ends))


def _exponential(node: Node, known: Mapping[Node, Interval]) -> Interval | None:
    found = _operand(node.args[0], known)
    if found is None:
        return None
    return Interval(_exp(found.low), _exp(found.high))


def _exp(number: float) -> float:
    return math.exp(number) if number < 709 else math.inf


def _clamped(node: Node, known: Mapping[Node, Interval]) -> Interval | None:
    bounds = [*node.args[1:3], None, None][:2]
    low, high = (each if type(each) in (int, float) else None for each in bounds)
    found = _operand(node.args[0], known) or ANYTHING
    if low is None and high is None:
        return None
    return Interval(
        max(found.low, -math.inf if low is None else float(low)),
        min(found.high, math.inf if high is None else float(high)),
    )


def _cast(node: Node, known: Mapping[Node, Interval]) -> Interval | None:
    return _operand(node.args[0], known)


def _total(node: Node, known: Mapping[Node, Interval]) -> Interval | None:
    """Returns bounds of a sum: the number of terms times the bounds of one."""
    found, terms = _operand(node.args[0], known), reduction_depth(node)
    if found is None or terms is None:
        return None
    return Interval(min(found.low * terms, found.low), max(found.high * terms, found.high))


_RULES: dict[str, Callable[[Node, Mapping[Node, Interval]], Interval | None]] = {
    "add": _sum,
    "sub": _difference,
    "rsub": _difference,
    "mul": _product,
    "exp": _exponential,
    "clamp": _clamped,
    "_to_copy": _cast,
    "to": _cast,
    "sum": _total,
    "cumsum": _total,
    "mean": _cast,
}


def reduction_depth(node: Node) -> int | None:
    """Returns how many terms a sum, mean, norm or cumsum adds up; None for other operators.

    Products of matrices and convolutions are not meant: they accumulate in float32.
    """
    if operator_name(node) not in _REDUCTIONS or not node.args:
        return None
    operand = node.args[0]
    value = operand.meta.get("val") if isinstance(operand, Node) else None
    if not isinstance(value, torch.Tensor):
        return None
    place = _REDUCTIONS[operator_name(node)]
    dims = node.args[place] if len(node.args) > place else node.kwargs.get("dim")
    if isinstance(dims, int):
        dims = [dims]
    sizes = value.shape if not dims else [value.shape[int(d)] for d in dims if value.dim()]
    total = 1
    for size in sizes:
        if isinstance(size, torch.SymInt):
            if not size.node.has_hint():
                return None
            size = int(size.node.hint)
        total *= size
    return total


_REDUCTIONS = {
    "sum": 1,
    "mean": 1,
    "cumsum": 1,
    "cumprod": 1,
    "prod": 1,
    "var": 1,
    "var_mean": 1,
    "std": 1,
    "linalg_vector_norm": 2,
    "norm": 2,
    "logsumexp": 1,
}
"""Operators that add up, with the place of their `dim`."""
