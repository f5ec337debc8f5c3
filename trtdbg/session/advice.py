"""What to do about refusals: what each one costs, and the least truncation that helps most."""

from __future__ import annotations

import copy
import itertools
import logging
import operator
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
from torch.fx import GraphModule, Node

from trtdbg.analysis.causes import why
from trtdbg.analysis.conclusions import (
    PROBE,
    REFUSED,
    accepted_somewhere,
    answer_in_force,
    conclusion,
)
from trtdbg.dtypes import WIDE_POLICY_DTYPES
from trtdbg.graphs.graph import Emit, Typing, captured_log
from trtdbg.policy import Timing, TruncationPolicy, VerdictSource
from trtdbg.records import (
    Cause,
    Consequences,
    Dtype,
    NodeRecord,
    Report,
    Suggestion,
    Verdict,
)
from trtdbg.session import costs
from trtdbg.stages import consequences, infer, partition, validate

MOST_WEIGHED = 50
"""Refused nodes that are looked at; each that is tried costs a partition of the graph."""

PATHS = ("inputs", "constants", "computed")

Atom = tuple[str, str]
"""A path and a wide dtype that is narrowed on it: the smallest piece of truncation."""


REFUSEDT_IN_TENSORRT = frozenset({"float64", "complex64", "complex128"})


def weigh_refusals(
    report: Report, module: GraphModule, options: Any, emit: Emit
) -> Consequences:
    """Returns the partition with each refused node of a report accepted alone.

    Args:
        report: the analysis in force.
        module: the graph that was partitioned, under its typing.
        options: torch_tensorrt's CompilationSettings that it was partitioned with.
        emit: progress.
    """
    refused = tuple(weighable(report))
    rows = {node.name: node for node in report.nodes}
    alike: dict[tuple[str, str], list[str]] = {}
    for name in refused[:MOST_WEIGHED]:
        alike.setdefault((rows[name].target, why(report, rows[name])), []).append(name)
    kept_out = frozenset(n.name for n in report.nodes if _is_kept_out(report, n))
    tolerant = not report.policy.timing.is_upstream

    def partition_without(name: str) -> partition.Split:
        others = kept_out - {name}
        return partition.partition(module, options, tolerant=tolerant, refused=others)

    return Consequences(
        engines=len(report.engines),
        torch_ops=len(report.torch_ops),
        refused=len(refused),
        tried=consequences.weigh(list(alike.values()), partition_without, emit),
        alike=len(refused) <= MOST_WEIGHED,
    )


def weigh_causes(
    report: Report, module: GraphModule, options: Any, emit: Emit
) -> tuple[Cause, ...]:
    """Returns the causes of a report with what each costs: one partition a cause.

    Args:
        report: the analysis in force.
        module: the graph that was partitioned, under its typing.
        options: torch_tensorrt's CompilationSettings that it was partitioned with.
        emit: progress.
    """
    kept_out = frozenset(n.name for n in report.nodes if _is_kept_out(report, n))
    tolerant = not report.policy.timing.is_upstream

    def partitioned(accepted: frozenset[str]) -> partition.Split:
        others = kept_out - accepted
        return partition.partition(module, options, tolerant=tolerant, refused=others)

    def blocks() -> partition.Split:
        unlimited = copy.copy(options)
        unlimited.min_block_size = 1
        return partition.partition(module, unlimited, tolerant=tolerant, refused=kept_out)

    accepted = (n for n in report.nodes if n.engine is None and n.verdict is Verdict.ACCEPT)
    small = frozenset(node.name for node in accepted)
    limited = report.settings.min_block_size > 1
    return costs.weigh(report.causes, partitioned, emit, blocks if limited else None, small)


def weighable(report: Report) -> Iterator[str]:
    """Yields the refused nodes, except for mere parts of what a refused one returns."""
    refused = {n.name for n in report.nodes if n.verdict in REFUSED}
    for node in report.nodes:
        takes_apart = node.target.endswith("operator.getitem") and refused & {*node.operands}
        if node.name in refused and not takes_apart:
            yield node.name


def _is_kept_out(report: Report, node: NodeRecord) -> bool:
    """Returns whether only TensorRT refuses a node, whose validators accept it."""
    if node.verdict not in REFUSED:
        return False
    found = conclusion(node)
    return found is not None and answer_in_force(report.policy, found) is Verdict.ACCEPT


def suggest(
    inferred: Typing,
    options: Any,
    verdicts: VerdictSource,
    analyse: Callable[[TruncationPolicy], Report],
    emit: Emit,
) -> Suggestion:
    """Returns the least late truncation under which the most operators are accepted.

    By `validators` an operator counts if they accept it, by `tensorrt` if it ends in an
    engine, which takes an analysis of every policy. In any case it must hold no float64: what
    TensorRT has no dtype for it computes in another, whatever a validator says. Of policies
    that are equally good the one with the fewest narrowed dtypes is taken, float64 before
    int64.

    Args:
        inferred: the graph with nothing truncated.
        options: torch_tensorrt's CompilationSettings to judge with.
        verdicts: who decides, here and under the suggested policy.
        analyse: makes the report of a policy.
        emit: progress.
    """
    with captured_log("torch._subclasses.fake_tensor", logging.CRITICAL):
        return _suggest(_PolicySearch(inferred, options, verdicts, analyse), analyse, emit)


