"""Evaluates one program with some operators in a low type, for a search of those to keep."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import torch
from torch.fx import GraphModule, Node
from torch.utils._pytree import tree_leaves

from trtdbg.graphs.deviations import Tolerance
from trtdbg.graphs.graph import origin_name, source_of, target_name, torch_dtype
from trtdbg.graphs.low_arithmetic import LowArithmetic
from trtdbg.graphs.replay import ProgramInputs
from trtdbg.policy import Settings, TruncationPolicy
from trtdbg.records import LowDecision, LowRule
from trtdbg.records.precision import LowCandidate, LowRanking, LowTrial, UpstreamSettings
from trtdbg.stages import low
from trtdbg.stages.capture import capture, copy_program
from trtdbg.stages.low_run import LowRuns, largest_finite


@dataclass
class LowTrials:
    """One program on given inputs, evaluated again and again with another set kept."""

    module: GraphModule
    """The lowered graph, typed with what is truncated."""
    original: GraphModule
    """The same graph with nothing truncated, which the runs are made of."""
    policy: TruncationPolicy
    """With no rules, and nothing kept but what the user names."""
    decided: dict[str, LowDecision]
    """What an analysis under that policy decided."""
    given: tuple[ProgramInputs, ...]
    rtol: float
    atol: float | None
    progress: Callable[..., None]
    accumulate_low: bool = False
    """Add up in the low type too."""
    runs: LowRuns = field(init=False)
    candidates: list[Node] = field(init=False)
    fixed: dict[str, tuple[LowRule, str]] = field(init=False)

    def __post_init__(self) -> None:
        """Runs the original once on each input."""
        self.candidates = [
            node
            for node in self.module.graph.nodes
            if node.op == "call_function"
            and self.decided[node.name].rule is LowRule.LOW
            and not low.moves(node)
        ]
        self.fixed = {
            name: (each.rule, each.reason)
            for name, each in self.decided.items()
            if each.rule in (LowRule.REFUSED, LowRule.IN_PYTORCH)
        }
        arithmetic = LowArithmetic(self.policy.precision.value, self.accumulate_low)
        self.runs = LowRuns(self.original, self.given, arithmetic, Tolerance(0.0, self.rtol))
        self.progress("precision", "the original on each input")
        self.runs.measure(frozenset(node.name for node in self.candidates))
        self.runs.atol = self._atol()

    def _atol(self) -> tuple[float, ...]:
        """Returns the absolute tolerance of each output over all inputs."""
        outputs = zip(*self.runs.originals, strict=True)
        return tuple(
            self.atol if self.atol is not None else self.rtol * _largest(values)
            for values in outputs
        )

    def ranking(self, outputs: Sequence[str]) -> LowRanking:
        """Returns the operators that can be kept, with what the first run showed."""
        most = float(torch.finfo(torch_dtype(self.policy.precision.value)).max)
        return LowRanking(
            candidates=tuple(self._candidate(node, most) for node in self.candidates),
            outputs=tuple(outputs),
            inputs=tuple(each.origin for each in self.given),
            atol=self.runs.atol,
            fixed=len(self.fixed),
        )

    def _candidate(self, node: Node, most: float) -> LowCandidate:
        local = self.runs.local.get(node.name, 0.0)
        largest = self.runs.largest.get(node.name, 0.0)
        lost = local == float("inf")
        return LowCandidate(
            name=node.name,
            target=target_name(node),
            source=source_of(node),
            local_error=None if lost else local,
            largest=largest,
            leaves=lost or largest > most,
        )

    def trial(self, keep: Iterable[str]) -> LowTrial:
        """Returns the errors of the outputs with these operators kept."""
        policy = msgspec.structs.replace(self.policy, keep_measured=tuple(keep))
        decisions = low.decide(self.module, policy, {}, {}, self.fixed)
        names = decisions.low()
        found = self.runs.evaluate(names)
        times = found.times_tolerance
        return LowTrial(
            error=None if times == float("inf") else times,
            max_abs_error=found.max_abs_error,
            first_inf=found.first_inf,
            first_nan=found.first_nan,
            low=len(names),
        )


def _largest(values: Iterable[Any]) -> float:
    return max(map(largest_finite, tree_leaves(tuple(values))), default=0.0)


def upstream_settings(
    program: Any,
    lowered: GraphModule,
    keep: Iterable[str],
    policy: TruncationPolicy,
    settings: Settings,
    emit: Callable[..., None],
) -> UpstreamSettings:
    """Returns the settings of torch_tensorrt that keep a set, tried through its own pass.

    Its rules see the exported graph: a module's path from its start, or an operator. A set is
    kept by whole operators where all of their kind are in it, and by modules for the rest.

    Args:
        program: as exported.
        lowered: the graph that the set names nodes of.
        keep: the set.
        policy: its precision.
        settings: those in force besides.
        emit: takes progress.
    """
    kept = set(keep)
    nodes = {n.name: n for n in copy_program(program).graph.nodes if _is_float(n)}
    wanted = {
        origin
        for node in lowered.graph.nodes
        if node.name in kept and (origin := origin_name(node) or "") in nodes
    }
    operators = _whole_operators(nodes.values(), wanted)
    rest = {name for name in wanted if _spelled(nodes[name]) not in operators}
    paths = {_path(nodes[name]) for name in rest}
    patterns = tuple(sorted(f"{re.escape(path)}$" for path in paths if path))
    also = {
        name
        for name, node in nodes.items()
        if name not in wanted
        and (_spelled(node) in operators or any(re.match(p, _path(node)) for p in patterns))
    }
    unreachable = {name for name in rest if not _path(nodes[name])}
    chosen = msgspec.structs.replace(
        settings,
        enable_autocast=True,
        autocast_low_precision_type=policy.precision.value,
        autocast_excluded_nodes=patterns,
        autocast_excluded_ops=operators,
    )
    captured = capture(program, chosen, truncate_double=True, emit=emit)
    return UpstreamSettings(
        exact=not also and not unreachable,
        autocast_low_precision_type=policy.precision.value,
        autocast_excluded_nodes=patterns,
        autocast_excluded_ops=operators,
        also_kept=tuple(name for name in nodes if name in also),
        error=captured.error,
    )


def _whole_operators(nodes: Iterable[Node], wanted: set[str]) -> tuple[str, ...]:
    """Returns the operators all of whose nodes are wanted, as torch_tensorrt spells them."""
    of: dict[str, set[str]] = defaultdict(set)
    for node in nodes:
        of[_spelled(node)].add(node.name)
    return tuple(sorted(name for name, names in of.items() if names <= wanted))


def _spelled(node: Node) -> str:
    """Returns an operator as torch_tensorrt's rule compares it.

    Source: torch_tensorrt 2.13, `dynamo/conversion/_ConverterRegistry.py`
    qualified_name_or_str.
    """
    from torch_tensorrt.dynamo.conversion._ConverterRegistry import ConverterRegistry

    return str(ConverterRegistry.qualified_name_or_str(node.target))


def _path(node: Node) -> str:
    """Returns the module path that torch_tensorrt's rule matches; empty if there is none."""
    stack = node.meta.get("nn_module_stack") or {}
    return str(next(reversed(stack.values()))[0]) if stack else ""


def _is_float(node: Node) -> bool:
    value = node.meta.get("val")
    is_call = node.op == "call_function" and isinstance(value, torch.Tensor)
    return is_call and value.dtype == torch.float32
