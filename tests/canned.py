"""A small realistic report made by hand: a float64 island under `upstream` and `late`."""

from __future__ import annotations

import msgspec

from trtdbg.policy import Settings, Timing, TruncationPolicy
from trtdbg.records import (
    Binding,
    BoundaryCast,
    BuildRecord,
    BuildStatus,
    Capability,
    ConstantRecord,
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

ENVIRONMENT = Environment(
    trtdbg="0.1.0",
    python="3.11.7",
    platform="Linux x86_64",
    torch="2.13.0+cpu",
    torch_tensorrt="2.13.0",
    tensorrt="1.5.0.114",
    flavour="rtx",
    targets=("sm75", "sm80", "sm86", "sm89", "sm120"),
    capabilities=(
        Capability(name="analyse", possible=True, reason="torch_tensorrt imports"),
        Capability(
            name="build engines",
            possible=True,
            reason="TensorRT-RTX builds ahead of time for another GPU",
        ),
        Capability(name="run engines", possible=False, reason="no CUDA device"),
    ),
)

_SOURCE = Source(file="models/island.py", line=41, module="island", code="y = x.double()")


def _node(
    name: str, target: str, *dtypes: str, engine: int | None, **more: object
) -> NodeRecord:
    original, inferred, truncated = dtypes
    fields: dict[str, object] = {
        "op": "call_function",
        "shape": (2, 16),
        "recorded": original,
        "verdict": Verdict.ACCEPT,
        "source": _SOURCE,
    } | more
    return NodeRecord(
        name=name,
        target=target,
        original=original,
        inferred=inferred,
        truncated=truncated,
        engine=engine,
        **fields,  # type: ignore[arg-type]
    )


def _engine(index: int, nodes: tuple[str, ...], declared: str) -> EngineRecord:
    return EngineRecord(
        index=index,
        name=f"_run_on_acc_{2 * index}",
        nodes=nodes,
        inputs=(Binding(name="x", declared="float32", bound="float32", shape=("s0", 16)),),
        outputs=(Binding(name="out", declared=declared, bound="float32", shape=("s0", 16)),),
    )


UPSTREAM = Report(
    model=ModelInfo(path="models/island.pt2", sha256="c0ffee" * 10, nodes=6, bytes=9182),
    environment=ENVIRONMENT,
    policy=TruncationPolicy(timing=Timing.UPSTREAM),
    settings=Settings(),
    passes=(
        PassRecord(
            index=0, phase=Phase.LOAD, name="load", changed=False, nodes=3, graph=(0, 1, 2)
        ),
        PassRecord(
            index=1,
            phase=Phase.DECOMPOSITION,
            name="run_decompositions",
            changed=True,
            nodes=3,
            added=("_to_copy",),
            removed=("to",),
            retyped=(Retyped(name="add", before="float32", after="float64"),),
            seconds=0.0421,
            graph=(0, 3, 2),
        ),
        PassRecord(
            index=2, phase=Phase.POST_LOWERING, name="remove_detach", changed=False, nodes=3
        ),
    ),
    graph_nodes=(
        GraphNode(name="x", op="placeholder", target="x", dtype="float32", shape=("s0", 16)),
        GraphNode(name="to", op="call_function", target="aten.to.dtype", dtype="float64"),
        GraphNode(name="output", op="output", target="output"),
        GraphNode(name="_to_copy", op="call_function", target="aten._to_copy.default"),
    ),
    nodes=(
        _node(
            "x",
            "x",
            "float32",
            "float32",
            "float32",
            engine=None,
            op="placeholder",
            verdict=Verdict.NOT_CHECKED,
        ),
        _node(
            "mul",
            "aten.mul.Tensor",
            "float32",
            "float32",
            "float32",
            engine=0,
            tensorrt="FLOAT",
        ),
        _node(
            "_to_copy",
            "aten._to_copy.default",
            "float64",
            "float64",
            "float32",
            engine=None,
            verdict=Verdict.REJECT,
            verdicts=(
                ValidatorVerdict(
                    validator="torch_tensorrt.dynamo.conversion.to_copy_dtype_validator",
                    candidate=0,
                    scope=Scope.GRAPH,
                    original=Verdict.REJECT,
                    truncated=Verdict.ACCEPT,
                    reason="dtype=float64 is not supported",
                ),
            ),
        ),
        _node(
            "sin",
            "aten.sin.default",
            "float64",
            "float64",
            "float32",
            engine=1,
            tensorrt="FLOAT",
        ),
        _node("weight", "weight", "float64", "float64", "float32", engine=1, op="get_attr"),
    ),
    engines=(
        _engine(0, ("mul",), "float32"),
        _engine(1, ("sin", "weight"), "float64"),
    ),
    torch_ops=("aten._to_copy.default",),
    boundary_casts=(
        BoundaryCast(
            value="_to_copy",
            from_dtype="float64",
            to_dtype="float32",
            direction=Direction.INTO_ENGINE,
            engine=1,
            bytes=None,
            asked_by=("engine 1",),
        ),
    ),
    constants=(
        ConstantRecord(
            name="weight",
            original="float64",
            truncated="float32",
            max_abs_error=2.9e-8,
            max_rel_error=5.8e-8,
            overflowed=1,
            elements=256,
        ),
        ConstantRecord(name="bias", original="float32", truncated="float32", elements=16),
    ),
    findings=(
        Finding(
            code="TD101",
            level=Level.WARNING,
            node="_to_copy",
            message="_to_copy (aten._to_copy.default, island.py:41) is rejected with float64 "
            "and accepted with float32",
            source=_SOURCE,
        ),
        Finding(
            code="TD301",
            level=Level.ERROR,
            node="sin",
            message="sin (aten.sin.default, island.py:41) leaves engine 1 as float32, export "
            "promised float64",
            source=_SOURCE,
            engine=1,
        ),
    ),
)
"""Two engines around one rejected operator."""


LATE = msgspec.structs.replace(
    UPSTREAM,
    policy=TruncationPolicy(),
    nodes=tuple(
        node
        if node.op == "placeholder"
        else msgspec.structs.replace(node, engine=0, verdict=Verdict.ACCEPT, tensorrt="FLOAT")
        for node in UPSTREAM.nodes
    ),
    engines=(_engine(0, ("mul", "_to_copy", "sin", "weight"), "float32"),),
    torch_ops=(),
    boundary_casts=(
        msgspec.structs.replace(UPSTREAM.boundary_casts[0], engine=0, asked_by=("engine 0",)),
    ),
    findings=(
        msgspec.structs.replace(
            UPSTREAM.findings[0],
            level=Level.NOTE,
            message=UPSTREAM.findings[0].message + "; timing late resolves it",
        ),
    ),
)
"""The same program in one engine, with one note."""

CLEAN = msgspec.structs.replace(LATE, findings=(), boundary_casts=())
"""Nothing to say against it."""

LOWERING_FAILED = msgspec.structs.replace(
    UPSTREAM,
    passes=(
        *UPSTREAM.passes,
        PassRecord(
            index=3,
            phase=Phase.POST_LOWERING,
            name="fuse_prims_broadcast",
            changed=False,
            nodes=3,
            error="IndexError: tuple index out of range",
        ),
    ),
    nodes=(),
    engines=(),
    torch_ops=(),
    boundary_casts=(),
    constants=(),
    findings=(
        Finding(
            code="TD501",
            level=Level.ERROR,
            node=None,
            message="lowering pass 'fuse_prims_broadcast' failed: tuple index out of range",
        ),
    ),
)
"""The analysis ended in a lowering pass."""


def built(report: Report, *results: BuildRecord) -> Report:
    """Returns `report` with these build results, one per engine."""
    engines = tuple(
        msgspec.structs.replace(engine, build=result)
        for engine, result in zip(report.engines, results, strict=True)
    )
    return msgspec.structs.replace(report, engines=engines)


BUILT = BuildRecord(
    status=BuildStatus.BUILT, stage="build", seconds=0.412, bytes=34_512, target="sm86"
)
FAILED = BuildRecord(
    status=BuildStatus.FAILED,
    stage="network",
    seconds=0.02,
    error="ElementWise: operation PROD is not allowed between types Bool and Bool",
    node="sin",
    target="sm86",
)
UNAVAILABLE = BuildRecord(
    status=BuildStatus.UNAVAILABLE, error="standard TensorRT needs a GPU"
)