def _suggest(
    search: _PolicySearch, analyse: Callable[[TruncationPolicy], Report], emit: Emit
) -> Suggestion:
    atoms = search.effective_atoms()
    subsets = [
        subset
        for size in range(len(atoms) + 1)
        for subset in itertools.combinations(atoms, size)
    ]
    best: tuple[Atom, ...] = ()
    most = -1
    for done, subset in enumerate(subsets):
        emit("suggest", search.policy(subset).flags(), done, len(subsets))
        accepted = search.accepted(subset)
        if accepted > most:
            best, most = subset, accepted
        if most == search.operators:
            break
    policy = search.policy(best)
    report = analyse(policy)
    return Suggestion(
        policy=policy,
        accepted=most,
        operators=search.operators,
        engines=len(report.engines),
        torch_ops=len(report.torch_ops),
        tried=done + 1,
        torch_executed_ops=_to_exclude(report),
        refused_upstream=sum(map(_is_refused_wide, report.nodes)),
    )


class _PolicySearch:
    """Scores late policies over one inferred graph, each distinct typing once."""

    def __init__(
        self,
        inferred: Typing,
        options: Any,
        verdicts: VerdictSource,
        analyse: Callable[[TruncationPolicy], Report],
    ) -> None:
        self.inferred = inferred
        self.options = options
        self.verdicts = verdicts
        self.analyse = analyse
        self.scores: dict[Any, int] = {}
        self.operators = sum(map(_is_operator, inferred.module.graph.nodes))

    def policy(self, atoms: tuple[Atom, ...]) -> TruncationPolicy:
        lists = {
            path: tuple(sorted(dtype for p, dtype in atoms if p == path)) for path in PATHS
        }
        policy = TruncationPolicy(timing=Timing.LATE, verdicts=self.verdicts)
        return msgspec.structs.replace(policy, **lists)

    def effective_atoms(self) -> tuple[Atom, ...]:
        """Returns the atoms that change the typing, alone or beside all others."""
        everything = tuple((path, dtype) for dtype in WIDE_POLICY_DTYPES for path in PATHS)
        nothing, whole = self._key(()), self._key(everything)
        return tuple(
            atom
            for atom in everything
            if self._key((atom,)) != nothing
            or self._key(tuple(a for a in everything if a != atom)) != whole
        )

    def accepted(self, atoms: tuple[Atom, ...]) -> int:
        """Returns how many operators are accepted with these atoms narrowed."""
        typing = self._typing(atoms)
        key = _gist(typing)
        if key not in self.scores:
            by_tensorrt = self.verdicts is VerdictSource.TENSORRT
            held = self._in_engines(atoms) if by_tensorrt else self._valid(typing)
            self.scores[key] = sum(_fits_tensorrt(node, typing) for node in held)
        return self.scores[key]

    def _valid(self, typing: Typing) -> list[Node]:
        judged = validate.judge(typing.module, self.options)
        nodes = filter(_is_operator, typing.module.graph.nodes)
        return [n for n in nodes if judged[n.name].verdict is Verdict.ACCEPT]

    def _in_engines(self, atoms: tuple[Atom, ...]) -> list[Node]:
        report = self.analyse(self.policy(atoms))
        held = {node.name for node in report.nodes if node.engine is not None}
        nodes = filter(_is_operator, self.inferred.module.graph.nodes)
        return [n for n in nodes if n.name in held]

    def _typing(self, atoms: tuple[Atom, ...]) -> Typing:
        return infer.infer_truncated(self.inferred, self.policy(atoms))

    def _key(self, atoms: tuple[Atom, ...]) -> Any:
        return _gist(self._typing(atoms))


def _gist(typing: Typing) -> Any:
    """Returns what tells two typings of one graph apart."""
    return tuple(typing.dtypes.values()), tuple(sorted(typing.edits))


def _is_operator(node: Node) -> bool:
    return node.op == "call_function" and node.target is not operator.getitem


def _fits_tensorrt(node: Node, typing: Typing) -> bool:
    values = (node.name, *(operand.name for operand in node.all_input_nodes))
    return not any(
        name in REFUSEDT_IN_TENSORRT
        for value in values
        for name in _names(typing.dtypes.get(value))
    )


def _names(dtype: Dtype) -> tuple[str, ...]:
    if dtype is None or isinstance(dtype, str):
        return (dtype,) if dtype is not None else ()
    return tuple(name for name in dtype if name is not None)


def _is_refused_wide(node: NodeRecord) -> bool:
    """Returns whether plain torch_tensorrt refuses what the truncated dtypes would allow."""
    found = conclusion(node)
    return (
        found is not None and found.original in REFUSED and found.truncated is Verdict.ACCEPT
    )


def _to_exclude(report: Report) -> tuple[str, ...]:
    """Returns the operators that a compilation has to be told to keep in PyTorch.

    Those whose validator raises, since that ends a compilation, and those of which TensorRT
    refuses every node that the validators accept.
    """
    by_target: dict[str, list[bool]] = {}
    crashed: set[str] = set()
    for node in report.nodes:
        if node.op != "call_function" or node.target.endswith("operator.getitem"):
            continue
        if any(row.original is Verdict.CRASHED for row in node.verdicts):
            crashed.add(node.target)
        by_target.setdefault(node.target, []).append(_is_false_accept(node))
    refused = {target for target, nodes in by_target.items() if all(nodes)}
    named = {f"torch.ops.{target}" for target in crashed | refused}
    return tuple(sorted(named | set(report.settings.torch_executed_ops)))


def _is_false_accept(node: NodeRecord) -> bool:
    refused = any(row.validator == PROBE and row.truncated in REFUSED for row in node.verdicts)
    return refused and accepted_somewhere(node)
