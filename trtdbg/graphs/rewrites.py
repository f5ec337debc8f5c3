"""Other ways to write an operator of an exported program that mean the same.

Each is a candidate: whether torch_tensorrt takes it, and whether the numbers stay, is for the
stages that try it. What would mean something else (another option, a mask read as numbers) is
not among them.

This is ground for the stages that try an edit, not a stage.
"""

from __future__ import annotations

import contextlib
import math
import operator
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch
from torch.fx import Node
from torch.utils._sympy.value_ranges import ValueRanges

from trtdbg.analysis.line_edits import (
    Argument,
    assigned_name,
    with_argument,
    without_call,
)
from trtdbg.graphs.editing import ASSERTION, EditError, Editor
from trtdbg.graphs.graph import dtype_name, node_value, source_of

aten = torch.ops.aten

_CASTS = (aten.to.dtype, aten._to_copy.default)

_INTEGERS = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8)

_CASTABLE: dict[torch.dtype, tuple[torch.dtype, ...]] = {
    torch.bool: (torch.int32, torch.float32),
    torch.uint8: (torch.int32, torch.float32),
    torch.int8: (torch.int32, torch.float32),
    torch.int16: (torch.int32, torch.float32),
    torch.int32: (torch.float32,),
    torch.int64: (torch.int32, torch.float32),
    torch.float64: (torch.float32,),
    torch.float16: (torch.float32,),
    torch.bfloat16: (torch.float32,),
}
"""In what an operator can compute instead, nearest first."""

_MASKED = ("index", "index_put", "index_put_", "_unsafe_index", "_unsafe_index_put")
"""Operators that read a bool as a mask and a number as a place."""

_BOOLEAN = {
    aten.mul.Tensor: (aten.logical_and.default, "torch.logical_and"),
    aten.add.Tensor: (aten.logical_or.default, "torch.logical_or"),
}
"""What arithmetic on two bools means."""

_APART = {
    aten.max.dim: (("amax", aten.amax.default), ("argmax", aten.argmax.default)),
    aten.min.dim: (("amin", aten.amin.default), ("argmin", aten.argmin.default)),
}
"""Operators that make each output of one of several outputs."""

_METHODS = {
    torch.float64: ("double",),
    torch.int64: ("long",),
    torch.float16: ("half",),
}
"""Methods that cast and take no argument."""


@dataclass(frozen=True)
class Rewrite:
    """One other way to write an operator."""

    key: str
    """The same for the same edit of another node."""
    node: str
    """The operator of the exported program whose line is edited."""
    say: str
    call: str
    """The call to make instead, as Python."""
    make: Callable[[Editor], None]
    """Makes the edit in a copy of the program that the node is of; raises `EditError`."""
    line: str | None = None
    """The source line rewritten, if it parses to exactly that call."""
    replaces: bool = True
    """Whether a value, an argument or an operator is replaced; a dtype is not."""
    also: tuple[str, ...] = ()
    """Further nodes whose lines are edited in the same way."""
    narrows: bool = False
    """Whether it says what values the program is run on, and refuses others."""
    patched: Callable[[], AbstractContextManager[None]] = contextlib.nullcontext
    """Patches what the edited program shares with the original, for the time of a trial."""
    everywhere: bool = False
    """Whether it stands for more than its own node, so that screening alone says nothing."""


def rewrites(node: Node) -> Iterator[Rewrite]:
    """Yields other ways to write one operator of an exported graph, least change first."""
    if node.op != "call_function" or not hasattr(node.target, "_schema"):
        return
    yield from _counted_otherwise(node)
    yield from bounded(node)
    yield from _without_self(node)
    yield from _booleans(node)
    yield from _outputs_apart(node)
    yield from _floor_in_integers(node)
    yield from _computed_in(node)


def float64_dropped(nodes: list[Node]) -> Iterator[Rewrite]:
    """Yields the cast to float64 that nodes come from left out, or a float32 in its place.

    Args:
        nodes: operators of one exported graph that meet float64.
    """
    origins = list(dict.fromkeys(o for node in nodes for o in _float64_origins(node)))
    if not origins:
        return
    makes = [_without_float64(origin) for origin in origins]
    if any(make is None for make in makes):
        return
    first = origins[0]
    names = [origin.name for origin in origins]

    def make(editor: Editor) -> None:
        for name, each in zip(names, makes, strict=True):
            assert each is not None
            each(editor, editor.nodes[name])
        editor.refresh()

    yield Rewrite(
        key="float32",
        node=first.name,
        say="compute in float32, without the float64",
        call=_float32_call(first),
        make=make,
        line=_float32_line(first),
        also=tuple(names[1:]),
        everywhere=True,
    )


