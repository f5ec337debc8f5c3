"""Finds the smallest change of a refused node that makes its validators accept it."""

from __future__ import annotations

import copy
import itertools
import logging
import operator
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import torch
from torch.fx import GraphModule, Node

from trtdbg.dtypes import family
from trtdbg.graphs import variants
from trtdbg.graphs.graph import (
    captured_log,
    copy_graph_module,
    dtype_name,
    source_of,
    target_name,
    value_dtype,
    value_shape,
)
from trtdbg.graphs.splits import fake_mode_of
from trtdbg.graphs.variants import ABSENT, VariantMove, Workbench
from trtdbg.records import (
    Change,
    ChangePlace,
    Counterfactual,
    RefusalKind,
    TypingKind,
    Verdict,
    dtype_text,
    shape_text,
)

_MOST_PAIRED = 4
"""Slots of a node among which pairs are tried; the first ones."""

_MOST_SIZED = 3
"""Operands of a node whose sizes are varied; the first ones."""


_SIZED = (ChangePlace.SHAPE, ChangePlace.METADATA)
"""Moves that hold the sizes of the node that they were found for."""


@dataclass(frozen=True)
class Refusal:
    """What is known about a refused node before any search."""

    verdict: Verdict
    reason: str | None = None
    gates: tuple[str, ...] = ()
    """Names of the partitioner's gates that hold, with `gate:` in front."""
    has_converter: bool = True
    """If not, `reason` says so and names the overloads that have one."""
    has_other_overloads: bool = False


@dataclass(frozen=True)
class Oracle:
    """Answers whether a node is accepted; the validators behind it are the real ones."""

    ask: Callable[[Node, Any], tuple[Verdict, str | None]]
    """The partitioner's answer under given compilation settings, and what it raised."""
    is_promising: Callable[[Node, Any], bool]
    """A quick guess at that answer, which `ask` then confirms."""
    options: Any
    """torch_tensorrt's CompilationSettings in force."""


@dataclass(frozen=True)
class _Setting:
    """A compilation setting that keeps nodes in PyTorch."""

    name: str
    flag: str
    lifted: Any


_SETTINGS = {
    "gate:torch_executed_ops": _Setting("torch_executed_ops", "--torch-executed-ops", set()),
    "gate:data_dependent": _Setting(
        "fallback_data_dependent_ops", "the setting fallback_data_dependent_ops", False
    ),
}


def explain_refusals(
    module: GraphModule,
    refusals: Mapping[str, Refusal],
    oracle: Oracle,
    kind: TypingKind,
    values: Mapping[str, Any] | None = None,
) -> dict[str, Counterfactual]:
    """Returns why each refused node of a graph is refused, by node name.

    A change counts only if the partitioner's own answer on the changed node is an accept and
    PyTorch can compute the changed node. In this order, the first that turns it:

    1. metadata written anew;
    2. one dtype: of the `dtype` argument, of a tensor that is read, of a number; narrow twin
       first;
    3. two of these at a time, then all tensors that are read in one dtype;
    4. static sizes in place of symbolic ones;
    5. one option at its default;
    6. one size made smaller, as little as will do.

    Where none does, the node is asked about with nothing but the first of its outputs read.
    Where the validator raises, writing out defaulted arguments is tried before all of these.
    Works on a copy of the module. Nodes that look alike are searched once and then checked.

    Args:
        module: the graph under one typing.
        refusals: the nodes to explain.
        oracle: asks the validators.
        kind: the typing, for the record.
        values: inferred values by node name, where `module` has not been refreshed.
    """
    if not refusals:
        return {}
    search = _Search(copy_graph_module(module), oracle, kind, dict(values or {}))
    with (
        captured_log("torch_tensorrt.dynamo", logging.CRITICAL),
        captured_log("torch._subclasses.fake_tensor", logging.CRITICAL),
    ):
        return {name: search.explain(name, refusal) for name, refusal in refusals.items()}


