from __future__ import annotations

import io
from typing import Any

import pytest

from tests.staging import BOTH, export, lower, module, torch, typed
from trtdbg.graphs.graph import dtype_name
from trtdbg.policy import Settings, Timing, TruncationPolicy
from trtdbg.stages.infer import infer, infer_truncated

DOUBLE = torch.float64


def only(
    inputs: tuple[str, ...] = (),
    constants: tuple[str, ...] = (),
    computed: tuple[str, ...] = (),
) -> TruncationPolicy:
    """Returns a policy that narrows what is named and nothing else."""
    return TruncationPolicy(inputs=inputs, constants=constants, computed=computed)


def three_paths() -> Any:
    """Returns a program with a float64 input, a float64 buffer and a float64 cast."""

    def forward(self: Any, x: Any, y: Any) -> Any:
        return torch.relu(x), self.scale * y.to(torch.int32), y.double() + 1

    model = module(forward, scale=torch.rand(4, dtype=DOUBLE))
    return export(model, torch.randn(4, dtype=DOUBLE), torch.randn(4))


def replace_node(gm: Any, name: str, target: Any, args: Any, kwargs: Any) -> Any:
    node = next(n for n in gm.graph.nodes if n.name == name)
    node.target, node.args, node.kwargs = target, args(node), kwargs
    return node


def test_plain_inference_agrees_with_what_export_promised() -> None:
    program = three_paths()
    both = typed(program, only())
    outputs = [v.meta["val"].dtype for v in program.graph.output_node().args[0]]
    values = both.inferred.module.graph.output_node().args[0]
    assert [v.meta["val"].dtype for v in values] == outputs
    assert both.truncated.dtypes == both.inferred.dtypes
    assert both.inferred.stale == {}


def test_inference_corrects_stale_val_and_tensor_meta() -> None:
    gm = lower(three_paths())
    relu = next(n for n in gm.graph.nodes if n.name == "relu")
    relu.meta["val"] = relu.meta["val"].to(torch.float32)
    relu.meta["tensor_meta"] = relu.meta["tensor_meta"]._replace(dtype=torch.float16)
    typing = infer(gm)
    corrected = next(n for n in typing.module.graph.nodes if n.name == "relu")
    assert corrected.meta["val"].dtype == DOUBLE
    assert corrected.meta["tensor_meta"].dtype == DOUBLE
    assert typing.dtypes["relu"] == "float64"
    assert relu.meta["tensor_meta"].dtype == torch.float16, "the captured graph was changed"


def test_truncation_refreshes_val_and_tensor_meta_everywhere() -> None:
    both = typed(three_paths(), TruncationPolicy())
    for node in both.truncated.module.graph.nodes:
        if node.op == "output":
            continue
        assert node.meta["tensor_meta"].dtype == node.meta["val"].dtype, node.name
        assert dtype_name(node.meta["val"].dtype) == both.truncated.dtypes[node.name]
    assert "float64" not in both.truncated.dtypes.values()


def test_truncation_refreshes_metadata_of_tuples() -> None:
    model = module(lambda self, x: torch.topk(x, 2))
    both = typed(export(model, torch.randn(3, 4, dtype=DOUBLE)), TruncationPolicy())
    topk = both.node("topk")
    assert both.truncated.dtypes["topk"] == ("float32", "int64")
    assert [m.dtype for m in topk.meta["tensor_meta"]] == [torch.float32, torch.int64]
    for user, dtype in zip(topk.users, (torch.float32, torch.int64), strict=True):
        assert user.meta["val"].dtype == user.meta["tensor_meta"].dtype == dtype


@pytest.mark.parametrize(
    ("path", "narrowed"),
    [
        ("inputs", {"x", "relu"}),
        ("constants", {"scale", "mul"}),
        ("computed", {"_to_copy_1", "add"}),
    ],
)
def test_each_path_narrows_what_comes_by_it_and_nothing_else(
    path: str, narrowed: set[str]
) -> None:
    both = typed(three_paths(), only(**{path: ("float64",)}), Settings())
    wide = {name for name, dtype in both.inferred.dtypes.items() if dtype == "float64"}
    still = {name for name, dtype in both.truncated.dtypes.items() if dtype == "float64"}
    assert wide - still == narrowed


def test_a_kept_wide_constant_promotes_a_narrowed_input() -> None:
    model = module(lambda self, x: x * self.scale, scale=torch.rand(4, dtype=DOUBLE))
    both = typed(export(model, torch.randn(4, dtype=DOUBLE)), only(inputs=("float64",)))
    assert both.truncated.dtypes["x"] == "float32"
    assert both.truncated.dtypes["scale"] == "float64"
    assert both.truncated.dtypes["mul"] == "float64"


