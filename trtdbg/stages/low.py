"""Decides which operators of a graph compute in a low floating type, each with its reason."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.fx import GraphModule, Node

from trtdbg.graphs.graph import (
    Typing,
    copy_graph_module,
    dtype_name,
    source_of,
    target_name,
    torch_dtype,
)
from trtdbg.graphs.intervals import MOVES, Interval, intervals, operator_name, reduction_depth
from trtdbg.graphs.low_casts import HIGH, WIDENING, LowCasts
from trtdbg.policy import KeepRule, TruncationPolicy
from trtdbg.records import LowDecision, LowRule, ValueRange

CLASSES = {
    "softmax": "softmax _softmax _safe_softmax log_softmax _log_softmax logsumexp",
    "normalization": "layer_norm native_layer_norm group_norm native_group_norm rms_norm "
    "_fused_rms_norm instance_norm",
    "exponential": "exp exp2 expm1 sinh cosh softplus",
    "logarithm": "log log2 log10 log1p",
    "running sum": "cumsum cumprod logcumsumexp",
    "power": "pow prod linalg_vector_norm norm cdist _cdist_forward",
    "inverse": "reciprocal rsqrt acos asin tan erfinv",
    "variance": "var var_mean std std_mean",
}
"""Classes of operators that stay in float32 by themselves, like those of torch.autocast.

Source: torch 2.13, "CUDA Ops that can autocast to float32" in the documentation of torch.amp,
less the losses and the plain sums, which go by their depth.
"""

_CLASS_OF = {name: title for title, names in CLASSES.items() for name in names.split()}


@dataclass
class Decisions:
    """What was decided of each node of a graph, by name."""

    of: dict[str, LowDecision] = field(default_factory=dict)

    def low(self) -> frozenset[str]:
        """Returns the operators that compute in the low type."""
        return frozenset(name for name, each in self.of.items() if each.rule is LowRule.LOW)


def lower(
    base: Typing,
    policy: TruncationPolicy,
    ranges: Mapping[str, ValueRange],
    bounds: Mapping[str, Interval],
    kept: Kept,
) -> tuple[Typing, Decisions]:
    """Returns a graph in the low precision of a policy, with what was decided of each node.

    Works on a copy. What PyTorch's meta kernels refuse low is kept, and so all is done again.

    Args:
        base: the graph with what is truncated.
        policy: its `precision` and what it keeps.
        ranges: what was seen of the values in a run, by node.
        bounds: what `bounds_of` says of the same graph.
        kept: nodes that stay for what was learned of them since, with the reason.
    """
    values = {node.name: node.meta.get("val") for node in base.module.graph.nodes}
    dtype, learned = torch_dtype(policy.precision.value), dict(kept)
    while True:
        decisions = decide(base.module, policy, ranges, bounds, learned)
        names = decisions.low()
        typing = LowCasts(copy_graph_module(base.module), names, dtype, values).run()
        refused = {n: s for n, s in typing.refused.items() if n not in learned}
        if not refused:
            return _with_truncation(typing, base), decisions
        for name, sentence in refused.items():
            learned[name] = (LowRule.REFUSED, f"PyTorch refuses it: {sentence}")


Kept = Mapping[str, tuple[LowRule, str]]
"""Nodes that stay in float32, with the rule and the reason."""


def _with_truncation(typing: Typing, base: Typing) -> Typing:
    """Returns a low typing that also says what truncation did to the same graph."""
    typing.edits.update(base.edits)
    for name, dtype in base.narrowed_constants.items():
        typing.narrowed_constants.setdefault(name, dtype)
    typing.narrowed_results.update(base.narrowed_results)
    typing.refused.clear()
    typing.refused.update(base.refused)
    typing.scalars.update(base.scalars)
    typing.stale.update(base.stale)
    return typing


def bounds_of(module: GraphModule, policy: TruncationPolicy) -> Mapping[str, Interval]:
    """Returns the intervals of a graph's values; empty if the policy has no rule of range."""
    return intervals(module) if KeepRule.RANGE in policy.keep_rules else {}