class _Search:
    def __init__(
        self, module: GraphModule, oracle: Oracle, kind: TypingKind, values: dict[str, Any]
    ) -> None:
        # The module owns the graph; validators fetch attributes through it.
        self.module = module
        self.nodes: dict[str, Node] = {node.name: node for node in module.graph.nodes}
        self.oracle = oracle
        self.kind = kind
        self.bench = Workbench(fake_mode_of(module), values)
        self.known: dict[str, tuple[VariantMove, ...]] = {}
        self.hints: dict[str, tuple[VariantMove, ...]] = {}
        """What turned, or did not turn, a node that differs in its sizes only."""

    def explain(self, name: str, refusal: Refusal) -> Counterfactual:
        node = self.nodes[name]
        if not refusal.has_converter:
            if refusal.has_other_overloads:
                text = _bare(refusal.reason)
                return self._record(node, RefusalKind.OTHER_OVERLOAD, text)
            return self._record(node, RefusalKind.NO_CONVERTER, "there is no converter")
        for gate, setting in _SETTINGS.items():
            if gate in refusal.gates:
                return self._lift(node, setting)
        parent = node.args[0] if node.target is operator.getitem else None
        if isinstance(parent, Node) and parent.op == "call_function":
            verdict, crash = self.oracle.ask(parent, self.oracle.options)
            if verdict is not Verdict.ACCEPT:
                return self._by_parent(node, parent, Refusal(verdict, crash))
        moves = self._find(node, refusal)
        return self._record(
            node, _kind(refusal, moves), self._text(node, refusal, moves), node, moves
        )

    def _record(
        self,
        node: Node,
        kind: RefusalKind,
        text: str,
        changed: Node | None = None,
        moves: tuple[VariantMove, ...] = (),
    ) -> Counterfactual:
        made = changed or node
        record = self._with_changes(
            node, kind, text, tuple(self._change(made, move) for move in moves)
        )
        keeps = self._keeps_meaning(made, moves)
        return msgspec.structs.replace(record, keeps_meaning=keeps)

    def _with_changes(
        self, node: Node, kind: RefusalKind, text: str, changes: tuple[Change, ...]
    ) -> Counterfactual:
        source = source_of(node)
        place = target_name(node).removesuffix(".default")
        if source is not None and str(source):
            place = f"{place}, {source}"
        return Counterfactual(
            kind=kind,
            typing=self.kind,
            changes=changes,
            text=text,
            sentence=f"{text} ({place})",
        )

    def _lift(self, node: Node, setting: _Setting) -> Counterfactual:
        """Explains a node that a compilation setting keeps in PyTorch."""
        lifted = copy.copy(self.oracle.options)
        setattr(lifted, setting.name, setting.lifted)
        text = f"is kept in PyTorch by {setting.flag}"
        if self.oracle.ask(node, lifted)[0] is not Verdict.ACCEPT:
            text = f"{text}; its validators would not accept it either"
            return self._with_changes(node, RefusalKind.EXCLUDED, text, ())
        change = Change(
            place=ChangePlace.SETTING,
            node=node.name,
            name=setting.name,
            before=str(getattr(self.oracle.options, setting.name)),
            after=str(setting.lifted),
        )
        text = f"{text}; accepts without it"
        return self._with_changes(node, RefusalKind.EXCLUDED, text, (change,))

    def _by_parent(self, node: Node, parent: Node, refusal: Refusal) -> Counterfactual:
        """Explains a node that takes apart the result of a refused one."""
        moves = self._find(parent, refusal)
        with self.bench.made(parent, moves):
            if self.oracle.ask(node, self.oracle.options)[0] is not Verdict.ACCEPT:
                moves = ()
        text = self._text(parent, refusal, moves)
        return self._record(
            node,
            _kind(refusal, moves),
            f"rejects because {parent.name}, whose result it takes apart, is refused; "
            f"{parent.name} {text}",
            parent,
            moves,
        )

    def _find(self, node: Node, refusal: Refusal) -> tuple[VariantMove, ...]:
        """Returns the smallest moves that turn a node, none if nothing tried does."""
        exact, coarse = (
            f"{refusal.verdict} {variants.signature(node, shapes=shapes)}"
            for shapes in (True, False)
        )
        known = self.known.get(exact)
        if known is not None and (not known or self._turns(node, known, strict=False)):
            return known
        hint = self.hints.get(coarse)
        if hint and self._turns(node, hint, strict=False):
            self.known[exact] = hint
            return hint
        strict = self.bench.is_computable(node)
        tried = self._shapes(node) if hint == () else self._tried(node, refusal)
        found = next((m for m in tried if self._turns(node, m, strict=strict)), ())
        if len(found) == 1 and found[0].place is ChangePlace.SHAPE:
            found = self._largest(node, found[0], strict=strict)
        if not any(move.place in _SIZED for move in found):
            self.hints.setdefault(coarse, found)
        self.known[exact] = found
        return found

    def _tried(self, node: Node, refusal: Refusal) -> Iterator[tuple[VariantMove, ...]]:
        if refusal.verdict is Verdict.CRASHED:
            yield from variants.defaults_written_out(node, self.bench)
        refresh = variants.refreshed_metadata(node, self.bench)
        if refresh:
            yield refresh
        slots = variants.dtype_slots(node, self.bench)
        for base in dict.fromkeys(((), refresh)):
            yield from ((*base, move) for move in _by_rank(slots))
            for one, other in itertools.combinations(slots[:_MOST_PAIRED], 2):
                pairs = sorted(itertools.product(one, other), key=_differ)
                yield from ((*base, *pair) for pair in pairs)
            for moves in variants.uniform_operands(node, self.bench):
                yield (*base, *moves)
        static, *smaller = self._shapes(node)
        yield static
        yield from ((move,) for move in variants.options_at_default(node))
        yield from smaller

    def _shapes(self, node: Node) -> Iterator[tuple[VariantMove, ...]]:
        """Yields what depends only on the sizes: all of them static, then one made small."""
        yield variants.static_sizes(node, self.bench)
        for move in variants.smaller_sizes(node, self.bench, _MOST_SIZED):
            yield (move,)

    def _turns(self, node: Node, moves: tuple[VariantMove, ...], *, strict: bool) -> bool:
        """Returns whether a node is accepted with the moves made.

        Args:
            node: the node to change.
            moves: what to change.
            strict: also demand that PyTorch can compute what the moves make of the node.
        """
        options = self.oracle.options
        own = self.bench.value(node)
        # The gate for complex numbers and that for symbolic sizes also look at the result.
        by_result = (isinstance(own, torch.Tensor) and own.is_complex()) or any(
            move.place is ChangePlace.SHAPE for move in moves
        )
        with self.bench.made(node, moves):
            if not by_result and not self.oracle.is_promising(node, options):
                return False
            if (strict or by_result) and not self.bench.recompute(node) and strict:
                return False
            return self.oracle.ask(node, options)[0] is Verdict.ACCEPT

    def _largest(
        self, node: Node, move: VariantMove, *, strict: bool
    ) -> tuple[VariantMove, ...]:
        """Returns the move that leaves the size as large as is still accepted."""
        assert move.operand is not None
        value = self.bench.value(node.all_input_nodes[move.operand])
        # Comparing a symbolic size would make it a static one, in the loaded program too.
        if not all(isinstance(size, int) for size in value.shape):
            return (move,)
        sizes = zip(value.shape, move.after, strict=True)
        dim = next(i for i, (old, new) in enumerate(sizes) if old != new)
        low, high = move.after[dim], value.shape[dim]
        while low + 1 < high:
            middle = (low + high) // 2
            shape = variants.resized(value, dim, middle)
            other = VariantMove(move.kind, move.place, move.operand, (), shape)
            if self._turns(node, (other,), strict=strict):
                low, move = middle, other
            else:
                high = middle
        return (move,)

    def _change(self, node: Node, move: VariantMove) -> Change:
        before, after = self._before_and_after(node, move)
        changed = node if move.operand is None else node.all_input_nodes[move.operand]
        return Change(
            place=move.place,
            node=changed.name,
            name=".".join(map(str, move.path)) or None,
            before=before,
            after=after,
        )

    def _before_and_after(
        self, node: Node, move: VariantMove
    ) -> tuple[str | None, str | None]:
        changed = node if move.operand is None else node.all_input_nodes[move.operand]
        match move.place:
            case ChangePlace.OPERAND:
                return dtype_text(value_dtype(self.bench.value(changed))), _text_of(move.after)
            case ChangePlace.METADATA:
                return _metadata_text(changed), dtype_text(value_dtype(move.after))
            case ChangePlace.SHAPE:
                before = shape_text(value_shape(self.bench.value(changed)))
                return before, shape_text(move.after)
            case _:
                before_value = variants.written(node, move)
                return _text_of(before_value), _text_of(move.after)

    def _text(self, node: Node, refusal: Refusal, moves: tuple[VariantMove, ...]) -> str:
        if refusal.verdict is Verdict.CRASHED:
            return self._crash_text(node, refusal, moves)
        if not moves and self._takes_its_first_output_only(node):
            return (
                "rejects because an output other than its first is read; accepts where the "
                "first is the only one read"
            )
        if not moves:
            return (
                f"rejects ({_bare(refusal.reason)}), and no other dtype, metadata, shape or "
                "option that was tried turns it"
            )
        causes = " and ".join(dict.fromkeys(self._cause(node, move) for move in moves))
        if not self._keeps_meaning(node, moves):
            return f"rejects because {causes}; no change that keeps the result was found"
        return f"rejects because {causes}; accepts {self._cures(node, moves)}"

    def _takes_its_first_output_only(self, node: Node) -> bool:
        """Returns whether a node is accepted once nothing reads its other outputs."""
        read = [user.args[1] for user in node.users if user.target is operator.getitem]
        if len(read) < len(node.users) or all(index == 0 for index in read):
            return False
        with node.graph.inserting_after(node):
            first = node.graph.call_function(operator.getitem, (node, 0))
        users = dict(node.users)
        try:
            node.users.clear()
            node.users[first] = None
            return self.oracle.ask(node, self.oracle.options)[0] is Verdict.ACCEPT
        finally:
            node.users.update(users)
            node.graph.erase_node(first)

    def _crash_text(self, node: Node, refusal: Refusal, moves: tuple[VariantMove, ...]) -> str:
        crash = f"crashes its validator ({_bare(refusal.reason)})"
        if not moves:
            return f"{crash}, and nothing that was tried turns it"
        left_out = [move for move in moves if move.kind is RefusalKind.CRASHED]
        if left_out:
            names = [variants.argument_name(node, int(move.path[0])) for move in left_out]
            crash = f"{crash}: it reads {' and '.join(names)}, which is left at its default"
            if all(variants.is_at_default(node, move) for move in left_out):
                # Export leaves it out even where the model writes it.
                return crash
            values = " and ".join(
                f"{name}={move.after}" for name, move in zip(names, left_out, strict=True)
            )
            return f"{crash}; accepts {values}, which counts from the front"
        causes = " and ".join(dict.fromkeys(self._cause(node, move) for move in moves))
        if not self._keeps_meaning(node, moves):
            return f"{crash} because {causes}; no change that keeps the result was found"
        return f"{crash} because {causes}; accepts {self._cures(node, moves)}"

    def _cures(self, node: Node, moves: tuple[VariantMove, ...]) -> str:
        cures = " and ".join(dict.fromkeys(self._cure(node, move) for move in moves))
        return cures.replace(" and with ", " and ")

    def _keeps_meaning(self, node: Node, moves: tuple[VariantMove, ...]) -> bool:
        """Returns whether changes leave what is computed as it is, up to rounding."""
        for move in moves:
            if move.kind is RefusalKind.FEATURE:
                return False
            if isinstance(move.after, torch.dtype):
                before, after = self._before_and_after(node, move)
                if family(before or "") != family(after or ""):
                    return False
        return True

    def _cause(self, node: Node, move: VariantMove) -> str:
        before, _ = self._before_and_after(node, move)
        changed = node if move.operand is None else node.all_input_nodes[move.operand]
        match move.place:
            case ChangePlace.OPERAND:
                return f"{changed.name} is {before}"
            case ChangePlace.METADATA:
                what = "missing" if before is None else f"stale ({before})"
                return f"the metadata of {changed.name} is {what}"
            case ChangePlace.SHAPE:
                return f"{changed.name} has shape {before}"
            case ChangePlace.KEYWORD:
                return f"{move.path[0]}={before}"
        name = variants.argument_name(node, int(move.path[0]))
        return f"{name}={before}" if before is not None else f"{name} is not written out"

    def _cure(self, node: Node, move: VariantMove) -> str:
        _, after = self._before_and_after(node, move)
        if move.place is ChangePlace.METADATA:
            return f"once it is refreshed ({after})"
        return f"with {after}" if after is not None else "without it"


