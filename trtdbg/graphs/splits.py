"""The few words about split graphs that the stages behind the partitioner share."""

from __future__ import annotations

import operator
from dataclasses import dataclass
from typing import Any

import torch
from torch._guards import detect_fake_mode
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.fx import GraphModule, Node

from trtdbg.dtypes import NARROWED, SIZE_BYTES
from trtdbg.graphs.graph import (
    ENGINE_PREFIX,
    NODE_MARK,
    dtype_name,
    engine_nodes,
    fetch_attr,
    output_node,
    output_values,
    refresh_metadata,
    target_name,
    value_name,
)
from trtdbg.records import BoundaryCast, Direction, LowCastTotals

CAST = torch.ops.aten._to_copy.default
"""The operator that torch_tensorrt's own repair casts with, and so does this."""


@dataclass(frozen=True)
class Program:
    """A split graph with its boundary casts, ready for TensorRT and PyTorch."""

    module: GraphModule
    casts: tuple[BoundaryCast, ...] = ()


def is_engine(node: Node) -> bool:
    """Returns whether a node of a split graph calls an engine."""
    return node.op == "call_module" and str(node.target).startswith(ENGINE_PREFIX)


def made_by_engine(node: Node) -> bool:
    """Returns whether a node of a split graph is an engine's output."""
    if node.target is operator.getitem and isinstance(node.args[0], Node):
        return is_engine(node.args[0])
    return is_engine(node)


def engine_dtype(value: Any) -> torch.dtype | None:
    """Returns the dtype of a value's binding where it crosses an engine's border.

    TensorRT has no float64: what a policy keeps in float64 is bound as float32 all the same.
    None for a number.
    """
    if not isinstance(value, torch.Tensor):
        return None
    return torch.float32 if value.dtype == torch.float64 else value.dtype


def differ(given: Any, wanted: Any) -> bool:
    """Returns whether two values are tensors of different dtypes."""
    if isinstance(given, torch.Tensor) and isinstance(wanted, torch.Tensor):
        return bool(given.dtype != wanted.dtype)
    return False


def placeholders(module: GraphModule) -> list[Node]:
    """Returns the placeholders of a graph, in order."""
    return [node for node in module.graph.nodes if node.op == "placeholder"]


def value_of(item: Any) -> Any:
    """Returns the recorded value of a node, and anything that is no node as it stands."""
    return item.meta.get("val") if isinstance(item, Node) else item


def describe_calls(module: GraphModule) -> None:
    """Writes the values that the partitioners leave out of a split graph's metadata, in place.

    Those of submodule calls, from the submodule's own outputs, and of what is taken from them;
    those of constants that the program returns as they are.
    """
    for node in module.graph.nodes:
        if node.op == "call_module":
            submodule = getattr(module, str(node.target))
            if not isinstance(submodule, GraphModule):
                continue
            values = [value_of(value) for value in output_values(submodule.graph)]
            returned = output_node(submodule.graph).args[0]
            node.meta["val"] = (
                tuple(values) if isinstance(returned, (tuple, list)) else values[0]
            )
        elif node.op == "get_attr" and "val" not in node.meta:
            constant = fetch_attr(module, str(node.target))
            if isinstance(constant, torch.Tensor):
                mode = fake_mode_of(module)
                refresh_metadata(node, mode.from_tensor(constant, static_shapes=True))
        elif node.op == "call_function" and node.target is operator.getitem:
            source, index = node.args[0], node.args[1]
            if isinstance(source, Node) and source.op == "call_module":
                value = source.meta.get("val")
                if isinstance(value, tuple) and isinstance(index, int):
                    refresh_metadata(node, value[index])