def decide(
    module: GraphModule,
    policy: TruncationPolicy,
    ranges: Mapping[str, ValueRange],
    bounds: Mapping[str, Interval],
    kept: Kept,
) -> Decisions:
    """Returns what each node of a graph computes in, and why.

    The first of these that holds decides:

    1. It has no float32 result.
    2. It is named by the user, its module or its operator is, or a search named it.
    3. It was learned that it has to stay: a validator refuses it low, or it is in no engine.
    4. The rules of the policy: range, depth of reduction, class of the operator.
    5. An operator that only moves values follows what it reads; where that is a constant or an
       input, it is low if all who read it are.
    """
    return _Deciding(module, policy, ranges, bounds, kept).run()


class _Deciding:
    def __init__(
        self,
        module: GraphModule,
        policy: TruncationPolicy,
        ranges: Mapping[str, ValueRange],
        bounds: Mapping[str, Interval],
        kept: Kept,
    ) -> None:
        self.module = module
        self.policy = policy
        self.dtype = policy.precision.value
        self.info = torch.finfo(torch_dtype(self.dtype))
        self.ranges = ranges
        self.bounds = bounds
        self.kept = kept
        self.modules = [re.compile(each) for each in policy.keep_modules]
        self.decisions = Decisions()
        self.open: list[Node] = []
        """Operators that move what comes from constants and inputs only, in graph order."""

    def run(self) -> Decisions:
        for node in self.module.graph.nodes:
            decision = self._decide(node)
            if decision is not None:
                self.decisions.of[node.name] = decision
        for node in reversed(self.open):
            self.decisions.of[node.name] = self._by_readers(node)
        for node in self.module.graph.nodes:
            if node.op == "get_attr" and is_high(node):
                self.decisions.of[node.name] = self._constant(node)
        return self.decisions

    def _decide(self, node: Node) -> LowDecision | None:
        if node.op != "call_function":
            return None
        known = _dtype_of(node)
        if not is_high(node):
            return _other(known)
        for rule, reason, figure in self._reasons(node):
            return self._stays(rule, reason, figure)
        operands = [each for each in node.all_input_nodes if is_high(each)]
        if not operands:
            says = "the model casts to float32 here"
            if node.target not in WIDENING:
                says = "it makes float32 values of no float32"
            return self._stays(LowRule.SOURCE, says)
        if moves(node):
            return self._follow(node, operands)
        return self._low()

    def _low(self, reason: str = "nothing speaks against it") -> LowDecision:
        return LowDecision(dtype=self.dtype, rule=LowRule.LOW, reason=reason)

    def _stays(self, rule: LowRule, reason: str, figure: float | None = None) -> LowDecision:
        return LowDecision(dtype=dtype_name(HIGH), rule=rule, reason=reason, figure=figure)

    def _reasons(self, node: Node) -> Any:
        """Yields what keeps an operator in float32, the strongest first."""
        yield from self._users(node)
        if node.name in self.kept:
            rule, reason = self.kept[node.name]
            yield rule, reason, None
        if moves(node):
            return
        rules = self.policy.keep_rules
        if KeepRule.RANGE in rules:
            yield from self._range(node)
        if KeepRule.REDUCTION in rules:
            yield from self._depth(node)
        title = _CLASS_OF.get(operator_name(node))
        if KeepRule.OPERATOR in rules and title is not None:
            yield LowRule.OPERATOR_CLASS, f"operators of its class lose much: {title}", None

    def _users(self, node: Node) -> Any:
        policy = self.policy
        if node.name in policy.keep_nodes:
            yield LowRule.USER_NODE, "the policy names the node", None
        source = source_of(node)
        path = source.module if source is not None else None
        for pattern in self.modules:
            if path is not None and pattern.match(path):
                reason = f"the policy keeps modules like {pattern.pattern!r}, it is in {path}"
                yield LowRule.USER_MODULE, reason, None
        if target_name(node) in policy.keep_operators:
            yield LowRule.USER_OPERATOR, f"the policy keeps {target_name(node)}", None
        if node.name in policy.keep_measured:
            reason = "a search measured that an output leaves its tolerance without it"
            yield LowRule.MEASURED, reason, None

    def _range(self, node: Node) -> Any:
        most = float(self.info.max)
        for number in _numbers(node):
            if most < abs(number) < float("inf"):
                yield LowRule.RANGE, self._beyond("it computes with", number), abs(number)
        for each in (node, *node.all_input_nodes):
            word = "it makes" if each is node else f"it reads {each.name}, which holds"
            if not is_high(each) or (each.op == "get_attr" and each.name not in self.bounds):
                continue
            seen = self.ranges.get(each.name)
            if seen is not None and seen.largest is not None and seen.largest > most:
                yield LowRule.RANGE, self._beyond(word, seen.largest), seen.largest
            bound = self.bounds.get(each.name)
            if bound is not None and most < (end := _finite_end(bound)):
                reason = self._beyond(f"{word} up to", end)
                yield LowRule.RANGE, reason, end
            if seen is not None and seen.is_tiny(self.dtype):
                figure = seen.largest
                reason = (
                    f"{word} at most {figure:.3g}, below the smallest normal number of "
                    f"{self.dtype}, {float(self.info.smallest_normal):.3g}"
                )
                yield LowRule.RANGE, reason, figure

    def _beyond(self, word: str, figure: float) -> str:
        return f"{word} {figure:.4g}, {self.dtype} ends at {float(self.info.max):.4g}"

    def _depth(self, node: Node) -> Any:
        depth, limit = reduction_depth(node), int(2 / self.info.eps)
        if depth is not None and depth > limit:
            reason = (
                f"it adds up {depth} terms; a {self.dtype} sum of equal terms stops growing "
                f"after {limit}"
            )
            yield LowRule.REDUCTION_DEPTH, reason, float(depth)

    def _follow(self, node: Node, operands: list[Node]) -> LowDecision | None:
        decided = [self.decisions.of.get(o.name) for o in operands if o.op == "call_function"]
        known = [each for each in decided if each is not None]
        known = [each for each in known if each.rule is not LowRule.SOURCE]
        if not known:
            self.open.append(node)
            return None
        if all(each.dtype == self.dtype for each in known):
            return self._low("it moves low values")
        return self._stays(LowRule.FOLLOWS, "it moves values that stay in float32")

    def _by_readers(self, node: Node) -> LowDecision:
        if self._all_read_low(node):
            return self._low("all that read what it moves are low")
        return self._stays(LowRule.FOLLOWS, "it moves values that others read in float32")

    def _all_read_low(self, node: Node) -> bool:
        return bool(node.users) and all(
            (found := self.decisions.of.get(user.name)) is not None
            and (found.rule is LowRule.LOW)
            for user in node.users
        )

    def _constant(self, node: Node) -> LowDecision:
        readers = [self.decisions.of.get(user.name) for user in node.users]
        low = [each for each in readers if each is not None and each.rule is LowRule.LOW]
        if not low:
            return self._stays(LowRule.FOLLOWS, "nothing that reads it is low")
        if len(low) == len(readers):
            return self._low("all that read it are low: it is converted")
        return self._low("converted for those who read it low, and kept for the others")


