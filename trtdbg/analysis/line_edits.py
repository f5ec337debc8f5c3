"""Rewrites a line of the user's source, where it parses to exactly the call that is meant."""

from __future__ import annotations

import ast
from dataclasses import dataclass

_MODULES = frozenset({"torch", "F", "functional", "nn", "special", "linalg", "aten"})
"""Names in front of a function that are modules; anything else is the tensor itself."""


@dataclass(frozen=True)
class Argument:
    """One argument of a call, by its place in the operator's schema."""

    position: int
    name: str
    before: object
    """The value in force; a line that writes another one is another call."""
    after: object


def with_argument(code: str, function: str, argument: Argument) -> str | None:
    """Returns a line with one argument of one call replaced, None if it is not that call.

    `best, at = x.sort(dim=-1)` with dim 1 is `best, at = x.sort(dim=1)`. A value that is not
    written takes its default, and is then added by name.
    """
    call = _only_call(code, function)
    if call is None:
        return None
    place = argument.position - (1 if _is_method(call) else 0)
    keyword = next((k for k in call.keywords if k.arg == argument.name), None)
    if any(isinstance(a, ast.Starred) for a in call.args) or None in {
        k.arg for k in call.keywords
    }:
        return None
    written = (
        keyword.value if keyword else call.args[place] if place < len(call.args) else None
    )
    after = repr(argument.after)
    if written is not None:
        if _literal(written) != (argument.before,):
            return None
        return _parsed(_spliced(code, written, after))
    end = _end(code, call)
    inner = f"{argument.name}={after}"
    comma = ", " if call.args or call.keywords else ""
    return _parsed(f"{code[: end - 1]}{comma}{inner}{code[end - 1 :]}")


def without_call(code: str, methods: tuple[str, ...]) -> str | None:
    """Returns a line with one call of a method left out: `x.double() + 1` is `x + 1`."""
    calls = [call for name in methods for call in _calls(code, name) if _is_method(call)]
    if len(calls) != 1 or not isinstance(calls[0].func, ast.Attribute):
        return None
    kept = ast.get_source_segment(code, calls[0].func.value)
    return _parsed(_spliced(code, calls[0], kept)) if kept else None


def assigned_name(code: str) -> str | None:
    """Returns the name that a line assigns to, None if it is no assignment to one name."""
    try:
        (statement,) = ast.parse(code).body
    except (SyntaxError, ValueError):
        return None
    if not isinstance(statement, ast.Assign) or len(statement.targets) != 1:
        return None
    target = statement.targets[0]
    return target.id if isinstance(target, ast.Name) else None


def _calls(code: str, function: str) -> list[ast.Call]:
    try:
        tree = ast.parse(code)
    except (SyntaxError, ValueError):
        return []
    return [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and _name(node.func) == function
    ]


def _only_call(code: str, function: str) -> ast.Call | None:
    calls = _calls(code, function)
    return calls[0] if len(calls) == 1 else None


def _name(function: ast.expr) -> str | None:
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else None


def _is_method(call: ast.Call) -> bool:
    owner = call.func.value if isinstance(call.func, ast.Attribute) else None
    if owner is None:
        return False
    return _name(owner) not in _MODULES


def _literal(node: ast.expr) -> tuple[object] | None:
    try:
        return (ast.literal_eval(node),)
    except ValueError:
        return None


def _end(code: str, node: ast.expr) -> int:
    line = code.splitlines()[0]
    assert node.end_col_offset is not None
    return len(line.encode()[: node.end_col_offset].decode())


def _spliced(code: str, node: ast.expr, text: str) -> str:
    start = len(code.encode()[: node.col_offset].decode())
    return f"{code[:start]}{text}{code[_end(code, node) :]}"


def _parsed(code: str) -> str | None:
    try:
        ast.parse(code)
    except SyntaxError:
        return None
    return code
