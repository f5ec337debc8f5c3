"""Reports as the real chain makes them, built by hand: a 4-layer attention model.

Attention scores are in float64. Under `late` one engine holds everything; under `upstream`, as
measured with torch_tensorrt 2.13, each layer's `_to_copy` to float64 stays in PyTorch.
"""

from __future__ import annotations

from functools import cache
from itertools import cycle

from msgspec.structs import replace

from trtdbg.analysis.conclusions import PARTITIONER
from trtdbg.analysis.summary import left_to_pytorch
from trtdbg.policy import Settings, Timing, TruncationPolicy
from trtdbg.records import (
    Binding,
    BoundaryCast,
    BuildRecord,
    BuildStatus,
    Capability,
    Cause,
    CauseKind,
    ConstantRecord,
    Cost,
    Cure,
    CureKind,
    Direction,
    EngineRecord,
    Environment,
    Finding,
    GraphNode,
    Level,
    ModelInfo,
    NodeRecord,
    PassRecord,
    Phase,
    Report,
    Retyped,
    Scope,
    Source,
    ValidatorVerdict,
    Verdict,
)

LAYERS = 4
FILE = "/home/ada/models/attention.py"
MODEL = "/home/ada/models/attention.pt2"

ENVIRONMENT = Environment(
    trtdbg="0.1.0",
    python="3.11.2",
    platform="Linux-x86_64",
    torch="2.13.0+cpu",
    torch_tensorrt="2.13.0",
    tensorrt="1.5.0.114",
    flavour="rtx",
    targets=("sm75", "sm80", "sm86", "sm89", "sm120", "sm121"),
    capabilities=(
        Capability(name="build", possible=True, reason="ahead of time, for --target"),
        Capability(name="time", possible=False, reason="no CUDA device"),
    ),
)


def _source(line: int, code: str, layer: int | None = None, module: str = "") -> Source:
    path = "" if layer is None else f"layers.{layer}" + (f".{module}" if module else "")
    return Source(file=FILE, line=line, module=path or None, code=code)


class _Graph:
    """Collects nodes of the lowered graph in order."""

    def __init__(self) -> None:
        self.nodes: list[GraphNode] = []
        self.inferred: dict[str, str | None] = {}

    def add(self, name: str, target: str, dtype: str | None, shape: tuple[int | str, ...],
            operands: tuple[str, ...] = (), args: str = "", op: str = "call_function",
            source: Source | None = None, from_node: str | None = None) -> str:  # fmt: skip
        self.nodes.append(
            GraphNode(
                name=name,
                op=op,
                target=target,
                dtype=dtype,
                shape=shape,
                args=args or ", ".join(operands),
                operands=operands,
                from_node=from_node or name,
                source=source,
            )
        )
        return name


def _suffix(index: int) -> str:
    return f"_{index}" if index else ""


