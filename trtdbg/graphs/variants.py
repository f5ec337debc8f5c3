"""Variants of one node: what can be changed in it and in what it reads, made and undone."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch._dispatch.python import enable_python_dispatcher
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx import Node
from torch.utils._pytree import tree_map_only

from trtdbg.dtypes import NARROWED, family
from trtdbg.graphs.graph import dtype_name, refresh_metadata, target_name, torch_dtype
from trtdbg.records import ChangePlace, RefusalKind

TRIED_DTYPES = {
    "float": ("float32", "float16", "bfloat16", "int32", "int64", "bool"),
    "complex": ("float32", "int32", "bool"),
    "int": ("int32", "int64", "bool", "float32"),
    "uint": ("int32", "int64", "bool", "float32"),
    "bool": ("int32", "int64", "float32"),
}
"""What can stand instead of a dtype, by its family, after its narrow twin; nearest first."""

ABSENT = object()
"""Stands for a keyword that is taken away, and for an argument that is not written."""


@dataclass(frozen=True)
class VariantMove:
    """A change of a node told without names, so that it fits every node of the same kind."""

    kind: RefusalKind
    place: ChangePlace
    operand: int | None = None
    """Place among `all_input_nodes`; None is the node itself."""
    path: tuple[int | str, ...] = ()
    """Position, and index into a list there; or a keyword."""
    after: Any = None
    """A torch dtype, a Python value, a shape, a fake value for metadata, or ABSENT."""


class Workbench:
    """Makes moves in the nodes of one graph and undoes them, by the values on record."""

    def __init__(self, mode: FakeTensorMode, values: dict[str, Any]) -> None:
        """Works in the fake mode of a graph, with inferred values where it records none."""
        self.mode = mode
        self.values = values
        self._casts: dict[tuple[str, torch.dtype], Any] = {}

    def value(self, node: Node) -> Any:
        """Returns a node's recorded value, or the inferred one where none is recorded."""
        value = node.meta.get("val")
        return value if value is not None else self.values.get(node.name)

    @contextlib.contextmanager
    def made(self, node: Node, moves: tuple[VariantMove, ...]) -> Iterator[None]:
        """Makes moves in a node and what it reads, and undoes them at the end.

        Afterwards everything is as before except for the order of `users`.
        """
        operands = node.all_input_nodes
        touched = {node, *(operands[m.operand] for m in moves if m.operand is not None)}
        before = [(each, dict(each.meta)) for each in touched]
        args, kwargs = node.args, node.kwargs
        try:
            for move in moves:
                self._make(node, operands, move)
            yield
        finally:
            if node.args is not args:
                node.args = args
            if node.kwargs is not kwargs:
                node.kwargs = kwargs
            for each, meta in before:
                each.meta.clear()
                each.meta.update(meta)

    def recompute(self, node: Node) -> bool:
        """Writes the value that a node has with what it reads; False if PyTorch refuses."""
        args, kwargs = tree_map_only(Node, self.value, (tuple(node.args), dict(node.kwargs)))
        target: Any = node.target
        try:
            with self.mode, enable_python_dispatcher(), self._no_new_symbols():
                value = target(*args, **kwargs)
        except Exception:
            # A meta kernel says no in whatever exception it likes.
            return False
        refresh_metadata(node, value)
        return True

    def is_computable(self, node: Node) -> bool:
        """Returns whether fake tensors can compute a node as it stands."""
        with self.made(node, ()):
            return self.recompute(node)

    def _no_new_symbols(self) -> contextlib.AbstractContextManager[Any]:
        shape_env = self.mode.shape_env
        if shape_env is None:
            return contextlib.nullcontext()
        # What nonzero and its like create here is thrown away with the variant.
        manager: contextlib.AbstractContextManager[Any] = (
            shape_env.ignore_fresh_unbacked_symbols()
        )
        return manager

    def _make(self, node: Node, operands: list[Node], move: VariantMove) -> None:
        changed = node if move.operand is None else operands[move.operand]
        match move.place:
            case ChangePlace.OPERAND:
                refresh_metadata(changed, self._cast(changed, move.after))
            case ChangePlace.METADATA:
                refresh_metadata(changed, move.after)
            case ChangePlace.SHAPE:
                with self.mode:
                    refresh_metadata(changed, self.value(changed).new_empty(move.after))
            case ChangePlace.KEYWORD:
                rest = {k: v for k, v in node.kwargs.items() if k != move.path[0]}
                written = {} if move.after is ABSENT else {move.path[0]: move.after}
                node.kwargs = {**rest, **written}
            case ChangePlace.ARGUMENT:
                node.args = _replaced(node.args, move.path, move.after)

    def _cast(self, node: Node, dtype: torch.dtype) -> Any:
        key = (node.name, dtype)
        if key not in self._casts:
            with self.mode:
                self._casts[key] = self.value(node).to(dtype)
        return self._casts[key]


