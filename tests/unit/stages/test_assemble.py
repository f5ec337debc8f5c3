from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from torch.fx import GraphModule  # noqa: E402
from torch.utils._pytree import tree_leaves  # noqa: E402

from tests.staging import (  # noqa: E402
    BOTH,
    Late,
    assert_runs_like,
    dtypes,
    export,
    late,
    module,
    options,
)
from trtdbg.graphs.splits import Program, engine_dtype, placeholders  # noqa: E402
from trtdbg.policy import Partitioner, Settings, TruncationPolicy  # noqa: E402
from trtdbg.stages import network  # noqa: E402
from trtdbg.stages.assemble import assemble, engine_module, move, save_module  # noqa: E402
from trtdbg.stages.engine import build_engine  # noqa: E402


class StandIn(torch.nn.Module):
    """Runs an engine's subgraph as torch_tensorrt's runtime runs the engine.

    It takes tensors alone of exactly the dtypes that the bindings were declared with, and
    returns tensors alone, one of them bare.
    """

    def __init__(self, subgraph: GraphModule) -> None:
        super().__init__()
        self.subgraph = subgraph
        self.calls = 0

    def forward(self, *inputs: Any) -> Any:
        self.calls += 1
        declared = [node.meta["val"] for node in placeholders(self.subgraph)]
        assert len(inputs) == len(declared)
        given = []
        for value, wanted in zip(inputs, declared, strict=True):
            if isinstance(wanted, torch.Tensor):
                assert isinstance(value, torch.Tensor)
                bound = engine_dtype(wanted)
                assert value.dtype == bound, "the runtime refuses any other dtype"
                given.append(value.to(wanted.dtype))
            else:
                given.append(value.item() if isinstance(value, torch.Tensor) else value)
        returned = self.subgraph(*given)
        values = returned if isinstance(returned, (tuple, list)) else (returned,)
        tensors = tuple(torch.as_tensor(value) for value in values)
        tensors = tuple(tensor.to(engine_dtype(tensor)) for tensor in tensors)
        return tensors[0] if len(tensors) == 1 else tensors


def stand_in(name: str, subgraph: GraphModule) -> StandIn:
    return StandIn(subgraph)


def stand_ins(assembled: Any) -> list[StandIn]:
    return [m for m in assembled.modules() if isinstance(m, StandIn)]


def mixed(self: Any, x: Any, ids: Any) -> Any:
    """An engine, PyTorch alone (i0, bitwise_and), and an engine that reads both."""
    a = (x * self.scale).exp()
    b = torch.special.i0(a) + a
    return b.sin(), a, ids & 3, b > 1.0


def mixed_model() -> Any:
    return module(mixed, scale=torch.tensor(0.3, dtype=torch.float64))


ARGS = (torch.linspace(-1, 1, 6, dtype=torch.float64), torch.arange(6))


@pytest.mark.parametrize("partitioner", list(Partitioner))
@pytest.mark.parametrize(
    "policy",
    [
        TruncationPolicy(),
        TruncationPolicy(inputs=BOTH, constants=BOTH, computed=BOTH),
        TruncationPolicy(inputs=(), constants=(), computed=()),
    ],
    ids=TruncationPolicy.flags,
)
def test_the_wiring_around_engines_gives_what_the_model_gives(
    partitioner: Partitioner, policy: TruncationPolicy
) -> None:
    model = mixed_model()
    stages = late(export(model, *ARGS), policy, Settings(partitioner=partitioner))
    assembled = assemble(stages.program, stand_in)
    assert_runs_like(model, Program(assembled), *ARGS)
    engines = stand_ins(assembled)
    assert len(engines) == len(stages.split.engine_names) >= 2
    assert {engine.calls for engine in engines} == {1}


def test_a_module_is_called_with_the_structure_that_was_exported() -> None:
    def forward(self: Any, x: Any, pair: Any, *, scale: Any) -> Any:
        return {"sum": x * scale + pair["y"][0], "ids": pair["ids"] & 3}

    pair = {"y": (torch.ones(2),), "ids": torch.arange(2)}
    keywords = {"scale": torch.full((2,), 3.0)}
    model = module(forward)
    program = torch.export.export(model, (torch.ones(2), pair), keywords)
    assembled = assemble(late(program).program, stand_in)
    given = assembled(torch.ones(2), pair, **keywords)
    wanted = model(torch.ones(2), pair, **keywords)
    assert list(given) == list(wanted)
    assert all(torch.equal(given[name], wanted[name]) for name in wanted)


def test_a_size_that_an_engine_computes_is_a_number_again_in_the_pytorch_part() -> None:
    def forward(self: Any, x: Any) -> Any:
        size = x.shape[0] * 2
        return (x * 2.0).flatten().new_full((size,), 1.0) + size, x * 2.0

    rows = torch.export.Dim("rows", min=2, max=16)
    model, x = module(forward), torch.randn(4, 3, dtype=torch.float64)
    settings = Settings(torch_executed_ops=("torch.ops.aten.full.default",))
    stages = late(export(model, x, dynamic_shapes={"x": {0: rows}}), settings=settings)
    assembled = assemble(stages.program, stand_in)
    assert any("item" in str(node.target) for node in assembled.graph.nodes)
    for size in (4, 7):
        assert_runs_like(model, Program(assembled), torch.randn(size, 3, dtype=torch.float64))


