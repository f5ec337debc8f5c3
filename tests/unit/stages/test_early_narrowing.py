"""Each numbered rule of `narrow_program`, on programs that are really run."""

from __future__ import annotations

from typing import Any

from tests.staging import BOTH, export, module, torch
from trtdbg.graphs.tensors import Narrowings
from trtdbg.policy import Timing, TruncationPolicy
from trtdbg.stages.capture import copy_program
from trtdbg.stages.early import CAST, NarrowedProgram, narrow_program

DOUBLE = torch.float64
EVERYTHING = TruncationPolicy(Timing.EARLY, BOTH, BOTH, BOTH)


def only(**paths: tuple[str, ...]) -> TruncationPolicy:
    """Returns a policy that narrows what is named and nothing else."""
    return TruncationPolicy(
        **{"timing": Timing.EARLY, "inputs": (), "constants": (), "computed": (), **paths}
    )


def narrow(program: Any, policy: TruncationPolicy = EVERYTHING) -> NarrowedProgram:
    return narrow_program(copy_program(program), policy, Narrowings())


def casts(narrowed: NarrowedProgram) -> list[tuple[str, str, list[str]]]:
    """Returns value, dtype and readers of each cast of the narrowed graph, in order."""
    return [
        (
            node.args[0].name,
            str(node.kwargs["dtype"]).removeprefix("torch."),
            [user.name for user in node.users],
        )
        for node in narrowed.program.graph.nodes
        if node.target is CAST
    ]


def dtype_of(narrowed: NarrowedProgram, name: str) -> Any:
    node = next(n for n in narrowed.program.graph.nodes if n.name == name)
    return node.meta["val"].dtype


def runs_like(model: Any, narrowed: NarrowedProgram, *args: Any) -> None:
    """Checks the narrowed program's values, given the inputs that its graph declares."""
    declared = [n for n in narrowed.program.graph.nodes if n.name in narrowed.promised_inputs]
    given = [arg.to(n.meta["val"].dtype) for arg, n in zip(args, declared, strict=True)]
    with torch.no_grad():
        wanted = torch.utils._pytree.tree_leaves(model(*args))
        got = torch.utils._pytree.tree_leaves(narrowed.program.module()(*given))
    torch.testing.assert_close(got, wanted, check_dtype=False, rtol=1e-4, atol=1e-5)


def test_rule_1_inputs_are_narrow_and_what_is_computed_from_them() -> None:
    model, x = module(lambda self, x: torch.relu(x) * 2), torch.randn(4, dtype=DOUBLE)
    program = export(model, x)
    narrowed = narrow(program)
    assert {dtype_of(narrowed, n) for n in ("x", "relu", "mul")} == {torch.float32}
    assert narrowed.promised_inputs == {"x": DOUBLE}
    assert [value.dtype for value in narrowed.promised_outputs] == [DOUBLE]
    assert casts(narrowed) == []
    runs_like(model, narrowed, x)


