"""Runs torch_tensorrt's own lowering pass by pass and takes a snapshot after each."""

from __future__ import annotations

import contextlib
import copy
import inspect
import operator
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch.export import ExportedProgram
from torch.fx import GraphModule

from trtdbg.compat import backend
from trtdbg.compat.autocast import (
    PASS,
    autocast_settings,
    traced_outputs,
    upstream_rules,
)
from trtdbg.compat.composites import patched_annotations, patched_operator_fetch
from trtdbg.compat.host import patched_default_device
from trtdbg.compat.quantization import patched_quantized_folding
from trtdbg.compat.shape_ranges import forget_unbound_sizes
from trtdbg.graphs.graph import (
    Emit,
    args_text,
    as_tuple,
    copy_graph,
    origin_name,
    recorded_dtype,
    source_of,
    target_name,
    value_shape,
)
from trtdbg.graphs.raised import caused_by, raising_node, said_at
from trtdbg.policy import BUILD_SETTINGS, Partitioner, Settings
from trtdbg.records import Front, GraphNode, LowDecision, PassRecord, Phase, Retyped


@dataclass(frozen=True)
class Captured:
    """The lowered graph and how it came about.

    `module` must not be changed; later stages work on copies. It is None when a pass raised.
    """

    module: GraphModule | None
    passes: tuple[PassRecord, ...]
    pool: tuple[GraphNode, ...]
    failed_pass: str | None = None
    error: str | None = None
    asks_truncate_double: bool = True
    """Whether a pass may have decided by that setting; if none has, the other value of it
    lowers to the same."""
    autocast: Mapping[str, LowDecision] = field(default_factory=dict)
    """What torch_tensorrt's rules decided of each exported node; empty where it was off."""

    def last_graph(self) -> tuple[GraphNode, ...]:
        """Returns the nodes of the last good graph."""
        return tuple(self.pool[i] for i in self.passes[-1].graph) if self.passes else ()


@dataclass
class Recorder:
    """Takes numbered snapshots of a changing graph; unchanged nodes share one pool entry."""

    pool: list[GraphNode] = field(default_factory=list)
    passes: list[PassRecord] = field(default_factory=list)
    _indices: dict[GraphNode, int] = field(default_factory=dict)
    _seen: dict[torch.fx.Node, tuple[tuple[Any, ...], int]] = field(default_factory=dict)
    """Each node of the last graph: what its record was made of, and where that stands."""

    @classmethod
    def resume(cls, captured: Captured) -> Recorder:
        """Continues after the passes of a captured program, for the stages that follow it."""
        recorder = cls(list(captured.pool), list(captured.passes))
        recorder._indices = {node: i for i, node in enumerate(captured.pool)}
        return recorder

    def snapshot(self, phase: Phase, name: str, graph: torch.fx.Graph, seconds: float) -> None:
        """Records the graph as it stands after a pass."""
        indices = self._interned(graph)
        before = {self.pool[i].name: i for i in self.passes[-1].graph} if self.passes else {}
        after = {self.pool[i].name: i for i in indices}
        added = tuple(name for name in after if name not in before) if self.passes else ()
        removed = tuple(name for name in before if name not in after)
        kept = [n for n in after if n in before and before[n] != after[n]]
        retyped = tuple(
            Retyped(name=n, before=old.dtype, after=new.dtype)
            for n in kept
            if (old := self.pool[before[n]]).dtype != (new := self.pool[after[n]]).dtype
        )
        self.passes.append(
            PassRecord(
                index=len(self.passes),
                phase=phase,
                name=name,
                changed=bool(added or removed or kept),
                nodes=len(indices),
                added=added,
                removed=removed,
                retyped=retyped,
                seconds=seconds,
                graph=indices,
            )
        )

    def failure(
        self,
        phase: Phase,
        name: str,
        seconds: float,
        error: str,
        raised: BaseException | None = None,
    ) -> None:
        """Records a pass that raised; its graph is the last good one.

        Args:
            phase: of the pass.
            name: of the pass.
            seconds: that it took until then.
            error: the sentence to show.
            raised: the exception, for the node and the cause that it names.
        """
        graph = self.passes[-1].graph if self.passes else ()
        names = {self.pool[i].name for i in graph}
        self.passes.append(
            PassRecord(
                index=len(self.passes),
                phase=phase,
                name=name,
                changed=False,
                nodes=len(graph),
                seconds=seconds,
                error=error,
                node=raising_node(raised, names) if raised is not None else None,
                caused_by=caused_by(raised) if raised is not None else None,
                graph=graph,
            )
        )

    def _interned(self, graph: torch.fx.Graph) -> tuple[int, ...]:
        """Returns where the records of a graph's nodes stand, in its order.

        A pass leaves most nodes alone, and FX replaces what it changes of a node: what is
        still the same object needs no new record. Records name operands, so one node that was
        renamed makes all of them anew.
        """
        seen = self._seen
        if any(node in seen and seen[node][0][0] is not node.name for node in graph.nodes):
            seen = {}
        self._seen = {}
        for node in graph.nodes:
            made_of, entry = _ingredients(node), seen.get(node)
            if entry is None or not all(map(operator.is_, entry[0], made_of)):
                entry = made_of, self._intern(graph_node(node))
            self._seen[node] = entry
        return tuple(index for _, index in self._seen.values())

    def _intern(self, node: GraphNode) -> int:
        index = self._indices.setdefault(node, len(self.pool))
        if index == len(self.pool):
            self.pool.append(node)
        return index