def _counted_otherwise(node: Node) -> Iterator[Rewrite]:
    """Yields a dimension counted from the other end, and a 1-D tensor seen as one row."""
    for position, argument in enumerate(_schema(node)):
        if argument.name not in ("dim", "axis") or str(argument.type) != "int":
            continue
        value = _written(node, position, argument)
        rank = _rank(node)
        if not isinstance(value, int) or not rank or not -rank <= value < rank:
            return
        other = value + rank if value < 0 else value - rank
        if not argument.has_default_value() or argument.default_value != other:
            yield _with_dimension(node, position, argument.name, value, other)
        if rank == 1 and position > 0:
            yield _as_a_row(node, position, argument.name)
        return


LARGEST_SIZE = 4096
"""Upper bound that a number read with `.item()` is tried with."""


def bounded(node: Node) -> Iterator[Rewrite]:
    """Yields a number that is read from a tensor with both bounds, if it has not both."""
    value = node_value(node)
    if node.target not in _ITEMS or not isinstance(value, torch.SymInt):
        return
    symbol = value.node.expr
    now = value.node.shape_env.bound_sympy(symbol)
    high = int(now.upper) if now.upper.is_Integer and now.upper < 2**31 else LARGEST_SIZE
    low = max(1, int(now.lower)) if now.lower.is_Integer else 1
    if not symbol.is_Symbol or (now.lower, now.upper) == (low, high) or low > high:
        return

    env, bounds = value.node.shape_env, ValueRanges(low, high)

    def make(editor: Editor) -> None:
        editor.program.range_constraints[symbol] = bounds

    @contextlib.contextmanager
    def patched_range() -> Iterator[None]:
        """Patches the range that the values of the graph carry, inside the block."""
        before = env.var_to_range[symbol]
        env.var_to_range[symbol] = bounds
        try:
            yield
        finally:
            env.var_to_range[symbol] = before

    code = _code(node)
    name = (code and assigned_name(code)) or "n"
    checks = f"torch._check({name} >= {low}); torch._check({name} <= {high})"
    yield Rewrite(
        key="bounded",
        node=node.name,
        say=f"give the number both bounds, {high} or the largest that you run",
        call=checks,
        make=make,
        line=f"{code}; {checks}" if code and assigned_name(code) else None,
        everywhere=True,
        narrows=True,
        patched=patched_range,
    )


_ITEMS = (aten.item.default, aten._local_scalar_dense.default)


def _with_dimension(
    node: Node, position: int, argument: str, value: int, other: int
) -> Rewrite:
    end = "front" if other >= 0 else "end"
    name = _function(node)

    def make(editor: Editor) -> None:
        twin = editor.nodes[node.name]
        _write(twin, position, other)
        editor.compute(twin)

    code = _code(node)
    line = code and with_argument(code, name, Argument(position, argument, value, other))
    return Rewrite(
        key=f"{argument} from the {end} {other}",
        node=node.name,
        say=f"count the dimension from the {end}: {argument}={other}",
        call=f"{name}(..., {argument}={other})",
        make=make,
        line=line or None,
    )


def _as_a_row(node: Node, position: int, argument: str) -> Rewrite:
    name = _function(node)

    def make(editor: Editor) -> None:
        twin = editor.nodes[node.name]
        (operand, *rest) = twin.args
        if not isinstance(operand, Node):
            raise EditError("it reads no tensor")
        row = editor.call(twin, aten.unsqueeze.default, operand, 0)
        twin.args = (row, *rest)
        _write(twin, position, 1)
        editor.compute(twin)
        for user in list(twin.users):
            if user.op == "call_function" and len(user.args) == 2:
                editor.compute(user)
        editor.with_results(
            twin, lambda value: editor.call(value, aten.squeeze.dim, value, 0, after=True)
        )

    return Rewrite(
        key="as a row",
        node=node.name,
        say="view the 1-D tensor as one row, and take the row's dimension",
        call=f"{name}(x.unsqueeze(0), {argument}=1), and .squeeze(0) of what it returns",
        make=make,
    )


