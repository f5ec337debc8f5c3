"""Looks for code in a serialized program before torch reads it. No torch.

A pickle is not the only way in. torch.export.load evaluates the text of symbolic sizes and
guards, resolves an operator's name to whatever hangs below the module `torch` (torch.os.system
too), imports the modules that a tree of inputs names, and writes names of values into the
source text that it compiles. What torch itself writes in these places is a small language;
anything outside it is refused.

Source: torch 2.13, `_export/serde/serialize.py` (_parse_sym_expr, deserialize_operator),
`export/_unlift.py` (_convert_guards_code_to_fn), `utils/_pytree.py` (_defaultdict_deserialize,
enum_object_hook), `fx/graph.py` (code generation).
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Iterator
from typing import Any, Final

MOST_NESTED: Final = 200
"""Levels of JSON. A graph inside a graph costs 8, and torch reads each with three calls."""

_LARGEST_SIZE: Final = 1 << 48
"""Elements of a tensor along one axis; more than any address space holds."""

_LARGEST_INTEGER: Final = 1 << 64
_LARGEST_EXPONENT: Final = 64
_LONGEST_EXPRESSION: Final = 10_000

_NAME: Final = re.compile(r"[^\W\d][\w.]*|")
"""Of a value, which torch writes into source text; dots stand in the names of submodules."""

_QUALIFIED_NAME: Final = re.compile(r"""[^"'\\\x00-\x1f\x7f]*""")
"""Of a parameter or constant, which torch writes between quotes."""

_OPERATOR: Final = re.compile(
    r"torch\.ops\.(?!(?:load_library|loaded_libraries|import_module)\.)(?!__)\w+"
    r"\.(?:__i?(?:and|or|xor|lshift|rshift)__|(?!__)\w+)(?:\.(?!__)\w+)?"
    r"|_operator\.(?:eq|ne|le|ge|lt|gt|neg|pos|mul|add|sub|floordiv|mod|pow|truediv|and_|or_"
    r"|lshift|rshift|getitem|not_|abs)"
    r"|math\.(?:trunc|floor|ceil|sqrt)"
    r"|torch\._?sym_\w+"
    r"|torch\._functorch\.predispatch\.\w+"
    r"|torch\.amp\.autocast_mode\._(?:enter|exit)_autocast",
    re.ASCII,
)

_OF_FILES: Final = re.compile(
    r"torch\.ops\.(?:aten\.(?:from_file|save)|image\.(?:read|write)_file|debugprims\.\w+)\b"
)
"""Operators that read or write files."""

_RESOLVED: Final = ("_operator", "torch", "math", "#")
"""How the names begin that torch resolves; it refuses all others by itself."""

_FUNCTIONS: Final = frozenset(
    [
        "Symbol",
        "Integer",
        "Float",
        "Rational",
        "Add",
        "Mul",
        "Pow",
        "Max",
        "Min",
        "Abs",
        "Mod",
        "Eq",
        "Ne",
        "Lt",
        "Le",
        "Gt",
        "Ge",
        "And",
        "Or",
        "Not",
        "Equality",
        "Unequality",
        "StrictLessThan",
        "StrictGreaterThan",
        "LessThan",
        "GreaterThan",
        "Piecewise",
        "ExprCondPair",
        "ITE",
        "Identity",
        "Where",
        "floor",
        "ceiling",
        "sqrt",
        "log",
        "exp",
        "FloorDiv",
        "ModularIndexing",
        "PythonMod",
        "CleanDiv",
        "CeilToInt",
        "FloorToInt",
        "CeilDiv",
        "LShift",
        "RShift",
        "PowByNatural",
        "FloatPow",
        "FloatTrueDiv",
        "IntTrueDiv",
        "IsNonOverlappingAndDenseIndicator",
        "TruncToFloat",
        "TruncToInt",
        "RoundToInt",
        "RoundDecimal",
        "ToFloat",
        "BitwiseFn_bitwise_and",
        "BitwiseFn_bitwise_or",
        "OpaqueUnaryFn_sqrt",
        "OpaqueUnaryFn_cos",
        "OpaqueUnaryFn_sin",
        "OpaqueUnaryFn_tanh",
        "OpaqueUnaryFn_exp",
        "OpaqueUnaryFn_log2",
    ]
)
"""What torch prints in a symbolic expression, as sympy's srepr or (before 2.6) as its str."""

_POWERS: Final = frozenset(("Pow", "PowByNatural", "FloatPow", "LShift"))