def _replaced(args: tuple[Any, ...], path: tuple[Any, ...], after: Any) -> tuple[Any, ...]:
    position, *rest = path
    if rest:
        inner = list(args[position])
        inner[rest[0]] = after
        after = inner
    return (*args[:position], after, *args[position + 1 :])


def tried_dtypes(dtype: torch.dtype) -> tuple[torch.dtype, ...]:
    """Returns what can stand instead of a dtype, its narrow twin first."""
    name = dtype_name(dtype)
    twin = (NARROWED[name],) if name in NARROWED else ()
    names = dict.fromkeys((*twin, *TRIED_DTYPES.get(family(name), ())))
    return tuple(torch_dtype(other) for other in names if other != name)


def dtype_slots(node: Node, bench: Workbench) -> list[list[VariantMove]]:
    """Returns, slot by slot, the dtypes that can be written or read instead, nearest first.

    A slot is a `dtype` keyword, a positional dtype, a tensor that is read, or a Python number
    where the operator takes any number.
    """
    kind = RefusalKind.DTYPE
    slots = []
    for key, value in node.kwargs.items():
        if isinstance(value, torch.dtype):
            others = (*tried_dtypes(value), ABSENT)
            slots.append(
                [VariantMove(kind, ChangePlace.KEYWORD, None, (key,), d) for d in others]
            )
    for i, value in enumerate(node.args):
        if isinstance(value, torch.dtype):
            tried = tried_dtypes(value)
            slots.append(
                [VariantMove(kind, ChangePlace.ARGUMENT, None, (i,), d) for d in tried]
            )
    for index, operand in enumerate(node.all_input_nodes):
        value = bench.value(operand)
        if isinstance(value, torch.Tensor):
            tried = tried_dtypes(value.dtype)
            slots.append([VariantMove(kind, ChangePlace.OPERAND, index, (), d) for d in tried])
    for i, value in enumerate(node.args):
        if _takes_any_number(node, i):
            others = _other_numbers(value)
            slots.append(
                [VariantMove(kind, ChangePlace.ARGUMENT, None, (i,), n) for n in others]
            )
    return slots


def uniform_operands(node: Node, bench: Workbench) -> Iterator[tuple[VariantMove, ...]]:
    """Yields all tensors that a node reads turned to one dtype, for three tensors and more."""
    dtypes: dict[int, torch.dtype] = {}
    for index, operand in enumerate(node.all_input_nodes):
        value = bench.value(operand)
        if isinstance(value, torch.Tensor):
            dtypes[index] = value.dtype
    if len(dtypes) < 3:
        return
    for dtype in dict.fromkeys(d for own in dtypes.values() for d in tried_dtypes(own)):
        moved = [index for index, own in dtypes.items() if own != dtype]
        yield tuple(
            VariantMove(RefusalKind.DTYPE, ChangePlace.OPERAND, index, (), dtype)
            for index in moved
        )


def refreshed_metadata(node: Node, bench: Workbench) -> tuple[VariantMove, ...]:
    """Returns missing or stale metadata of a node and its operands written anew."""
    moves = []
    for index, each in [*enumerate(node.all_input_nodes), (None, node)]:
        value = bench.values.get(each.name)
        if value is not None and is_stale(each, value):
            moves.append(
                VariantMove(RefusalKind.METADATA, ChangePlace.METADATA, index, (), value)
            )
    return tuple(moves)