def _booleans(node: Node) -> Iterator[Rewrite]:
    replaced = _BOOLEAN.get(node.target)
    if replaced is None or len(node.args) != 2 or node.kwargs:
        return
    if not all(_dtype(each) is torch.bool for each in node.args):
        return
    target, name = replaced

    def make(editor: Editor) -> None:
        twin = editor.nodes[node.name]
        editor.replace(twin, target, tuple(twin.args))

    yield Rewrite(
        key=name,
        node=node.name,
        say="both are bool: say it as logic",
        call=f"{name}(a, b)",
        make=make,
    )


def _outputs_apart(node: Node) -> Iterator[Rewrite]:
    """Yields an operator for each output that is read, where one operator makes both.

    Before:
        values, places = torch.max(x, dim)
    After:
        values, places = torch.amax(x, dim), torch.argmax(x, dim)
    """
    makers = _APART.get(node.target)
    taken = [user for user in node.users if user.target is operator.getitem]
    read = sorted({user.args[1] for user in taken if user.users})
    if makers is None or not read:
        return
    dim, keepdim = node.args[1], _written(node, 2, _schema(node)[2])
    keeps = keepdim is True

    def make(editor: Editor) -> None:
        twin = editor.nodes[node.name]

        def made(value: Node) -> Node:
            name, target = makers[value.args[1]]
            dims = [dim] if name.startswith("am") else dim
            return editor.call(twin, target, twin.args[0], dims, keeps)

        editor.with_results(twin, made)

    rest = ", keepdim=True" if keeps else ""
    yield Rewrite(
        key="outputs apart",
        node=node.name,
        say="make each output with an operator of its own",
        call=", ".join(f"torch.{makers[index][0]}(x, {dim}{rest})" for index in read),
        make=make,
    )


def _floor_in_integers(node: Node) -> Iterator[Rewrite]:
    """Yields integers divided as integers, where they are divided as floats and cast back.

    Before:
        torch.floor(ids.double() / 7.0).long()
    After:
        ids // 7
    """
    for last in _reached(node):
        found = _integer_division(last)
        if found is None:
            continue
        dividend, divisor, mode = found
        target, words = {
            "floor": (aten.floor_divide.default, "{} // {}"),
            "trunc": (aten.div.Tensor_mode, 'torch.div({}, {}, rounding_mode="trunc")'),
        }[mode]

        def make(
            editor: Editor,
            last: Node = last,
            dividend: Node = dividend,
            divisor: int = divisor,
            target: Any = target,
            mode: str = mode,
        ) -> None:
            twin = editor.nodes[last.name]
            args = (editor.nodes[dividend.name], divisor)
            if mode == "floor":
                editor.replace(twin, target, args)
                _cast_to(editor, twin, dtype := node_value(last).dtype, dtype_name(dtype))
                return
            made = editor.call(twin, target, *args)
            made.kwargs = {"rounding_mode": "trunc"}
            editor.compute(made)
            editor.replace(twin, aten.to.dtype, (made, node_value(last).dtype))

        yield Rewrite(
            key=f"integers {mode}",
            node=last.name,
            say="divide the integers as integers, which is exact",
            call=words.format(dividend.name, divisor),
            make=make,
            everywhere=True,
        )
        return


def _without_self(node: Node) -> Iterator[Rewrite]:
    """Yields a scatter that leaves the old values out, as two that do not.

    Before:
        x.scatter_reduce(dim, index, src, "sum", include_self=False)
    After:
        x.scatter(dim, index, 0).scatter_reduce(dim, index, src, "sum")
    """
    if node.target is not aten.scatter_reduce.two or len(node.args) != 5:
        return
    base, dim, _, _, reduce = node.args
    neutral = _neutral(str(reduce), _dtype(base))
    if node.kwargs.get("include_self", True) or neutral is None:
        return

    def make(editor: Editor) -> None:
        twin = editor.nodes[node.name]
        (old, dim, index, source, reduce) = twin.args
        cleared = editor.call(twin, aten.scatter.value, old, dim, index, neutral)
        editor.replace(twin, node.target, (cleared, dim, index, source, reduce))

    yield Rewrite(
        key="without self",
        node=node.name,
        say="clear what is written to first, and reduce with it",
        call=f"x.scatter({dim}, index, {_number(neutral)})"
        f'.scatter_reduce({dim}, index, src, "{reduce}")',
        make=make,
    )


def _number(value: float) -> str:
    return repr(value) if math.isfinite(value) else f'float("{value}")'