def moves(node: Node) -> bool:
    """Returns whether an operator of float results only moves values."""
    return operator_name(node) in MOVES - COMPUTING


COMPUTING = frozenset(
    "relu neg abs max amax min amin masked_fill where constant_pad_nd pad".split()  # noqa: SIM905
)
"""Operators of `MOVES` that are decided by themselves: one of their numbers may not fit."""


def is_high(node: Node) -> bool:
    """Returns whether a node has a float32 value, or several values one of which is."""
    return any(v.dtype == HIGH for v in _tensors(node.meta.get("val")))


def _tensors(value: Any) -> list[torch.Tensor]:
    items = value if isinstance(value, (tuple, list)) else (value,)
    return [each for each in items if isinstance(each, torch.Tensor)]


def _dtype_of(node: Node) -> str | None:
    floating = [t.dtype for t in _tensors(node.meta.get("val")) if t.dtype.is_floating_point]
    return dtype_name(floating[0]) if floating else None


def _other(dtype: str | None) -> LowDecision:
    if dtype is None:
        return LowDecision(
            dtype=None, rule=LowRule.NOT_FLOATING, reason="its value is not floating"
        )
    return LowDecision(
        dtype=dtype, rule=LowRule.OTHER_DTYPE, reason=f"its value is {dtype}, not float32"
    )


def _numbers(node: Node) -> list[float]:
    items = [*node.args, *node.kwargs.values()]
    return [float(each) for each in items if type(each) in (int, float)]


def _finite_end(interval: Interval) -> float:
    """Returns the larger finite magnitude of an interval's ends; 0 if both are infinite."""
    ends = [abs(e) for e in (interval.low, interval.high) if abs(e) != float("inf")]
    return max(ends, default=0.0)