def _ingredients(node: torch.fx.Node) -> tuple[Any, ...]:
    """Returns all that `graph_node` reads of a node, its name first."""
    meta = node.meta
    origin = meta.get("from_node")
    return (
        node.name,
        node.op,
        node.target,
        node.args,
        node.kwargs,
        meta.get("val"),
        meta.get("tensor_meta"),
        meta.get("stack_trace"),
        meta.get("nn_module_stack"),
        origin[-1] if origin else None,
    )


def graph_node(node: torch.fx.Node) -> GraphNode:
    """Returns the record of one FX node as its metadata stands."""
    return GraphNode(
        name=node.name,
        op=node.op,
        target=target_name(node),
        dtype=recorded_dtype(node),
        shape=None if node.op == "output" else value_shape(node.meta.get("val")),
        args=args_text(node),
        operands=as_tuple(node.all_input_nodes),
        from_node=origin_name(node),
        source=source_of(node),
    )


def compilation_settings(settings: Settings, truncate_double: bool) -> Any:
    """Returns torch_tensorrt's `CompilationSettings` for ours.

    The device is named outright: its default asks CUDA, which a machine without a GPU cannot
    answer. A field that the installed version does not have is left out.
    """
    from torch_tensorrt import Device, EngineCapability
    from torch_tensorrt.dynamo import CompilationSettings

    wanted = {
        "device": Device(gpu_id=0),
        "truncate_double": truncate_double,
        "min_block_size": settings.min_block_size,
        "use_fast_partitioner": settings.partitioner is Partitioner.FAST,
        "torch_executed_ops": set(settings.torch_executed_ops),
        "assume_dynamic_shape_support": settings.assume_dynamic_shape_support,
        "enable_experimental_decompositions": settings.enable_experimental_decompositions,
        "decompose_attention": settings.decompose_attention,
        "attn_bias_is_causal": settings.attn_bias_is_causal,
        "fallback_data_dependent_ops": settings.fallback_data_dependent_ops,
        "use_fp32_acc": settings.use_fp32_acc,
        "disable_tf32": settings.disable_tf32,
        "optimization_level": settings.optimization_level,
    }
    usual = Settings()
    wanted |= {
        name: value
        for name in BUILD_SETTINGS
        if (value := getattr(settings, name)) != getattr(usual, name)
    }
    wanted |= autocast_settings(settings)
    if isinstance(capability := wanted.get("engine_capability"), str):
        wanted["engine_capability"] = EngineCapability[capability.upper()]
    known = inspect.signature(CompilationSettings).parameters
    return CompilationSettings(**{k: v for k, v in wanted.items() if k in known})


class _RecordingBool:
    """Stands for a bool, and records whether something asked for its value.

    torch_tensorrt's rewrite of complex numbers is handed `truncate_double` each time, and
    decides by it only where it meets complex128.
    """

    def __init__(self, value: bool) -> None:
        self._value = value
        self.asked = False

    def __bool__(self) -> bool:
        self.asked = True
        return self._value

    def __eq__(self, other: object) -> bool:
        return bool(self) == other

    def __hash__(self) -> int:
        return hash(bool(self))

    def __index__(self) -> int:
        return int(bool(self))

    def __repr__(self) -> str:
        return repr(bool(self))


def _is_torch_tensorrts(lowering_pass: Any) -> bool:
    return str(getattr(lowering_pass, "__module__", "")).startswith("torch_tensorrt.")


def _decomposed(program: ExportedProgram, decompositions: Any) -> ExportedProgram:
    with patched_default_device(), patched_operator_fetch(), patched_annotations():
        return program.run_decompositions(decompositions)