def lowered_graph() -> tuple[GraphNode, ...]:
    """Returns the graph after the last lowering pass."""
    graph = _Graph()
    tokens, width = 16, 64
    for layer in range(LAYERS):
        for which in ("qkv", "out", "norm"):
            name = f"layers_{layer}_{which}_weight"
            shape = {"qkv": (3 * width, width), "out": (width, width), "norm": (width,)}[which]
            target = f"layers.{layer}.{which}.weight"
            graph.add(name, target, "float32", shape, op="get_attr")
    x = graph.add("x", "x", "float32", (2, tokens, width), op="placeholder")
    for layer in range(LAYERS):
        at, wide, scores = (2, tokens, width), (2, tokens, 3 * width), (2, 4, tokens, tokens)
        s, t = _suffix(layer), _suffix(2 * layer)
        odd = _suffix(2 * layer + 1)
        norm = graph.add(
            f"layer_norm{s}", "aten.layer_norm.default", "float32", at,
            (x, f"layers_{layer}_norm_weight"), f"{x}, [64], layers_{layer}_norm_weight",
            source=_source(31, "h = self.norm(x)", layer, "norm"),
        )  # fmt: skip
        qkv = graph.add(
            f"linear{t}", "aten.linear.default", "float32", wide,
            (norm, f"layers_{layer}_qkv_weight"),
            source=_source(32, "q, k, v = self.qkv(h).chunk(3, -1)", layer, "qkv"),
        )  # fmt: skip
        split = graph.add(
            f"split{s}", "aten.split.Tensor", ("float32",) * 3, (at,) * 3, (qkv,),
            f"{qkv}, 64, -1",
            source=_source(32, "q, k, v = self.qkv(h).chunk(3, -1)", layer),
        )  # fmt: skip
        parts = [
            graph.add(
                f"getitem{_suffix(3 * layer + k)}", "operator.getitem", "float32", at,
                (split,), f"{split}, {k}",
                source=_source(32, "q, k, v = self.qkv(h).chunk(3, -1)", layer),
            )
            for k in range(3)
        ]  # fmt: skip
        product = graph.add(
            f"matmul{t}", "aten.matmul.default", "float32", scores, (parts[0], parts[1]),
            source=_source(33, "scores = q @ k.transpose(-1, -2)", layer),
        )  # fmt: skip
        double = graph.add(
            f"_to_copy{t}", "aten._to_copy.default", "float64", scores, (product,),
            f"{product}, dtype=float64", from_node=f"to{t}",
            source=_source(34, "p = torch.softmax(scores.double() / 8, -1)", layer),
        )  # fmt: skip
        div = graph.add(
            f"div{s}", "aten.div.Tensor", "float64", scores, (double,), f"{double}, 8",
            source=_source(34, "p = torch.softmax(scores.double() / 8, -1)", layer),
        )  # fmt: skip
        soft = graph.add(
            f"_softmax{s}", "aten._softmax.default", "float64", scores, (div,),
            f"{div}, -1, False",
            source=_source(34, "p = torch.softmax(scores.double() / 8, -1)", layer),
        )  # fmt: skip
        back = graph.add(
            f"_to_copy{odd}", "aten._to_copy.default", "float32", scores, (soft,),
            f"{soft}, dtype=float32", from_node=f"to{odd}",
            source=_source(35, "h = self.out(p.to(v.dtype) @ v)", layer),
        )  # fmt: skip
        mixed = graph.add(
            f"matmul{odd}", "aten.matmul.default", "float32", at, (back, parts[2]),
            source=_source(35, "h = self.out(p.to(v.dtype) @ v)", layer),
        )  # fmt: skip
        out = graph.add(
            f"linear{odd}", "aten.linear.default", "float32", at,
            (mixed, f"layers_{layer}_out_weight"),
            source=_source(35, "h = self.out(p.to(v.dtype) @ v)", layer, "out"),
        )  # fmt: skip
        x = graph.add(
            f"add{s}", "aten.add.Tensor", "float32", at, (x, out),
            source=_source(36, "return x + h", layer),
        )  # fmt: skip
    graph.add("output", "output", None, (), (x,), f"[{x}]", op="output")
    return tuple(graph.nodes)


_QUIET = (
    "replace_fused_rms_norm",
    "remove_input_alias_fixing_clones",
    "constant_fold",
    "repair_input_as_output",
    "fuse_prims_broadcast",
    "replace_max_pool_with_indices",
    "remove_assert_nodes",
    "remove_num_users_is_0_nodes",
    "complex_graph_detection",
    "force_causal_efficient_attention",
    "eliminate_sym_min_int64_max",
    "normalize_negative_slice_stop",
    "annotate_fp8_sdpa",
    "fuse_distributed_ops",
)


class _Recorder:
    """Numbers passes and shares unchanged nodes, as the capture stage does."""

    def __init__(self) -> None:
        self.pool: list[GraphNode] = []
        self.place: dict[GraphNode, int] = {}
        self.passes: list[PassRecord] = []

    def snapshot(
        self, phase: Phase, name: str, nodes: tuple[GraphNode, ...], seconds: float
    ) -> None:
        for node in nodes:
            if node not in self.place:
                self.place[node] = len(self.pool)
                self.pool.append(node)
        before = self.passes[-1].graph if self.passes else ()
        old = {self.pool[i].name: self.pool[i] for i in before}
        new = {node.name: node for node in nodes}
        retyped = tuple(
            Retyped(name=n, before=old[n].dtype, after=new[n].dtype)
            for n in new
            if n in old and old[n].dtype != new[n].dtype
        )
        self.passes.append(
            PassRecord(
                index=len(self.passes),
                phase=phase,
                name=name,
                changed=bool(self.passes) and (list(old.values()) != list(new.values())),
                nodes=len(nodes),
                added=tuple(n for n in new if n not in old) if self.passes else (),
                removed=tuple(n for n in old if n not in new),
                retyped=retyped,
                seconds=seconds,
                graph=tuple(self.place[node] for node in nodes),
            )
        )


