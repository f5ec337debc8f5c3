"""The stages behind capture, for one program under one policy."""

from __future__ import annotations

import copy
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch.fx import GraphModule

from trtdbg.analysis.conclusions import REFUSED
from trtdbg.analysis.findings import Evidence
from trtdbg.compat.registry import patched_registry_check
from trtdbg.graphs.graph import (
    NODE_MARK,
    Typing,
    engine_nodes,
    first_line,
    recorded_dtype,
    torch_dtype,
)
from trtdbg.graphs.splits import Program, low_cast_totals
from trtdbg.graphs.subgraphs import subgraphs
from trtdbg.policy import (
    Precision,
    TruncationPolicy,
    VerdictSource,
    converters_truncate,
    low_precision,
    truncates_double,
)
from trtdbg.records import LowCastTotals, Phase, Verdict, dtype_text
from trtdbg.session import flavours
from trtdbg.session.analysed import Analysed, Context
from trtdbg.session.lowered import Lowered
from trtdbg.session.node_rows import NodeRows, engine_rows, output_rows
from trtdbg.session.timings import timing_steps
from trtdbg.session.timings.protocol import Judgements
from trtdbg.stages import early, network, partition, probe, settle, validate
from trtdbg.stages.capture import compilation_settings
from trtdbg.stages.network import Network

EngineKey = tuple[tuple[str, str], ...]
"""The nodes of an engine with their dtypes: what its network is made of."""


def engine_key(module: GraphModule) -> EngineKey:
    """Returns what tells an engine from others of the same program."""
    return tuple(
        (str(node.meta.get(NODE_MARK, node.name)), dtype_text(recorded_dtype(node)))
        for node in module.graph.nodes
    )


@dataclass(frozen=True)
class Draft:
    """A partition in numbers."""

    engines: int
    torch_ops: int
    casts: int
    failed: int
    """Engines that TensorRT refuses."""


