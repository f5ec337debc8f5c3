"""Runs the original and the truncated program on the same inputs and compares node by node."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
import torch
from torch.fx import GraphModule, Node
from torch.utils._pytree import tree_leaves, tree_map_only

from trtdbg.dtypes import NARROWED, is_wide
from trtdbg.graphs.compared import Compared, both_real, only_read
from trtdbg.graphs.deviations import Tolerance
from trtdbg.graphs.finiteness import Finiteness, count
from trtdbg.graphs.flat import FlatStep, flatten
from trtdbg.graphs.graph import (
    Emit,
    Typing,
    dtype_name,
    origin_name,
    target_name,
    torch_dtype,
    value_dtype,
)
from trtdbg.graphs.low_arithmetic import LowArithmetic
from trtdbg.graphs.magnitudes import magnitudes
from trtdbg.graphs.replay import Missing, ProgramInputs, Replay, cast, is_drawn
from trtdbg.records import Agreement, Dtype, NodeError, NotFinite, Numerics, ValueRange

CASTS = (torch.ops.aten._to_copy.default, torch.ops.aten.to.dtype)


@dataclass(frozen=True)
class Truncated:
    """A partitioned and repaired program, and how its engines compute."""

    module: GraphModule
    nodes: tuple[str, ...]
    """Nodes of the graph that was partitioned, in order: what a row is given to."""
    same_node: Mapping[str, str]
    """Those nodes to the ones of the original lowered graph that make the same value."""
    engine_typing: Typing | None = None
    """Dtypes inside engines where the graph itself still says the wide ones (`upstream`)."""
    coerced: frozenset[str] = frozenset()
    """Nodes whose converter makes a fractional Python number an integer."""
    other_kinds: Mapping[str, str] = field(default_factory=dict)
    """Nodes that TensorRT computes as integers although they are floats, or the reverse, with
    the real dtype."""
    low: frozenset[str] = frozenset()
    """Nodes of engines that compute in the low type of `arithmetic`."""
    arithmetic: LowArithmetic | None = None
    """How they do; None without a low precision."""


def measure_programs(
    original: GraphModule,
    truncated: Truncated,
    given: ProgramInputs,
    output_names: Iterable[str],
    *,
    tolerance: Tolerance,
    emit: Emit,
) -> Numerics:
    """Runs both programs in lockstep in PyTorch on the CPU; neither is changed.

    1. The truncated program is run step by step, engines through their own nodes. With each
       step the original's node is run, both values are compared, and what is not read again
       is dropped.
    2. A float64 that the policy keeps inside an engine is float32 there all the same, because
       TensorRT has no other.
    3. An operator that PyTorch refuses in the narrow dtypes is run on its operands' original
       dtypes, its result narrowed, and noted.
    4. A random operator is drawn once; the truncated program gets that draw, narrowed. So it
       is with memory that nobody has written (`empty`).
    5. Where the original itself makes nan or inf of finite values, what depends on them is
       not said to agree. An infinite input, constant or number is meant, and a selection that
       leaves the values out makes good.
    6. What nobody reads of an operator with several outputs is not compared.
    7. What cannot run on a CPU at all leaves its node and all that follow from it uncompared.
    8. What computes in a low type has its operands rounded to it, is computed in float32, and
       its result rounded; see `LowArithmetic`.

    Raises:
        MemoryError: two values and what is still to be read do not fit.
    """
    start = time.perf_counter()
    run = _Lockstep(original, truncated, given, tolerance)
    with torch.no_grad():
        run.run(emit)
    nodes = tuple(run.row(name) for name in truncated.nodes)
    output_names = tuple(output_names)
    first = next((row.name for row in nodes if row.agreement is Agreement.BEYOND), None)
    return Numerics(
        inputs=given.origin,
        seed=given.seed,
        atol=tolerance.atol,
        rtol=tolerance.rtol,
        outputs=run.output_rows(output_names),
        nodes=nodes,
        first_beyond=first,
        not_finite=run.not_finite(output_names),
        first_inf=run.first_inf,
        first_nan=run.first_nan,
        accumulate=_accumulation(truncated.arithmetic),
        seconds=time.perf_counter() - start,
    )


def _accumulation(arithmetic: LowArithmetic | None) -> str | None:
    if arithmetic is None:
        return None
    return "low" if arithmetic.accumulates_low else "float32"


def same_nodes(original: GraphModule, other: GraphModule) -> dict[str, str]:
    """Returns the nodes of a graph lowered otherwise that make the value of an original node.

    Nodes of the same operator from the same exported node correspond in order, where both
    graphs have equally many of them; else those of the same name do.
    """
    before, after = _by_origin(original), _by_origin(other)
    found: dict[str, str] = {}
    for key, names in after.items():
        candidates = before.get(key, [])
        if len(candidates) == len(names):
            found.update(zip(names, candidates, strict=True))
        else:
            found.update({name: name for name in names if name in candidates})
    return found


def _by_origin(module: GraphModule) -> dict[tuple[str, str, str | None], list[str]]:
    groups: dict[tuple[str, str, str | None], list[str]] = defaultdict(list)
    for node in module.graph.nodes:
        # A constant's target is its name; what it descends from says no more.
        origin = None if node.op == "get_attr" else origin_name(node) or node.name
        groups[node.op, target_name(node), origin].append(node.name)
    return groups


class _Lockstep:
    def __init__(
        self,
        original: GraphModule,
        truncated: Truncated,
        given: ProgramInputs,
        tolerance: Tolerance,
    ) -> None:
        self.truncated = truncated
        self.tolerance = tolerance
        typing = truncated.engine_typing
        program = flatten(truncated.module, entries=typing is not None)
        reference = flatten(original)
        self.edited: dict[str, Node] = {}
        if typing is not None:
            self.edited = {
                n.name: n for n in typing.module.graph.nodes if n.name in typing.edits
            }
        by_name = {step.node.name: step.node for step in reference.steps}
        self.mark_of = _marks(program.steps)
        self.stands_for = {
            node: by_name[name]
            for node, mark in self.mark_of.items()
            if (name := truncated.same_node.get(mark)) in by_name
        }
        self.compared = {s.node for s in program.steps if self._is_compared(s)}
        reads = Counter(self.stands_for[node] for node in self.compared)
        self.theirs = Replay(reference, given.values, reads, given.seed)
        self.mine = Replay(program, given.values, Counter(), given.seed)
        self.ran: set[Node] = set()
        self.found: dict[str, Compared] = defaultdict(Compared)
        self.outputs: list[Compared] = []
        self.finiteness = Finiteness()
        self.first_inf: str | None = None
        self.first_nan: str | None = None
        self.ranges: dict[str, ValueRange] = {}

    def _is_compared(self, step: FlatStep) -> bool:
        """A cast back to the wide dtype says nothing that its operand does not."""
        if step.node not in self.stands_for:
            return False
        dtype = step.node.kwargs.get("dtype")
        inserted = step.mark is None and isinstance(dtype, torch.dtype)
        return not (inserted and is_wide(dtype_name(dtype)))

    def run(self, emit: Emit) -> None:
        steps = self.mine.flat.steps
        for index, step in enumerate(steps):
            if index % 16 == 0:
                emit("numerics", step.node.name, index, len(steps))
            self._step(step)
        for mine, theirs in zip(self.mine.flat.outputs, self.theirs.flat.outputs, strict=True):
            self.outputs.append(self._compare_output(mine, theirs))

    def _step(self, step: FlatStep) -> None:
        original = self.stands_for[step.node] if step.node in self.compared else None
        if original is not None:
            self._run_original(original)
        value = self._run_truncated(step, original)
        if original is not None:
            found = self.found[self.mark_of[step.node]]
            theirs = only_read(original, self.theirs.values[original])
            found.compare(theirs, only_read(original, value), self.tolerance)
            found.after = self._made(original)
            self._see_range(self.mark_of[step.node], theirs)
            self.theirs.done(original)
        self.mine.keep(step.node, value)

    def _see_range(self, name: str, theirs: Any) -> None:
        """Notes how the low type would hold an original value."""
        arithmetic = self.truncated.arithmetic
        if arithmetic is None or name in self.ranges:
            return
        seen = magnitudes(theirs, arithmetic.dtype)
        if seen is not None:
            self.ranges[name] = seen

    def _compare_output(self, mine: Any, theirs: Any) -> Compared:
        found = Compared()
        if isinstance(theirs, Node):
            self._run_original(theirs)
        original = self.theirs.values[theirs] if isinstance(theirs, Node) else theirs
        computed = self.mine.values[mine] if isinstance(mine, Node) else mine
        found.compare(original, computed, self.tolerance)
        if isinstance(theirs, Node):
            found.after = self._made(theirs)
            self.theirs.done(theirs)
        if isinstance(mine, Node):
            self.mine.done(mine)
        return found

    def _run_original(self, wanted: Node) -> None:
        """Runs an original node, after those before it that have not been run."""
        waiting, missing = [wanted], set[Node]()
        while waiting:
            node = waiting.pop()
            if node not in self.ran and node not in missing:
                missing.add(node)
                waiting += self.theirs.step(node).operands()
        for node in sorted(missing, key=self.theirs.place.__getitem__):
            step = self.theirs.step(node)
            value = self.theirs.compute(step, *self.theirs.operands(step))
            self.finiteness.see(step, value)
            self.theirs.keep(node, _as_recorded(value, node))
        self.ran |= missing

    def _made(self, node: Node) -> str | None:
        """Returns the first node that made nan or inf, on which an original value depends."""
        after = self.finiteness.after.get(node)
        return min(after, key=self.theirs.place.__getitem__).name if after else None

    def not_finite(self, names: Iterable[str]) -> NotFinite | None:
        """Returns where the original went wrong: before an output if it can be, else first."""
        reached = {
            name: self.finiteness.after.get(node, frozenset())
            for name, node in zip(names, self.theirs.flat.outputs, strict=True)
            if isinstance(node, Node)
        }
        seen = self.finiteness
        made = {node for node, after in seen.after.items() if node in after}
        harmful = made & frozenset[Node]().union(*reached.values())
        if not made:
            return None
        node = min(harmful or made, key=self.theirs.place.__getitem__)
        counts = seen.counts[node]
        return NotFinite(
            node=node.name,
            nan=counts.nan,
            inf=counts.infinite,
            elements=counts.elements,
            outputs=tuple(name for name, after in reached.items() if node in after),
        )

    def _run_truncated(self, step: FlatStep, original: Node | None) -> Any:
        args, kwargs = self.mine.operands(step)
        dtype = self._engine_dtype(step)
        if step.entry:
            return cast(args[0], dtype)
        if original is not None and is_drawn(step):
            self._note(step, "random or unset: both programs are given the same values")
            return cast(self.theirs.values[original], dtype or _recorded_dtype(step))
        args, kwargs = self._as_engine(step, args, kwargs)
        value = self._computed(step, args, kwargs)
        self._note_not_finite(step, original, value)
        if isinstance(value, Missing):
            value = self._run_widened(step, args, kwargs, value)
            return cast(value, dtype or _recorded_dtype(step))
        if step.mark in self.truncated.coerced:
            self._note(step, "run as its converter does it, with the number cast to integer")
            return cast(value, dtype or _recorded_dtype(step))
        real = self.truncated.other_kinds.get(step.mark or "")
        if step.engine is not None and real is not None:
            self._note(step, f"run as TensorRT does it, as {real}")
            return cast(value, real)
        if step.engine is not None:
            value = tree_map_only(torch.Tensor, _without_float64, value)
        return cast(value, dtype)

    def _computed(self, step: FlatStep, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        arithmetic = self.truncated.arithmetic
        low = step.mark in self.truncated.low and step.node.op == "call_function"
        absent = any(isinstance(leaf, Missing) for leaf in tree_leaves((args, kwargs)))
        if arithmetic is None or not low or absent:
            return self.mine.compute(step, args, kwargs)

        def compute(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            return self.mine.compute(step, args, kwargs)

        return arithmetic.value(step.node, args, kwargs, compute)

    def _note_not_finite(self, step: FlatStep, original: Node | None, value: Any) -> None:
        """Notes the first inf and the first nan that the original does not have there."""
        if self.truncated.arithmetic is None or original is None:
            return
        mine, theirs = count(value), count(self.theirs.values[original])
        if mine.infinite > theirs.infinite and self.first_inf is None:
            self.first_inf = self.mark_of[step.node]
        if mine.nan > theirs.nan and self.first_nan is None:
            self.first_nan = self.mark_of[step.node]

    def _engine_dtype(self, step: FlatStep) -> Dtype:
        """Returns the dtype that an engine gives a value although the graph says another."""
        typing = self.truncated.engine_typing
        if typing is None or step.engine is None or step.node not in self.mark_of:
            return None
        return typing.dtypes.get(self.mark_of[step.node])

    def _as_engine(
        self, step: FlatStep, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Returns the arguments with the dtypes and numbers that the engine computes with."""
        if step.engine is None or step.mark is None:
            return args, kwargs
        if step.mark in self.edited:
            edited = self.edited[step.mark]
            pairs = zip(args, edited.args, strict=True)
            args = tuple(new if _is_edit(new) else old for old, new in pairs)
            kwargs = {**kwargs, **{k: v for k, v in edited.kwargs.items() if _is_edit(v)}}
        if step.mark in self.truncated.coerced:
            args, kwargs = tree_map_only(float, int, (args, kwargs))
        return args, kwargs

    def _run_widened(
        self, step: FlatStep, args: tuple[Any, ...], kwargs: dict[str, Any], refusal: Missing
    ) -> Any:
        """Runs an operator on its operands' original dtypes, only integers if that does."""
        wide = self._wide_dtypes(step)
        for names in ({n for n in wide if n == "int32"}, set(wide)):
            if not names:
                continue
            arguments = tree_map_only(
                torch.Tensor, lambda t, names=names: _widened(t, wide, names), (args, kwargs)
            )
            value = self.mine.compute(step, *arguments)
            if not isinstance(value, Missing):
                self._note(step, f"run on {' and '.join(sorted(wide[n] for n in names))}")
                self._note(step, f"PyTorch refuses otherwise: {refusal.reason}")
                return value
        return refusal

    def _note(self, step: FlatStep, note: str) -> None:
        if step.node in self.mark_of:
            self.found[self.mark_of[step.node]].notes.append(note)

    def _wide_dtypes(self, step: FlatStep) -> dict[str, str]:
        """Returns the narrow dtypes of operands that are wide in the original program."""
        found: dict[str, str] = {}
        for operand in step.operands():
            original = self.stands_for.get(operand)
            names = value_dtype(original.meta.get("val")) if original is not None else None
            for name in (names,) if isinstance(names, str) else names or ():
                if name in NARROWED:
                    found[NARROWED[name]] = name
        return found

    def row(self, name: str) -> NodeError:
        if name in self.found:
            row = self.found[name].row(name)
            return msgspec.structs.replace(row, range=self.ranges.get(name))
        known = name in self.truncated.same_node
        why = "no output needs it" if known else "the original program has no such node"
        return NodeError(name=name, agreement=Agreement.NOT_COMPARED, note=why)

    def output_rows(self, names: Iterable[str]) -> tuple[NodeError, ...]:
        return tuple(found.row(name) for name, found in zip(names, self.outputs, strict=True))


def _marks(steps: Iterable[FlatStep]) -> dict[Node, str]:
    """Returns the lowered node that each step makes; an inserted cast makes its operand."""
    marks: dict[Node, str] = {}
    for step in steps:
        source = step.args[0] if step.args else None
        if step.entry or (step.mark is None and step.node.target in CASTS):
            if source in marks:
                marks[step.node] = marks[source]
        elif step.mark is not None:
            marks[step.node] = step.mark
    return marks


def _as_recorded(value: Any, node: Node) -> Any:
    """Returns an input as lowering left it: a complex one can have become a real pair."""
    return both_real(value, node.meta.get("val"))[0] if node.op == "placeholder" else value


def _recorded_dtype(step: FlatStep) -> Dtype:
    return value_dtype(step.node.meta.get("val"))


def _without_float64(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.to(torch.float32) if tensor.dtype == torch.float64 else tensor


def _is_edit(argument: Any) -> bool:
    return isinstance(argument, (torch.dtype, float))


def _widened(tensor: torch.Tensor, wide: Mapping[str, str], names: set[str]) -> torch.Tensor:
    name = dtype_name(tensor.dtype)
    return tensor.to(torch_dtype(wide[name])) if name in names else tensor
