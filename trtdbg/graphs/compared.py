"""What the comparisons of one value in two programs came to.

This is ground for the stages that compare values, not a stage.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.fx import Node

from trtdbg.graphs.deviations import Deviation, IncomparableError, Tolerance, deviation
from trtdbg.graphs.graph import value_dtype
from trtdbg.graphs.replay import Missing
from trtdbg.records import Agreement, Dtype, NodeError


@dataclass
class Compared:
    """One value, compared as often as it is read in another dtype."""

    deviation: Deviation | None = None
    original: Dtype = None
    computed: Dtype = None
    notes: list[str] = field(default_factory=list)
    after: str | None = None
    """The node that made nan or inf of finite values in the original, before this value."""

    def compare(self, original: Any, computed: Any, tolerance: Tolerance) -> None:
        """Compares two values and keeps the worse of this and earlier comparisons."""
        for value in (original, computed):
            if isinstance(value, Missing):
                self.notes.append(value.reason)
                return
        self.original, self.computed = value_dtype(original), value_dtype(computed)
        if isinstance(original, torch.nn.Module):
            return
        try:
            seen = deviation(*both_real(original, computed), tolerance)
        except IncomparableError as error:
            self.notes.append(str(error))
            return
        self.deviation = self.deviation.worst(seen) if self.deviation else seen

    def row(self, name: str) -> NodeError:
        """Returns the row of the report."""
        note = "; ".join(dict.fromkeys(self.notes)) or None
        seen = self.deviation
        if seen is None:
            return NodeError(
                name=name,
                agreement=Agreement.NOT_COMPARED,
                original=self.original,
                computed=self.computed,
                note=note or "it is no value",
                after_not_finite=self.after,
            )
        return NodeError(
            name=name,
            agreement=self._agreement(seen),
            original=self.original,
            computed=self.computed,
            max_abs_error=seen.max_abs_error,
            max_rel_error=seen.max_rel_error,
            times_tolerance=seen.times_tolerance,
            elements=seen.elements,
            beyond=seen.beyond,
            wrapped=seen.wrapped,
            nan_mismatches=seen.nan_mismatches,
            inf_mismatches=seen.inf_mismatches,
            overflowed=seen.overflowed,
            note=note,
            after_not_finite=self.after,
        )

    def _agreement(self, seen: Deviation) -> Agreement:
        if seen.beyond:
            return Agreement.BEYOND
        # Two programs that both went wrong agree about nothing.
        return Agreement.WITHIN if self.after is None else Agreement.NOT_COMPARED


def both_real(one: Any, other: Any) -> tuple[Any, Any]:
    """Returns two tensors, a complex one as a real pair if the other one is real."""
    if not (isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor)):
        return one, other
    if one.is_complex() and not other.is_complex():
        return torch.view_as_real(one.resolve_conj()), other
    if other.is_complex() and not one.is_complex():
        return one, torch.view_as_real(other.resolve_conj())
    return one, other


def only_read(node: Node, value: Any) -> Any:
    """Returns a value of several outputs, None for those that nobody reads.

    Args:
        node: of the original program, whose readers count.
        value: of that node, or of the one that stands for it.
    """
    users = list(node.users)
    if not isinstance(value, (tuple, list)) or not users:
        return value
    if any(user.target is not operator.getitem for user in users):
        return value
    read = {user.args[1] for user in users if user.users}
    return tuple(item if place in read else None for place, item in enumerate(value))
