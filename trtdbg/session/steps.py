"""The stages behind capture, for one program under one policy."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec
from torch.export import ExportedProgram
from torch.fx import GraphModule

from trtdbg.outputs.findings import Evidence
from trtdbg.policy import Settings, Timing, TruncationPolicy
from trtdbg.records import (
    Binding,
    BoundaryCast,
    BuildRecord,
    BuildStatus,
    ConstantRecord,
    Dtype,
    EngineRecord,
    GraphNode,
    NodeRecord,
    PassRecord,
    Phase,
    ValidatorVerdict,
    Verdict,
    Widened,
)
from trtdbg.stages import (
    boundary,
    early,
    engine,
    infer,
    network,
    partition,
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
from trtdbg.stages.graph import (
    NODE_MARK,
    Typing,
    args_text,
    as_tuple,
    engine_nodes,
    first_line,
    origin_name,
    recorded_dtype,
    source_of,
    target_name,
    value_dtype,
    value_shape,
)
from trtdbg.stages.network import Network
from trtdbg.stages.splits import Program


@dataclass
class Lowered:
    """A captured program with what inference and the validators say without a policy."""

    captured: Captured
    inferred: Typing | None = None
    original: dict[str, validate.Judgement] = field(default_factory=dict)
    refreshed: dict[str, validate.Judgement] = field(default_factory=dict)


@dataclass(frozen=True)
class Context:
    """What a program's session gives every policy."""

    program: ExportedProgram
    exported: dict[str, Dtype]
    """Dtype that the exported program promises for each of its nodes."""
    settings: Settings
    target: str | None
    can_define_networks: bool
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

    def run(self) -> Analysed:
        """Runs truncation, verdicts, partition, boundary repair and network definition."""
        if self.policy.timing is Timing.EARLY:
            self._lower_narrowed()
            if self.captured.module is None:
                return Analysed(self.captured)
        truncated = self._truncate()
        self.context.progress("validate", "on truncated dtypes")
        judged = validate.judge(truncated.module, self._judging_options())
        try:
            split = self._partition(truncated)
        except Exception as error:
            # The partitioner or a validator raised, as it would in torch_tensorrt.compile.
            self.evidence.partition_error = first_line(error)
            return self._finish(truncated, judged, None, None, [])
        program, inputs = self._repair(split, truncated)
        networks = self._define_networks(program, inputs)
        return self._finish(truncated, judged, split, program, networks)

    def _judging_options(self) -> Any:
        return compilation_settings(self.settings, truncate_double=False)

    def _lower_narrowed(self) -> None:
        recorder = Recorder()
        program = self.context.program
        recorder.snapshot(Phase.LOAD, "exported program", program.graph, 0.0)
        start = time.perf_counter()
        self.context.progress("truncate", "early, in the exported program")
        self.early = early.narrow_program(
            copy_program(program), self.policy, infer.infer_in_place
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
        # Upstream narrows the same dtypes, only behind the validators' back.
        policy = msgspec.structs.replace(self.policy, timing=Timing.LATE)
        truncated = infer.infer_truncated(self.base.inferred, policy)
        if self.policy.timing is Timing.LATE:
            seconds = time.perf_counter() - start
            graph = truncated.module.graph
            self.recorder.snapshot(Phase.TRUNCATION, "truncate (late)", graph, seconds)
        return truncated

    def _partition(self, truncated: Typing) -> partition.Split:
        self.context.progress("partition", self.settings.partitioner.value)
        assert self.captured.module is not None
        as_upstream = self.policy.timing is Timing.UPSTREAM
        module = self.captured.module if as_upstream else truncated.module
        start = time.perf_counter()
        split = partition.partition(module, self.options, tolerant=not as_upstream)
        seconds = time.perf_counter() - start
        self.recorder.snapshot(Phase.PARTITION, "partition", split.module.graph, seconds)
        return split

    def _repair(
        self, split: partition.Split, truncated: Typing
    ) -> tuple[Program, dict[str, Any]]:
        self.context.progress("boundary", self.policy.timing.value)
        start = time.perf_counter()
        inputs: dict[str, Any] = {}
        match self.policy.timing:
            case Timing.LATE:
                assert self.base.inferred is not None
                program = boundary.repair_late(split.module, self.base.inferred, truncated)
                narrowing.narrow_engines(split.module, truncated)
            case Timing.EARLY:
                assert self.early is not None
                program = boundary.repair_program(
                    split.module, self.early.promised_inputs, self.promised
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
        seconds = time.perf_counter() - start
        graph = program.module.graph
        self.recorder.snapshot(Phase.BOUNDARY, "repair boundaries", graph, seconds)
        return program, inputs

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
                    truncate_double=self._converters_truncate(),
                    inputs=inputs.get(str(call.target)),
                )
            )
        return networks

    def _converters_truncate(self) -> bool:
        """Tells whether float64 that a converter meets is narrowed rather than refused."""
        match self.policy.timing:
            case Timing.OFF:
                return False
            case Timing.UPSTREAM:
                return True
            case _:
                return "float64" in self.policy.constants

    def _finish(
        self,
        truncated: Typing,
        judged: dict[str, validate.Judgement],
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
            self.evidence.refused = {**self.early.typing.refused, **self.evidence.refused}
            truncated.scalars.update(self.early.typing.scalars)
        self.evidence.scalars = truncated.scalars
        return Analysed(
            captured=self.captured,
            evidence=self.evidence,
            networks=networks,
            passes=tuple(self.recorder.passes),
            pool=tuple(self.recorder.pool),
            nodes=self._nodes(truncated, judged, split, program, networks),
            engines=self._engines(split, program, networks),
            torch_ops=split.torch_ops if split is not None else (),
            casts=program.casts if program is not None else (),
            constants=self._constants(truncated),
            outputs=self._outputs(outputs),
        )

    def _outputs(self, in_force: tuple[str | None, ...]) -> tuple[Binding, ...]:
        specs = self.context.program.graph_signature.user_outputs
        names = [str(name) for name in specs]
        found = []
        for i, value in enumerate(self.promised):
            declared = value_dtype(value)
            found.append(
                Binding(
                    name=names[i] if i < len(names) else f"output{i}",
                    declared=declared if isinstance(declared, str) else None,
                    bound=in_force[i] if i < len(in_force) else None,
                    shape=value_shape(value),
                )
            )
        return tuple(found)

    def _constants(self, truncated: Typing) -> tuple[ConstantRecord, ...]:
        assert self.base.inferred is not None
        if self.policy.timing is not Timing.EARLY:
            return narrowing.constant_records(self.base.inferred, truncated)
        policy = msgspec.structs.replace(self.policy, timing=Timing.LATE)
        late = infer.infer_truncated(self.base.inferred, policy)
        return narrowing.constant_records(self.base.inferred, late)

    def _engines(
        self,
        split: partition.Split | None,
        program: Program | None,
        networks: list[Network],
    ) -> tuple[EngineRecord, ...]:
        if split is None or program is None:
            return ()
        records = []
        for index, name in enumerate(split.engine_names):
            nodes = tuple(n for n, i in split.engine_of.items() if i == index)
            record = EngineRecord(
                index=index,
                name=name,
                nodes=nodes,
                timing_unavailable="not built",
            )
            if index < len(networks):
                net = networks[index]
                record = msgspec.structs.replace(
                    record,
                    inputs=net.inputs,
                    outputs=net.outputs,
                    layers=net.layers,
                    widened=tuple(Widened(node=n, reason=r) for n, r in net.widened),
                    build=self._unbuilt(net),
                )
            else:
                reason = "TensorRT's builder is not available on this machine"
                build = BuildRecord(status=BuildStatus.UNAVAILABLE, error=reason)
                record = msgspec.structs.replace(record, build=build)
            records.append(record)
        return tuple(records)

    def _unbuilt(self, net: Network) -> BuildRecord:
        if net.error is None:
            return BuildRecord(
                stage="network", network_seconds=net.seconds, target=self.context.target
            )
        record, _ = engine.build_engine(net, self.context.target)
        return record

    def _nodes(
        self,
        truncated: Typing,
        judged: dict[str, validate.Judgement],
        split: partition.Split | None,
        program: Program | None,
        networks: list[Network],
    ) -> tuple[NodeRecord, ...]:
        assert self.captured.module is not None
        tensorrt: dict[str, Dtype] = {}
        for net in networks:
            tensorrt.update(net.node_dtypes)
        inside = self._inside_engines(program)
        engine_of = split.engine_of if split is not None else {}
        return tuple(
            self._node(node, truncated, judged, engine_of, tensorrt, inside)
            for node in self.captured.module.graph.nodes
        )

    def _inside_engines(self, program: Program | None) -> dict[str, validate.Judgement]:
        """Judges each node again inside its engine, as conversion does."""
        found: dict[str, validate.Judgement] = {}
        if program is None:
            return found
        for _, module in engine_nodes(program.module):
            found.update(_by_mark(module, validate.judge(module, self.options)))
        return found

    def _node(
        self,
        node: Any,
        truncated: Typing,
        judged: dict[str, validate.Judgement],
        engine_of: dict[str, int],
        tensorrt: dict[str, Dtype],
        inside: dict[str, validate.Judgement],
    ) -> NodeRecord:
        assert self.base.inferred is not None
        name = node.name
        engine_index = engine_of.get(name)
        # Where truncation is early, the plain typing is that of the program as exported.
        inferred = self.base.inferred.dtypes.get(name)
        if self.early is not None and name not in self.base.inferred.dtypes:
            inferred = self._original(node)
        return NodeRecord(
            name=name,
            op=node.op,
            target=target_name(node),
            shape=None if node.op == "output" else value_shape(node.meta.get("val")),
            original=self._original(node),
            recorded=recorded_dtype(node),
            inferred=inferred,
            truncated=truncated.dtypes.get(name),
            tensorrt=tensorrt.get(name) if engine_index is not None else None,
            engine=engine_index,
            source=source_of(node),
            from_node=origin_name(node),
            args=args_text(node),
            operands=as_tuple(node.all_input_nodes),
            users=as_tuple(node.users),
            verdict=self._verdict(node, judged),
            verdicts=self._verdicts(name, judged, inside),
            constant=str(node.target) if node.op == "get_attr" else None,
        )

    def _original(self, node: Any) -> Dtype:
        if node.op == "output":
            return None
        origin = origin_name(node)
        promised = self.context.exported.get(origin or node.name)
        if isinstance(promised, tuple):
            # A node behind one of several outputs: its own place says which.
            index = node.args[1] if len(node.args) > 1 else None
            own = recorded_dtype(node)
            if isinstance(own, str) and isinstance(index, int) and index < len(promised):
                return promised[index]
        return promised if promised is not None else recorded_dtype(node)

    def _verdict(self, node: Any, judged: dict[str, validate.Judgement]) -> Verdict:
        """Returns what the partitioner concludes under the timing in force."""
        if node.op != "call_function":
            return Verdict.NOT_APPLICABLE
        upstream_view = self.policy.timing is Timing.UPSTREAM
        source = self.base.original if upstream_view else judged
        judgement = source.get(node.name)
        return judgement.verdict if judgement is not None else Verdict.NOT_CHECKED

    def _verdicts(
        self,
        name: str,
        judged: dict[str, validate.Judgement],
        inside: dict[str, validate.Judgement],
    ) -> tuple[ValidatorVerdict, ...]:
        records = validate.verdict_records(
            self.base.original.get(name), self.base.refreshed.get(name), judged.get(name)
        )
        return records + validate.scope_records(judged.get(name), inside.get(name))


def _by_mark(
    module: GraphModule, judged: dict[str, validate.Judgement]
) -> dict[str, validate.Judgement]:
    return {
        node.meta[NODE_MARK]: judged[node.name]
        for node in module.graph.nodes
        if node.name in judged and NODE_MARK in node.meta
    }