def test_a_wide_scalar_does_not_widen_a_narrowed_input() -> None:
    model = module(lambda self, x: x * 2.5)
    both = typed(export(model, torch.randn(4, dtype=DOUBLE)), TruncationPolicy())
    assert both.truncated.dtypes["mul"] == "float32"


def test_a_dtype_keyword_is_rewritten_and_what_stood_there_is_kept() -> None:
    both = typed(export(module(lambda self, x: x.double() + 1), torch.randn(4)), only())
    assert both.truncated.edits == {}
    both = typed(
        export(module(lambda self, x: x.double() + 1), torch.randn(4)), TruncationPolicy()
    )
    cast = both.node("_to_copy")
    assert cast.kwargs["dtype"] == torch.float32
    assert both.truncated.edits["_to_copy"].kwargs["dtype"] == DOUBLE
    original = next(n for n in both.inferred.module.graph.nodes if n.name == "_to_copy")
    assert original.kwargs["dtype"] == DOUBLE


def test_a_positional_dtype_is_rewritten() -> None:
    gm = lower(export(module(lambda self, x: torch.relu(x)), torch.randn(4)))
    target = torch.ops.prims.convert_element_type.default
    replace_node(gm, "relu", target, lambda node: (node.args[0], DOUBLE), {})
    inferred = infer(gm)
    assert inferred.dtypes["relu"] == "float64"
    truncated = infer_truncated(inferred, TruncationPolicy())
    node = next(n for n in truncated.module.graph.nodes if n.name == "relu")
    assert node.args[1] == torch.float32
    assert truncated.dtypes["relu"] == "float32"
    assert truncated.edits["relu"].args[1] == DOUBLE


def test_a_dtype_that_says_how_to_read_bits_is_left_alone() -> None:
    model = module(lambda self, x: x.view(torch.int64) + 1)
    program = export(model, torch.randn(4, dtype=DOUBLE))
    both = typed(program, only(computed=BOTH))
    view = next(n for n in both.truncated.module.graph.nodes if "view" in str(n.target))
    assert view.args[1] == torch.int64
    assert view.name not in both.truncated.edits


def test_an_integer_sum_gets_a_dtype_keyword() -> None:
    program = export(module(lambda self, x: (x > 0).sum(-1)), torch.randn(3, 4))
    both = typed(program, only(computed=("int64",)))
    name = next(n for n, d in both.inferred.dtypes.items() if n.startswith("sum"))
    assert both.inferred.dtypes[name] == "int64"
    assert both.truncated.dtypes[name] == "int32"
    assert both.node(name).kwargs["dtype"] == torch.int32


def test_an_operator_without_a_keyword_is_typed_narrow_and_listed() -> None:
    program = export(module(lambda self, x: x.argmax(-1) + 1), torch.randn(3, 4))
    both = typed(program, only(computed=("int64",)))
    assert both.truncated.dtypes["argmax"] == "int32"
    assert both.truncated.dtypes["add"] == "int32"
    assert both.truncated.narrowed_results == {"argmax": "int32"}


def test_an_operator_that_refuses_the_narrow_dtype_is_listed_with_its_sentence() -> None:
    weight = torch.rand(2, 4, 4, dtype=DOUBLE)
    model = module(lambda self, x: torch.bmm(x, self.weight), weight=weight)
    program = export(model, torch.randn(2, 3, 4, dtype=DOUBLE))
    both = typed(program, only(inputs=("float64",)))
    (name,) = both.truncated.refused
    assert both.node(name).target == torch.ops.aten.bmm.default
    assert "expected scalar type" in both.truncated.refused[name]
    assert both.truncated.dtypes[name] == "float32"


@pytest.mark.parametrize("timing", [Timing.OFF, Timing.UPSTREAM])
def test_timings_that_do_not_infer_truncation_narrow_nothing(timing: Timing) -> None:
    both = typed(three_paths(), TruncationPolicy(timing, BOTH, BOTH, BOTH))
    assert both.truncated.dtypes == both.inferred.dtypes
    assert both.truncated.edits == {}


def test_complex128_follows_float64() -> None:
    model = module(lambda self, x: x * 2)
    gm = lower(export(model, torch.randn(4, dtype=torch.complex128)))
    truncated = infer_truncated(infer(gm), TruncationPolicy())
    wide = {"float64", "complex128"}
    assert not wide & {str(d) for d in truncated.dtypes.values()}


