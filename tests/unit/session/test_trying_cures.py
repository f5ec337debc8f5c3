from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from tests import by_version  # noqa: E402
from trtdbg.policy import Settings, Timing, TruncationPolicy  # noqa: E402
from trtdbg.records import CauseKind, CureKind, Report  # noqa: E402
from trtdbg.worker.messages import Job  # noqa: E402

LATE, UPSTREAM = (TruncationPolicy(timing=t) for t in (Timing.LATE, Timing.UPSTREAM))


@pytest.fixture
def cured(tmp_path: Path, torch_tensorrt_ready: None) -> Callable[..., Report]:
    """Returns a function that tries cures for a forward function."""
    from trtdbg.session.session import Session

    def cure(
        forward: Any,
        *args: Any,
        policy: TruncationPolicy = UPSTREAM,
        settings: Settings | None = None,
        **parameters: Any,
    ) -> Report:
        model = type("Model", (torch.nn.Module,), {"forward": forward})().eval()
        for name, parameter in parameters.items():
            model.register_parameter(name, parameter)
        path = tmp_path / "model.pt2"
        with torch.no_grad():
            torch.export.save(torch.export.export(model, args), path)
        job = Job(model=str(path), settings=settings or Settings())
        return Session(job, lambda _: None).cures(policy, 300.0)

    return cure


def test_a_float64_island_is_cured_by_late_and_by_leaving_the_cast_out(
    cured: Callable[..., Report],
) -> None:
    def island(self: Any, x: Any) -> Any:
        return torch.relu(torch.softmax(torch.relu(x).double(), -1).float())

    (cause,) = cured(island, torch.randn(4, 4)).causes
    assert {cure.kind for cure in cause.cures} == {CureKind.POLICY, CureKind.EDIT}
    for cure in cause.cures:
        assert (cure.engines_before, cure.engines_after) == (2, 1)
        assert cure.numbers is not None
        assert cure.numbers < 1e-5
    assert cause.cost is not None
    assert (cause.cost.engines, cause.cost.torch_ops) == (1, 1)


def test_every_line_that_an_edit_changes_is_named(cured: Callable[..., Report]) -> None:
    def forward(self: Any, x: Any, y: Any) -> Any:
        a = torch.relu(x).double()
        b = torch.relu(y).double()
        return torch.softmax(a + b, -1).float()

    causes = cured(forward, torch.randn(4, 4), torch.randn(4, 4)).causes
    edits = [c for cause in causes for c in cause.cures if c.kind is CureKind.EDIT]
    assert edits
    start = forward.__code__.co_firstlineno
    for line in (start + 1, start + 2):
        assert all(str(line) in str(edit.type) for edit in edits)


def test_a_float64_that_the_numbers_need_is_not_cured_by_dropping_it(
    cured: Callable[..., Report],
) -> None:
    def apart(self: Any, x: Any) -> Any:
        return torch.relu((x.double() + 1e8) - 1e8).float() * 3

    (cause,) = cured(apart, torch.rand(4, 4)).causes
    assert [cure.kind for cure in cause.cures] == [CureKind.NONE]


def test_a_setting_that_keeps_an_operator_out_is_cured_by_taking_it_back(
    cured: Callable[..., Report],
) -> None:
    settings = Settings(torch_executed_ops=("torch.ops.aten.relu.default",))

    def forward(self: Any, x: Any) -> Any:
        return torch.sigmoid(torch.relu(torch.exp(x)))

    report = cured(forward, torch.randn(4), policy=LATE, settings=settings)
    (cure,) = report.causes[0].cures
    assert cure.kind is CureKind.SETTING
    assert (cure.engines_before, cure.engines_after) == (2, 1)
    assert cure.settings is not None
    assert cure.settings.torch_executed_ops == ()


def test_an_engine_that_tensorrt_refuses_is_cured_by_a_timing_under_which_it_does_not(
    cured: Callable[..., Report],
) -> None:
    norm = torch.nn.BatchNorm2d(3).double().eval()

    def forward(self: Any, x: Any) -> Any:
        return torch.relu(
            torch.nn.functional.batch_norm(
                x, norm.running_mean, norm.running_var, norm.weight, norm.bias
            )
        )

    (cause,) = cured(forward, torch.randn(1, 3, 4, 4, dtype=torch.float64)).causes
    assert cause.cures[0].kind is CureKind.POLICY
    assert cause.cures[0].policy is not None
    assert cause.cures[0].policy.timing is Timing.LATE


@by_version.only("bool times bool")
def test_two_bools_multiplied_are_said_as_logic(cured: Callable[..., Report]) -> None:
    def forward(self: Any, x: Any, y: Any) -> Any:
        return torch.where((x > 0) * (y > 0), x, y)

    (cause,) = cured(forward, torch.randn(4), torch.randn(4)).causes
    (cure,) = cause.cures
    assert cure.kind is CureKind.EDIT
    assert "torch.logical_and" in str(cure.type)


def test_a_clean_model_gets_no_advice(cured: Callable[..., Report]) -> None:
    assert cured(lambda self, x: torch.relu(x) + 1, torch.randn(4)).causes == ()


