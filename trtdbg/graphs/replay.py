"""Runs the steps of a flat program one by one in PyTorch on the CPU, and forgets as it goes.

This is ground for the stages that run a program, not a stage.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch.fx import Node
from torch.utils._pytree import tree_flatten, tree_map_only

from trtdbg.graphs.flat import Flat, FlatStep
from trtdbg.graphs.graph import fetch_attr, first_line, target_name, torch_dtype
from trtdbg.graphs.raised import why_not_run
from trtdbg.records import Dtype

UNSET_MEMORY = ("empty", "new_empty")
"""How operators start whose result nobody has written."""

Value = TypeVar("Value")


@dataclass(frozen=True)
class ProgramInputs:
    """What a program is run on."""

    values: tuple[Any, ...]
    """One value a user input, in order; a complex one as callers pass it."""
    origin: str
    """`example inputs`, `random inputs, seed 0`, or the path of a file."""
    seed: int


@dataclass(frozen=True)
class Missing:
    """Stands for a value that could not be computed."""

    reason: str


class Replay:
    """The steps of a program with their values, each dropped after its last read.

    The program is not changed: where one of its nodes writes into something, that is a copy.
    """

    def __init__(
        self, flat: Flat, inputs: tuple[Any, ...], also_read: Counter[Node], seed: int
    ) -> None:
        """Prepares a run.

        Args:
            flat: the program.
            inputs: one value a placeholder, in order.
            also_read: reads of values from outside, each of which `done` has to follow.
            seed: of random operators.
        """
        self.flat = flat
        self.values: dict[Node, Any] = {}
        self.place = {step.node: i for i, step in enumerate(flat.steps)}
        self._left = flat.reads() + also_read
        self._seed = seed
        self._writes = any(_is_mutable(step) for step in flat.steps)
        entering = [s.node for s in flat.steps if s.node.op == "placeholder" and not s.entry]
        self._inputs = dict(zip(entering, inputs, strict=True))

    def step(self, node: Node) -> FlatStep:
        """Returns the step that makes a value."""
        return self.flat.steps[self.place[node]]

    def operands(self, step: FlatStep) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Returns the arguments of a step with devices on the CPU, and counts the reads."""
        args = _filled(step.args, self.values)
        kwargs = _filled(step.kwargs, self.values)
        for node in step.operands():
            self.done(node)
        return args, kwargs

    def keep(self, node: Node, value: Any) -> None:
        """Holds a value until its last read."""
        if self._left[node] > 0:
            self.values[node] = value

    def done(self, node: Node) -> None:
        """Counts a read of a value and drops it after the last."""
        self._left[node] -= 1
        if self._left[node] <= 0:
            self.values.pop(node, None)

    def compute(self, step: FlatStep, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Returns the value of a step, or as `Missing` why PyTorch has none on this CPU.

        Raises:
            MemoryError: there is no room for it.
        """
        absent = next(
            (leaf for leaf in tree_flatten((args, kwargs))[0] if isinstance(leaf, Missing)),
            None,
        )
        if absent is not None:
            return absent
        node = step.node
        if node.op == "placeholder":
            return self._own(self._inputs[node])
        if node.op == "get_attr":
            return self._own(fetch_attr(step.owner, str(node.target)))
        if not is_drawn(step):
            return _call(step, args, kwargs)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self._seed + self.place[node])
            return _call(step, args, kwargs)

    def _own(self, value: Any) -> Any:
        if not isinstance(value, torch.Tensor):
            return value
        value = value.detach().to("cpu")
        return value.clone() if self._writes else value


def is_drawn(step: FlatStep) -> bool:
    """Returns whether an operator's values depend on chance or on uninitialized memory."""
    target = step.node.target
    if not isinstance(target, torch._ops.OpOverload):
        return False
    schema = target._schema
    if torch.Tag.nondeterministic_seeded not in target.tags:
        name: str = schema.name.partition("::")[2]
        return name.startswith(UNSET_MEMORY)
    places = [argument.name for argument in schema.arguments]
    if "dropout_p" in places:
        # Attention is tagged because it can drop values, and in inference drops none.
        place = places.index("dropout_p")
        positional = step.args[place] if place < len(step.args) else 0.0
        return bool(step.kwargs.get("dropout_p", positional))
    return True


def cast(value: Any, dtype: Dtype) -> Any:
    """Returns a value in the dtype given; None, and what is no tensor, stays as it is."""
    if isinstance(value, torch.Tensor) and isinstance(dtype, str):
        return value.to(torch_dtype(dtype))
    if isinstance(value, (tuple, list)) and isinstance(dtype, tuple):
        return tuple(cast(item, each) for item, each in zip(value, dtype, strict=True))
    return value


def _filled(arguments: Value, values: dict[Node, Any]) -> Value:
    def fill(leaf: Any) -> Any:
        return values[leaf] if isinstance(leaf, Node) else torch.device("cpu")

    filled: Value = tree_map_only((Node, torch.device), fill, arguments)
    return filled


def _call(step: FlatStep, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    target: Any = step.node.target
    try:
        match step.node.op:
            case "call_method":
                return getattr(args[0], target)(*args[1:], **kwargs)
            case "call_module":
                return step.owner.get_submodule(target)(*args, **kwargs)
            case _:
                function: Callable[..., Any] = target
                return function(*args, **kwargs)
    except MemoryError:
        raise
    except Exception as error:
        if "DefaultCPUAllocator" in str(error):  # torch 2.13 raises a plain RuntimeError.
            raise MemoryError(first_line(error)) from error
        # Kernels raise whatever they like; the sentence goes into the record.
        return Missing(f"{step.node.name} ({target_name(step.node)}): {why_not_run(error)}")


def _is_mutable(step: FlatStep) -> bool:
    schema = getattr(step.node.target, "_schema", None)
    return schema is not None and schema.is_mutable is True
