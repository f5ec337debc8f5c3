"""Where a program makes nan or infinite values of finite ones, and what comes of them.

This is ground for the stages that run a program, not a stage.
"""

from __future__ import annotations

import math
import operator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.fx import Node
from torch.utils._pytree import tree_leaves

from trtdbg.graphs.deviations import CHUNK_ELEMENTS
from trtdbg.graphs.flat import FlatStep
from trtdbg.graphs.replay import UNSET_MEMORY

SELECTING = frozenset(
    {"where", "masked_fill", "nan_to_num", "slice", "select", "index", "index_select"}
    | {"gather", "narrow", "split", "split_with_sizes", "masked_select"}
)
"""Operators that can leave values out: what they return finite holds nothing of the others."""

VANISHING = frozenset(
    {"exp", "exp2", "sigmoid", "softmax", "_softmax", "_safe_softmax"}
    | {"relu", "amax", "max", "maximum"}
)
"""Operators that make of -inf what a mask wants: zero, or the larger value."""


@dataclass(frozen=True)
class FiniteCounts:
    """How many elements of a value are not finite."""

    nan: int = 0
    above: int = 0
    """+inf."""
    below: int = 0
    """-inf."""
    elements: int = 0

    def joined(self, other: FiniteCounts) -> FiniteCounts:
        """Returns both together, as two parts of one value."""
        return FiniteCounts(
            self.nan + other.nan,
            self.above + other.above,
            self.below + other.below,
            self.elements + other.elements,
        )

    @property
    def infinite(self) -> int:
        """Elements infinite in either direction."""
        return self.above + self.below


@dataclass
class Finiteness:
    """What is known of the values of a program as it runs."""

    counts: dict[Node, FiniteCounts] = field(default_factory=dict)
    after: dict[Node, frozenset[Node]] = field(default_factory=dict)
    """The nodes that made nan or inf of finite values, on which a value depends."""

    def see(self, step: FlatStep, value: Any) -> None:
        """Notes a value that was computed; its operands have been seen."""
        node, operands = step.node, [n for n in step.operands() if n in self.counts]
        name = _operator(node)
        if name.startswith(UNSET_MEMORY):
            return
        mine = count(value)
        before = [self.counts[n] for n in operands]
        after = frozenset[Node]().union(*(self.after[n] for n in operands))
        finite = not (mine.nan or mine.infinite)
        if finite and (name in SELECTING or _only_below(name, before)):
            after = frozenset()
        elif not finite and _is_made(step, mine, before):
            after |= {node}
        self.counts[node], self.after[node] = mine, after


def count(value: Any) -> FiniteCounts:
    """Returns how many elements of a value are nan or infinite; a tuple counts as one."""
    total = FiniteCounts()
    for leaf in tree_leaves(value):
        if isinstance(leaf, torch.Tensor):
            total = total.joined(_count_tensor(leaf.detach()))
        elif isinstance(leaf, float):
            total = total.joined(_count_number(leaf))
    return total


def _count_number(number: float) -> FiniteCounts:
    infinite = math.isinf(number)
    return FiniteCounts(
        int(math.isnan(number)), int(infinite and number > 0), int(infinite and number < 0), 1
    )


def _count_tensor(tensor: torch.Tensor) -> FiniteCounts:
    if tensor.is_complex():
        tensor = torch.view_as_real(tensor.resolve_conj())
    flat, total = tensor.reshape(-1), FiniteCounts(elements=tensor.numel())
    if not tensor.dtype.is_floating_point or tensor.dtype.itemsize < 2:
        return total
    for start in range(0, flat.numel(), CHUNK_ELEMENTS):
        part = flat[start : start + CHUNK_ELEMENTS]
        if not bool(torch.isfinite(part).all()):
            total = total.joined(
                FiniteCounts(
                    int(part.isnan().sum()),
                    int(part.isposinf().sum()),
                    int(part.isneginf().sum()),
                )
            )
    return total


def _is_made(step: FlatStep, mine: FiniteCounts, before: list[FiniteCounts]) -> bool:
    """Returns whether a value holds a nan or an inf that nothing it reads held.

    An infinite input, constant or number in the call is meant: a mask is made of such.
    """
    given = _given_numbers(step)
    if mine.nan and not (given.nan or any(each.nan for each in before)):
        return True
    if step.node.op in ("placeholder", "get_attr"):
        return False
    return bool(mine.infinite) and not (
        given.infinite or any(each.infinite for each in before)
    )


def _given_numbers(step: FlatStep) -> FiniteCounts:
    numbers = [leaf for leaf in tree_leaves((step.args, step.kwargs)) if type(leaf) is float]
    return count(numbers)


def _only_below(name: str, before: list[FiniteCounts]) -> bool:
    known = name in VANISHING or name.startswith("_scaled_dot_product")
    known |= name.startswith("scaled_dot_product")
    return known and not any(each.nan or each.above for each in before)


def _operator(node: Node) -> str:
    if node.target is operator.getitem:
        return "select"
    schema = getattr(node.target, "_schema", None)
    return "" if schema is None else str(schema.name).partition("::")[2]