def test_symbolic_sizes_survive_truncation() -> None:
    batch = torch.export.Dim("batch", min=2, max=16)
    model = module(lambda self, x: (torch.relu(x), x.shape[0] * 2))
    program = export(model, torch.randn(4, 3, dtype=DOUBLE), dynamic_shapes=({0: batch},))
    both = typed(program, TruncationPolicy())
    relu = both.node("relu")
    assert relu.meta["val"].dtype == torch.float32
    assert isinstance(relu.meta["val"].shape[0], torch.SymInt)


def test_constants_are_named_but_not_converted() -> None:
    program = three_paths()
    both = typed(program, TruncationPolicy())
    assert both.truncated.narrowed_constants == {"scale": "float32"}
    assert program.state_dict["scale"].dtype == DOUBLE
    assert both.truncated.module.scale.dtype == DOUBLE


def test_inference_leaves_the_loaded_program_byte_for_byte() -> None:
    program = three_paths()
    before, after = io.BytesIO(), io.BytesIO()
    torch.export.save(program, before)
    typed(program, TruncationPolicy(inputs=BOTH, constants=BOTH, computed=BOTH))
    torch.export.save(program, after)
    assert after.getvalue() == before.getvalue()


def test_a_keyword_is_kept_where_an_operand_brings_its_dtype() -> None:
    model = module(lambda self, x: x.sum(-1, dtype=DOUBLE))
    program = export(model, torch.randn(3, 4, dtype=DOUBLE))
    both = typed(program, only(computed=("float64",)))
    assert both.truncated.edits == {}
    narrow = typed(program, only(computed=("float64",), inputs=("float64",)))
    (edit,) = narrow.truncated.edits.values()
    assert edit.kwargs["dtype"] == DOUBLE
    assert set(narrow.truncated.dtypes.values()) - {None} == {"float32"}


def test_a_float_beyond_the_narrow_range_becomes_inf_and_is_named() -> None:
    lowest = torch.finfo(DOUBLE).min
    model = module(lambda self, x: torch.clamp(x, min=lowest))
    both = typed(export(model, torch.randn(4, dtype=DOUBLE)), TruncationPolicy())
    assert both.truncated.scalars == {"clamp": (lowest, "float32")}
    assert both.node("clamp").args[1] == -torch.inf
    assert both.truncated.edits["clamp"].args[1] == lowest


def test_a_float_that_narrowing_makes_zero_is_named_and_left_alone() -> None:
    model = module(lambda self, x: x + 1e-60)
    both = typed(export(model, torch.randn(4, dtype=DOUBLE)), TruncationPolicy())
    assert both.truncated.scalars == {"add": (1e-60, "float32")}
    assert both.node("add").args[1] == 1e-60


@pytest.mark.parametrize("number", [2**31, -(2**31) - 1])
def test_an_integer_that_does_not_fit_is_named_and_left_alone(number: int) -> None:
    model = module(lambda self, x: x + number)
    both = typed(export(model, torch.arange(4)), only(inputs=("int64",)))
    assert both.truncated.scalars == {"add": (float(number), "int32")}
    assert both.node("add").args[1] == number


def test_a_number_that_a_narrowed_operand_is_compared_with_is_named_too() -> None:
    model = module(lambda self, x: x < 2**40)
    both = typed(export(model, torch.arange(4)), only(inputs=("int64",)))
    assert both.truncated.scalars == {"lt": (2.0**40, "int32")}


def test_the_end_of_a_slice_is_a_position_and_no_number_to_narrow() -> None:
    model = module(lambda self, x: x[1:] + -(2**31))
    both = typed(export(model, torch.arange(4)), only(inputs=("int64",)))
    assert "int32" in both.truncated.dtypes.values()
    assert both.truncated.scalars == {}


def test_complex_values_with_numbers_are_narrowed() -> None:
    gm = lower(export(module(lambda self, x: torch.relu(x)), torch.randn(4)))
    x = next(n for n in gm.graph.nodes if n.op == "placeholder")
    with x.meta["val"].fake_mode:
        x.meta["val"] = x.meta["val"].to(torch.complex128)
    replace_node(gm, "relu", torch.ops.aten.mul.Tensor, lambda node: (node.args[0], 1e300), {})
    truncated = infer_truncated(infer(gm), TruncationPolicy())
    assert truncated.dtypes["relu"] == "complex64"
    assert truncated.scalars == {"relu": (1e300, "complex64")}


def test_only_what_an_operator_creates_is_listed_among_several_results() -> None:
    program = export(module(lambda self, x: x.topk(2)), torch.randn(3, 4, dtype=DOUBLE))
    both = typed(program, TruncationPolicy(computed=BOTH))
    assert both.truncated.narrowed_results == {"topk": (None, "int32")}
    assert both.truncated.dtypes["topk"] == ("float32", "int32")