def capture(
    program: ExportedProgram,
    settings: Settings,
    *,
    truncate_double: bool,
    emit: Emit,
    recorder: Recorder | None = None,
    front: Front = Front.EXPORT,
    calibration: tuple[tuple[Any, ...], ...] = (),
) -> Captured:
    """Lowers a copy of `program` as torch_tensorrt does, one pass at a time.

    The passes are the installed version's own, in its own order. A pass that raises ends the
    capture; what was recorded until then is returned. A `recorder` that already holds passes
    is continued, and the program is then taken to be their result.

    torch_tensorrt's own passes are given a `truncate_double` that notices whether they decide
    by it; of a pass that somebody else added it is taken for granted.

    With `enable_autocast` its rules are asked, each alone, on the graph that its pass meets.
    Their range rule sees what running the program on `calibration` shows.

    Args:
        program: what was exported, or a dynamo graph that was recorded.
        settings: compilation settings in force.
        truncate_double: as torch_tensorrt is to be told.
        emit: takes progress.
        recorder: see above.
        front: which of torch_tensorrt's ways the program goes: that of
            `torch_tensorrt.dynamo.compile`, or that of its backend of `torch.compile`.
        calibration: a tuple of values for each batch, one value a user input.

    Source: torch_tensorrt 2.13 and 2.14, `dynamo/_compiler.py` compile,
    `dynamo/backend/backends.py` _pretraced_backend, and
    `dynamo/lowering/passes/_aten_lowering_pass.py` pre_export_lowering and post_lowering.
    """
    lowering = _Lowering(
        program,
        settings,
        truncate_double=truncate_double,
        emit=emit,
        recorder=recorder,
        calibration=calibration,
    )
    return lowering.run(front)