def test_48_alike_refusals_are_weighed_with_one_partition_more(
    cured: Callable[..., Report], monkeypatch: pytest.MonkeyPatch
) -> None:
    from trtdbg.session import advice, cures

    def deep(self: Any, x: Any) -> Any:
        for _ in range(48):
            x = torch.special.i0(torch.relu(x))
        return x

    made: list[int] = []
    real = advice.partition.partition

    def counted(*args: Any, **more: Any) -> Any:
        made.append(1)
        return real(*args, **more)

    monkeypatch.setattr(cures.Trials, "all_cures", lambda self, causes: causes)
    monkeypatch.setattr(advice, "partition", type("P", (), {"partition": counted, "Split": 0}))
    (cause,) = cured(deep, torch.rand(2) * 1e-3, policy=LATE).causes
    assert len(cause.nodes) == 48
    assert cause.cost is not None
    assert cause.cost.torch_ops == 48
    assert len(made) == 2


@pytest.mark.parametrize(
    ("call", "said"),
    [
        ("leave the cast to float64 out", ": leave the cast to float64 out"),
        ("torch.sum(x, dim=1)", ": the call to make is `torch.sum(x, dim=1)`"),
    ],
)
def test_only_a_call_is_called_one(call: str, said: str) -> None:
    from trtdbg.analysis.cure_words import edit_text
    from trtdbg.records import Source

    text = edit_text(call, None, Source(file="a.py", line=3, code="y = x"), [])
    assert text == f"edit line 3 of a.py, `y = x`{said}"
    assert edit_text(call, None, None, []) == ("write " if ")" in call else "") + call


def test_a_lowering_that_raises_is_cured_by_another_way_to_write_the_operator(
    cured: Callable[..., Report],
) -> None:
    def forward(self: Any, x: Any, index: Any) -> Any:
        y = torch.relu(x)
        return torch.full_like(y, 9.0).scatter_reduce(0, index, y, "sum", include_self=False)

    index = torch.tensor([[0, 1, 0], [1, 1, 1]])
    (cause,) = cured(forward, torch.randn(2, 3), index).causes
    assert cause.kind is CauseKind.LOWERING_FAILED
    (cure,) = cause.cures
    assert cure.kind is CureKind.EDIT
    assert 'x.scatter(0, index, 0).scatter_reduce(0, index, src, "sum")' in str(cure.type)
    assert "there is a partition again" in cure.say
    assert cure.numbers == 0.0


@pytest.mark.parametrize("only_places", [False, True])
def test_what_is_refused_for_its_second_output_is_made_by_an_operator_for_each(
    cured: Callable[..., Report], only_places: bool
) -> None:
    def forward(self: Any, x: Any) -> Any:
        values, places = torch.max(torch.relu(x), 1)
        return places * 2 if only_places else (values * 2, places)

    (cause,) = cured(forward, torch.randn(3, 4)).causes
    assert cause.kind is CauseKind.ARGUMENT
    assert "an output other than its first is read" in cause.reason
    (cure,) = cause.cures
    assert (cure.kind, cure.engines_after, cure.numbers) == (CureKind.EDIT, 1, 0.0)
    both = "`torch.amax(x, 1), torch.argmax(x, 1)`"
    assert ("`torch.argmax(x, 1)`" if only_places else both) in str(cure.type)


def test_a_lowering_that_nothing_mends_says_so_and_offers_no_setting(
    cured: Callable[..., Report],
) -> None:
    def forward(self: Any, x: Any, index: Any) -> Any:
        return torch.relu(x).scatter_reduce(0, index, x, "mean", include_self=False)

    index = torch.tensor([[0, 1, 0], [1, 1, 1]])
    (cause,) = cured(forward, torch.randn(2, 3), index).causes
    (cure,) = cause.cures
    assert (cure.kind, cure.say) == (CureKind.NONE, "nothing that was tried helps")
    assert (cure.type, cure.settings) == (None, None)


def test_a_number_that_is_read_and_decides_a_size_is_given_bounds(
    cured: Callable[..., Report],
) -> None:
    def forward(self: Any, x: Any, n: Any) -> Any:
        k = n.item()
        return torch.relu(x) + torch.sin(torch.arange(0, k).float()).sum()

    report = cured(forward, torch.randn(2, 3), torch.tensor(5))
    (cause,) = [c for c in report.causes if c.target == "aten._local_scalar_dense.default"]
    (cure,) = cause.cures
    assert cure.kind is CureKind.EDIT
    assert str(cure.line).endswith("torch._check(k >= 1); torch._check(k <= 4096)")
    assert "built for no run" in cure.say
    assert cure.numbers == 0.0
    assert "TD701" in {finding.code for finding in report.findings}, "nothing of it stays"


def test_a_float64_buffer_that_is_returned_too_stays_as_it_is() -> None:
    from trtdbg.graphs.editing import Editor
    from trtdbg.graphs.rewrites import _parameter_in_float32

    class Returns(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("scale", torch.ones(4, dtype=torch.float64))

        def forward(self, x: Any) -> Any:
            return (x * self.scale).sin(), self.scale

    program = torch.export.export(Returns(), (torch.randn(3, 4),))
    editor = Editor(program)
    _parameter_in_float32(editor, editor.nodes["b_scale"])
    editor.refresh()
    sine, scale = editor.finished().module()(torch.randn(3, 4))
    assert (sine.dtype, scale.dtype) == (torch.float32, torch.float64)


def test_an_edit_that_loses_an_output_is_not_taken() -> None:
    from trtdbg.graphs.editing import Editor

    class Doubles(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            return x * 2

    program = torch.export.export(Doubles(), (torch.randn(3),))
    editor = Editor(program)
    product = editor.nodes["mul"]
    cast = editor.call(product, torch.ops.aten.neg.default, product, after=True)
    product.replace_all_uses_with(cast, delete_user_cb=lambda user: user is not cast)
    with pytest.raises(Exception, match="output"):
        editor.finished()
