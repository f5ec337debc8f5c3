"""Makes torch's deserializer take symbolic expressions from trtdbg's grammar."""

from __future__ import annotations

import contextlib
import types
from collections.abc import Iterator, Mapping
from typing import Any

import sympy
from torch._export.serde import serialize
from torch.utils._sympy import functions

from trtdbg.archive import expressions

_FUNCTIONS = {
    name: getattr(functions, name)
    for name in expressions.TORCH_FUNCTIONS
    if hasattr(functions, name)
}


@contextlib.contextmanager
def patched_sympify() -> Iterator[None]:
    """Replaces sympify in torch's deserializer: texts are parsed, not evaluated as Python.

    Source: torch 2.13, `_export/serde/serialize.py` (_parse_sym_expr), the one place there
    that calls sympify. Only the name `sympy` inside that module is replaced.
    """
    before = serialize.sympy
    patched = types.SimpleNamespace(**vars(sympy) | {"sympify": _sympify})
    serialize.sympy = patched
    try:
        yield
    finally:
        serialize.sympy = before


def _sympify(value: object, locals: Mapping[str, Any] | None = None) -> Any:
    """Returns the sympy object of a text of the grammar, or of what is one already."""
    if not isinstance(value, str):
        return sympy.sympify(value)
    return expressions.evaluated(
        expressions.parse(value), sympy, _FUNCTIONS | dict(locals or {})
    )
