"""Trees of inputs and outputs: JSON inside the program's JSON, parsed, vetted, written anew.

torch parses these texts again, and the contexts of their nodes once more; a context may name
an enum, whose module is then imported, or a factory of a defaultdict. Here each text is parsed
once, its keys are looked at, and what torch gets is written from what was parsed.

Source: torch 2.13, `utils/_pytree.py` (_json_to_treespec, enum_object_hook,
_defaultdict_deserialize).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Final

_LONGEST: Final = 10_000_000
_DEEPEST: Final = 100
_FACTORIES: Final = frozenset(("list", "dict", "int", "float", "set", "tuple", "str", "bool"))
_TYPE: Final = re.compile(r"[A-Za-z_][\w.]{0,300}", re.ASCII)
_KEYS: Final = frozenset(("type", "context", "children_spec"))
_FACTORY_KEYS: Final = frozenset(
    ("default_factory_module", "default_factory_name", "dict_context")
)


class TreeError(ValueError):
    """A text is not a tree of inputs or outputs that torch writes."""


def loads(text: str | bytes) -> Any:
    """Returns the value of a JSON text that leaves no room for two readings.

    Raises:
        ValueError: it is not JSON, an object has a key twice, a number is not finite, or it is
            nested too deeply.
    """
    try:
        return json.loads(
            text, object_pairs_hook=_object, parse_constant=_constant, parse_int=_integer
        )
    except RecursionError as cause:
        raise ValueError("it is nested too deeply") from cause


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"an object has the key {twice[:80]!r} twice")
    return made


def _constant(name: str) -> None:
    raise ValueError(f"it holds the number {name}")


def _integer(digits: str) -> int:
    if len(digits) > 40:
        raise ValueError(f"it holds an integer of {len(digits)} digits")
    return int(digits)


def rewritten(text: object, *, arguments: bool = False) -> str:
    """Returns a tree's text, written anew from what was parsed and vetted.

    Args:
        text: the tree as torch wrote it: a version and a tree, as JSON.
        arguments: whether the tree is of a call's arguments, whose names torch writes into
            source text.

    Raises:
        TreeError: torch writes no such tree.
    """
    if not isinstance(text, str) or len(text) > _LONGEST:
        raise TreeError("it is no text")
    if not text:
        return text
    try:
        version, root = loads(text)
    except (ValueError, TypeError) as cause:
        raise TreeError(f"it is no tree: {cause}") from cause
    if version != 1:
        raise TreeError("it is of another version")
    tree = _branch(root, _DEEPEST)
    if arguments:
        _check_names(tree)
    return json.dumps([1, tree])


def _branch(value: object, levels: int) -> dict[str, Any]:
    if not levels:
        raise TreeError(f"it is nested more than {_DEEPEST} levels deep")
    if not isinstance(value, dict) or set(value) != _KEYS:
        raise TreeError("a node of it has other keys")
    kind, children = value["type"], value["children_spec"]
    if not isinstance(children, list):
        raise TreeError("children are no list")
    if kind is None:
        if children or value["context"] is not None:
            raise TreeError("a leaf holds something")
        return {"type": None, "context": None, "children_spec": []}
    if not isinstance(kind, str) or _TYPE.fullmatch(kind) is None:
        raise TreeError("a type has an odd name")
    return {
        "type": kind,
        "context": _context(value["context"]),
        "children_spec": [_branch(child, levels - 1) for child in children],
    }


def _context(value: object) -> object:
    """Returns a context written anew: JSON as text, a name, or an object of a defaultdict."""
    if isinstance(value, str) and _TYPE.fullmatch(value) is None:
        return json.dumps(_plain(_parsed(value)))
    if isinstance(value, dict) and "default_factory_module" in value:
        _check_factory(value)
    return _plain(value)


def _parsed(text: str) -> Any:
    try:
        return loads(text)
    except ValueError as cause:
        raise TreeError(f"a context is no JSON: {cause}") from cause


def _check_factory(value: dict[str, Any]) -> None:
    if (
        set(value) != _FACTORY_KEYS
        or value["default_factory_module"] != "builtins"
        or value["default_factory_name"] not in _FACTORIES
    ):
        raise TreeError("a defaultdict has an odd factory")


def _plain(value: object) -> object:
    """Returns a parsed context in which nothing names what would be imported."""
    for part in _parts(value):
        if isinstance(part, dict) and any(_is_odd(key) for key in part):
            raise TreeError("a context names what would be imported")
        if isinstance(part, str) and part[:1] in ("{", "[", '"') and _holds_enum(part):
            raise TreeError("a text in a context names what would be imported")
    return value


def _is_odd(key: str) -> bool:
    return key.startswith("__")


def _holds_enum(text: str, levels: int = 5) -> bool:
    """Returns whether JSON inside a text, however deep, names an enum."""
    if not levels:
        return True
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return any(
        any(_is_odd(key) for key in part)
        if isinstance(part, dict)
        else isinstance(part, str) and _holds_enum(part, levels - 1)
        for part in _parts(value)
    )


def _parts(value: object) -> Iterator[object]:
    """Yields a JSON value and everything in it."""
    rest = [value]
    while rest:
        part = rest.pop()
        yield part
        if isinstance(part, dict):
            rest.extend(part.values())
        elif isinstance(part, list):
            rest.extend(part)


def _check_names(root: dict[str, Any]) -> None:
    """Refuses keyword arguments that are no names, since torch writes them as source text."""
    children = root["children_spec"]
    if len(children) != 2 or children[1]["type"] != "builtins.dict":
        return
    context = children[1]["context"]
    names = json.loads(context) if isinstance(context, str) else context
    if names is not None and not (
        isinstance(names, list)
        and all(isinstance(name, str) and name.isidentifier() for name in names)
    ):
        raise TreeError("a keyword argument has an odd name")