def engine_values(split: GraphModule) -> list[tuple[Node, Node | None]]:
    """Returns each value that leaves an engine with the node inside that makes it."""
    found: list[tuple[Node, Node | None]] = []
    for call, engine in engine_nodes(split):
        made = output_values(engine.graph)
        returned = output_node(engine.graph).args[0]
        if not isinstance(returned, (tuple, list)):
            found.append((call, made[0] if isinstance(made[0], Node) else None))
            continue
        for user in call.users:
            if user.target is operator.getitem and isinstance(user.args[1], int):
                source = made[user.args[1]]
                found.append((user, source if isinstance(source, Node) else None))
    return found


class CastLedger:
    """Inserts casts into a split graph and keeps the ledger of them."""

    def __init__(self, split: GraphModule) -> None:
        self.split = split
        self.index = {str(call.target): i for i, (call, _) in enumerate(engine_nodes(split))}
        self.sources = dict(engine_values(split))
        self.inserted: dict[tuple[Node, torch.dtype], Node] = {}
        self.ledger: dict[tuple[Node, torch.dtype], BoundaryCast] = {}

    def insert(
        self, value: Node, dtype: torch.dtype, direction: Direction, readers: list[Node]
    ) -> None:
        """Lets some readers of a value read it in another dtype, by one cast for all."""
        if not readers:
            return
        cast = self.cast(value, dtype, direction, readers)
        for reader in readers:
            reader.replace_input_with(value, cast)

    def cast(
        self, value: Node, dtype: torch.dtype, direction: Direction, readers: list[Node]
    ) -> Node:
        """Returns the one node that holds a value in another dtype, for some readers.

        Where the value itself is the result of a cast that widened that very dtype, this is
        what stood before it, and nothing is cast.
        """
        narrow = _before_widening(value, dtype)
        if narrow is not None:
            return narrow
        key = (value, dtype)
        cast = self.inserted.get(key)
        fake = value.meta["val"]
        if cast is None:
            with self.split.graph.inserting_after(self._place(value)):
                cast = self.split.graph.call_function(CAST, (value,), {"dtype": dtype})
            refresh_metadata(cast, fake.to(dtype))
            self.inserted[key] = cast
        earlier = self.ledger.get(key)
        asked_by = (*(earlier.asked_by if earlier else ()), *map(self._reader_name, readers))
        # Who asks later does not change where the value was cast first.
        first = earlier.direction if earlier is not None else direction
        self.ledger[key] = self._record(
            value, fake.dtype, dtype, first, tuple(dict.fromkeys(asked_by))
        )
        return cast

    def note_foreign(self, cast: Node) -> None:
        """Enters a cast that torch_tensorrt's repair inserted.

        A cast of a cast is entered as a cast of the value behind both.
        """
        value = cast.args[0]
        dtype = cast.kwargs["dtype"]
        while isinstance(value, Node) and value.target is CAST and NODE_MARK not in value.meta:
            value = value.args[0]
        if not isinstance(value, Node) or not isinstance(dtype, torch.dtype):
            return
        fake = value.meta.get("val")
        into = any(is_engine(user) for user in cast.users)
        direction = Direction.INTO_ENGINE if into else Direction.OUT_OF_ENGINE
        given = fake.dtype if isinstance(fake, torch.Tensor) else torch.float64
        if not into:
            # The graph still declares the wide dtype; what the engine returns is narrow.
            given = torch.float32
        readers = list(cast.users)
        asked_by = tuple(dict.fromkeys(map(self._reader_name, readers)))
        # torch_tensorrt casts the same value anew for each engine: every cast counts.
        self.ledger[(cast, dtype)] = self._record(value, given, dtype, direction, asked_by)

    def note_low(self, cast: Node) -> None:
        """Enters a cast that a low precision inserted and a partitioner left to PyTorch."""
        value, dtype = cast.args[0], cast.kwargs["dtype"]
        if not isinstance(value, Node) or not isinstance(dtype, torch.dtype):
            return
        into = any(is_engine(user) for user in cast.users)
        direction = Direction.INTO_ENGINE if into else Direction.OUT_OF_ENGINE
        asked_by = tuple(dict.fromkeys(map(self._reader_name, cast.users)))
        given = value.meta["val"].dtype
        self.ledger[(cast, dtype)] = self._record(value, given, dtype, direction, asked_by)

    def _record(
        self,
        value: Node,
        given: torch.dtype,
        dtype: torch.dtype,
        direction: Direction,
        asked_by: tuple[str, ...],
    ) -> BoundaryCast:
        return BoundaryCast(
            value=self._value_name(value),
            from_dtype=dtype_name(given),
            to_dtype=dtype_name(dtype),
            direction=direction,
            engine=self._engine(value, asked_by, direction),
            bytes=value_bytes(value.meta.get("val"), dtype),
            asked_by=asked_by,
        )

    def finish(self) -> Program:
        """Cleans up the graph and returns it with the ledger."""
        self.split.graph.eliminate_dead_code()
        self.split.graph.lint()
        self.split.recompile()
        return Program(self.split, tuple(self.ledger.values()))

    def _place(self, value: Node) -> Node:
        if value.op != "placeholder":
            return value
        return placeholders(self.split)[-1]

    def _value_name(self, value: Node) -> str:
        source = self.sources.get(value)
        node = source if source is not None else value
        return value_name(node)

    def _reader_name(self, reader: Node) -> str:
        if reader.op == "output":
            return "program output"
        if reader.op == "call_module":
            return str(reader.target)
        return f"{reader.name} ({target_name(reader)})"

    def _engine(
        self, value: Node, asked_by: tuple[str, ...], direction: Direction
    ) -> int | None:
        if direction is Direction.INTO_ENGINE:
            return next((self.index[name] for name in asked_by if name in self.index), None)
        if direction is Direction.OUT_OF_ENGINE:
            call = value.args[0] if value.target is operator.getitem else value
            return self.index.get(str(call.target)) if isinstance(call, Node) else None
        return None


