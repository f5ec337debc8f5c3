"""Guards of an exported program: conditions on sizes, parsed, bounded and printed anew.

Source: torch 2.13, `export/_unlift.py` (_convert_guards_code_to_fn).
"""

from __future__ import annotations

import ast
import re
from typing import Final

from trtdbg.archive.expressions import (
    EXPONENTIALS,
    FUNCTIONS,
    LARGEST_INTEGER,
    MOST_BITS,
    MOST_PARTS,
    POWERS,
    CostError,
    GrammarError,
    bits_of,
    python_tree,
)

_GUARD_METHODS: Final = frozenset(("size", "stride", "storage_offset", "dim", "numel"))
_GUARD_MATH: Final = frozenset(("trunc", "floor", "ceil", "sqrt"))
_GUARD_NAME: Final = re.compile(r"L|math|inf|[a-z]{1,3}\d+", re.ASCII)
_GUARD_PARTS: Final = (
    *(ast.BinOp, ast.UnaryOp, ast.Compare, ast.BoolOp, ast.IfExp, ast.Tuple, ast.Subscript),
    *(ast.Name, ast.Load, ast.operator, ast.unaryop, ast.cmpop, ast.boolop),
)


def printed_guard(text: object) -> str:
    """Returns a guard of an exported program, parsed and printed anew.

    A guard is a condition in Python on the sizes of inputs, as `L['x'].size()[0] % 2 == 0`.

    Raises:
        GrammarError: torch writes no such guard, or evaluating it could take too long.
    """
    tree = python_tree(text)
    parts = list(ast.walk(tree))
    if len(parts) > MOST_PARTS:
        raise CostError(f"it has {len(parts)} parts")
    for part in parts:
        if not _is_guard_part(part):
            raise GrammarError(f"torch writes no {type(part).__name__} in a guard")
    if _guard_bits(tree) > MOST_BITS:
        raise CostError("it computes a number that is too large")
    return ast.unparse(tree)


def _guard_bits(node: ast.AST) -> float:
    """Returns at most how many bits the numbers take that evaluating a guard computes."""
    match node:
        case ast.Constant(int() | float() as value):
            return bits_of(value)
        case ast.Subscript() | ast.Attribute() | ast.Name():
            return _SIZE_BITS
        case ast.Call(ast.Attribute(_, name), _, _) if name in _GUARD_METHODS:
            return _SIZE_BITS
        case ast.BinOp(base, ast.Pow(), ast.Constant(int() | float() as exponent)):
            return _guard_bits(base) * max(1.0, abs(exponent))
        case ast.Call(
            ast.Name(name), [base, ast.Constant(int() | float() as exponent)], _
        ) if name in POWERS:
            return _guard_bits(base) * max(1.0, abs(exponent))
        case ast.BinOp(base, ast.LShift(), ast.Constant(int() | float() as exponent)):
            return _guard_bits(base) + abs(exponent)
    bits = sum(_guard_bits(child) for child in ast.iter_child_nodes(node))
    if isinstance(node, ast.Compare | ast.BoolOp):
        return max(map(_guard_bits, ast.iter_child_nodes(node)), default=1)
    return bits


_SIZE_BITS: Final = 48


def _is_guard_part(part: ast.AST) -> bool:
    match part:
        case ast.Call(ast.Attribute(_, name), _, []):
            return name in _GUARD_METHODS or name in _GUARD_MATH
        case ast.Call(ast.Name(name), [_, exponent], []) if name in POWERS:
            return isinstance(exponent, ast.Constant) and _is_small_exponent(exponent.value)
        case ast.Call(ast.Name(name), _, []):
            return name in FUNCTIONS - POWERS - EXPONENTIALS
        case ast.Attribute(ast.Name("math"), name):
            return name in _GUARD_MATH
        case ast.Attribute(_, name):
            return name in _GUARD_METHODS
        case ast.BinOp(_, ast.Pow() | ast.LShift(), exponent):
            return isinstance(exponent, ast.Constant) and _is_small_exponent(exponent.value)
        case ast.Constant(str() as text):
            return re.fullmatch(r"[\w.]{0,200}", text) is not None
        case ast.Constant(int() | float() as value):
            return abs(value) < LARGEST_INTEGER
        case ast.Constant(None):
            return True
        case ast.Name(name):
            return _GUARD_NAME.fullmatch(name) is not None or name in FUNCTIONS
        case _:
            return isinstance(part, _GUARD_PARTS)


def _is_small_exponent(value: object) -> bool:
    return isinstance(value, int | float) and abs(value) <= 64