def _with_asserts(nodes: tuple[GraphNode, ...]) -> tuple[GraphNode, ...]:
    """Returns the graph before decomposition: `to`, and its metadata checks."""
    result: list[GraphNode] = []
    checks = 0
    for node in nodes:
        if not node.target.startswith("aten._to_copy"):
            operands = tuple(o.replace("_to_copy", "to") for o in node.operands)
            args = node.args.replace("_to_copy", "to")
            result.append(replace(node, operands=operands, args=args))
            continue
        check = "_assert_tensor_metadata_default" + _suffix(checks)
        checks += 1
        result.append(
            GraphNode(
                name=check,
                op="call_function",
                target="aten._assert_tensor_metadata.default",
                args=f"{node.operands[0]}, None, None, float32",
                operands=node.operands,
                source=node.source,
            )
        )
        name = node.name.replace("_to_copy", "to")
        result.append(replace(node, name=name, target="aten.to.dtype", from_node=name))
    return tuple(result)


def passes() -> tuple[tuple[PassRecord, ...], tuple[GraphNode, ...]]:
    """Returns the passes and the pool of nodes that their snapshots point into."""
    recorder = _Recorder()
    last = lowered_graph()
    exported = _with_asserts(last)
    without = tuple(n for n in exported if not n.name.startswith("_assert"))
    take = recorder.snapshot
    take(Phase.LOAD, "exported program", exported, 0.0)
    take(Phase.PRE_EXPORT, "remove_detach", exported, 0.0003)
    take(Phase.PRE_EXPORT, "remove_assert_nodes", without, 0.0016)
    take(Phase.PRE_EXPORT, "rule_based_autocast", without, 0.0001)
    # Run-time asserts that unlifting leaves behind, until a later pass drops what nobody uses.
    guards = GraphNode(name="_guards_fn", op="call_module", target="_guards_fn")
    take(Phase.DECOMPOSITION, "run_decompositions", last, 0.4952)
    take(Phase.DECOMPOSITION, "unlift parameters", (*last[:13], guards, *last[13:]), 0.0088)
    nodes = (*last[:13], guards, *last[13:])
    for name in _QUIET:
        if name == "remove_num_users_is_0_nodes":
            nodes = last
        # What is known of the recorded dtype is stale until the last pass refreshes it.
        if name == "complex_graph_detection":
            nodes = tuple(
                replace(n, dtype="float64") if n.name == "matmul_1" else n for n in nodes
            )
        take(Phase.POST_LOWERING, name, nodes, 0.0014)
    take(Phase.POST_LOWERING, "refresh fake tensors", last, 0.012)
    return tuple(recorder.passes), tuple(recorder.pool)


_TO_COPY = "aten_ops_converters.to_copy_dtype_validator.validate_dtype:1402"


def _verdicts(node: GraphNode) -> tuple[ValidatorVerdict, ...]:
    accept = Verdict.ACCEPT
    if node.target == "aten._to_copy.default" and node.dtype == "float64":
        return (
            ValidatorVerdict(
                validator=PARTITIONER,
                candidate=None,
                scope=Scope.GRAPH,
                original=Verdict.REJECT,
                inferred=Verdict.REJECT,
                truncated=accept,
                reason="_to_copy converter rejected node, dtype torch.float64 is not one of "
                "the allowed dtypes",
            ),
            ValidatorVerdict(
                validator=_TO_COPY,
                candidate=0,
                scope=Scope.GRAPH,
                original=Verdict.REJECT,
                inferred=Verdict.REJECT,
                truncated=accept,
                reason="_to_copy converter rejected node, dtype torch.float64 is not one of "
                "the allowed dtypes",
                converter="aten_ops_to_copy_dtype",
            ),
            ValidatorVerdict(
                validator="aten_ops_converters.to_copy_clone_validator:1421",
                candidate=1,
                scope=Scope.GRAPH,
                original=Verdict.REJECT,
                inferred=Verdict.REJECT,
                truncated=Verdict.REJECT,
                reason="dtype keyword given",
                converter="aten_ops_clone_copy_placeholder",
            ),
        )
    name = node.target.split(".")[1].strip("_")
    return (
        ValidatorVerdict(
            validator=PARTITIONER,
            candidate=None,
            scope=Scope.GRAPH,
            original=accept,
            inferred=accept,
            truncated=accept,
        ),
        ValidatorVerdict(
            validator="always",
            candidate=0,
            scope=Scope.GRAPH,
            original=accept,
            inferred=accept,
            truncated=accept,
            converter=f"aten_ops_{name}",
        ),
    )


