from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests import by_version
from tests.applied import accepts, accepts_changed, named
from tests.staging import export, lower, module, options, torch, typed
from trtdbg.graphs.graph import copy_graph_module
from trtdbg.policy import Settings, TruncationPolicy
from trtdbg.records import ChangePlace, Counterfactual, RefusalKind, TypingKind, Verdict
from trtdbg.session import reasons
from trtdbg.stages.infer import infer
from trtdbg.stages.validate import judge


def explained(gm: Any, settings: Settings | None = None) -> dict[str, Counterfactual]:
    """Returns the counterfactuals of a graph, each stated change checked from outside."""
    chosen = options(settings)
    found = reasons.explain(gm, judge(gm, chosen), chosen, TypingKind.INFERRED)
    for name, counterfactual in found.items():
        assert not accepts(gm, name, chosen)
        if counterfactual.changes:
            assert accepts_changed(gm, name, counterfactual, chosen), counterfactual
    return found


def graph_of(function: Any, *args: Any, **more: Any) -> Any:
    return infer(lower(export(module(function), *args, **more))).module


def changes(found: Counterfactual) -> list[tuple[ChangePlace, str, str | None, Any, Any]]:
    return [(c.place, c.node, c.name, c.before, c.after) for c in found.changes]


def test_a_cast_to_float64_is_turned_by_its_narrow_twin_in_the_keyword() -> None:
    gm = graph_of(lambda self, x: torch.relu(x).double() + 1, torch.randn(4))
    trace = 'File "/home/me/model.py", line 41, in forward\n    y = x.double()'
    named(gm, "_to_copy").meta["stack_trace"] = trace
    (found,) = explained(gm).values()
    assert found.kind is RefusalKind.DTYPE
    assert found.typing is TypingKind.INFERRED
    assert changes(found) == [
        (ChangePlace.KEYWORD, "_to_copy", "dtype", "float64", "float32"),
    ]
    assert found.text == "rejects because dtype=float64; accepts with float32"
    assert found.sentence == f"{found.text} (aten._to_copy, model.py:41)"


def test_an_integer_bit_mask_is_turned_by_operand_and_scalar_together() -> None:
    gm = graph_of(lambda self, ids: torch.relu(ids.float()) + (ids & 3), torch.arange(4))
    (found,) = explained(gm).values()
    assert found.kind is RefusalKind.DTYPE
    assert changes(found) == [
        (ChangePlace.OPERAND, "ids", None, "int64", "bool"),
        (ChangePlace.ARGUMENT, "bitwise_and", "1", "3", "True"),
    ]
    assert found.text == (
        "rejects because ids is int64 and other=3; no change that keeps the result was found"
    )


def test_two_operands_are_turned_to_one_dtype() -> None:
    gm = graph_of(lambda self, a, b: (a ^ b).float(), torch.arange(4), torch.arange(4))
    (found,) = explained(gm).values()
    assert [(c.node, c.after) for c in found.changes] == [("a", "bool"), ("b", "bool")]


def test_a_keyword_that_no_dtype_helps_is_taken_away() -> None:
    def forward(self: Any, x: Any) -> Any:
        return x + torch.rand(4, dtype=torch.float32)

    (found,) = explained(graph_of(forward, torch.randn(4))).values()
    assert found.kind is RefusalKind.DTYPE
    assert changes(found) == [(ChangePlace.KEYWORD, "rand", "dtype", "float32", None)]
    assert found.text == "rejects because dtype=float32; accepts without it"


def test_more_than_two_complex_operands_are_turned_together() -> None:
    def forward(self: Any, a: Any, b: Any, c: Any) -> Any:
        return torch.cat([a, b, c])

    args = [torch.randn(4, dtype=torch.complex64) for _ in range(3)]
    gm = export(module(forward), *args).graph_module
    found = explained(infer(gm).module)["cat"]
    assert found.kind is RefusalKind.DTYPE
    assert {(c.node, c.after) for c in found.changes} == {
        ("a", "float32"),
        ("b", "float32"),
        ("c", "float32"),
    }


@pytest.mark.parametrize("read", [lambda pair: pair, lambda pair: pair[1]])
def test_an_operator_refused_for_its_other_outputs_says_so_and_is_left_as_it_was(
    read: Any,
) -> None:
    gm = graph_of(lambda self, x: read(torch.max(x, 1)), torch.randn(4, 3))
    before = [(node.name, tuple(node.users)) for node in gm.graph.nodes]
    found = explained(gm)["max_1"]
    assert (found.kind, found.changes) == (RefusalKind.FEATURE, ())
    assert found.text == (
        "rejects because an output other than its first is read; accepts where the first is "
        "the only one read"
    )
    assert [(node.name, tuple(node.users)) for node in gm.graph.nodes] == before
    alone = graph_of(lambda self, x: torch.max(x, 1)[0], torch.randn(4, 3))
    assert accepts(alone, "max_1", options())