_GUARD_CALLS: Final = frozenset(("size", "stride", "storage_offset", "dim", "numel"))
_GUARD_MATH: Final = frozenset(("trunc", "floor", "ceil", "sqrt"))

_PLAIN: Final = (
    *(ast.Expression, ast.BinOp, ast.UnaryOp, ast.Compare, ast.BoolOp, ast.IfExp, ast.Tuple),
    *(ast.Name, ast.Constant, ast.Load),
    *(ast.operator, ast.unaryop, ast.cmpop, ast.boolop),
)

_FACTORIES: Final = frozenset(("list", "dict", "int", "float", "set", "tuple", "str", "bool"))


def first_impossible_value(program: object) -> str | None:
    """Returns a negative or absurd size in a program or a configuration, in words."""
    for where, key, value in _places(program):
        if key == "type" and not _is_device(value):
            return f"{where}: a device is called {_shown(value)}"
        if key not in ("sizes", "strides", "storage_offset"):
            continue
        for number in value if isinstance(value, list) else [value]:
            size = number.get("as_int", 0) if isinstance(number, dict) else number
            if not isinstance(size, int) or isinstance(size, bool):
                return f"{where}: {key} holds {_shown(size)}"
            if not 0 <= size <= _LARGEST_SIZE:
                return f"{where}: {key} holds {size}"
    return None


def first_code(program: object) -> str | None:
    """Returns what in a program would run, or could, when torch reads it, in words."""
    for where, key, value in _places(program):
        check = _CHECKS.get(key)
        if check is not None and not check(value):
            return f"{where}: {key} holds {_shown(value)}"
        if isinstance(value, dict) and key.endswith(("_values", "_to_argument")):
            wrong = next((name for name in value if not _is_name(name)), None)
            if wrong is not None:
                return f"{where}: {key} names {_shown(wrong)}"
    return None


def _places(value: object) -> Iterator[tuple[str, str, Any]]:
    """Yields each member of each object of a JSON value: where it is, its key, its value."""
    rest: list[tuple[str, object]] = [("program", value)]
    while rest:
        where, found = rest.pop()
        if isinstance(found, list):
            rest += ((where, item) for item in reversed(found))
        if isinstance(found, dict):
            at = _label(found) or where
            for key, member in found.items():
                yield at, key, member
            # Metadata is text that torch shows and does not run.
            rest += ((at, member) for key, member in found.items() if key != "metadata")


def _label(found: dict[str, Any]) -> str | None:
    target = found.get("target")
    return f"node of {_shown(target)}" if isinstance(target, str) else None


def _shown(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return repr(text if len(text) <= 80 else f"{text[:77]}...")


def _is_name(value: object) -> bool:
    return value is None or (isinstance(value, str) and _NAME.fullmatch(value) is not None)


def _is_qualified_name(value: object) -> bool:
    return isinstance(value, str) and _QUALIFIED_NAME.fullmatch(value) is not None


def _are_names(value: object) -> bool:
    return value is None or (isinstance(value, list) and all(map(_is_name, value)))


def _is_operator(value: object) -> bool:
    if not isinstance(value, str):
        return False
    if not value.startswith(_RESOLVED):
        return True
    return _OPERATOR.fullmatch(value) is not None and _OF_FILES.match(value) is None


def _is_device(value: object) -> bool:
    return isinstance(value, str) and re.fullmatch(r"[\w.:]*", value) is not None


def _is_expression(value: object) -> bool:
    """Tells whether sympy can evaluate a text without running anything, and in no time."""
    tree = _parsed(value)
    return tree is not None and all(map(_is_symbolic, ast.walk(tree))) and _is_cheap(tree)


def _is_symbolic(node: ast.AST) -> bool:
    if isinstance(node, ast.Call):
        plain = all(
            keyword.arg is not None and isinstance(keyword.value, ast.Constant)
            for keyword in node.keywords
        )
        return plain and isinstance(node.func, ast.Name) and node.func.id in _FUNCTIONS
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        # sympy evaluates texts inside texts again.
        return re.fullmatch(r"\w+|-?[\d.]+(e[-+]?\d{1,3})?", node.value) is not None
    return isinstance(node, (*_PLAIN, ast.keyword)) and _is_small(node)


def _is_small(node: ast.AST) -> bool:
    if not isinstance(node, ast.Constant):
        return True
    if isinstance(node.value, int):
        return abs(node.value) < _LARGEST_INTEGER
    return node.value is None or isinstance(node.value, float)


def _is_cheap(tree: ast.AST) -> bool:
    """Tells whether no power of a power, and no power of a large number, is computed."""
    powers = [node for node in ast.walk(tree) if _exponent(node) is not None]
    for power in powers:
        inside = [node for node in ast.walk(power) if _exponent(node) is not None]
        numbers = [
            node.value
            for part in [_exponent(power)]
            if part is not None
            for node in ast.walk(part)
            if isinstance(node, ast.Constant) and isinstance(node.value, int)
        ]
        if len(inside) > 2 or any(number > _LARGEST_EXPONENT for number in numbers):
            return False
    return True


def _exponent(node: ast.AST) -> ast.AST | None:
    if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Pow, ast.LShift)):
        return node.right
    if (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in _POWERS
        and len(node.args) == 2
    ):
        return node.args[1]
    return None


