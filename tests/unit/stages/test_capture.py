from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import pytest

from tests import by_version
from tests.staging import export, lower, module, quiet, torch
from trtdbg.policy import Settings
from trtdbg.records import Phase
from trtdbg.stages.capture import Recorder, capture, graph_node


def island() -> Any:
    def forward(self: Any, x: Any) -> Any:
        h = torch.relu(x + self.bias)
        return h - h.double().mean(-1, keepdim=True).float()

    return module(forward, bias=torch.randn(8))


def exported_island() -> Any:
    return export(island(), torch.randn(4, 8))


@pytest.fixture
def lowering_passes() -> Any:
    from torch_tensorrt.dynamo.lowering.passes import _aten_lowering_pass as passes

    return passes


def test_passes_run_in_the_installed_order(lowering_passes: Any) -> None:
    captured = capture(exported_island(), Settings(), truncate_double=False, emit=quiet)
    ran: dict[Phase, list[str]] = {phase: [] for phase in Phase}
    for record in captured.passes:
        ran[record.phase].append(record.name)
    installed_before = [p.__name__ for p in lowering_passes.ATEN_PRE_LOWERING_PASSES.passes]
    installed_after = [p.__name__ for p in lowering_passes.ATEN_POST_LOWERING_PASSES.passes]
    assert ran[Phase.PRE_EXPORT] == installed_before
    assert ran[Phase.POST_LOWERING][: len(installed_after)] == installed_after
    phases = [record.phase for record in captured.passes]
    order = [Phase.LOAD, Phase.PRE_EXPORT, Phase.DECOMPOSITION, Phase.POST_LOWERING]
    assert [phase for i, phase in enumerate(phases) if phase not in phases[:i]] == order
    assert [record.index for record in captured.passes] == list(range(len(captured.passes)))


@pytest.mark.parametrize("experimental", [False, True])
def test_the_lowered_graph_is_torch_tensorrts_own(experimental: bool) -> None:
    from torch_tensorrt import Device
    from torch_tensorrt.dynamo import CompilationSettings, lowering

    theirs = exported_island()
    settings = CompilationSettings(
        device=Device(gpu_id=0), enable_experimental_decompositions=experimental
    )
    theirs = lowering.pre_export_lowering(theirs, settings)
    theirs = theirs.run_decompositions(lowering.get_decompositions(experimental, False, False))
    wanted = lowering.post_lowering(theirs.module(), settings)

    ours = lower(exported_island(), Settings(enable_experimental_decompositions=experimental))
    assert str(ours.graph) == str(wanted.graph)


