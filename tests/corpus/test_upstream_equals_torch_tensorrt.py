"""Timing `upstream` against torch_tensorrt's own compile, run up to conversion (dryrun).

The reference is `torch_tensorrt.dynamo.compile` itself, not its parts called by us: only its
partitioner and its summary are listened to, and its questions about a GPU are answered.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from corpus_bench import SAMPLES, Bench, read_manifest

from trtdbg.policy import Partitioner, Precision, Settings, Timing, TruncationPolicy
from trtdbg.records import Phase, Report, dtype_text

RAISING = {
    "double_symint_boundary": (AttributeError, Phase.BOUNDARY, "TD302"),
    "topk_sort_int": (IndexError, Phase.PARTITION, "TD502"),
}
"""Cases that torch_tensorrt.compile falls over: with what, in which phase, and our finding."""

CASES = sorted(set(read_manifest()) - set(RAISING))
NAMES = (
    "attention_float64",
    "batchnorm_float64",
    "boundary_mixed",
    "ids_float64_island",
    "vit_float64",
)
SETTINGS = {
    "global": Settings(),
    "fast": Settings(partitioner=Partitioner.FAST),
    "as_compiled": Settings.as_compiled(),
}


@dataclass(frozen=True)
class Compiled:
    """What torch_tensorrt did with a program, in plain words."""

    engines: list[list[str]]
    """Names of the operators in each engine."""
    torch_ops: list[str]
    """Names of the operators left to PyTorch, before boundary repair."""
    repair_casts: int
    """Operators that boundary repair added outside the engines."""
    counted_engines: int
    """Engines in torch_tensorrt's own dryrun summary."""
    dtypes: dict[str, str]
    """What each operator computes in, by name."""


def dtypes_of(partitioned: Any) -> dict[str, str]:
    from trtdbg.graphs.graph import recorded_dtype
    from trtdbg.records import dtype_text

    modules = [partitioned, *(child for _, child in partitioned.named_children())]
    graphs = [each.graph for each in modules if hasattr(each, "graph")]
    return {
        node.name: dtype_text(recorded_dtype(node))
        for graph in graphs
        for node in graph.nodes
        if node.op == "call_function" and node.target is not operator.getitem
    }


def operators(module: Any) -> list[str]:
    return [
        node.name
        for node in module.graph.nodes
        if node.op == "call_function" and node.target is not operator.getitem
    ]


def engines_of(partitioned: Any) -> list[list[str]]:
    return [
        operators(submodule)
        for name, submodule in partitioned.named_children()
        if "_run_on_acc" in name
    ]


def pytorch_submodule_operators(partitioned: Any) -> list[str]:
    return [
        name
        for child, submodule in partitioned.named_children()
        if "_run_on_gpu" in child
        for name in operators(submodule)
    ]


@pytest.fixture
def compile_dryrun(
    torch_tensorrt_ready: None, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Compiled]:
    """Returns a function that runs torch_tensorrt's own compile up to conversion."""
    import torch
    import torch_tensorrt
    from torch_tensorrt.dynamo import _compiler

    split: dict[str, Any] = {}

    def listen(name: str) -> None:
        partition = getattr(_compiler.partitioning, name)

        def listened(*args: Any, **kwargs: Any) -> Any:
            result = partition(*args, **kwargs)
            # Boundary repair changes the graph afterwards, so it is read here.
            split["module"] = result[0]
            split["engines"] = engines_of(result[0])
            split["outside"] = operators(result[0])
            split["inside_gpu"] = pytorch_submodule_operators(result[0])
            split["dtypes"] = dtypes_of(result[0])
            return result

        monkeypatch.setattr(_compiler.partitioning, name, listened)

    listen("global_partition")
    listen("fast_partition")
    monkeypatch.setattr(
        _compiler,
        "dryrun_stats_display",
        lambda tracker, enabled: split.update(counted=tracker.tensorrt_graph_count),
    )
    monkeypatch.setattr(_compiler, "to_torch_device", lambda device: torch.device("cpu"))
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda *device: (1, 1))
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda *device: (0, 0))

    def compile_it(path: Path, settings: Settings, low: str | None = None) -> Compiled:
        autocast: dict[str, Any] = {}
        if low is not None:
            autocast["enable_autocast"] = True
            autocast["autocast_low_precision_type"] = getattr(torch, low)
        split.clear()
        program = torch.export.load(str(path))
        arguments, _ = program.example_inputs
        _compiler.compile(
            program,
            arg_inputs=list(arguments),
            device=torch_tensorrt.Device(gpu_id=0),
            dryrun=True,
            truncate_double=settings.truncate_double,
            min_block_size=settings.min_block_size,
            use_fast_partitioner=settings.partitioner is Partitioner.FAST,
            **autocast,
        )
        return Compiled(
            engines=split["engines"],
            torch_ops=split["outside"] + split["inside_gpu"],
            repair_casts=len(operators(split["module"])) - len(split["outside"]),
            counted_engines=split["counted"],
            dtypes=split["dtypes"],
        )

    return compile_it


def ours(report: Report) -> tuple[list[list[str]], list[str]]:
    """Returns the names of the operators in each engine, and of those left to PyTorch."""
    calls = [
        node
        for node in report.nodes
        if node.op == "call_function" and node.target.split(".")[-1] != "getitem"
    ]
    engines = [
        [node.name for node in calls if node.engine == engine.index]
        for engine in report.engines
    ]
    return engines, [node.name for node in calls if node.engine is None]