def _by_rank(slots: list[list[VariantMove]]) -> Iterator[VariantMove]:
    """Yields the nearest of every slot, then the second nearest, and so on."""
    for rank in range(max(map(len, slots), default=0)):
        yield from (slot[rank] for slot in slots if rank < len(slot))


def _differ(pair: tuple[VariantMove, VariantMove]) -> bool:
    return bool(pair[0].after != pair[1].after)


def _kind(refusal: Refusal, moves: tuple[VariantMove, ...]) -> RefusalKind:
    if refusal.verdict is Verdict.CRASHED:
        return RefusalKind.CRASHED
    if moves:
        return moves[-1].kind
    complex_dtype = "gate:complex_dtype" in refusal.gates
    return RefusalKind.DTYPE if complex_dtype else RefusalKind.FEATURE


def _bare(reason: str | None) -> str:
    if not reason:
        return "no reason is given"
    return reason.removeprefix("the validator raised ").rstrip(".")


def _metadata_text(node: Node) -> str | None:
    recorded = [node.meta.get(key) for key in ("val", "tensor_meta")]
    if any(value is None for value in recorded):
        return None
    return dtype_name(node.meta["tensor_meta"].dtype)


def _text_of(value: Any) -> str | None:
    if value is ABSENT:
        return None
    return dtype_name(value) if isinstance(value, torch.dtype) else str(value)