def _neutral(reduce: str, dtype: torch.dtype | None) -> float | None:
    """Returns the value that a reduction does not see; None if there is none."""
    if reduce in ("sum", "prod"):
        return 0 if reduce == "sum" else 1
    if dtype is None or dtype is torch.bool or reduce not in ("amax", "amin"):
        return None
    if dtype.is_floating_point:
        return -math.inf if reduce == "amax" else math.inf
    limits = torch.iinfo(dtype)
    smallest: int = limits.min
    largest: int = limits.max
    return smallest if reduce == "amax" else largest


def _cast_to(editor: Editor, node: Node, dtype: torch.dtype, name: str) -> None:
    value = node_value(node)
    if value.dtype != dtype:
        raise EditError(f"it is {dtype_name(value.dtype)}, not {name}")


def _reached(node: Node) -> Iterator[Node]:
    """Yields a node and what follows from it over casts, roundings and divisions."""
    waiting, seen = [node], {node}
    while waiting:
        each = waiting.pop(0)
        yield each
        for user in each.users:
            if user not in seen and user.target in (*_CASTS, *_ROUNDINGS, aten.div.Tensor):
                seen.add(user)
                waiting.append(user)


_ROUNDINGS = (aten.floor.default, aten.trunc.default)


def _integer_division(last: Node) -> tuple[Node, int, str] | None:
    """Returns dividend, divisor and rounding if a node is a division written in floats."""
    if last.target not in _CASTS or _dtype(last) not in _INTEGERS:
        return None
    inner = last.args[0]
    mode = "trunc"
    if isinstance(inner, Node) and inner.target in _ROUNDINGS:
        mode = "floor" if inner.target is aten.floor.default else "trunc"
        inner = inner.args[0]
    if not isinstance(inner, Node) or inner.target is not aten.div.Tensor:
        return None
    cast, divisor = inner.args
    if not isinstance(divisor, (int, float)) or divisor != int(divisor) or not divisor:
        return None
    if not isinstance(cast, Node) or cast.target not in _CASTS:
        return None
    dividend = cast.args[0]
    if not isinstance(dividend, Node) or _dtype(dividend) is not _dtype(last):
        return None
    return dividend, int(divisor), mode


def _computed_in(node: Node) -> Iterator[Rewrite]:
    """Yields an operator computed in another dtype, its result cast back."""
    schema = node.target._schema.name.partition("::")[2]
    operands = [each for each in node.all_input_nodes if _dtype(each) is not None]
    if schema in _MASKED and any(_dtype(each) is torch.bool for each in operands):
        return
    if node.target in _CASTS or node.target is ASSERTION or not operands:
        return
    if node.target._schema.is_mutable:
        return
    own = {_dtype(each) for each in operands}
    for dtype in dict.fromkeys(d for each in own for d in _CASTABLE.get(each, ())):
        moved = [each.name for each in operands if dtype in _CASTABLE.get(_dtype(each), ())]
        yield _in_dtype(node, dtype, moved)


def _in_dtype(node: Node, dtype: torch.dtype, moved: list[str]) -> Rewrite:
    def make(editor: Editor) -> None:
        twin = editor.nodes[node.name]
        before = node_value(node)
        for name in moved:
            operand = editor.nodes[name]
            cast = editor.call(twin, aten.to.dtype, operand, dtype)
            twin.replace_input_with(operand, cast)
        editor.compute(twin)
        for user in list(twin.users):
            if user.op == "call_function" and _is_taking(user):
                editor.compute(user)
        originals = before if isinstance(before, (tuple, list)) else (before,)

        def back(value: Node) -> Node:
            place = value.args[1] if _is_taking(value) else 0
            assert isinstance(place, int)
            promised = originals[place]
            if not isinstance(promised, torch.Tensor):
                raise EditError(f"{node.name} computes more than tensors")
            return editor.call(value, aten.to.dtype, value, promised.dtype, after=True)

        after = node_value(twin)
        afters = after if isinstance(after, (tuple, list)) else (after,)
        if [_type(one) for one in afters] != [_type(one) for one in originals]:
            editor.with_results(twin, back)

    name, word = _function(node), dtype_name(dtype)
    return Rewrite(
        key=f"in {word}",
        node=node.name,
        say=f"compute {name} in {word}, and cast the result back",
        call=f"{name}(... .to(torch.{word})).to(torch.{dtype_name(_result_dtype(node))})",
        make=make,
    )


def _is_taking(node: Node) -> bool:
    return getattr(node.target, "__name__", "") == "getitem"


