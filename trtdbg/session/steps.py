"""The stages behind capture, for one program under one policy."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind
from torch.fx import GraphModule

from trtdbg.analysis.findings import Evidence
from trtdbg.graphs.graph import (
    NODE_MARK,
    Typing,
    engine_nodes,
    first_line,
    origin_name,
    source_of,
    target_name,
)
from trtdbg.graphs.splits import Program, placeholders
from trtdbg.policy import (
    Settings,
    Timing,
    TruncationPolicy,
    VerdictSource,
    converters_truncate,
)
from trtdbg.records import (
    Binding,
    BoundaryCast,
    ConstantRecord,
    Counterfactual,
    Dtype,
    EngineRecord,
    GraphNode,
    NodeRecord,
    PassRecord,
    Phase,
    RefusalKind,
    TypingKind,
    Verdict,
)
from trtdbg.session import reasons
from trtdbg.session.lowered import Lowered
from trtdbg.session.rows import NodeRows, engine_rows, output_rows
from trtdbg.stages import (
    boundary,
    early,
    infer,
    network,
    partition,
    probe,
    settle,
    upstream,
    validate,
)
from trtdbg.stages import narrow as narrowing
from trtdbg.stages.capture import (
    Captured,
    Recorder,
    capture,
    compilation_settings,
    copy_program,
)
from trtdbg.stages.network import Network


@dataclass(frozen=True)
class Context:
    """What a program's session gives every policy."""

    program: ExportedProgram
    exported: dict[str, Dtype]
    """Dtype that the exported program promises for each of its nodes."""
    settings: Settings
    target: str | None
    can_define_networks: bool
    memory: probe.Memory
    """What TensorRT answered about single nodes so far."""
    probe_seconds: float
    """Time limit of all questions of one analysis; 0 asks nothing."""
    progress: Callable[..., None]


@dataclass
class Analysed:
    """What the stages made of a program under one policy."""

    captured: Captured
    """With `module` None if lowering failed; the other fields are then empty."""
    evidence: Evidence = field(default_factory=Evidence)
    networks: list[Network] = field(default_factory=list)
    passes: tuple[PassRecord, ...] = ()
    pool: tuple[GraphNode, ...] = ()
    nodes: tuple[NodeRecord, ...] = ()
    engines: tuple[EngineRecord, ...] = ()
    torch_ops: tuple[str, ...] = ()
    casts: tuple[BoundaryCast, ...] = ()
    constants: tuple[ConstantRecord, ...] = ()
    outputs: tuple[Binding, ...] = ()
    truncated: Typing | None = None
    program: Program | None = None
    """Partitioned and repaired; None if the partitioner failed, here and above."""