class _Lowering:
    """One lowering: what `capture` is called with, and what its passes noted so far."""

    def __init__(
        self,
        program: ExportedProgram,
        settings: Settings,
        *,
        truncate_double: bool,
        emit: Emit,
        recorder: Recorder | None,
        calibration: tuple[tuple[Any, ...], ...],
    ) -> None:
        from torch_tensorrt.dynamo.lowering import get_decompositions

        self.settings = settings
        self.emit = emit
        self.calibration = calibration
        self.options = compilation_settings(settings, truncate_double)
        self.asked = _RecordingBool(truncate_double)
        self.noticing = copy.copy(self.options)
        self.noticing.truncate_double = self.asked
        self.program = copy_program(program)
        forget_unbound_sizes(self.program)
        if recorder is None:
            recorder = Recorder()
            recorder.snapshot(Phase.LOAD, "exported program", self.program.graph, 0.0)
        self.recorder = recorder
        self.autocast: dict[str, LowDecision] = {}
        self.decompositions = get_decompositions(
            settings.enable_experimental_decompositions,
            settings.decompose_attention,
            settings.use_distributed_mode_trace,
        )

    def run(self, front: Front) -> Captured:
        """Runs all passes, or those up to the first that raises."""
        with contextlib.ExitStack() as scope:
            scope.enter_context(patched_quantized_folding())
            try:
                if front is Front.EXPORT:
                    module = self._exported()
                else:
                    module = self._traced_by_dynamo(scope)
                return self._captured(self._post_lowered(module))
            except _PassFailedError as failed:
                self.recorder.failure(
                    failed.phase, failed.name, failed.seconds, failed.error, failed.__cause__
                )
                return self._captured(None, failed.name, failed.error)

    def _exported(self) -> GraphModule:
        """Returns the graph after the passes before and in `run_decompositions`."""
        from torch_tensorrt.dynamo.lowering.passes._aten_lowering_pass import (
            ATEN_PRE_LOWERING_PASSES,
        )

        program = self.program
        seen: dict[str, torch.Tensor] = {}
        if getattr(self.options, "enable_autocast", False):
            seen = self._step(
                Phase.PRE_EXPORT,
                "calibrate autocast",
                lambda: traced_outputs(program, self.calibration),
                lambda _: program.graph,
            )
            self.options.autocast_intermediate_node_outputs = seen
            self.noticing.autocast_intermediate_node_outputs = seen
        for lowering_pass in ATEN_PRE_LOWERING_PASSES.passes:
            if lowering_pass.__name__ == PASS and autocast_settings(self.settings):
                rules = upstream_rules(program.graph.nodes, self.settings, seen)
                self.autocast.update(rules)
            self._lower(Phase.PRE_EXPORT, lowering_pass, program.graph_module)
        decomposed = self._step(
            Phase.DECOMPOSITION,
            "run_decompositions",
            lambda: _decomposed(program, self.decompositions),
            lambda p: p.graph,
        )
        unlifted: GraphModule = self._step(
            Phase.DECOMPOSITION, "unlift parameters", decomposed.module, lambda gm: gm.graph
        )
        return unlifted

    def _traced_by_dynamo(self, scope: contextlib.ExitStack) -> GraphModule:
        """Returns the graph as torch_tensorrt's backend of `torch.compile` traces it."""
        module = backend.dynamo_module(self.program)
        scope.enter_context(backend.patched_fake_mode(module))
        traced: GraphModule = self._step(
            Phase.DECOMPOSITION,
            "aot_export_joint_simple",
            lambda: backend.aot_graph(module, self.decompositions, self.options),
            lambda gm: gm.graph,
        )
        return traced

    def _post_lowered(self, module: GraphModule) -> GraphModule:
        from torch_tensorrt.dynamo.lowering.passes._aten_lowering_pass import (
            ATEN_POST_LOWERING_PASSES,
        )
        from torch_tensorrt.dynamo.lowering.passes._FakeTensorUpdater import FakeTensorUpdater

        fake_mode = torch._export.utils._detect_fake_mode_from_gm(module)
        updater = FakeTensorUpdater(module)
        for lowering_pass in ATEN_POST_LOWERING_PASSES.passes:
            module = self._lower(Phase.POST_LOWERING, lowering_pass, module)
        if fake_mode is not None:
            self._step(
                Phase.POST_LOWERING,
                "refresh fake tensors",
                lambda: updater.incremental_update(fake_mode),
                lambda _: module.graph,
            )
        return module

    def _lower(self, phase: Phase, lowering_pass: Any, module: GraphModule) -> GraphModule:
        own = _is_torch_tensorrts(lowering_pass)
        self.asked.asked |= not own
        step = partial(lowering_pass, module, self.noticing if own else self.options)
        lowered: GraphModule = self._step(
            phase, lowering_pass.__name__, step, lambda gm: gm.graph
        )
        return lowered

    def _step(
        self, phase: Phase, name: str, step: Callable[[], Any], graph_of: Callable[[Any], Any]
    ) -> Any:
        """Runs a step and records the graph after it.

        Raises:
            _PassFailedError: the step raised.
        """
        recorder = self.recorder
        self.emit("capture", name, len(recorder.passes), None)
        start = time.perf_counter()
        try:
            result = step()
        except Exception as error:
            # Whatever a pass raises is the model's or torch_tensorrt's fault: a finding.
            seconds = time.perf_counter() - start
            raise _PassFailedError(phase, name, seconds, said_at(error)) from error
        recorder.snapshot(phase, name, graph_of(result), time.perf_counter() - start)
        return result

    def _captured(
        self,
        module: GraphModule | None,
        failed: str | None = None,
        error: str | None = None,
    ) -> Captured:
        return Captured(
            module,
            tuple(self.recorder.passes),
            tuple(self.recorder.pool),
            failed,
            error,
            asks_truncate_double=self.asked.asked,
            autocast=self.autocast,
        )


class _PassFailedError(Exception):
    def __init__(self, phase: Phase, name: str, seconds: float, error: str) -> None:
        super().__init__(error)
        self.phase, self.name, self.seconds, self.error = phase, name, seconds, error


def copy_program(program: ExportedProgram) -> ExportedProgram:
    """Returns a program with a graph of its own that shares all tensors."""
    return ExportedProgram(
        root=program.graph_module,
        graph=copy_graph(program.graph),
        graph_signature=copy.deepcopy(program.graph_signature),
        state_dict=program.state_dict,
        range_constraints=copy.copy(program.range_constraints),
        module_call_graph=copy.deepcopy(program.module_call_graph),
        example_inputs=program.example_inputs,
        constants=program.constants,
        verifiers=program.verifiers,
    )


def with_tensors(
    program: ExportedProgram, tensors: Mapping[str, torch.Tensor]
) -> ExportedProgram:
    """Returns a program of the same graph with other parameters, buffers or constants.

    Args:
        program: whose graph is handed on.
        tensors: the new ones by name; the others are shared.
    """
    state = {name: tensors.get(name, value) for name, value in program.state_dict.items()}
    constants = {name: tensors.get(name, value) for name, value in program.constants.items()}
    return ExportedProgram(
        root=program.graph_module,
        graph=program.graph,
        graph_signature=program.graph_signature,
        state_dict=state,
        range_constraints=program.range_constraints,
        module_call_graph=program.module_call_graph,
        example_inputs=program.example_inputs,
        constants=constants,
        verifiers=program.verifiers,
    )