class Steps:
    """The stages behind capture, for one policy; each step hands on to the next."""

    def __init__(self, context: Context, policy: TruncationPolicy, lowered: Lowered) -> None:
        self.context = context
        self.policy = policy
        self.timing = timing_steps(context, policy, lowered)
        self.settings = context.settings
        self.options = compilation_settings(
            self.settings, truncate_double=truncates_double(policy, self.settings)
        )
        self.evidence = Evidence()
        self.answers: dict[str, probe.TensorrtAnswer] = {}
        self.refused: frozenset[str] = frozenset()
        self.judged: Judgements = {}
        self.inside: dict[str, validate.Judgement] = {}

    def run(self) -> Analysed:
        """Runs truncation, verdicts, partition, boundary repair and network definition.

        The registry checks itself once for all of them: each converter that runs asks it.
        """
        with patched_registry_check():
            return self._run()

    def _run(self) -> Analysed:
        module = self.timing.lower()
        if module is None:
            return Analysed(self.timing.captured)
        truncated = self.timing.narrow()
        self.context.progress("validate", "on truncated dtypes")
        self.judged = self.timing.judge(truncated)
        try:
            truncated, split, program, networks = self._settle_partition(truncated)
        except PartitionFailedError as error:
            # The partitioner or a validator raised, as it would in torch_tensorrt.compile.
            self.evidence.partition_error = str(error)
            return self._finish(module, truncated, None, None, [])
        return self._finish(module, truncated, split, program, networks)

    def draft(self, known: Mapping[EngineKey, bool]) -> Draft:
        """Partitions, repairs and defines networks, for their numbers only.

        Args:
            known: whether TensorRT refuses engines that were defined before.

        Raises:
            PartitionFailedError: the partitioner or a validator raised.
        """
        with patched_registry_check():
            return self._draft(known)

    def _draft(self, known: Mapping[EngineKey, bool]) -> Draft:
        truncated = self.timing.narrow()
        self.judged = self.timing.judge(truncated)
        split = self._partition(truncated, self.refused)
        program, inputs = self._repair(split, truncated)
        engines = [(str(call.target), module) for call, module in engine_nodes(program.module)]
        new = [each for each in engines if engine_key(each[1]) not in known]
        if self.policy.timing.follows_lists:
            # Under `upstream` the same operators, as they are, were asked about before.
            self._probe([module for _, module in new])
        failed = sum(known.get(engine_key(module), False) for _, module in engines)
        failed += sum(self._is_refused(name, module, inputs) for name, module in new)
        return Draft(len(split.engine_names), len(split.torch_ops), len(program.casts), failed)

    def _is_refused(self, name: str, module: GraphModule, inputs: dict[str, Any]) -> bool:
        """Returns whether TensorRT refuses an engine, or an operator in it."""
        marks = {str(node.meta.get(NODE_MARK, node.name)) for node in module.graph.nodes}
        if any(self.answers[m].verdict in REFUSED for m in marks & self.answers.keys()):
            return True
        if not self.context.can_define_networks:
            return False
        self.context.progress("network", name)
        return self._define_network(name, module, inputs).error is not None

    def _settle_partition(
        self, truncated: Typing
    ) -> tuple[Typing, partition.Split, Program, list[Network]]:
        """Partitions, repairs and asks TensorRT; again without what TensorRT refuses.

        Returns the typing that it ended with, and what was made of it.

        Under verdicts `validators` there is one round. Under `tensorrt` there are as many as
        it takes: a node that leaves an engine changes what stands at its borders.
        """
        passes = self.timing.recorder.passes
        before = len(passes)
        while True:
            del passes[before:]
            split = self._partition(truncated, self.refused)
            again = self.timing.narrow_again(split)
            if again is not None:
                truncated, self.judged = again, self.timing.judge(again)
                continue
            program, inputs = self._repair(split, truncated)
            self._judge_inside(program)
            self._probe([module for _, module in engine_nodes(program.module)])
            networks = self._define_networks(program, inputs)
            again = self.timing.narrow_again(split, networks, self.answers)
            if again is not None:
                truncated, self.judged = again, self.timing.judge(again)
                self.answers.clear()
                continue
            if self.policy.verdicts is VerdictSource.VALIDATORS:
                return truncated, split, program, networks
            found = self._refused_by_tensorrt(split, networks) - self.refused
            if not found:
                return truncated, split, program, networks
            # Each round refuses a node more, and none comes back: there is an end.
            self.refused |= found

    def _refused_by_tensorrt(
        self, split: partition.Split, networks: list[Network]
    ) -> frozenset[str]:
        """Returns the nodes inside engines that the probe or their engine's network refuse."""
        refused = {n for n, a in self.answers.items() if a.verdict in REFUSED}
        refused |= {n for n, j in self.inside.items() if j.verdict in REFUSED}
        for net in networks:
            culprit = net.culprit()
            if culprit is not None:
                refused.add(culprit)
                reason = net.error or "TensorRT refuses it in its engine"
                self.answers.setdefault(culprit, probe.TensorrtAnswer(Verdict.REJECT, reason))
                if self.answers[culprit].verdict in (Verdict.ACCEPT, Verdict.NOT_CHECKED):
                    self.answers[culprit] = probe.TensorrtAnswer(Verdict.REJECT, reason)
        return frozenset(refused & set(split.engine_of))

    def _probe(self, engines: list[GraphModule]) -> None:
        if not self.context.can_define_networks or self.context.probe_seconds <= 0:
            return
        options = copy.copy(self.options)
        options.truncate_double = converters_truncate(self.policy, self.settings)
        self.answers.update(
            probe.probe(
                engines,
                options,
                self.context.target,
                self.context.memory,
                emit=self.context.progress,
                seconds=self.context.probe_seconds,
            )
        )

    def _partition(self, truncated: Typing, refused: frozenset[str]) -> partition.Split:
        self.context.progress("partition", self.settings.partitioner.value)
        timing = self.timing
        answers = None
        if not timing.validators_ask:
            answers = {name: j.verdict is Verdict.ACCEPT for name, j in self.judged.items()}
        start = time.perf_counter()
        try:
            split = partition.partition(
                timing.graph(truncated),
                self.options,
                tolerant=not timing.validators_ask,
                refused=refused,
                answers=answers,
            )
        except Exception as error:
            seconds = time.perf_counter() - start
            timing.recorder.failure(Phase.PARTITION, "partition", seconds, first_line(error))
            raise PartitionFailedError(first_line(error)) from error
        seconds = time.perf_counter() - start
        timing.recorder.snapshot(Phase.PARTITION, "partition", split.module.graph, seconds)
        return split

    def _repair(
        self, split: partition.Split, truncated: Typing
    ) -> tuple[Program, dict[str, Any]]:
        self.context.progress("boundary", self.policy.timing.value)
        recorder = self.timing.recorder
        start = time.perf_counter()
        repaired = self.timing.repair(split.module, truncated)
        seconds = time.perf_counter() - start
        self.evidence.repair_crash = repaired.crash
        self.evidence.crashed_engine = repaired.crashed_engine
        if repaired.crash is None:
            graph = repaired.program.module.graph
            recorder.snapshot(Phase.BOUNDARY, "repair boundaries", graph, seconds)
        else:
            recorder.failure(Phase.BOUNDARY, "repair boundaries", seconds, repaired.crash)
        return repaired.program, repaired.inputs

    def _define_networks(self, program: Program, inputs: dict[str, Any]) -> list[Network]:
        if not self.context.can_define_networks:
            return []
        engines = list(engine_nodes(program.module))
        networks = []
        for done, (call, module) in enumerate(engines):
            self.context.progress("network", f"engine {done}", done, len(engines))
            networks.append(self._define_network(str(call.target), module, inputs))
        return networks

    def _define_network(
        self, name: str, module: GraphModule, inputs: dict[str, Any]
    ) -> Network:
        return network.define_network(
            module,
            name,
            self.options,
            truncate_double=converters_truncate(self.policy, self.settings),
            inputs=inputs.get(name),
        )

    def _finish(
        self,
        module: GraphModule,
        truncated: Typing,
        split: partition.Split | None,
        program: Program | None,
        networks: list[Network],
    ) -> Analysed:
        outputs = self._settle(program, networks) if program is not None else ()
        self.timing.note(self.evidence)
        self.evidence.scalars = truncated.scalars
        rows = self._rows(truncated, split, networks)
        promised = early.promised_outputs(self.context.program)
        recorder = self.timing.recorder
        return Analysed(
            captured=self.timing.captured,
            evidence=self.evidence,
            networks=networks,
            passes=tuple(recorder.passes),
            pool=tuple(recorder.pool),
            nodes=tuple(rows.row(node) for node in module.graph.nodes),
            subgraphs=subgraphs(module),
            engines=engine_rows(split, networks, self.context.target),
            torch_ops=split.torch_ops if split is not None else (),
            casts=program.casts if program is not None else (),
            low_casts=self._low_casts(program),
            constants=self.timing.constants(truncated, program),
            outputs=output_rows(self.context.program, promised, outputs),
            partitioned=self.timing.graph(truncated),
            truncated=truncated,
            program=program,
        )

    def _low_casts(self, program: Program | None) -> LowCastTotals | None:
        """Returns the casts of a low precision inside engines; None without one."""
        low = low_precision(self.policy, self.settings)
        if program is None or low is Precision.NONE:
            return None
        return low_cast_totals(program.module, torch_dtype(low.value))

    def _settle(self, program: Program, networks: list[Network]) -> tuple[str | None, ...]:
        """Makes a program's borders what TensorRT binds; returns its outputs' dtypes."""
        bound = {n.name: tuple(b.bound for b in n.outputs) for n in networks}
        settled = settle.settle(program, bound)
        self.evidence.refused = settled.refused
        self.evidence.narrowed_readers = settled.narrowed_readers
        return settled.outputs

    def _rows(
        self, truncated: Typing, split: partition.Split | None, networks: list[Network]
    ) -> NodeRows:
        lowered = self.timing.lowered
        listed, judged, low = self.timing.listed(truncated, self.judged)
        return NodeRows(
            exported=self.context.exported,
            plain=lowered.inferred,
            truncated=listed,
            original=lowered.original,
            refreshed=lowered.refreshed,
            judged=judged,
            judged_low=low,
            decisions=self.timing.decisions,
            inside=self.inside,
            probed=self.answers,
            refused=self.refused,
            in_force=self.timing.deciding(self.judged),
            kind_in_force=self.timing.typing_in_force,
            small_blocks=self._small_blocks(truncated, split),
            min_block_size=self.settings.min_block_size,
            counterfactuals=self.timing.reasons(truncated, self.judged),
            other_flavours=flavours.other_flavour(
                self.timing.graph(truncated), self.timing.deciding(self.judged), self.options
            ),
            engine_of=split.engine_of if split is not None else {},
            tensorrt={k: v for net in networks for k, v in net.node_dtypes.items()},
        )

    def _small_blocks(
        self, truncated: Typing, split: partition.Split | None
    ) -> dict[str, int]:
        if split is None:
            return {}
        deciding = self.timing.deciding(self.judged)
        return partition.small_blocks(
            self.timing.graph(truncated),
            self.options,
            split,
            [name for name, j in deciding.items() if j.verdict is Verdict.ACCEPT],
            tolerant=not self.timing.validators_ask,
            refused=self.refused,
        )

    def _judge_inside(self, program: Program) -> None:
        """Judges each node again inside its engine, as conversion does."""
        for _, module in engine_nodes(program.module):
            judged = validate.judge(module, self.options)
            for node in module.graph.nodes:
                if node.name in judged and NODE_MARK in node.meta:
                    self.inside[node.meta[NODE_MARK]] = judged[node.name]


class PartitionFailedError(Exception):
    """torch_tensorrt's partitioner, or a validator that it asked, raised."""
