"""torch_tensorrt's own low precision: what its pass does, and what is said where it raises."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

torch = pytest.importorskip("torch")

from tests.lowering import HALF, lows, session  # noqa: E402
from trtdbg.policy import Precision, Settings, Timing, TruncationPolicy  # noqa: E402
from trtdbg.records import CureKind, LowRule  # noqa: E402

pytestmark = pytest.mark.usefixtures("torch_tensorrt_ready")

UPSTREAM = TruncationPolicy(timing=Timing.UPSTREAM, precision=Precision.FLOAT16)


class Net(torch.nn.Module):
    """What torch_tensorrt's pass takes: every operator has one floating result."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = torch.nn.Conv2d(3, 4, 3)
        self.norm = torch.nn.BatchNorm2d(4)
        self.head = torch.nn.Linear(4, 2)

    def forward(self, x: Any) -> Any:
        return self.head(torch.relu(self.norm(self.conv(x))).mean((2, 3)))


class Embedded(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table = torch.nn.Embedding(9, 4)

    def forward(self, ids: Any) -> Any:
        return torch.relu(self.table(ids))


class Split(torch.nn.Module):
    def forward(self, x: Any) -> Any:
        values, places = torch.topk(x * 2, 2)
        return values + 1, places


def own_lowering(program: Any, **settings: Any) -> list[tuple[str, Any]]:
    """Returns name and dtype of each node as torch_tensorrt's own functions lower it."""
    from torch_tensorrt.dynamo import CompilationSettings
    from torch_tensorrt.dynamo.lowering import (
        get_decompositions,
        post_lowering,
        pre_export_lowering,
    )

    from trtdbg.graphs.graph import value_dtype
    from trtdbg.stages.capture import copy_program

    options = CompilationSettings(
        truncate_double=True,
        enable_autocast=True,
        autocast_low_precision_type=torch.float16,
        device=None,
        **settings,
    )
    lowered = pre_export_lowering(copy_program(program), options)
    lowered = lowered.run_decompositions(get_decompositions(False))
    module = post_lowering(lowered.module(), options)
    return [
        (node.name, value_dtype(node.meta["val"]))
        for node in module.graph.nodes
        if node.op == "call_function"
    ]


def test_the_lowering_is_what_torch_tensorrts_own_functions_make() -> None:
    under = session(Net(), torch.randn(1, 3, 8, 8))
    report = under.analyze(UPSTREAM)
    mine = [(node.name, node.recorded) for node in report.nodes if node.op == "call_function"]
    assert mine == own_lowering(under.program)
    assert any(dtype == "float16" for _, dtype in mine)


def test_each_node_has_the_rule_that_decided() -> None:
    settings = Settings(autocast_excluded_nodes=("conv",))
    report = session(Net(), torch.randn(1, 3, 8, 8), settings=settings).analyze(UPSTREAM)
    found = lows(report)
    assert found["convolution"].rule is LowRule.USER_MODULE
    assert found["convolution"].dtype == "float32"
    assert found["relu"].rule is LowRule.LOW
    assert found["relu"].dtype == "float16"
    settings = Settings(autocast_excluded_ops=("torch.ops.aten.relu.default",))
    report = session(Net(), torch.randn(1, 3, 8, 8), settings=settings).analyze(UPSTREAM)
    assert lows(report)["relu"].rule is LowRule.USER_OPERATOR


def test_its_range_rule_sees_calibration_data_only(tmp_path: Path) -> None:
    values = (torch.full((1, 3, 8, 8), 1e4),)
    path = tmp_path / "values.pt"
    torch.save(values, path)
    plain = session(Net(), torch.randn(1, 3, 8, 8)).analyze(UPSTREAM)
    assert lows(plain)["relu"].rule is LowRule.LOW
    settings = Settings(autocast_calibration_file=str(path))
    report = session(Net(), torch.randn(1, 3, 8, 8), settings=settings).analyze(UPSTREAM)
    assert lows(report)["relu"].rule is LowRule.RANGE
    assert lows(report)["relu"].figure > 512


def test_a_changed_output_dtype_is_a_finding() -> None:
    report = session(Net(), torch.randn(1, 3, 8, 8)).analyze(UPSTREAM)
    assert [f.code for f in report.findings if f.code.startswith("TD6")] == ["TD604"]


@pytest.mark.parametrize(
    ("model", "args", "node", "says"),
    [
        (Embedded(), (torch.tensor([1, 2]),), "embedding", "indices"),
        (Split(), (torch.randn(2, 4),), "topk", "no attribute 'to'"),
    ],
    ids=["indices", "several outputs"],
)
def test_a_pass_that_raises_is_a_finding_and_the_rest_stands(
    model: Any, args: tuple[Any, ...], node: str, says: str
) -> None:
    report = session(model, *args).analyze(UPSTREAM)
    (found,) = [f for f in report.findings if f.code.startswith("TD6")]
    assert found.code == "TD603"
    assert says in found.message
    assert node in found.message
    assert report.engines
    assert {each.rule for each in lows(report).values()} == {LowRule.PASS_RAISED}


def test_settings_switch_it_on_without_a_flag() -> None:
    settings = Settings(enable_autocast=True, autocast_low_precision_type="bfloat16")
    policy = TruncationPolicy(timing=Timing.UPSTREAM)
    report = session(Net(), torch.randn(1, 3, 8, 8), settings=settings).analyze(policy)
    assert lows(report)["relu"].dtype == "bfloat16"
    late = msgspec.structs.replace(policy, timing=Timing.LATE)
    assert not lows(session(Net(), torch.randn(1, 3, 8, 8), settings=settings).analyze(late))


def test_what_its_rules_would_say_stands_beside_ours() -> None:
    report = session(Net(), torch.randn(1, 3, 8, 8)).analyze(HALF)
    found = lows(report)
    assert found["relu"].upstream == "float16: no rule of torch_tensorrt keeps it"


class HalfWithGain(torch.nn.Module):
    def __init__(self, dtype: Any) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = torch.nn.Linear(4, 4).half()
        self.gain = torch.nn.Parameter(torch.ones(4, dtype=dtype))

    def forward(self, x: Any) -> Any:
        return torch.relu(self.first(x) * self.gain).tanh().half()


def test_a_float32_gain_in_a_half_model_is_a_leak() -> None:
    late = TruncationPolicy(timing=Timing.LATE)
    report = session(
        HalfWithGain(torch.float32), torch.randn(2, 4, dtype=torch.float16)
    ).analyze(late)
    (found,) = [f for f in report.findings if f.code == "TD601"]
    assert found.message.startswith("gain is float32 in a float16 model: 3 of ")
    assert found.source is not None or found.node == "gain"
    clean = session(
        HalfWithGain(torch.float16), torch.randn(2, 4, dtype=torch.float16)
    ).analyze(late)
    assert not [f for f in clean.findings if f.code == "TD601"]


class Folded(torch.nn.Module):
    """A float32 table, and a parameter that only a folded constant is left of."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.words = torch.nn.Embedding(9, 4).half()
        self.places = torch.nn.Embedding(9, 4)
        self.gain = torch.nn.Parameter(torch.rand(4))

    def forward(self, ids: Any) -> Any:
        hidden = (self.words(ids) + self.places(ids)).half()
        return torch.relu(hidden * (self.gain.exp().view(1, 4) + 1)).half()


def test_a_leak_is_followed_back_to_the_parameter_and_its_cure_is_tried() -> None:
    late = TruncationPolicy(timing=Timing.LATE)
    under = session(Folded(), torch.tensor([[1, 2, 3]]))
    before = [f for f in under.analyze(late).findings if f.code == "TD601"]
    assert {f.message.split(" is ")[0] for f in before} == {"gain", "places.weight"}
    assert not any(f.cures for f in before)
    tried = [f for f in under.cures(late, 60.0).findings if f.code == "TD601"]
    (cure,) = {f.cures for f in tried}
    assert cure[0].kind is CureKind.EDIT
    assert cure[0].say.startswith("convert gain, places.weight to float16: ")
    assert "get_parameter(name).data.to(torch.float16)" in cure[0].type
    assert 0 <= cure[0].numbers < 1e-2
    model = Folded()
    exec(cure[0].type, {"model": model, "torch": torch})
    mended = session(model, torch.tensor([[1, 2, 3]])).analyze(late)
    assert not [f for f in mended.findings if f.code == "TD601"]
    floats = {str(n.inferred) for n in mended.nodes if "float" in str(n.inferred)}
    assert floats == {"float16"}


def test_what_float16_cannot_hold_is_no_cure_of_a_leak() -> None:
    class Large(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = torch.nn.Linear(4, 4).half()
            self.gain = torch.nn.Parameter(torch.full((4,), 1e6))

        def forward(self, x: Any) -> Any:
            return torch.tanh(self.first(x) * self.gain * 1e-6)

    late = TruncationPolicy(timing=Timing.LATE)
    report = session(Large(), torch.randn(2, 4).half()).cures(late, 60.0)
    (found,) = [f for f in report.findings if f.code == "TD601"]
    assert found.cures[0].kind is CureKind.NONE
    assert "changes the numbers" in found.message


def test_a_float32_input_leaks_without_a_cure() -> None:
    class Read(torch.nn.Module):
        def forward(self, x: Any, scale: Any) -> Any:
            return (x * 2).tanh() * scale

    late = TruncationPolicy(timing=Timing.LATE)
    under = session(Read(), torch.randn(2, 4).half(), torch.rand(4))
    (found,) = [f for f in under.cures(late, 60.0).findings if f.code == "TD601"]
    assert found.message.startswith("input scale is float32 in a float16 model")
    assert not found.cures


def test_a_float32_that_the_author_wrote_is_no_leak() -> None:
    class Meant(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gain = torch.nn.Parameter(torch.ones(4))

        def forward(self, x: Any) -> Any:
            wide = x.float()
            return (x * 2) + (wide * self.gain).half()

    report = session(Meant(), torch.randn(2, 4, dtype=torch.float16)).analyze(
        TruncationPolicy(timing=Timing.LATE)
    )
    assert not [f for f in report.findings if f.code == "TD601"]