def test_a_pass_that_raises_ends_the_capture_with_the_last_good_graph(
    lowering_passes: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def break_things(gm: Any, settings: Any) -> Any:
        raise RuntimeError("no luck\nwith this one")

    installed = lowering_passes.ATEN_POST_LOWERING_PASSES
    broken = [installed.passes[0], break_things, *installed.passes[1:]]
    monkeypatch.setattr(installed, "passes", broken)
    captured = capture(exported_island(), Settings(), truncate_double=False, emit=quiet)
    *good, last = captured.passes
    assert captured.module is None
    assert captured.failed_pass == last.name == "break_things"
    assert captured.error == last.error == "RuntimeError: no luck"
    assert not last.changed
    assert last.graph == good[-1].graph
    assert good[-1].name == broken[0].__name__
    assert all(record.error is None for record in good)
    assert [node.name for node in captured.last_graph()][-1] == "output"


def test_a_snapshot_tells_what_a_pass_added_removed_and_retyped(
    lowering_passes: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def change_things(gm: Any, settings: Any) -> Any:
        relu = next(n for n in gm.graph.nodes if n.name == "relu")
        with gm.graph.inserting_after(relu):
            twin = gm.graph.create_node(
                "call_function", torch.ops.aten.sigmoid.default, relu.args, name="sigmoid"
            )
        twin.meta["val"] = relu.meta["val"]
        relu.replace_all_uses_with(twin)
        gm.graph.erase_node(relu)
        mean = next(n for n in gm.graph.nodes if n.name == "mean")
        mean.meta["val"] = mean.meta["val"].to(torch.float16)
        return gm

    monkeypatch.setattr(lowering_passes.ATEN_POST_LOWERING_PASSES, "passes", [change_things])
    captured = capture(exported_island(), Settings(), truncate_double=False, emit=quiet)
    record = next(p for p in captured.passes if p.name == "change_things")
    assert record.changed
    assert (record.added, record.removed) == (("sigmoid",), ("relu",))
    assert [(r.name, r.before, r.after) for r in record.retyped] == [
        ("mean", "float64", "float16")
    ]
    assert record.nodes == len(record.graph)


def test_nodes_that_a_pass_left_alone_share_one_snapshot() -> None:
    captured = capture(exported_island(), Settings(), truncate_double=False, emit=quiet)
    still = [p for p in captured.passes[1:] if not p.changed]
    assert still
    for record in still:
        assert record.graph == captured.passes[record.index - 1].graph
    assert len(captured.pool) < sum(p.nodes for p in captured.passes)


def test_a_snapshot_of_what_a_pass_left_alone_is_what_a_new_one_would_be() -> None:
    """Each kind of change to a node, and to the name of an operand, is noticed."""
    graph = lower(exported_island()).graph
    recorder = Recorder()
    recorder.snapshot(Phase.LOAD, "as it is", graph, 0.0)
    relu = next(node for node in graph.nodes if node.name == "relu")
    user = next(iter(relu.users))

    def changes() -> Iterator[str]:
        relu.name = "rectified"
        yield "name"
        relu.meta["val"] = relu.meta["val"].double()
        yield "dtype"
        user.args = (*user.args, 3)
        yield "args"
        user.update_kwarg("alpha", 2)
        yield "kwargs"
        user.target = torch.ops.aten.mul.Tensor
        yield "target"
        user.meta["stack_trace"] = 'File "other.py", line 7, in forward\n    y = x'
        yield "source"
        user.meta["from_node"] = []
        yield "origin"
        user.meta.pop("val")
        yield "no value"

    pool: list[tuple[Any, ...]] = []
    for change in changes():
        recorder.snapshot(Phase.POST_LOWERING, change, graph, 0.0)
        assert recorder.passes[-1].changed, change
        pool.append(tuple(recorder.pool[i] for i in recorder.passes[-1].graph))
        assert pool[-1] == tuple(graph_node(node) for node in graph.nodes), change
    assert len(set(pool)) == len(pool)


def test_every_operator_keeps_origin_and_source_line_through_all_passes() -> None:
    captured = capture(exported_island(), Settings(), truncate_double=False, emit=quiet)
    calls = [node for node in captured.last_graph() if node.op == "call_function"]
    assert calls
    for node in calls:
        assert node.from_node is not None
        assert node.source is not None
        assert str(node.source).startswith("test_capture.py:")
        assert node.source.code


def test_symbolic_sizes_are_shown_as_expressions() -> None:
    batch = torch.export.Dim("batch", min=2, max=16)
    model = module(lambda self, x: torch.cat([x, x]))
    program = export(model, torch.randn(4, 3), dynamic_shapes=({0: batch},))
    captured = capture(program, Settings(), truncate_double=False, emit=quiet)
    shapes = {node.name: node.shape for node in captured.last_graph()}
    assert shapes["x"] is not None
    rows, columns = shapes["x"]
    assert isinstance(rows, str)
    assert columns == 3
    assert shapes["cat"] == (f"2*{rows}", 3)


@pytest.mark.parametrize(
    "dtype", ["bool", "uint8", "int16", "float16", "bfloat16", "complex64", "float8_e4m3fn"]
)
def test_every_dtype_is_carried_into_the_snapshots(dtype: str) -> None:
    model = module(lambda self, x: x.reshape(4, 1))
    program = export(model, torch.zeros(2, 2).to(getattr(torch, dtype)))
    captured = capture(program, Settings(), truncate_double=False, emit=quiet)
    assert {n.dtype for n in captured.pool if n.name in ("x", "reshape")} == {dtype}


def test_the_loaded_program_stays_as_it_is_byte_for_byte() -> None:
    program = exported_island()
    archive = io.BytesIO()
    torch.export.save(program, archive)
    metadata = {n.name: dict(n.meta) for n in program.graph.nodes}
    capture(program, Settings(), truncate_double=False, emit=quiet)
    again = io.BytesIO()
    torch.export.save(program, again)
    assert again.getvalue() == archive.getvalue()
    assert {n.name: dict(n.meta) for n in program.graph.nodes} == metadata


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA device")
def test_what_an_operator_leaves_empty_lowers_without_a_cuda_device() -> None:
    def forward(self: Any, x: Any) -> Any:
        return torch.empty_like(x).copy_(x.relu())

    captured = capture(
        export(module(forward), torch.randn(4, 8)),
        Settings(),
        truncate_double=False,
        emit=quiet,
    )
    assert captured.module is not None
    devices = {
        node.meta["val"].device.type
        for node in captured.module.graph.nodes
        if isinstance(node.meta.get("val"), torch.Tensor)
    }
    assert devices == {"cpu"}


@pytest.mark.parametrize("truncate", [False, True])
@pytest.mark.parametrize(
    ("dtype", "decides"),
    [("float32", False), ("float64", False), ("complex64", False), ("complex128", True)],
)
def test_only_complex128_is_lowered_by_truncate_double(
    dtype: str, decides: bool, truncate: bool
) -> None:
    decides = decides and by_version.expected("complex128 is lowered by truncate_double")

    def forward(self: Any, x: Any) -> Any:
        return x * self.factor

    of = getattr(torch, dtype)
    program = export(module(forward, factor=torch.ones(4, dtype=of)), torch.ones(4, dtype=of))
    captured = capture(program, Settings(), truncate_double=truncate, emit=quiet)
    assert captured.asks_truncate_double is decides
    other = capture(program, Settings(), truncate_double=not truncate, emit=quiet)
    assert (unrolled(captured) == unrolled(other)) is not decides


def unrolled(captured: Any) -> list[Any]:
    """Returns all snapshots of a capture, without what the passes took."""
    return [
        (record.phase, record.name, record.error, [captured.pool[i] for i in record.graph])
        for record in captured.passes
    ]


def test_a_pass_of_somebody_else_may_decide_by_truncate_double(
    lowering_passes: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []

    def foreign(gm: Any, settings: Any) -> Any:
        seen.append(settings.truncate_double)
        return gm

    passes = lowering_passes.ATEN_POST_LOWERING_PASSES
    monkeypatch.setattr(passes, "passes", [*passes.passes, foreign])
    captured = capture(exported_island(), Settings(), truncate_double=True, emit=quiet)
    assert captured.asks_truncate_double
    assert seen[0] is True