def _are_guards(value: object) -> bool:
    return isinstance(value, list) and all(map(_is_guard, value))


def _is_guard(value: object) -> bool:
    tree = _parsed(value)
    return tree is not None and all(map(_is_guarding, ast.walk(tree))) and _is_cheap(tree)


def _is_guarding(node: ast.AST) -> bool:
    match node:
        case ast.Call(func=ast.Attribute(attr=name), keywords=[]):
            return name in _GUARD_CALLS or name in _GUARD_MATH
        case ast.Call(func=ast.Name(id=name), keywords=[]):
            return name in _FUNCTIONS
        case ast.Attribute(value=ast.Name(id="math"), attr=name):
            return name in _GUARD_MATH
        case ast.Attribute(attr=name):
            return name in _GUARD_CALLS
        case ast.Constant(value=str() as text):
            return re.fullmatch(r"[\w.]*", text) is not None
        case ast.Subscript():
            return True
        case _:
            return isinstance(node, _PLAIN) and _is_small(node)


def _parsed(value: object) -> ast.AST | None:
    if not isinstance(value, str) or len(value) > _LONGEST_EXPRESSION or not value.isascii():
        return None
    try:
        return ast.parse(value.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _is_tree(value: object) -> bool:
    """Tells whether a tree of inputs names only types that torch knows by itself."""
    if value in (None, ""):
        return True
    try:
        written = json.loads(value) if isinstance(value, str) else None
    except (ValueError, RecursionError):
        return False
    if not (isinstance(written, list) and len(written) == 2 and isinstance(written[1], dict)):
        return False
    root = written[1]
    if any(key == "__enum__" for _, key, _ in _places(root)):
        return False
    return all(map(_is_branch, _branches(root)))


def _is_tree_of_arguments(value: object) -> bool:
    """Tells whether keyword arguments have names too, which torch writes as source text."""
    if not _is_tree(value):
        return False
    children = json.loads(str(value))[1].get("children_spec") if value else None
    if not isinstance(children, list) or len(children) != 2:
        return True
    keywords = children[1] if isinstance(children[1], dict) else {}
    if keywords.get("type") != "builtins.dict":
        return True
    try:
        names = json.loads(keywords.get("context") or "[]")
    except (TypeError, ValueError, RecursionError):
        return False
    return isinstance(names, list) and all(
        isinstance(name, str) and name.isidentifier() for name in names
    )


def _branches(root: dict[str, Any]) -> Iterator[dict[str, Any]]:
    rest = [root]
    while rest:
        branch = rest.pop()
        yield branch
        children = branch.get("children_spec")
        if isinstance(children, list):
            rest += (child for child in children if isinstance(child, dict))


def _is_branch(branch: dict[str, Any]) -> bool:
    context = branch.get("context")
    if isinstance(context, str):
        return "__enum__" not in context
    if isinstance(context, dict) and "default_factory_module" in context:
        return (
            context["default_factory_module"] == "builtins"
            and context.get("default_factory_name") in _FACTORIES
        )
    return True


_CHECKS: Final[dict[str, Callable[[object], bool]]] = {
    "target": _is_operator,
    "as_operator": _is_operator,
    "expr_str": _is_expression,
    "guards_code": _are_guards,
    "name": _is_name,
    "as_name": _is_name,
    "forward_arg_names": _are_names,
    "parameter_name": _is_qualified_name,
    "buffer_name": _is_qualified_name,
    "tensor_constant_name": _is_qualified_name,
    "custom_obj_name": _is_qualified_name,
    "user_input_name": _is_qualified_name,
    "fqn": _is_qualified_name,
    "in_spec": _is_tree_of_arguments,
    "out_spec": _is_tree,
}
"""By the key under which torch finds what it evaluates."""