_TENSORRT = {"float32": "FLOAT", "float64": "FLOAT"}


def _narrow(dtype: object) -> object:
    return "float32" if dtype == "float64" else dtype


def _needless(name: str, timing: Timing, source: Source | None) -> Finding:
    resolved = timing is Timing.LATE
    ending = "; timing late resolves it" if resolved else ""
    return Finding(
        code="TD101",
        level=Level.NOTE if resolved else Level.WARNING,
        node=name,
        message=f"{name} (aten._to_copy.default) is rejected because of float64 and accepted "
        f"with float32{ending} ({source})",
        source=source,
    )


@cache
def report(timing: Timing = Timing.LATE) -> Report:
    """Returns the report of the attention model under a timing."""
    late = timing in (Timing.LATE, Timing.EARLY)
    records, pool = passes()
    graph = lowered_graph()
    users: dict[str, list[str]] = {node.name: [] for node in graph}
    for node in graph:
        for operand in node.operands:
            users[operand].append(node.name)
    nodes: list[NodeRecord] = []
    engines: list[list[str]] = [[]]
    left: list[NodeRecord] = []
    for node in graph:
        operator = node.op == "call_function"
        verdicts = _verdicts(node) if operator else ()
        refused = bool(verdicts) and verdicts[0].original is Verdict.REJECT and not late
        if refused:
            engines.append([])
        elif operator:
            engines[-1].append(node.name)
        truncated = node.dtype if timing is Timing.OFF else _narrow(node.dtype)
        verdict = Verdict.REJECT if refused else Verdict.ACCEPT
        record = NodeRecord(
            name=node.name,
            op=node.op,
            target=node.target,
            shape=node.shape if node.op != "output" else None,
            original=node.dtype,
            recorded=node.dtype,
            inferred=node.dtype,
            truncated=truncated,
            tensorrt=_TENSORRT.get(str(truncated)) if operator and not refused else None,
            engine=len(engines) - 1 if operator and not refused else None,
            source=node.source,
            from_node=node.from_node,
            args=node.args,
            operands=node.operands,
            users=tuple(users[node.name]),
            verdict=verdict if operator else Verdict.NOT_CHECKED,
            verdicts=verdicts,
            constant=node.target if node.op == "get_attr" else None,
        )
        nodes.append(record)
        if refused:
            left.append(record)
    wide = [
        n for n in nodes if n.target == "aten._to_copy.default" and n.inferred == "float64"
    ]
    findings = [_needless(n.name, timing, n.source) for n in wide if timing is not Timing.OFF]
    if timing is Timing.UPSTREAM:
        findings.append(
            Finding(
                code="TD202",
                level=Level.WARNING,
                node="_to_copy_2",
                engine=2,
                message="engine 2 input _to_copy_2 is declared float64 and bound as float32 "
                "(attention.py:34)",
            )
        )
    return Report(
        model=ModelInfo(
            path=MODEL,
            sha256="7c" * 32,
            nodes=records[0].nodes,
            inputs=(
                Binding(name="x", declared="float32", bound="float32", shape=(2, 16, 64)),
            ),
            outputs=(
                Binding(name="add_3", declared="float32", bound="float32", shape=(2, 16, 64)),
            ),
            bytes=214_016,
        ),
        environment=ENVIRONMENT,
        policy=TruncationPolicy(timing=timing),
        settings=Settings(),
        passes=records,
        graph_nodes=pool,
        nodes=tuple(nodes),
        engines=tuple(_engine(i, tuple(names), nodes) for i, names in enumerate(engines)),
        torch_ops=tuple(node.target for node in left),
        boundary_casts=tuple(
            BoundaryCast(
                value=node.name,
                from_dtype="float64",
                to_dtype="float32",
                direction=Direction.INTO_ENGINE,
                engine=index + 1,
                bytes=8192,
            )
            for index, node in enumerate(left)
        ),
        constants=tuple(
            ConstantRecord(
                name=node.target, original="float32", truncated="float32", elements=4096
            )
            for node in graph
            if node.op == "get_attr"
        ),
        findings=tuple(findings),
    )