def _before_widening(value: Node, dtype: torch.dtype) -> Node | None:
    """Returns the operand of a cast that widened `dtype`; None for any other node."""
    if value.target is not CAST or not isinstance(value.args[0], Node):
        return None
    before, after = value.args[0].meta.get("val"), value.meta.get("val")
    if not isinstance(before, torch.Tensor) or not isinstance(after, torch.Tensor):
        return None
    widened = NARROWED.get(dtype_name(after.dtype)) == dtype_name(before.dtype)
    return value.args[0] if widened and before.dtype == dtype else None


def value_bytes(value: Any, dtype: torch.dtype) -> int | None:
    """Returns the size of a value in a dtype; None if it is not a tensor or has no example."""
    if not isinstance(value, torch.Tensor):
        return None
    count = 1
    for size in value.shape:
        hint = size if isinstance(size, int) else size.node.hint
        if hint is None:
            return None
        count *= int(hint)
    return count * SIZE_BYTES[dtype_name(dtype)]


def low_cast_totals(split: GraphModule, low: torch.dtype) -> LowCastTotals:
    """Returns the casts between float32 and a low type that stand inside engines."""
    sizes = [
        value_bytes(node.meta.get("val"), node.meta["val"].dtype)
        for _, engine in engine_nodes(split)
        for node in engine.graph.nodes
        if node.target is CAST and _dtypes_of_cast(node) == {torch.float32, low}
    ]
    return LowCastTotals(
        count=len(sizes),
        bytes=sum(size for size in sizes if size is not None),
        unknown=sizes.count(None),
    )


def _dtypes_of_cast(cast: Node) -> set[torch.dtype]:
    values = [each.meta.get("val") for each in (cast, *cast.all_input_nodes)]
    return {value.dtype for value in values if isinstance(value, torch.Tensor)}


def fake_mode_of(module: GraphModule) -> FakeTensorMode:
    """Returns the mode of the fake tensors in a graph's metadata."""
    values = [node.meta.get("val") for node in module.graph.nodes]
    mode = detect_fake_mode([value for value in values if isinstance(value, FakeTensor)])
    return mode or FakeTensorMode(allow_non_fake_inputs=True)