def test_missing_metadata_is_told_from_a_dtype_that_is_refused() -> None:
    gm = graph_of(
        lambda self, a, b: (a & b).float(), torch.ones(4).bool(), torch.ones(4).bool()
    )
    chosen = options()
    stale = copy_graph_module(gm)
    for node in stale.graph.nodes:
        node.meta = {k: v for k, v in node.meta.items() if k != "tensor_meta"}
    judged = judge(stale, chosen)
    assert judged["bitwise_and"].verdict is Verdict.REJECT
    values = reasons.values_of(gm)
    found = reasons.explain(stale, judged, chosen, TypingKind.ORIGINAL, values)["bitwise_and"]
    assert found.kind is RefusalKind.METADATA
    assert {c.place for c in found.changes} == {ChangePlace.METADATA}
    assert "the metadata of a is missing" in found.text
    assert "accepts once it is refreshed (bool)" in found.text
    assert accepts_changed(stale, "bitwise_and", found, chosen, gm)


def test_missing_metadata_and_a_refused_dtype_are_both_stated() -> None:
    gm = graph_of(lambda self, a: (~a).float(), torch.arange(4))
    chosen = options()
    stale = copy_graph_module(gm)
    for node in stale.graph.nodes:
        node.meta = {k: v for k, v in node.meta.items() if k != "tensor_meta"}
    values = reasons.values_of(gm)
    judged = judge(stale, chosen)
    found = reasons.explain(stale, judged, chosen, TypingKind.ORIGINAL, values)["bitwise_not"]
    assert found.kind is RefusalKind.DTYPE
    assert [(c.node, c.after) for c in found.changes] == [("a", "bool")]
    assert accepts_changed(stale, "bitwise_not", found, chosen, gm)