def _model_binding(name: str) -> Binding:
    return Binding(name=name, declared="float32", bound="float32", shape=(2, 16, 64))


def _engine(index: int, names: tuple[str, ...], nodes: list[NodeRecord]) -> EngineRecord:
    by_name = {node.name: node for node in nodes}
    inside = set(names)
    inputs = [
        operand
        for name in names
        for operand in by_name[name].operands
        if operand not in inside and by_name[operand].op != "get_attr"
    ]
    outputs = [n for n in names if any(u not in inside for u in by_name[n].users)]

    def bindings(found: list[str]) -> tuple[Binding, ...]:
        return tuple(
            Binding(
                name=name,
                declared=str(by_name[name].inferred),
                bound="float32",
                shape=by_name[name].shape,
            )
            for name in dict.fromkeys(found)
        )

    return EngineRecord(
        index=index,
        name=f"_run_on_acc_{2 * index}",
        nodes=names,
        inputs=bindings(inputs),
        outputs=bindings(outputs),
        timing_unavailable="no CUDA device",
    )


def built(report: Report, failing: int | None = None) -> Report:
    """Returns a report as the worker gives it back after a build."""

    def build(engine: EngineRecord) -> BuildRecord:
        if engine.index == failing:
            return BuildRecord(
                status=BuildStatus.FAILED,
                stage="build",
                seconds=0.3,
                error="IBuilder::buildSerializedNetwork: Error Code 9: Internal Error "
                "(_softmax: no implementation for INT64)",
                node="_softmax",
                log=("[W] weights of layers.0.qkv are subnormal",),
                target="sm86",
            )
        return BuildRecord(
            status=BuildStatus.BUILT,
            stage="build",
            seconds=1.25 + engine.index,
            network_seconds=0.2,
            bytes=1_340_000,
            target="sm86",
        )

    engines = tuple(replace(e, build=build(e)) for e in report.engines)
    return replace(report, engines=engines)


def refused() -> Report:
    """Returns a built report of which TensorRT refuses engine 1, and names no operator."""
    base = built(report(Timing.UPSTREAM), failing=1)
    sentence = "operand.cpp:156: CHECK(logical_mem_size == data_->size()) failed"
    engine = base.engines[1]
    failed = replace(engine, build=replace(engine.build, error=sentence, node=None))
    finding = Finding(
        code="TD503",
        level=Level.ERROR,
        node=None,
        engine=1,
        message=f"engine 1 does not build: {sentence}",
    )
    return replace(
        base,
        engines=(base.engines[0], failed, *base.engines[2:]),
        findings=(finding, *base.findings),
    )


def large(number: int) -> Report:
    """Returns a report with so many nodes, for measuring how fluent the table is."""
    base = report(Timing.UPSTREAM)
    operators = [node for node in base.nodes if node.op == "call_function"]
    nodes = tuple(
        replace(node, name=f"{node.name}_n{i}")
        for i, node in zip(range(number), cycle(operators), strict=False)
    )
    return replace(base, nodes=nodes)


def caused(timing: Timing) -> Report:
    """Returns the report with its cause as an analysis gives it, weighed and with cures."""
    plain = report(timing)
    left = left_to_pytorch(plain)
    if not left:
        return plain
    source = left[0].source
    cause = Cause(
        kind=CauseKind.TRUNCATED_DTYPE,
        code="TD101",
        target=left[0].target,
        reason="a validator refuses float64; accepted once it is float32",
        nodes=tuple(node.name for node in left),
        sources=(source,) if source is not None else (),
        modules=tuple(f"layers.{layer}" for layer in range(LAYERS)),
        cost=Cost(
            engines=len(plain.engines) - 1,
            torch_ops=len(left),
            casts=len(plain.boundary_casts),
            bytes=8192,
        ),
        cures=(
            Cure(
                kind=CureKind.POLICY,
                say="build with timing late: 5 engines become 1",
                type="trtdbg build MODEL --timing late --save DIR",
                policy=TruncationPolicy(timing=Timing.LATE),
                engines_before=len(plain.engines),
                engines_after=1,
            ),
            Cure(
                kind=CureKind.EDIT,
                say="write scores instead of scores.double()",
                type="p = torch.softmax(scores / 8, -1)",
                engines_before=len(plain.engines),
                engines_after=1,
                numbers=1.1e-06,
                numbers_reason=None,
            ),
        ),
    )
    return replace(plain, causes=(cause,))
