"""Sizes as a report writes them: numbers, symbols such as `s0`, sums and products."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from typing import Final

_OPERATORS: Final[dict[type[ast.operator], Callable[[int, int], int]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
_LONGEST: Final = 200


def size_at(size: str, values: Mapping[str, int]) -> int | None:
    """Returns the value of a size; None where it holds something else than arithmetic.

    Args:
        size: like `2*s0 + 1`.
        values: of its symbols.
    """
    if len(size) > _LONGEST:
        return None
    try:
        return _value(ast.parse(size, mode="eval").body, values)
    except (SyntaxError, KeyError, TypeError, ZeroDivisionError, RecursionError):
        return None


def _value(node: ast.expr, values: Mapping[str, int]) -> int:
    match node:
        case ast.Constant(value=int(number)):
            return number
        case ast.Name(id=name):
            return values[name]
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(operand, values)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            return _OPERATORS[type(op)](_value(left, values), _value(right, values))
    raise TypeError(f"{type(node).__name__} is no arithmetic of sizes")