def test_the_program_that_was_assembled_is_not_changed() -> None:
    stages = late(export(mixed_model(), *ARGS))
    before = stages.program.module.print_readable(print_output=False)
    assembled = assemble(stages.program, stand_in)
    move(assembled, torch.device("meta"))
    assert stages.program.module.print_readable(print_output=False) == before
    assert all(t.device.type == "cpu" for t in stages.program.module.state_dict().values())
    for name in stages.split.engine_names:
        assert isinstance(stages.program.module.get_submodule(name), GraphModule)


@pytest.mark.parametrize("partitioner", list(Partitioner))
def test_moving_takes_constants_and_named_devices_of_the_pytorch_part_along(
    partitioner: Partitioner,
) -> None:
    def forward(self: Any, x: Any) -> Any:
        steps = torch.arange(4, dtype=torch.float64, device="cpu")
        return torch.special.i0(x + self.shift) + torch.special.i0(self.shift), steps

    model = module(forward, shift=torch.ones(4, dtype=torch.float64))
    settings = Settings(
        partitioner=partitioner,
        torch_executed_ops=("torch.ops.aten.add.Tensor", "torch.ops.aten.arange.start_step"),
    )
    stages = late(export(model, torch.zeros(4, dtype=torch.float64)), settings=settings)
    assembled = assemble(stages.program, stand_in)
    move(assembled, torch.device("meta"))
    shifted, steps = assembled(torch.zeros(4, dtype=torch.float64, device="meta"))
    assert (shifted.device.type, steps.device.type) == ("meta", "meta")
    assert {t.device.type for t in assembled.state_dict().values()} == {"meta"}
    parts = [assembled, *(m for m in assembled.children() if isinstance(m, GraphModule))]
    read = {
        str(node.target)
        for part in parts
        for node in part.graph.nodes
        if node.op == "get_attr"
    }
    assert read, "the PyTorch part reads a constant"


def serialized(stages: Late, name: str) -> tuple[Any, bytes]:
    made = network.define_network(
        stages.program.module.get_submodule(name), name, options(), truncate_double=True
    )
    from trtdbg.compat import host

    target = host.resolve_target(None, host.describe())
    record, data = build_engine(made, target)
    assert data is not None, record.error
    return made, data


def archived(stages: Late, path: Path) -> dict[str, Any]:
    """Saves a program with its real engines, which are not loaded; returns what was written.

    Without a CUDA device the runtime module cannot be set up, so that its engine is put in
    place here, as torch_tensorrt's own saved form.
    """
    from torch_tensorrt.dynamo.runtime import _serialized_engine_layout as layout
    from torch_tensorrt.dynamo.runtime._TRTEngine import EngineSerializer

    lazy = options()
    lazy.lazy_engine_init = True

    def make(name: str, subgraph: GraphModule) -> Any:
        made, data = serialized(stages, name)
        runtime = engine_module(made, subgraph, data, lazy)
        info: list[Any] = ["0"] * layout.SERIALIZATION_LEN
        info[layout.ENGINE_IDX] = data
        runtime.engine = EngineSerializer(info)
        return runtime

    save_module(assemble(stages.program, make), path)
    with zipfile.ZipFile(path) as archive:
        (model,) = (n for n in archive.namelist() if n.endswith("models/model.json"))
        graph: dict[str, Any] = json.loads(archive.read(model))["graph_module"]
    return graph


def test_the_runtime_module_gets_the_bindings_in_the_order_of_the_graph() -> None:
    stages = late(export(mixed_model(), *ARGS))
    lazy = options()
    lazy.lazy_engine_init = True
    for name in stages.split.engine_names:
        subgraph = stages.program.module.get_submodule(name)
        made, data = serialized(stages, name)
        runtime = engine_module(made, subgraph, data, lazy)
        assert runtime.serialized_engine == data
        assert runtime.input_binding_names == [str(n.target) for n in placeholders(subgraph)]
        outputs = subgraph.graph.output_node().args[0]
        count = len(outputs) if isinstance(outputs, (tuple, list)) else 1
        assert runtime.output_binding_names == [f"output{i}" for i in range(count)]
        expressions = runtime.symbolic_shape_expressions
        assert len(expressions["inputs"]) == len(runtime.input_binding_names)
        assert runtime.name == name


def test_torch_tensorrts_own_save_writes_engines_casts_and_promised_outputs(
    tmp_path: Path,
) -> None:
    model = mixed_model()
    stages = late(export(model, *ARGS))
    graph = archived(stages, tmp_path / "compiled.pt2")
    targets = [node["target"] for node in graph["graph"]["nodes"]]
    engines = len(stages.split.engine_names)
    assert targets.count("torch.ops.tensorrt.execute_engine.default") == engines
    casts = sum(target == "torch.ops.aten._to_copy.default" for target in targets)
    assert casts >= len(stages.program.casts)
    outputs = graph["signature"]["output_specs"]
    names = [o["user_output"]["arg"]["as_tensor"]["name"] for o in outputs]
    written = {name: meta["dtype"] for name, meta in graph["graph"]["tensor_values"].items()}
    promised = dtypes(tree_leaves(model(*ARGS)))
    from torch._export.serde.schema import ScalarType

    codes = {
        torch.float64: ScalarType.DOUBLE,
        torch.int64: ScalarType.LONG,
        torch.bool: ScalarType.BOOL,
    }
    assert [written[name] for name in names] == [int(codes[dtype]) for dtype in promised]
