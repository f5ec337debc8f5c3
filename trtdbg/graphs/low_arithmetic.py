"""What a low floating type does to the numbers of one operator, defined once.

Operands, and the numbers written in the call, are rounded to the low type. The operator is
computed in float32, as a tensor core accumulates. Its result is rounded to the low type.

This is ground for the stages that run a program, not a stage.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch.fx import Node
from torch.utils._pytree import tree_map_only

from trtdbg.graphs.graph import torch_dtype
from trtdbg.graphs.inference import number_places
from trtdbg.graphs.intervals import operator_name

Compute = Callable[[tuple[Any, ...], dict[str, Any]], Any]
"""Runs an operator on given arguments; what it returns may be no value at all."""


@dataclass(frozen=True)
class LowArithmetic:
    """How operators compute in one low type."""

    dtype: str
    accumulates_low: bool = False
    """Round every partial sum too, of products of matrices and of sums: the pessimist."""

    @property
    def type(self) -> torch.dtype:
        """The low type."""
        return torch_dtype(self.dtype)

    def value(
        self, node: Node, args: tuple[Any, ...], kwargs: dict[str, Any], compute: Compute
    ) -> Any:
        """Returns the result of an operator in the low type, from operands of any float type.

        Args:
            node: the operator.
            args: its arguments as values.
            kwargs: the same.
            compute: runs it.
        """
        args, kwargs = self._operands(node, args, kwargs)
        value = self._accumulated(node, args, kwargs) if self.accumulates_low else None
        if value is None:
            value = compute(args, kwargs)
        return tree_map_only(torch.Tensor, self._rounded, value)

    def _operands(
        self, node: Node, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Returns arguments in float32 whose values the low type holds."""
        places = set(number_places(node))

        def rounded(place: int | str, item: Any) -> Any:
            if type(item) is float and place in places:
                return self.number(item)
            return torch.float32 if item in (self.type, torch.float64) else item

        args = tuple(rounded(i, item) for i, item in enumerate(args))
        kwargs = {key: rounded(key, item) for key, item in kwargs.items()}
        given: tuple[tuple[Any, ...], dict[str, Any]] = tree_map_only(
            torch.Tensor, self._widened, (args, kwargs)
        )
        return given

    def number(self, item: float) -> float:
        """Returns a number as the low type holds it."""
        if math.isnan(item) or math.isinf(item):
            return item
        return float(torch.tensor(item, dtype=torch.float64).to(self.type))

    def _rounded(self, value: torch.Tensor) -> torch.Tensor:
        return value.to(self.type) if value.dtype == torch.float32 else value

    def _widened(self, value: torch.Tensor) -> torch.Tensor:
        if value.dtype not in (torch.float64, torch.float32, self.type):
            return value
        return value.to(self.type).to(torch.float32)

    def _accumulated(
        self, node: Node, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> torch.Tensor | None:
        """Returns a sum whose partial sums are rounded; None for any other operator."""
        name = operator_name(node)
        if name in ("mm", "bmm", "matmul") and args[0].dim() > 1 and args[1].dim() > 1:
            return self._product(args[0], args[1])
        if name == "linear":
            made = self._product(args[0], args[1].transpose(-1, -2))
            bias = args[2] if len(args) > 2 else kwargs.get("bias")
            return made if bias is None else self._step(made + bias)
        if name == "addmm" and not kwargs:
            return self._step(self._product(args[1], args[2]) + args[0])
        if name in ("sum", "mean") and isinstance(args[0], torch.Tensor):
            return self._total(name, args, kwargs)
        return None

    def _product(self, one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        pairs = zip(one.unbind(-1), other.unbind(-2), strict=True)
        return self._added(a.unsqueeze(-1) * b.unsqueeze(-2) for a, b in pairs)

    def _total(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> torch.Tensor:
        value = args[0]
        dims = args[1] if len(args) > 1 else kwargs.get("dim")
        keep = args[2] if len(args) > 2 else kwargs.get("keepdim", False)
        dims = [dims] if isinstance(dims, int) else list(dims or range(value.dim()))
        dims = [d % value.dim() for d in dims]
        rest = [d for d in range(value.dim()) if d not in dims]
        terms = value.permute(*dims, *rest).reshape(-1, *(value.shape[d] for d in rest))
        total = self._added(terms.unbind(0))
        if name == "mean":
            total = self._step(total / max(len(terms), 1))
        if keep:
            total = total.reshape([1 if d in dims else n for d, n in enumerate(value.shape)])
        return total

    def _added(self, terms: Iterable[torch.Tensor]) -> torch.Tensor:
        total: torch.Tensor | None = None
        for term in terms:
            term = self._step(term)
            total = term if total is None else self._step(total + term)
        return total if total is not None else torch.zeros(())

    def _step(self, value: torch.Tensor) -> torch.Tensor:
        return value.to(self.type).to(torch.float32)
