"""Vets a serialized program, and writes anew what torch evaluates in it. Free of torch.

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

import json
import re
from collections.abc import Callable, Iterator
from typing import Any, Final

from trtdbg.archive import expressions, guards, trees

MOST_NESTED: Final = 200
"""Levels of JSON. A graph inside a graph costs 8, and torch reads each with three calls."""

_LARGEST_SIZE: Final = 1 << 48
"""Elements of a tensor along one axis; more than any address space holds."""

_NAME: Final = re.compile(r"[^\W\d]\w*|")
"""Of a value, which torch writes into source text; with a dot it would be an assignment."""

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

Clean = Callable[[Any], Any]
"""Returns a value written anew; raises ValueError for what torch would not write."""


def first_impossible_value(program: object) -> str | None:
    """Returns a negative or absurd size in a program or a configuration, in words."""
    for where, found, key in _places(program):
        value = found[key]
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


_RUNS: Final = "could run code"


class CodeError(ValueError):
    """Something in a program would run, or could, when torch reads it; says where and what."""


def clean(program: dict[str, Any]) -> None:
    """Writes anew, in place, what torch evaluates, resolves or parses again.

    Args:
        program: the program's JSON, as trtdbg parsed it.

    Raises:
        CodeError: it holds what torch does not write there.
    """
    for where, found, key in _places(program):
        _clean_member(where, found, key)


def _clean_member(at: str, found: dict[str, Any], key: str) -> None:
    """Writes one member of an object anew, and looks at the names that it holds."""
    value = found[key]
    cleaned = _CLEAN.get(key)
    if cleaned is not None:
        try:
            found[key] = cleaned(value)
        except (ValueError, TypeError, RecursionError) as cause:
            harm = "may take too long" if isinstance(cause, expressions.CostError) else _RUNS
            raise CodeError(f"{at}: {key} holds {_shown(value)}, which {harm}") from cause
    if isinstance(value, dict) and key.endswith(("_values", "_to_argument")):
        wrong = next((name for name in value if not _is_name(name)), None)
        if wrong is not None:
            raise CodeError(f"{at}: {key} names {_shown(wrong)}, which {_RUNS}")


def operators(program: dict[str, Any]) -> set[str]:
    """Returns the names below `torch.ops` that a vetted program calls or hands on."""
    named = (found[key] for _, found, key in _places(program) if key in _NAMES_OF_OPERATORS)
    return {
        name.removeprefix("torch.ops.")
        for name in named
        if isinstance(name, str) and name.startswith("torch.ops.")
    }


_NAMES_OF_OPERATORS: Final = ("target", "as_operator")


def _places(value: object) -> Iterator[tuple[str, dict[str, Any], str]]:
    """Yields each member of each object of a JSON value: where it is, the object, its key.

    Whoever asks may put another value in its place; what is in that comes afterwards.
    """
    rest: list[tuple[str, object]] = [("program", value)]
    while rest:
        where, found = rest.pop()
        if isinstance(found, list):
            rest += ((where, item) for item in reversed(found))
        if isinstance(found, dict):
            at = _label(found) or where
            for key in found:
                yield at, found, key
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


def _checked(check: Callable[[object], bool]) -> Clean:
    def clean_value(value: Any) -> Any:
        if not check(value):
            raise ValueError
        return value

    return clean_value


def _expression(value: Any) -> str:
    return expressions.printed(expressions.parse(value))


def _guards(value: Any) -> list[str]:
    if not isinstance(value, list):
        raise ValueError
    return [guards.printed_guard(guard) for guard in value]


def _optional_tree(*, arguments: bool) -> Clean:
    def clean_tree(value: Any) -> str | None:
        return None if value is None else trees.rewritten(value, arguments=arguments)

    return clean_tree


def _constraints(value: Any) -> Any:
    """Returns ranges of sizes by symbol; torch counts up to the number of an unbacked one."""
    if not isinstance(value, dict):
        raise ValueError
    for name, bounds in value.items():
        expressions.parse(name)
        number = _UNBACKED.fullmatch(name)
        if number is not None and len(number[1]) > _MOST_DIGITS:
            raise ValueError
        if not isinstance(bounds, dict) or not all(map(_is_bound, bounds.values())):
            raise ValueError
    return value


def _is_bound(value: object) -> bool:
    return value is None or (isinstance(value, int) and abs(value) <= 1 << 64)


_UNBACKED: Final = re.compile(r"(?:u|zuf)(\d+)", re.ASCII)
_MOST_DIGITS: Final = 6


def _metadata(value: Any) -> Any:
    """Returns a node's metadata with the JSON in it written anew; the rest is only text."""
    if not isinstance(value, dict) or not all(
        isinstance(text, str) for text in value.values()
    ):
        raise ValueError
    nested = {name: trees.loads(value[name]) for name in _NESTED_JSON if value.get(name)}
    return value | {name: json.dumps(parsed) for name, parsed in nested.items()}


_NESTED_JSON: Final = ("custom", "from_node")
"""Metadata that torch parses as JSON (2.13, deserialize_metadata)."""

_CLEAN: Final[dict[str, Clean]] = {
    "target": _checked(_is_operator),
    "as_operator": _checked(_is_operator),
    "expr_str": _expression,
    "guards_code": _guards,
    "range_constraints": _constraints,
    "name": _checked(_is_name),
    "as_name": _checked(_is_name),
    "forward_arg_names": _checked(_are_names),
    "parameter_name": _checked(_is_qualified_name),
    "buffer_name": _checked(_is_qualified_name),
    "tensor_constant_name": _checked(_is_qualified_name),
    "custom_obj_name": _checked(_is_qualified_name),
    "user_input_name": _checked(_is_qualified_name),
    "fqn": _checked(_is_qualified_name),
    "in_spec": _optional_tree(arguments=True),
    "out_spec": _optional_tree(arguments=False),
    "metadata": _metadata,
}
"""By the key under which torch finds what it evaluates."""
