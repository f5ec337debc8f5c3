"""Turns what the stages made into the rows of the report."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from torch.export import ExportedProgram
from torch.fx import Node

from trtdbg.graphs.graph import (
    Typing,
    args_text,
    as_tuple,
    dtype_argument,
    origin_name,
    recorded_dtype,
    source_of,
    target_name,
    value_dtype,
    value_shape,
)
from trtdbg.records import (
    Binding,
    BuildRecord,
    BuildStatus,
    Counterfactual,
    Dtype,
    EngineRecord,
    GraphNode,
    LowDecision,
    NodeRecord,
    OtherFlavour,
    Scope,
    TypingKind,
    ValidatorVerdict,
    Verdict,
    Widened,
)
from trtdbg.session import promises, verdicts
from trtdbg.stages import engine, partition, probe, validate
from trtdbg.stages.network import Network


@dataclass(frozen=True)
class NodeRows:
    """Everything that is known about the nodes of a lowered graph, by node name."""

    exported: Mapping[str, Dtype]
    plain: Typing
    """Of the graph lowered without truncation, which under `early` is another graph."""
    truncated: Typing
    original: Mapping[str, validate.Judgement]
    refreshed: Mapping[str, validate.Judgement]
    judged: Mapping[str, validate.Judgement]
    judged_low: Mapping[str, validate.Judgement] | None
    """In a low precision; None without one."""
    decisions: Mapping[str, LowDecision]
    inside: Mapping[str, validate.Judgement]
    in_force: Mapping[str, validate.Judgement]
    """The judgements that decide the partition."""
    kind_in_force: TypingKind
    """The typing that they were made on."""
    engine_of: Mapping[str, int]
    tensorrt: Mapping[str, Dtype]
    probed: Mapping[str, probe.TensorrtAnswer]
    refused: frozenset[str]
    """Nodes that TensorRT keeps out of the engines although their validators accept them."""
    small_blocks: Mapping[str, int]
    """Accepted nodes whose block is too small for an engine, with its number of operators."""
    min_block_size: int
    counterfactuals: Mapping[str, Counterfactual]
    other_flavours: Mapping[str, OtherFlavour]

    def row(self, node: Node) -> NodeRecord:
        """Returns the row of one node."""
        name = node.name
        engine_index = self.engine_of.get(name)
        return NodeRecord(
            name=name,
            op=node.op,
            target=target_name(node),
            shape=None if node.op == "output" else value_shape(node.meta.get("val")),
            original=self.promised(node),
            recorded=recorded_dtype(node),
            inferred=self.plain.dtypes.get(name, self.promised(node)),
            truncated=self.truncated.dtypes.get(name),
            tensorrt=self.tensorrt.get(name) if engine_index is not None else None,
            engine=engine_index,
            source=source_of(node),
            from_node=origin_name(node),
            args=args_text(node),
            operands=as_tuple(node.all_input_nodes),
            users=as_tuple(node.users),
            verdict=self._verdict(node),
            verdicts=self._verdicts(name),
            constant=str(node.target) if node.op == "get_attr" else None,
            dtype_argument=dtype_argument(node),
            counterfactual=self.counterfactuals.get(name),
            other_flavour=self.other_flavours.get(name),
            low=self.decisions.get(name),
        )

    def promised(self, node: Node) -> Dtype:
        """Returns what export promises for the value that a node descends from."""
        return promises.promised(node, self.exported, self.plain.dtypes)

    def _verdict(self, node: Node) -> Verdict:
        if node.op != "call_function":
            return Verdict.NOT_APPLICABLE
        judgement = self.in_force.get(node.name)
        if judgement is None:
            return Verdict.NOT_CHECKED
        if judgement.verdict is Verdict.ACCEPT and node.name in self.refused:
            return Verdict.REJECT
        return judgement.verdict

    def _verdicts(self, name: str) -> tuple[ValidatorVerdict, ...]:
        in_graph = self.in_force.get(name)
        return (
            verdicts.graph_rows(
                self.original.get(name),
                self.refreshed.get(name),
                self.judged.get(name),
                self.judged_low.get(name) if self.judged_low is not None else None,
            )
            + self._block_size_row(name)
            + verdicts.subgraph_rows(in_graph, self.inside.get(name), self.kind_in_force)
            + self._probe_row(name)
        )

    def _block_size_row(self, name: str) -> tuple[ValidatorVerdict, ...]:
        size = self.small_blocks.get(name)
        if size is None:
            return ()
        return (verdicts.block_size_row(size, self.min_block_size, self.kind_in_force),)

    def _probe_row(self, name: str) -> tuple[ValidatorVerdict, ...]:
        answer = self.probed.get(name)
        if answer is None:
            return ()
        return (
            ValidatorVerdict(
                validator="tensorrt",
                candidate=None,
                scope=Scope.SUBGRAPH,
                original=Verdict.NOT_CHECKED,
                truncated=answer.verdict,
                reason=answer.reason,
            ),
        )


def last_rows(
    graph: Iterable[GraphNode], exported: Mapping[str, Dtype]
) -> tuple[NodeRecord, ...]:
    """Returns a row per node of the last graph before lowering failed, which nobody judged.

    Args:
        graph: a snapshot.
        exported: dtypes that the exported program promises, by its nodes' names.
    """
    return tuple(
        NodeRecord(
            name=node.name,
            op=node.op,
            target=node.target,
            shape=node.shape,
            original=promises.in_form_of(
                node.dtype, exported.get(node.from_node or node.name)
            ),
            recorded=node.dtype,
            source=node.source,
            from_node=node.from_node,
            args=node.args,
            operands=node.operands,
        )
        for node in graph
    )


def engine_rows(
    split: partition.Split | None, networks: list[Network], target: str | None
) -> tuple[EngineRecord, ...]:
    """Returns a row per engine; one whose network cannot be defined has failed already."""
    if split is None:
        return ()
    return tuple(
        _engine_row(split, index, networks[index] if networks else None, target)
        for index in range(len(split.engine_names))
    )


def _engine_row(
    split: partition.Split, index: int, network: Network | None, target: str | None
) -> EngineRecord:
    row = EngineRecord(
        index=index,
        name=split.engine_names[index],
        nodes=tuple(node for node, i in split.engine_of.items() if i == index),
        timing_unavailable="not built",
    )
    if network is None:
        reason = "TensorRT's builder is not available on this machine"
        build = BuildRecord(status=BuildStatus.UNAVAILABLE, error=reason)
        return msgspec.structs.replace(row, build=build)
    if network.error is not None:
        build, _ = engine.build_engine(network, target)
    else:
        build = BuildRecord(stage="network", network_seconds=network.seconds, target=target)
    return msgspec.structs.replace(
        row,
        inputs=network.inputs,
        outputs=network.outputs,
        layers=network.layers,
        widened=tuple(Widened(node=node, reason=why) for node, why in network.widened),
        build=build,
    )


def output_rows(
    program: ExportedProgram, promised: tuple[Any, ...], in_force: tuple[str | None, ...]
) -> tuple[Binding, ...]:
    """Returns the program's outputs with the promised dtype and the one in force."""
    names = [str(name) for name in program.graph_signature.user_outputs]
    rows = []
    for i, value in enumerate(promised):
        declared = value_dtype(value)
        rows.append(
            Binding(
                name=names[i] if i < len(names) else f"output{i}",
                declared=declared if isinstance(declared, str) else None,
                bound=in_force[i] if i < len(in_force) else None,
                shape=value_shape(value),
            )
        )
    return tuple(rows)
