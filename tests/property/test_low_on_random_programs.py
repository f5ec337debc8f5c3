"""A low precision on random programs: outputs, casts and numbers are what was promised."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("hypothesis")
torch = pytest.importorskip("torch")

from hypothesis import given  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from oracle import check_outputs  # noqa: E402
from programs import Recipe, recipes  # noqa: E402

from tests.examples import unshrunk  # noqa: E402
from tests.lowering import casts, partitioned  # noqa: E402
from trtdbg.archive.load import LoadedProgram  # noqa: E402
from trtdbg.graphs.deviations import Tolerance  # noqa: E402
from trtdbg.graphs.graph import LOW_CAST  # noqa: E402
from trtdbg.graphs.low_arithmetic import LowArithmetic  # noqa: E402
from trtdbg.policy import KeepRule, Precision, Settings, Timing, TruncationPolicy  # noqa: E402
from trtdbg.records import LowRule  # noqa: E402
from trtdbg.stages.low_run import LowRuns  # noqa: E402
from trtdbg.worker.messages import Job  # noqa: E402

pytestmark = pytest.mark.usefixtures("torch_tensorrt_ready")

PROFILE = unshrunk(15)
POLICIES = st.builds(
    TruncationPolicy,
    st.just(Timing.LATE),
    st.just(()),
    st.just(()),
    st.just(()),
    precision=st.sampled_from([Precision.FLOAT16, Precision.BFLOAT16]),
    keep_rules=st.sampled_from([(), tuple(KeepRule)]),
)
OTHER_NUMBERS = {"TD204", "TD403"}
"""Findings of values that TensorRT computes as another kind of number."""


def check(recipe: Recipe, policy: TruncationPolicy) -> None:
    """Checks one program under one policy."""
    from trtdbg.session.session import Session
    from trtdbg.stages.inputs import program_inputs

    args = tuple(recipe.inputs.values())
    loaded = LoadedProgram(
        program=recipe.export(),
        name="model",
        path="model",
        sha256="",
        bytes=0,
        example_inputs=(args, {}),
    )
    job = Job(model="model", settings=Settings(), probe_seconds=0.0)
    under = Session(job, lambda event: None, loaded)
    report = under.analyze(policy)
    if {f.code for f in report.findings} & {"TD501", "TD502"}:
        return
    check_outputs(report, loaded.program)
    check_low_casts(partitioned(under, policy))
    names = {n.name for n in report.nodes if n.low is not None and n.low.rule is LowRule.LOW}
    kinds = {str(node.inferred) for node in report.nodes}
    if {f.code for f in report.findings} & OTHER_NUMBERS or any("float64" in k for k in kinds):
        return
    lowered = under._lower(truncate_double=False).inferred.module
    given_values = program_inputs(loaded.program, loaded.example_inputs)
    arithmetic = LowArithmetic(policy.precision.value)
    runs = LowRuns(lowered, (given_values,), arithmetic, Tolerance(1e-3, 1e-2))
    runs.measure(frozenset())
    again = runs.evaluate(frozenset(names))
    measured = under.numerics(policy, atol=1e-3, rtol=1e-2).numerics
    worst = [row.max_abs_error for row in measured.outputs if row.max_abs_error is not None]
    assert max(worst, default=None) == again.max_abs_error
    one = flat(torch.fx.Interpreter(lowered).run(*given_values.values))
    other = flat(Rounded(lowered, names, arithmetic.type).run(*given_values.values))
    for row, original, computed in zip(measured.outputs, one, other, strict=True):
        finite = torch.isfinite(original.double()) & torch.isfinite(computed.double())
        error = (original.double() - computed.double())[finite].abs()
        assert row.max_abs_error == (float(error.max()) if error.numel() else None)


def flat(values: Any) -> list[Any]:
    return [torch.as_tensor(each) for each in torch.utils._pytree.tree_leaves(values)]


class Rounded(torch.fx.Interpreter):
    """Runs a float32 graph with some operators low, from nothing but the definition.

    Operands and written numbers of a low operator are rounded to the low type, it computes in
    float32, and its results are rounded.
    """

    def __init__(self, module: Any, low: set[str], dtype: Any) -> None:
        super().__init__(module)
        self.low, self.dtype = low, dtype

    def run_node(self, n: Any) -> Any:
        if n.name not in self.low or n.op != "call_function":
            return super().run_node(n)
        args, kwargs = self.fetch_args_kwargs_from_env(n)
        kinds = [str(each.type) for each in n.target._schema.arguments]
        args = [self._number(a, k) for a, k in zip(args, kinds, strict=False)]
        args, kwargs = self._tensors((args, kwargs))
        return self._tensors(n.target(*args, **kwargs))

    def _number(self, value: Any, kind: str) -> Any:
        if type(value) is not float or not ("number" in kind or kind == "Tensor"):
            return value
        return float(torch.tensor(value, dtype=torch.float64).to(self.dtype))

    def _tensors(self, values: Any) -> Any:
        def rounded(value: Any) -> Any:
            if value.dtype not in (torch.float32, self.dtype):
                return value
            return value.to(self.dtype).to(torch.float32)

        return torch.utils._pytree.tree_map_only(torch.Tensor, rounded, values)


def check_low_casts(module: Any) -> None:
    """Checks that no integer is cast for a low precision, and that no two casts cancel."""
    for cast in casts(module):
        if LOW_CAST not in cast.meta:
            continue
        (source,) = cast.all_input_nodes
        assert source.meta["val"].dtype.is_floating_point
        assert source.meta["val"].dtype != cast.meta["val"].dtype
        assert not (source.target is cast.target and LOW_CAST in source.meta)


@PROFILE
@given(recipe=recipes(), policy=POLICIES)
def test_a_low_precision_keeps_its_promises(recipe: Recipe, policy: TruncationPolicy) -> None:
    check(recipe, policy)


@pytest.mark.deep
@unshrunk(300)
@given(recipe=recipes(lines=14), policy=POLICIES)
def test_a_low_precision_keeps_its_promises_at_length(
    recipe: Recipe, policy: TruncationPolicy
) -> None:
    check(recipe, policy)