def test_rule_2_constants_are_converted_and_shared_ones_stay_shared() -> None:
    class Tied(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.left = torch.nn.Linear(4, 4, bias=False, dtype=DOUBLE)
            self.right = torch.nn.Linear(4, 4, bias=False, dtype=DOUBLE)
            self.right.weight = self.left.weight
            self.register_buffer("scale", torch.rand(4, dtype=DOUBLE))

        def forward(self, x: Any) -> Any:
            return self.right(self.left(x)) * self.scale

    model, x = Tied().eval(), torch.randn(2, 4, dtype=DOUBLE)
    program = export(model, x)
    narrowed = narrow(program)
    tensors = narrowed.program.state_dict
    assert {t.dtype for t in tensors.values()} == {torch.float32}
    weights = {t.data_ptr() for name, t in tensors.items() if name.endswith("weight")}
    assert len(weights) == 1
    assert {t.dtype for t in program.state_dict.values()} == {DOUBLE}
    runs_like(model, narrowed, x)


def test_rule_3_a_keyword_is_narrow_and_an_operator_without_one_is_cast() -> None:
    def forward(self: Any, x: Any) -> Any:
        return (x > 0).sum(-1) + 1, x.argmax(-1) + 1, x.topk(2)[1] + 1, x.double() * 2

    model, x = module(forward), torch.randn(3, 4)
    narrowed = narrow(export(model, x), only(computed=BOTH))
    assert casts(narrowed) == [
        ("argmax", "int32", ["add_1"]),
        ("getitem_1", "int32", ["add_2"]),
    ]
    names = ("sum_1", "add", "add_1", "add_2")
    assert {dtype_of(narrowed, name) for name in names} == {torch.int32}
    assert dtype_of(narrowed, "mul") == torch.float32
    runs_like(model, narrowed, x)


def test_rule_4_an_index_that_pytorch_refuses_as_int32_is_widened_and_named() -> None:
    def forward(self: Any, x: Any, ids: Any) -> Any:
        return torch.take(x, ids + 0)

    model, x = module(forward), torch.randn(3, 4, dtype=DOUBLE)
    ids = torch.zeros(3, 2, dtype=torch.int64)
    narrowed = narrow(export(model, x, ids))
    assert casts(narrowed) == [("add", "int64", ["take"])]
    assert list(narrowed.typing.refused) == ["take"]
    assert "long" in narrowed.typing.refused["take"]
    assert dtype_of(narrowed, "take") == torch.float32, "integers alone were enough"
    runs_like(model, narrowed, x, ids)


def test_rule_4_what_only_the_kernel_refuses_is_found_too() -> None:
    def forward(self: Any, x: Any, ids: Any) -> Any:
        return torch.index_fill(torch.relu(x), 1, ids, 0.5)

    model, x = module(forward), torch.randn(3, 4, dtype=DOUBLE)
    ids = torch.tensor([0, 2])
    narrowed = narrow(export(model, x, ids))
    assert list(narrowed.typing.refused) == ["index_fill"]
    assert dtype_of(narrowed, "ids") == torch.int64
    runs_like(model, narrowed, x, ids)


def test_rule_4_mixed_floats_are_refused_by_operators_that_do_not_promote() -> None:
    weight = torch.rand(4, 4, dtype=DOUBLE)
    model = module(lambda self, x: torch.nn.functional.linear(x, self.weight), weight=weight)
    x = torch.randn(3, 4, dtype=DOUBLE)
    narrowed = narrow(export(model, x), only(inputs=("float64",)))
    assert list(narrowed.typing.refused) == ["linear"]
    assert dtype_of(narrowed, "x") == DOUBLE
    runs_like(model, narrowed, x)


def test_rule_4_what_comes_out_wide_of_widened_operands_is_cast_back() -> None:
    weight = torch.rand(2, 4, 4, dtype=DOUBLE)

    def forward(self: Any, x: Any) -> Any:
        return torch.relu(torch.bmm(x + 1, self.weight))

    model, x = module(forward, weight=weight), torch.randn(2, 3, 4, dtype=DOUBLE)
    narrowed = narrow(export(model, x), only(inputs=("float64",)))
    assert casts(narrowed) == [("add", "float64", ["bmm"]), ("bmm", "float32", ["relu"])]
    runs_like(model, narrowed, x)


def test_rule_4_a_kept_float64_is_not_cast_back_because_its_index_was_widened() -> None:
    def forward(self: Any, x: Any, ids: Any) -> Any:
        return torch.take(x, ids + 0) * 2

    model, x = module(forward), torch.randn(3, 4, dtype=DOUBLE)
    ids = torch.zeros(3, 2, dtype=torch.int64)
    narrowed = narrow(export(model, x, ids), only(inputs=("int64",)))
    assert casts(narrowed) == [("add", "int64", ["take"])]
    assert dtype_of(narrowed, "mul") == DOUBLE


def test_rule_5_a_widened_value_is_cast_once_for_all_who_need_it() -> None:
    def forward(self: Any, x: Any, ids: Any) -> Any:
        own = ids + 0
        return torch.take(x, own) + torch.take(x * 2, own), own * 2

    model, x = module(forward), torch.randn(3, 4)
    ids = torch.zeros(3, 2, dtype=torch.int64)
    narrowed = narrow(export(model, x, ids))
    assert casts(narrowed) == [("add", "int64", ["take", "take_1"])]
    runs_like(model, narrowed, x, ids)


def test_rule_5_an_index_is_read_before_the_cast_that_narrowed_it() -> None:
    def forward(self: Any, x: Any) -> Any:
        best = x.argmax(-1, keepdim=True)
        return torch.take(x, best), best + 1

    model, x = module(forward), torch.randn(3, 4)
    narrowed = narrow(export(model, x), only(computed=("int64",)))
    assert casts(narrowed) == [("argmax", "int32", ["add"])]
    runs_like(model, narrowed, x)


def test_rule_5_an_input_that_must_stay_wide_is_cast_for_its_other_readers() -> None:
    def forward(self: Any, x: Any, ids: Any) -> Any:
        return ids * 2, torch.take(x, ids), self.table + ids

    table = torch.ones(2, dtype=torch.int64)
    model, x = module(forward, table=table), torch.randn(3, 4)
    ids = torch.zeros(3, 2, dtype=torch.int64)
    narrowed = narrow(export(model, x, ids))
    assert casts(narrowed) == [("ids", "int32", ["mul", "add"])]
    assert dtype_of(narrowed, "ids") == torch.int64
    assert dtype_of(narrowed, "add") == torch.int32
    runs_like(model, narrowed, x, ids)


def test_rule_5_a_constant_that_must_stay_wide_keeps_its_dtype() -> None:
    def forward(self: Any, x: Any) -> Any:
        return torch.take(x, self.ids) + self.ids

    ids = torch.zeros(3, 2, dtype=torch.int64)
    model, x = module(forward, ids=ids), torch.randn(3, 4)
    narrowed = narrow(export(model, x))
    assert narrowed.program.state_dict["ids"].dtype == torch.int64
    assert casts(narrowed) == [("b_ids", "int32", ["add"])]
    runs_like(model, narrowed, x)


def test_rule_6_what_an_operator_creates_wide_is_returned_as_it_is() -> None:
    model, x = module(lambda self, x: x.argmax(-1)), torch.randn(3, 4)
    narrowed = narrow(export(model, x))
    assert casts(narrowed) == []
    assert dtype_of(narrowed, "argmax") == torch.int64


def test_rule_6_a_constant_that_is_returned_keeps_its_dtype() -> None:
    model = module(lambda self, x: (x * self.scale, self.scale), scale=torch.rand(4).double())
    x = torch.randn(4, dtype=DOUBLE)
    narrowed = narrow(export(model, x))
    assert narrowed.program.state_dict["scale"].dtype == DOUBLE
    assert casts(narrowed) == [("b_scale", "float32", ["mul"])]
    runs_like(model, narrowed, x)


def test_rule_6_a_buffer_that_is_written_to_keeps_its_dtype() -> None:
    def forward(self: Any, x: Any) -> Any:
        self.total.add_(x)
        return self.total * 2

    model, x = module(forward, total=torch.zeros(4, dtype=DOUBLE)), torch.ones(4).double()
    narrowed = narrow(export(model, x))
    assert narrowed.program.state_dict["total"].dtype == DOUBLE
    ready = narrowed.program.module()
    assert [ready(x.float())[0].item() for _ in range(2)] == [2.0, 4.0]


def test_rule_7_assertions_of_the_exported_dtypes_are_removed() -> None:
    model, x = module(lambda self, x: x.to(torch.float16) * 2), torch.randn(4, dtype=DOUBLE)
    program = export(model, x)
    assert any("_assert_tensor_metadata" in str(n.target) for n in program.graph.nodes)
    narrowed = narrow(program)
    assert not any("_assert" in str(n.target) for n in narrowed.program.graph.nodes)
    runs_like(model, narrowed, x)


def test_a_branch_gets_back_the_operands_that_it_was_exported_with() -> None:
    class Branches(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            def double(x: Any) -> Any:
                return x * 2

            def triple(x: Any) -> Any:
                return x * 3

            h = torch.relu(x)
            return torch.cond(h.sum() > 0, double, triple, (h,)) + 1

    model, x = Branches().eval(), torch.randn(4, dtype=DOUBLE)
    narrowed = narrow(export(model, x))
    (cond,) = [n for n in narrowed.program.graph.nodes if "cond" in str(n.target)]
    operands = [n.meta["val"] for n in cond.all_input_nodes if n.op == "call_function"]
    assert {v.dtype for v in operands if v.dtype.is_floating_point} <= {DOUBLE, torch.float32}
    runs_like(model, narrowed, x)


def test_the_loaded_program_is_untouched() -> None:
    def forward(self: Any, x: Any, ids: Any) -> Any:
        return torch.take(x * self.scale, ids), ids

    model = module(forward, scale=torch.rand(4, dtype=DOUBLE))
    ids = torch.zeros(3, 2, dtype=torch.int64)
    program = export(model, torch.randn(3, 4, dtype=DOUBLE), ids)
    before = [(n.format_node(), str(n.meta.get("val"))) for n in program.graph.nodes]
    narrow(program)
    assert [(n.format_node(), str(n.meta.get("val"))) for n in program.graph.nodes] == before
    assert program.state_dict["scale"].dtype == DOUBLE