def by_first(engines: list[list[str]]) -> list[list[str]]:
    return sorted(sorted(engine) for engine in engines)


def check(compiled: Compiled, report: Report) -> None:
    """Checks a report against what torch_tensorrt did."""
    engines, torch_nodes = ours(report)
    assert by_first(engines) == by_first(compiled.engines)
    assert sorted(torch_nodes) == sorted(compiled.torch_ops)
    assert len(report.torch_ops) == len(compiled.torch_ops)
    assert len(report.engines) == compiled.counted_engines
    assert len(report.boundary_casts) == compiled.repair_casts


@pytest.mark.parametrize("kind", ["global", "fast"])
@pytest.mark.parametrize("case", CASES)
def test_a_corpus_case_is_split_as_torch_tensorrt_splits_it(
    case: str,
    kind: str,
    compile_dryrun: Callable[[Path, Settings], Compiled],
    corpus_model: Callable[[str], Path],
    bench: Bench,
) -> None:
    path, settings = corpus_model(case), SETTINGS[kind]
    report = bench.analyse(path, TruncationPolicy(timing=Timing.UPSTREAM), settings)
    check(compile_dryrun(path, settings), report)


@pytest.mark.parametrize("kind", SETTINGS)
@pytest.mark.parametrize("name", NAMES)
def test_a_sample_is_split_as_torch_tensorrt_splits_it(
    name: str,
    kind: str,
    compile_dryrun: Callable[[Path, Settings], Compiled],
    bench: Bench,
) -> None:
    path, settings = SAMPLES / f"{name}.pt2", SETTINGS[kind]
    report = bench.analyse(path, TruncationPolicy(timing=Timing.UPSTREAM), settings)
    check(compile_dryrun(path, settings), report)


def test_twelve_layers_are_split_as_torch_tensorrt_splits_them(
    compile_dryrun: Callable[[Path, Settings], Compiled], attention_12: Path, bench: Bench
) -> None:
    compiled = compile_dryrun(attention_12, Settings())
    assert (len(compiled.engines), len(compiled.torch_ops)) == (13, 12)
    check(compiled, bench.analyse(attention_12, TruncationPolicy(timing=Timing.UPSTREAM)))


@pytest.mark.parametrize("case", RAISING)
def test_where_torch_tensorrt_raises_the_report_quotes_it(
    case: str,
    compile_dryrun: Callable[[Path, Settings], Compiled],
    corpus_model: Callable[[str], Path],
    bench: Bench,
) -> None:
    path, (kind, phase, code) = corpus_model(case), RAISING[case]
    with pytest.raises(kind) as raised:
        compile_dryrun(path, Settings())
    report = bench.analyse(path, TruncationPolicy(timing=Timing.UPSTREAM))
    (message,) = [finding.message for finding in report.findings if finding.code == code]
    assert str(raised.value) in message
    (error,) = [record.error for record in report.passes if record.error]
    assert str(raised.value) in error
    assert report.passes[-1].phase is phase


LOW_SAMPLES = tuple(sorted(path.stem for path in SAMPLES.glob("*.pt2")))
QUICK_LOW = ("boundary_mixed", "batchnorm_float64")
"""One that torch_tensorrt's own low precision takes or not, as it comes."""


def check_low(
    path: Path, precision: Precision, compile_dryrun: Callable[..., Compiled], bench: Bench
) -> None:
    """Checks a report in a low precision against torch_tensorrt's own, crashes included."""
    settings = Settings()
    policy = TruncationPolicy(timing=Timing.UPSTREAM, precision=precision)
    report = bench.analyse(path, policy, settings)
    try:
        compiled = compile_dryrun(path, settings, precision.value)
    except Exception as error:
        # What it raises is what our finding has to quote, whatever it is.
        first = str(error).strip().splitlines()[0]
        codes = ("TD603", "TD302", "TD501", "TD502")
        said = [each.message for each in report.findings if each.code in codes]
        assert any(first in message for message in said), (first, said)
        return
    assert not [each for each in report.findings if each.code == "TD603"]
    check(compiled, report)
    mine = {
        node.name: dtype_text(node.recorded)
        for node in report.nodes
        if node.name in compiled.dtypes
    }
    assert mine == compiled.dtypes
    low = {
        node.name
        for node in report.nodes
        if node.low and node.low.dtype == precision.value and node.name in compiled.dtypes
    }
    assert low == {n for n, dtype in compiled.dtypes.items() if precision.value in dtype}


@pytest.mark.parametrize("precision", [Precision.FLOAT16, Precision.BFLOAT16])
@pytest.mark.parametrize(
    "name",
    [n if n in QUICK_LOW else pytest.param(n, marks=pytest.mark.slow) for n in LOW_SAMPLES],
)
def test_a_sample_in_a_low_precision_is_what_torch_tensorrt_makes_of_it(
    name: str, precision: Precision, compile_dryrun: Callable[..., Compiled], bench: Bench
) -> None:
    check_low(SAMPLES / f"{name}.pt2", precision, compile_dryrun, bench)


@pytest.mark.slow
@pytest.mark.parametrize("case", sorted(read_manifest()))
def test_a_case_in_a_low_precision_is_what_torch_tensorrt_makes_of_it(
    case: str,
    compile_dryrun: Callable[..., Compiled],
    corpus_model: Callable[[str], Path],
    bench: Bench,
) -> None:
    check_low(corpus_model(case), Precision.FLOAT16, compile_dryrun, bench)