def test_a_converter_that_wants_static_sizes_is_a_matter_of_shape(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from torch_tensorrt.dynamo.conversion._ConverterRegistry import DYNAMO_CONVERTERS

    relu = torch.ops.aten.relu.default
    registry = DYNAMO_CONVERTERS.registries[0]
    static = [replace(c, supports_dynamic_shapes=False) for c in registry[relu]]
    monkeypatch.setitem(registry, relu, static)
    batch = torch.export.Dim("batch", min=2, max=16)
    gm = graph_of(
        lambda self, x: torch.relu(x), torch.randn(4, 3), dynamic_shapes=({0: batch},)
    )
    (found,) = explained(gm).values()
    assert found.kind is RefusalKind.SHAPE
    ((place, node, _, before, after),) = changes(found)
    assert (place, node, after) == (ChangePlace.SHAPE, "x", "[4, 3]")
    size = named(gm, "x").meta["val"].shape[0]
    assert isinstance(size, torch.SymInt), "searching must not make it static"
    assert before == f"[{size}, 3]"
    assert before != after


def test_a_size_beyond_a_limit_is_told_with_the_largest_that_is_accepted() -> None:
    def forward(self: Any, x: Any) -> Any:
        return torch.sort(x, 1, True)[0]

    found = explained(graph_of(forward, torch.randn(2, 5000)))
    sort = found["sort"]
    assert sort.kind is RefusalKind.SHAPE
    assert changes(sort) == [(ChangePlace.SHAPE, "x", None, "[2, 5000]", "[2, 3840]")]
    getitem = found["getitem"]
    assert getitem.changes == sort.changes, "its result is refused with it"
    assert getitem.text.startswith("rejects because sort, whose result it takes apart")


@by_version.only("a validator that raises")
def test_a_validator_that_raises_on_a_default_is_turned_by_writing_it_out() -> None:
    gm = graph_of(lambda self, x: torch.sort(torch.relu(x))[0], torch.randn(3, 4))
    sort = explained(gm)["sort"]
    assert sort.kind is RefusalKind.CRASHED
    assert changes(sort) == [(ChangePlace.ARGUMENT, "sort", "1", None, "1")]
    assert "IndexError" in sort.text
    assert sort.text.endswith("accepts dim=1, which counts from the front")


def test_an_option_that_is_refused_is_turned_by_its_default() -> None:
    def forward(self: Any, x: Any) -> Any:
        return torch.nn.functional.avg_pool2d(x, 2, ceil_mode=True)

    (found,) = explained(graph_of(forward, torch.randn(1, 3, 5, 5))).values()
    assert found.kind is RefusalKind.FEATURE
    assert (
        found.text
        == "rejects because ceil_mode=True; no change that keeps the result was found"
    )


def test_what_nothing_turns_says_so_with_the_validators_own_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from torch_tensorrt.dynamo.conversion._ConverterRegistry import DYNAMO_CONVERTERS

    relu = torch.ops.aten.relu.default
    registry = DYNAMO_CONVERTERS.registries[0]
    never = [replace(c, capability_validator=lambda n, s: False) for c in registry[relu]]
    monkeypatch.setitem(registry, relu, never)
    (found,) = explained(graph_of(lambda self, x: torch.relu(x), torch.randn(4))).values()
    assert found.kind is RefusalKind.FEATURE
    assert found.changes == ()
    assert "logs no reason" in found.text


def test_an_operator_without_converter_needs_no_search() -> None:
    gm = graph_of(lambda self, x: torch.special.i0(x), torch.randn(4))
    (found,) = explained(gm).values()
    assert found.kind is RefusalKind.NO_CONVERTER
    assert found.changes == ()
    assert found.sentence == "there is no converter (aten.i0)"


def test_an_excluded_operator_is_turned_by_the_setting() -> None:
    settings = Settings(torch_executed_ops=("torch.ops.aten.relu.default",))
    gm = graph_of(lambda self, x: torch.relu(x) + 1, torch.randn(4))
    (found,) = explained(gm, settings).values()
    assert found.kind is RefusalKind.EXCLUDED
    assert [c.name for c in found.changes] == ["torch_executed_ops"]
    assert found.text == "is kept in PyTorch by --torch-executed-ops; accepts without it"


def test_an_excluded_operator_that_is_refused_anyway_has_no_change_that_turns_it() -> None:
    settings = Settings(torch_executed_ops=("torch.ops.aten._to_copy.default",))
    gm = graph_of(lambda self, x: x.double() + 1, torch.randn(4))
    (found,) = explained(gm, settings).values()
    assert found.kind is RefusalKind.EXCLUDED
    assert found.changes == ()


def test_a_change_that_pytorch_itself_refuses_is_never_stated(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from torch_tensorrt.dynamo.conversion._ConverterRegistry import DYNAMO_CONVERTERS

    def wants_float_indices(node: Any, settings: Any) -> bool:
        return bool(node.args[1][0].meta["val"].dtype.is_floating_point)

    index = torch.ops.aten.index.Tensor
    registry = DYNAMO_CONVERTERS.registries[0]
    odd = [replace(c, capability_validator=wants_float_indices) for c in registry[index]]
    monkeypatch.setitem(registry, index, odd)
    gm = graph_of(lambda self, x, i: x[i], torch.randn(4), torch.arange(2))
    (found,) = explained(gm).values()
    assert found.changes == (), "PyTorch has no indexing by floats"


def test_the_search_leaves_the_graph_as_it_was() -> None:
    gm = graph_of(lambda self, x: torch.sort(x.double() + 1)[0], torch.randn(3, 4))
    before = str(gm.graph)
    metas = {node.name: dict(node.meta) for node in gm.graph.nodes}
    assert explained(gm)
    assert str(gm.graph) == before
    assert {node.name: dict(node.meta) for node in gm.graph.nodes} == metas


def test_equal_nodes_are_searched_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def forward(self: Any, x: Any) -> Any:
        for _ in range(4):
            x = torch.relu(x.double()).float()
        return x

    gm = graph_of(forward, torch.randn(4))
    from trtdbg.graphs import variants

    searched = []
    slots = variants.dtype_slots
    monkeypatch.setattr(
        variants, "dtype_slots", lambda *a: searched.append(a[0].name) or slots(*a)
    )
    found = explained(gm)
    assert len(found) == 4
    # The first reads a placeholder, the others an operator.
    assert len(searched) == 2


def test_nodes_that_differ_in_their_sizes_alone_are_searched_once_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def forward(self: Any, x: Any) -> Any:
        parts = [torch.relu(x[:, :size]) for size in (2, 3, 4)]
        limits = [torch.sort(torch.relu(x[:, :size]), 1, True)[0] for size in (3900, 4000)]
        return [torch.relu(part.double()) for part in parts], limits

    gm = graph_of(forward, torch.randn(2, 4000))
    from trtdbg.graphs import variants

    searched = []
    slots = variants.dtype_slots
    monkeypatch.setattr(
        variants, "dtype_slots", lambda *a: searched.append(a[0].name) or slots(*a)
    )
    found = explained(gm)
    casts = [c for name, c in found.items() if name.startswith("_to_copy")]
    assert [[x.after for x in c.changes] for c in casts] == [["float32"]] * 3
    assert len([name for name in searched if name.startswith("_to_copy")]) == 1
    sorts = [c for name, c in found.items() if name.startswith("sort")]
    assert [(c.changes[0].before, c.changes[0].after) for c in sorts] == [
        ("[2, 3900]", "[2, 3840]"),
        ("[2, 4000]", "[2, 3840]"),
    ]


def test_the_truncated_typing_has_nothing_left_to_explain() -> None:
    program = export(module(lambda self, x: torch.relu(x).double() + 1), torch.randn(4))
    both = typed(program, TruncationPolicy())
    assert len(explained(both.inferred.module)) == 1
    assert explained(both.truncated.module) == {}