class Steps:
    """The stages behind capture, for one policy; each step hands on to the next."""

    def __init__(self, context: Context, policy: TruncationPolicy, lowered: Lowered) -> None:
        self.context = context
        self.policy = policy
        self.base = lowered
        self.settings = context.settings
        self.options = compilation_settings(
            self.settings, truncate_double=policy.timing is Timing.UPSTREAM
        )
        self.captured = lowered.captured
        self.recorder = Recorder.resume(lowered.captured)
        self.evidence = Evidence()
        self.promised = early.promised_outputs(context.program)
        self.early: early.NarrowedProgram | None = None
        self.answers: dict[str, probe.Answer] = {}
        self.refused: frozenset[str] = frozenset()
        self.judged: Mapping[str, validate.Judgement] = {}
        self.inside: dict[str, validate.Judgement] = {}

    def run(self) -> Analysed:
        """Runs truncation, verdicts, partition, boundary repair and network definition."""
        if self.policy.timing is Timing.EARLY:
            self._lower_narrowed()
            if self.captured.module is None:
                return Analysed(self.captured)
        truncated = self._truncate()
        self.context.progress("validate", "on truncated dtypes")
        self.judged = self._judge(truncated)
        try:
            split, program, networks = self._settle_partition(truncated)
        except PartitionFailedError as error:
            # The partitioner or a validator raised, as it would in torch_tensorrt.compile.
            self.evidence.partition_error = str(error)
            return self._finish(truncated, None, None, [])
        return self._finish(truncated, split, program, networks)

    def _settle_partition(
        self, truncated: Typing
    ) -> tuple[partition.Split, Program, list[Network]]:
        """Partitions, repairs and asks TensorRT; again without what TensorRT refuses.

        Under verdicts `validators` there is one round. Under `tensorrt` there are as many as
        it takes: a node that leaves an engine changes what stands at its borders.
        """
        before = len(self.recorder.passes)
        while True:
            del self.recorder.passes[before:]
            split = self._partition(truncated, self.refused)
            program, inputs = self._repair(split, truncated)
            self._judge_inside(program)
            self._probe(program)
            networks = self._define_networks(program, inputs)
            if self.policy.verdicts is VerdictSource.VALIDATORS:
                return split, program, networks
            found = self._refused_by_tensorrt(split, networks)
            if not found:
                return split, program, networks
            self.refused |= found

    def _refused_by_tensorrt(
        self, split: partition.Split, networks: list[Network]
    ) -> frozenset[str]:
        """Returns the nodes inside engines that the probe or their engine's network refuse."""
        no = (Verdict.REJECT, Verdict.CRASHED)
        refused = {n for n, a in self.answers.items() if a.verdict in no}
        refused |= {n for n, j in self.inside.items() if j.verdict in no}
        for net in networks:
            culprit = net.culprit()
            if culprit is not None:
                refused.add(culprit)
                reason = net.error or "TensorRT refuses it in its engine"
                self.answers.setdefault(culprit, probe.Answer(Verdict.REJECT, reason))
                if self.answers[culprit].verdict is Verdict.ACCEPT:
                    self.answers[culprit] = probe.Answer(Verdict.REJECT, reason)
        return frozenset(refused & set(split.engine_of))

    def _probe(self, program: Program) -> None:
        if not self.context.can_define_networks or self.context.probe_seconds <= 0:
            return
        options = copy.copy(self.options)
        options.truncate_double = converters_truncate(self.policy)
        engines = [module for _, module in engine_nodes(program.module)]
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

    def _judging_options(self) -> Any:
        return compilation_settings(self.settings, truncate_double=False)

    def _lower_narrowed(self) -> None:
        recorder = Recorder()
        program = self.context.program
        recorder.snapshot(Phase.LOAD, "exported program", program.graph, 0.0)
        start = time.perf_counter()
        self.context.progress("truncate", "early, in the exported program")
        self.early = early.narrow_program(
            copy_program(program), self.policy, self.base.narrowings
        )
        seconds = time.perf_counter() - start
        recorder.snapshot(
            Phase.TRUNCATION, "truncate (early)", self.early.program.graph, seconds
        )
        self.captured = capture(
            self.early.program,
            self.settings,
            truncate_double=False,
            emit=self.context.progress,
            recorder=recorder,
        )
        self.recorder = Recorder.resume(self.captured)

    def _truncate(self) -> Typing:
        """Returns the truncated typing; for `off` and `early` nothing is left to narrow."""
        assert self.base.inferred is not None
        if self.policy.timing is Timing.OFF:
            return self.base.inferred
        start = time.perf_counter()
        if self.policy.timing is Timing.EARLY:
            assert self.captured.module is not None
            return infer.infer(self.captured.module)
        self.context.progress("infer", "under the policy")
        policy = self._lists_in_force()
        truncated = self.base.truncated(policy)
        if self.policy.timing is Timing.LATE:
            seconds = time.perf_counter() - start
            graph = truncated.module.graph
            self.recorder.snapshot(Phase.TRUNCATION, "truncate (late)", graph, seconds)
        return truncated

    def _lists_in_force(self) -> TruncationPolicy:
        # Upstream narrows float64 behind the validators' back, whatever the lists say.
        return TruncationPolicy() if self._is_upstream() else self.policy

    def _judge(self, truncated: Typing) -> Mapping[str, validate.Judgement]:
        match self.policy.timing:
            case Timing.OFF:
                return self.base.refreshed
            case Timing.EARLY:
                return validate.judge(truncated.module, self._judging_options())
        return self.base.judged(self._lists_in_force(), self._judging_options())

    def _partition(self, truncated: Typing, refused: frozenset[str]) -> partition.Split:
        self.context.progress("partition", self.settings.partitioner.value)
        assert self.captured.module is not None
        as_upstream = self._is_upstream()
        module = self.captured.module if as_upstream else truncated.module
        start = time.perf_counter()
        try:
            split = partition.partition(
                module,
                self.options,
                tolerant=not as_upstream,
                refused=refused,
                answers=self._answers(),
            )
        except Exception as error:
            seconds = time.perf_counter() - start
            self.recorder.failure(Phase.PARTITION, "partition", seconds, first_line(error))
            raise PartitionFailedError(first_line(error)) from error
        seconds = time.perf_counter() - start
        self.recorder.snapshot(Phase.PARTITION, "partition", split.module.graph, seconds)
        return split

    def _answers(self) -> dict[str, bool] | None:
        """Returns what the partitioner would be answered; `upstream` has it ask by itself."""
        if self._is_upstream():
            return None
        return {name: j.verdict is Verdict.ACCEPT for name, j in self.judged.items()}

    def _repair(
        self, split: partition.Split, truncated: Typing
    ) -> tuple[Program, dict[str, Any]]:
        self.context.progress("boundary", self.policy.timing.value)
        start = time.perf_counter()
        inputs: dict[str, Any] = {}
        match self.policy.timing:
            case Timing.LATE:
                assert self.base.inferred is not None
                program = boundary.repair_late(
                    split.module, self.base.inferred, truncated, self.base.narrowings
                )
                narrowing.narrow_engines(split.module, truncated, self.base.narrowings)
            case Timing.EARLY:
                program = boundary.repair_program(
                    split.module, self._promised_inputs(split.module), self.promised
                )
            case Timing.OFF:
                program = boundary.leave_unrepaired(split.module)
            case Timing.UPSTREAM:
                assert self.captured.module is not None
                repair = upstream.repair_upstream(
                    split.module, self.captured.module, self.options
                )
                program, inputs = repair.program, repair.inputs
                self.evidence.repair_crash = repair.crash
                self.evidence.crashed_engine = repair.crashed_engine
        seconds = time.perf_counter() - start
        graph = program.module.graph
        if self.evidence.repair_crash is None:
            self.recorder.snapshot(Phase.BOUNDARY, "repair boundaries", graph, seconds)
        else:
            crash = self.evidence.repair_crash
            self.recorder.failure(Phase.BOUNDARY, "repair boundaries", seconds, crash)
        return program, inputs

    def _promised_inputs(self, split: GraphModule) -> dict[str, torch.dtype]:
        """Returns the dtypes that callers pass, by the placeholders' names after lowering.

        They stand in the exported order; a name like `input`, which hides a builtin, is
        another one by then.
        """
        assert self.early is not None
        specs = self.context.program.graph_signature.input_specs
        names = [spec.arg.name for spec in specs if spec.kind is InputKind.USER_INPUT]
        pairs = zip(placeholders(split), names, strict=True)
        promised = self.early.promised_inputs
        return {node.name: promised[name] for node, name in pairs if name in promised}

    def _define_networks(self, program: Program, inputs: dict[str, Any]) -> list[Network]:
        if not self.context.can_define_networks:
            return []
        engines = list(engine_nodes(program.module))
        networks = []
        for done, (call, module) in enumerate(engines):
            self.context.progress("network", f"engine {done}", done, len(engines))
            networks.append(
                network.define_network(
                    module,
                    str(call.target),
                    self.options,
                    truncate_double=converters_truncate(self.policy),
                    inputs=inputs.get(str(call.target)),
                )
            )
        return networks

    def _finish(
        self,
        truncated: Typing,
        split: partition.Split | None,
        program: Program | None,
        networks: list[Network],
    ) -> Analysed:
        outputs: tuple[str | None, ...] = ()
        if program is not None:
            settled = settle.settle(
                program, {n.name: tuple(b.bound for b in n.outputs) for n in networks}
            )
            outputs = settled.outputs
            self.evidence.refused = settled.refused
            self.evidence.narrowed_readers = settled.narrowed_readers
        if self.early is not None:
            self.evidence.widened = self.early.typing.refused
            self.evidence.exported_scalars = self.early.typing.scalars
            self._keep_what_survived()
        self.evidence.scalars = truncated.scalars
        assert self.captured.module is not None
        assert self.base.inferred is not None
        rows = NodeRows(
            exported=self.context.exported,
            plain=self.base.inferred,
            truncated=truncated,
            original=self.base.original,
            refreshed=self.base.refreshed,
            judged=self.judged,
            inside=self.inside,
            probed=self.answers,
            refused=self.refused,
            in_force=self._in_force(),
            kind_in_force=(
                TypingKind.ORIGINAL if self._is_upstream() else TypingKind.TRUNCATED
            ),
            small_blocks=self._small_blocks(truncated, split),
            min_block_size=self.settings.min_block_size,
            counterfactuals=self._reasons(truncated),
            engine_of=split.engine_of if split is not None else {},
            tensorrt={k: v for net in networks for k, v in net.node_dtypes.items()},
        )
        return Analysed(
            captured=self.captured,
            evidence=self.evidence,
            networks=networks,
            passes=tuple(self.recorder.passes),
            pool=tuple(self.recorder.pool),
            nodes=tuple(rows.row(node) for node in self.captured.module.graph.nodes),
            engines=engine_rows(split, networks, self.context.target),
            torch_ops=split.torch_ops if split is not None else (),
            casts=program.casts if program is not None else (),
            constants=self._constants(truncated, program),
            outputs=output_rows(self.context.program, self.promised, outputs),
            truncated=truncated,
            program=program,
        )

    def _keep_what_survived(self) -> None:
        """Forgets what was said of nodes that narrowing before lowering removed or renamed.

        A node that was refused because of its dtype and is gone is a refusal that timing
        `early` resolved.
        """
        plain = self.base.captured.module
        assert plain is not None
        assert self.captured.module is not None
        assert self.base.inferred is not None
        now = {
            (n.name, target_name(n), origin_name(n)) for n in self.captured.module.graph.nodes
        }
        kept, gone = set(), []
        for node in plain.graph.nodes:
            if (node.name, target_name(node), origin_name(node)) in now:
                kept.add(node.name)
            else:
                gone.append(node)
        for node in gone:
            why = self.base.why_refreshed.get(node.name)
            if why is not None and why.kind is RefusalKind.DTYPE and why.changes:
                said = (target_name(node), why.text, source_of(node))
                self.evidence.dissolved[node.name] = said
        inferred = self.base.inferred
        self.base = replace(
            self.base,
            inferred=replace(
                inferred, dtypes={n: d for n, d in inferred.dtypes.items() if n in kept}
            ),
            original={n: j for n, j in self.base.original.items() if n in kept},
            refreshed={n: j for n, j in self.base.refreshed.items() if n in kept},
            why_original={n: c for n, c in self.base.why_original.items() if n in kept},
            why_refreshed={n: c for n, c in self.base.why_refreshed.items() if n in kept},
        )

    def _is_upstream(self) -> bool:
        return self.policy.timing is Timing.UPSTREAM

    def _in_force(self) -> Mapping[str, validate.Judgement]:
        """Returns the judgements that decide the partition."""
        return self.base.original if self._is_upstream() else self.judged

    def _small_blocks(
        self, truncated: Typing, split: partition.Split | None
    ) -> dict[str, int]:
        if split is None:
            return {}
        assert self.captured.module is not None
        return partition.small_blocks(
            self.captured.module if self._is_upstream() else truncated.module,
            self.options,
            split,
            [n for n, j in self._in_force().items() if j.verdict is Verdict.ACCEPT],
            tolerant=not self._is_upstream(),
            refused=self.refused,
        )

    def _reasons(self, truncated: Typing) -> dict[str, Counterfactual]:
        """Returns why nodes are refused: under the typing in force, else under another."""
        original, refreshed = self.base.why_original, self.base.why_refreshed
        match self.policy.timing:
            case Timing.UPSTREAM:
                return {**refreshed, **original}
            case Timing.OFF:
                return {**original, **refreshed}
        self.context.progress("validate", "what would turn the refusals")
        in_force = reasons.explain(
            truncated.module, self.judged, self._judging_options(), TypingKind.TRUNCATED
        )
        return {**original, **refreshed, **in_force}

    def _constants(
        self, truncated: Typing, program: Program | None
    ) -> tuple[ConstantRecord, ...]:
        assert self.base.inferred is not None
        if self.policy.timing is Timing.EARLY:
            # They were narrowed before lowering: what the lists do to them shows here.
            late = self.base.truncated(self.policy)
            return narrowing.constant_records(self.base.inferred, late)
        held = narrowing.held_constants(program.module) if program is not None else None
        return narrowing.constant_records(self.base.inferred, truncated, held)

    def _judge_inside(self, program: Program) -> None:
        """Judges each node again inside its engine, as conversion does."""
        for _, module in engine_nodes(program.module):
            judged = validate.judge(module, self.options)
            for node in module.graph.nodes:
                if node.name in judged and NODE_MARK in node.meta:
                    self.inside[node.meta[NODE_MARK]] = judged[node.name]


class PartitionFailedError(Exception):
    """torch_tensorrt's partitioner, or a validator that it asked, raised."""