def _type(value: Any) -> Any:
    return value.dtype if isinstance(value, torch.Tensor) else type(value)


def _result_dtype(node: Node) -> torch.dtype:
    value = node_value(node)
    first = value[0] if isinstance(value, (tuple, list)) else value
    return first.dtype if isinstance(first, torch.Tensor) else torch.float32


def _float64_origins(node: Node) -> Iterator[Node]:
    """Yields the nodes that bring float64 into what a node computes: made of no float64."""
    waiting, seen = [node, *node.all_input_nodes], set()
    while waiting:
        each = waiting.pop()
        if each in seen or _dtype(each) is not torch.float64:
            continue
        seen.add(each)
        wide = [o for o in each.all_input_nodes if _dtype(o) is torch.float64]
        if wide:
            waiting += wide
        else:
            yield each


def _without_float64(origin: Node) -> Callable[[Editor, Node], None] | None:
    """Returns how a value is kept from being float64, None if the edit is not known."""
    if origin.op == "placeholder":
        return _parameter_in_float32 if origin.name.startswith(("p_", "b_", "c_")) else None
    if origin.target in _CASTS:
        return _cast_left_out
    if torch.float64 in (*origin.args, *origin.kwargs.values()):
        return _float32_argument
    return None


def _parameter_in_float32(editor: Editor, node: Node) -> None:
    readers = [user for user in node.users if user.op == "call_function"]
    first = next(each for each in editor.graph.nodes if each in readers)
    cast = editor.call(first, aten.to.dtype, node, torch.float32)
    # What the program returns as it is stays as it is.
    node.replace_all_uses_with(
        cast, delete_user_cb=lambda user: user is not cast and user.op != "output"
    )


def _cast_left_out(editor: Editor, node: Node) -> None:
    operand = node.args[0]
    assert isinstance(operand, Node)
    if _dtype(operand) in (torch.float16, torch.bfloat16, torch.float32):
        editor.bypass(node, operand)
        return
    _float32_argument(editor, node)


def _float32_argument(editor: Editor, node: Node) -> None:
    def narrow(value: Any) -> Any:
        return torch.float32 if value is torch.float64 else value

    node.args = tuple(map(narrow, node.args))
    node.kwargs = {key: narrow(value) for key, value in node.kwargs.items()}


def _float32_call(origin: Node) -> str:
    if origin.op == "placeholder":
        return f"keep {_parameter(origin)} in float32"
    if origin.target in _CASTS:
        return "leave the cast to float64 out"
    return f"{_function(origin)}(..., dtype=torch.float32)"


def _float32_line(origin: Node) -> str | None:
    code = _code(origin)
    if origin.target not in _CASTS or not code:
        return None
    operand = origin.args[0]
    if isinstance(operand, Node) and _dtype(operand) in _INTEGERS:
        return None
    return without_call(code, _METHODS[torch.float64])


def _parameter(node: Node) -> str:
    name: str = node.name
    return name.removeprefix("p_").removeprefix("b_").removeprefix("c_")


def _function(node: Node) -> str:
    """Returns what the user's code calls an operator: `sort` for `aten.sort.default`."""
    return str(node.target._schema.name.partition("::")[2])


def _schema(node: Node) -> list[Any]:
    return list(node.target._schema.arguments)


def _written(node: Node, position: int, argument: Any) -> Any:
    if position < len(node.args):
        return node.args[position]
    if argument.name in node.kwargs:
        return node.kwargs[argument.name]
    return argument.default_value if argument.has_default_value() else None


def _write(node: Node, position: int, value: Any) -> None:
    """Writes a positional argument, as export does: with what stands in front of it."""
    schema = _schema(node)
    if schema[position].kwarg_only or schema[position].name in node.kwargs:
        node.kwargs = {**node.kwargs, schema[position].name: value}
        return
    args = list(node.args)
    while len(args) < position:
        args.append(schema[len(args)].default_value)
    node.args = (*args[:position], value, *args[position + 1 :])


def _rank(node: Node) -> int | None:
    operand = node.args[0] if node.args else None
    value = node_value(operand) if isinstance(operand, Node) else None
    return value.dim() if isinstance(value, torch.Tensor) else None


def _dtype(node: Any) -> torch.dtype | None:
    value = node_value(node) if isinstance(node, Node) else None
    return value.dtype if isinstance(value, torch.Tensor) else None


def _code(node: Node) -> str | None:
    source = source_of(node)
    return str(source.code) if source is not None and source.code is not None else None