def is_stale(node: Node, value: Any) -> bool:
    """Returns whether `val` or `tensor_meta` is missing or has another dtype than `value`."""
    if not isinstance(value, torch.Tensor):
        return False
    recorded = (node.meta.get("val"), node.meta.get("tensor_meta"))
    return any(getattr(each, "dtype", None) != value.dtype for each in recorded)


def static_sizes(node: Node, bench: Workbench) -> tuple[VariantMove, ...]:
    """Returns every symbolic size that a node reads at its example value."""
    kind = RefusalKind.SHAPE
    moves = []
    for index, operand in enumerate(node.all_input_nodes):
        shape = _static_shape(bench.value(operand))
        if shape is not None:
            moves.append(VariantMove(kind, ChangePlace.SHAPE, index, (), shape))
    for path, number in _symbolic_numbers(node, bench):
        hint = number.node.hint
        if hint is not None:
            moves.append(VariantMove(kind, ChangePlace.ARGUMENT, None, path, hint))
    return tuple(moves)


def resized(value: torch.Tensor, dim: int, size: int) -> tuple[int, ...]:
    """Returns a shape with one size replaced."""
    return tuple(size if i == dim else int(n) for i, n in enumerate(value.shape))


def smaller_sizes(node: Node, bench: Workbench, most: int) -> Iterator[VariantMove]:
    """Yields one size of one of the first `most` operands made 1, if no size is symbolic."""
    values = [bench.value(operand) for operand in node.all_input_nodes]
    if any(_static_shape(value) is not None for value in values):
        return
    for index, value in enumerate(values[:most]):
        if not isinstance(value, torch.Tensor):
            continue
        for dim, size in enumerate(value.shape):
            if size > 1:
                shape = resized(value, dim, 1)
                yield VariantMove(RefusalKind.SHAPE, ChangePlace.SHAPE, index, (), shape)


def options_at_default(node: Node) -> Iterator[VariantMove]:
    """Yields one argument of a node at a time at the default that its schema names."""
    kind = RefusalKind.FEATURE
    arguments = _schema_arguments(node)
    for i, (value, argument) in enumerate(zip(node.args, arguments, strict=False)):
        if argument.has_default_value() and not _equal(value, argument.default_value):
            default = argument.default_value
            yield VariantMove(kind, ChangePlace.ARGUMENT, None, (i,), default)
    for key, value in node.kwargs.items():
        if value is not None and not isinstance(value, torch.dtype):
            yield VariantMove(kind, ChangePlace.KEYWORD, None, (key,), ABSENT)


def defaults_written_out(node: Node, bench: Workbench) -> Iterator[tuple[VariantMove, ...]]:
    """Yields a node with one, two, ... of its defaulted positional arguments written out.

    Export leaves out an argument that equals its default, so a dimension is first written
    from the front: -1 of two dimensions as 1.
    """
    moves: tuple[VariantMove, ...] = ()
    for i, argument in enumerate(_schema_arguments(node)):
        if i < len(node.args):
            continue
        if argument.kwarg_only or argument.name in node.kwargs:
            return
        if not argument.has_default_value():
            return
        written = VariantMove(
            RefusalKind.CRASHED, ChangePlace.ARGUMENT, None, (i,), argument.default_value
        )
        moves = (*moves, written)
        from_front = tuple(_from_the_front(node, bench, move) for move in moves)
        if from_front != moves:
            yield from_front
        yield moves


def _from_the_front(node: Node, bench: Workbench, move: VariantMove) -> VariantMove:
    """Returns a move with a dimension that counts from the front, not from the end."""
    read = node.all_input_nodes[:1]
    value = bench.value(read[0]) if read else None
    named_dim = argument_name(node, int(move.path[0])) in ("dim", "axis")
    counts = isinstance(move.after, int) and not isinstance(move.after, bool)
    if not named_dim or not counts or move.after >= 0 or not isinstance(value, torch.Tensor):
        return move
    return replace(move, after=move.after + value.dim())


def is_at_default(node: Node, move: VariantMove) -> bool:
    """Returns whether a move writes the default of a positional argument."""
    arguments = _schema_arguments(node)
    position = move.path[0] if move.path else None
    if not isinstance(position, int) or position >= len(arguments):
        return False
    argument = arguments[position]
    return argument.has_default_value() and _equal(move.after, argument.default_value)


def argument_name(node: Node, position: int) -> str:
    """Returns the name that a schema gives a positional argument, or `argument N`."""
    arguments = _schema_arguments(node)
    if position < len(arguments):
        return str(arguments[position].name)
    return f"argument {position}"


def written(node: Node, move: VariantMove) -> Any:
    """Returns what stands where an argument or keyword move is made, ABSENT if nothing."""
    if move.place is ChangePlace.KEYWORD:
        return node.kwargs.get(str(move.path[0]), ABSENT)
    value: Any = node.args
    for step in move.path:
        if not isinstance(step, int) or step >= len(value):
            return ABSENT
        value = value[step]
    return value


def signature(node: Node, *, shapes: bool) -> str:
    """Returns what validators usually read of a node, without names, with or without shapes.

    Two nodes of one signature need not be judged alike: a validator may look further.
    """
    places = {operand: f"#{i}" for i, operand in enumerate(node.all_input_nodes)}
    parts = [target_name(node), _text(node.args, places), _text(dict(node.kwargs), places)]
    for each in (*node.all_input_nodes, node):
        parts.append(each.op if each is not node else "self")
        metadata = (each.meta.get(key) for key in ("val", "tensor_meta"))
        parts += [_metadata_text(value, shapes=shapes) for value in metadata]
    for user in node.users:
        index = user.args[1] if len(user.args) > 1 and user.op == "call_function" else None
        parts.append(f"{user.op} {index if isinstance(index, int) else ''}")
    return "|".join(parts)


def _text(value: Any, places: dict[Node, str]) -> str:
    if isinstance(value, Node):
        return places[value]
    if isinstance(value, (tuple, list)):
        return f"[{','.join(_text(item, places) for item in value)}]"
    if isinstance(value, dict):
        return ",".join(f"{key}={_text(item, places)}" for key, item in value.items())
    return f"{type(value).__name__}:{value}"


def _metadata_text(value: Any, *, shapes: bool) -> str:
    if isinstance(value, (tuple, list)) and not hasattr(value, "dtype"):
        return f"[{','.join(_metadata_text(item, shapes=shapes) for item in value)}]"
    if hasattr(value, "dtype") and hasattr(value, "shape"):
        sizes = [str(size) for size in value.shape] if shapes else len(value.shape)
        return f"{value.dtype}{sizes}"
    return type(value).__name__


def _schema_arguments(node: Node) -> list[Any]:
    schema = getattr(node.target, "_schema", None)
    return list(schema.arguments) if schema is not None else []


def _takes_any_number(node: Node, position: int) -> bool:
    arguments = _schema_arguments(node)
    return (
        isinstance(node.args[position], (int, float))
        and position < len(arguments)
        and str(arguments[position].type) == "number"
    )


def _other_numbers(value: bool | int | float) -> tuple[bool | int | float, ...]:
    if isinstance(value, bool):
        return (int(value),)
    if isinstance(value, int):
        return (float(value), bool(value))
    return (int(value),) if value.is_integer() else ()


def _equal(value: Any, default: Any) -> bool:
    if isinstance(value, (tuple, list)) and isinstance(default, (tuple, list)):
        return list(value) == list(default)
    return type(value) is type(default) and bool(value == default)


def _static_shape(value: Any) -> tuple[int, ...] | None:
    """Returns a tensor's shape at its example sizes, None if it is static or has none."""
    if not isinstance(value, torch.Tensor) or all(isinstance(n, int) for n in value.shape):
        return None
    sizes = [n if isinstance(n, int) else n.node.hint for n in value.shape]
    return None if None in sizes else tuple(int(n) for n in sizes)


def _symbolic_numbers(
    node: Node, bench: Workbench
) -> Iterator[tuple[tuple[int, ...], torch.SymInt]]:
    for i, argument in enumerate(node.args):
        items = enumerate(argument) if isinstance(argument, (list, tuple)) else ()
        for path, item in [((i,), argument), *(((i, j), each) for j, each in items)]:
            value = bench.value(item) if isinstance(item, Node) else None
            if isinstance(value, torch.SymInt):
                yield path, value
