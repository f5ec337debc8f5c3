from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from tests import by_version  # noqa: E402
from trtdbg.policy import (  # noqa: E402
    Settings,
    Timing,
    TruncationPolicy,
    VerdictSource,
)
from trtdbg.records import Report  # noqa: E402
from trtdbg.worker.messages import Job, Weigh  # noqa: E402

Weighed = Callable[..., Report]


@pytest.fixture
def weighed(tmp_path: Path, torch_tensorrt_ready: None) -> Weighed:
    """Returns a function that weighs a forward function's refusals in a session."""
    from trtdbg.session.server import Handler

    def weigh(
        forward: Any,
        *args: Any,
        policy: TruncationPolicy | None = None,
        settings: Settings | None = None,
        suggestion: bool = False,
    ) -> Report:
        model = type("Model", (torch.nn.Module,), {"forward": forward})().eval()
        path = tmp_path / "model.pt2"
        with torch.no_grad():
            torch.export.save(torch.export.export(model, args), path)
        job = Job(model=str(path), settings=settings or Settings(), probe_seconds=0)
        request = Weigh(
            job=job,
            policy=policy or TruncationPolicy(),
            consequences=not suggestion,
            suggestion=suggestion,
        )
        report = Handler(lambda event: None).handle(request)
        assert isinstance(report, Report)
        return report

    return weigh


def island(self: Any, x: Any) -> Any:
    """Computes a softmax in float64 between float32 operators."""
    return torch.relu(torch.softmax(torch.relu(x).double(), -1).float())


def apart(self: Any, x: Any) -> Any:
    h = torch.special.i0(torch.relu(x))
    return torch.special.bessel_j0(torch.sigmoid(h))


def test_each_refused_node_is_weighed_alone_and_the_most_useful_comes_first(
    weighed: Weighed,
) -> None:
    found = weighed(apart, torch.randn(4)).consequences
    assert found is not None
    assert (found.engines, found.torch_ops, found.refused) == (2, 2, 2)
    assert [(c.node, c.engines, c.torch_ops) for c in found.tried] == [
        ("i0", 1, 1),
        ("special_bessel_j0", 2, 1),
    ]


def test_what_torch_tensorrt_itself_refuses_is_weighed_under_upstream(
    weighed: Weighed,
) -> None:
    policy = TruncationPolicy(timing=Timing.UPSTREAM)
    found = weighed(island, torch.randn(4, 4), policy=policy).consequences
    assert found is not None
    assert (found.engines, found.torch_ops) == (2, 1)
    assert [(c.node, c.engines, c.torch_ops) for c in found.tried] == [("_to_copy", 1, 0)]
    assert weighed(island, torch.randn(4, 4)).consequences.tried == (), "late refuses none"


@by_version.only("a validator that raises")
def test_a_part_of_a_refused_result_is_not_weighed_by_itself(weighed: Weighed) -> None:
    def forward(self: Any, x: Any) -> Any:
        values, indices = torch.sort(torch.relu(x))
        return values + 1, indices

    found = weighed(forward, torch.randn(3, 4)).consequences
    assert found is not None
    assert [c.node for c in found.tried] == ["sort"]


def test_many_refused_nodes_are_not_all_weighed_and_that_is_said(
    weighed: Weighed, monkeypatch: pytest.MonkeyPatch
) -> None:
    from trtdbg.session import advice

    monkeypatch.setattr(advice, "MOST_WEIGHED", 1)
    found = weighed(apart, torch.randn(4)).consequences
    assert found is not None
    assert found.refused == 2
    assert [c.node for c in found.tried] == ["i0"]


def test_only_what_is_needed_is_narrowed_by_the_suggested_policy(weighed: Weighed) -> None:
    found = weighed(island, torch.randn(4, 4), suggestion=True).suggestion
    assert found is not None
    policy = found.policy
    assert (policy.inputs, policy.constants, policy.computed) == ((), (), ("float64",))
    assert policy.timing is Timing.LATE
    assert found.accepted == found.operators == 5
    assert (found.engines, found.torch_ops) == (1, 0)
    assert found.refused_upstream == 1


def test_a_float64_that_validators_let_pass_is_narrowed_all_the_same(weighed: Weighed) -> None:
    args = (torch.randn(4, dtype=torch.float64),)
    found = weighed(lambda self, x: torch.relu(x) + 1, *args, suggestion=True).suggestion
    assert found is not None
    assert found.policy.inputs == ("float64",)
    assert found.policy.computed == ()


def test_nothing_is_narrowed_where_nothing_is_wide(weighed: Weighed) -> None:
    found = weighed(lambda self, x: torch.relu(x), torch.randn(4), suggestion=True).suggestion
    assert found is not None
    assert found.policy.inputs == found.policy.constants == found.policy.computed == ()
    assert found.tried == 1


@by_version.only("a validator that raises")
def test_an_operator_whose_validator_raises_is_to_be_excluded(weighed: Weighed) -> None:
    settings = Settings(torch_executed_ops=("torch.ops.aten.exp.default",))

    def forward(self: Any, x: Any) -> Any:
        return torch.sort(torch.relu(torch.exp(x)))[0]

    found = weighed(forward, torch.randn(3, 4), settings=settings, suggestion=True).suggestion
    assert found is not None
    assert found.torch_executed_ops == (
        "torch.ops.aten.exp.default",
        "torch.ops.aten.sort.default",
    )


def test_tensorrts_own_verdict_decides_where_it_is_asked_for(weighed: Weighed) -> None:
    policy = TruncationPolicy(verdicts=VerdictSource.TENSORRT)
    found = weighed(island, torch.randn(4, 4), policy=policy, suggestion=True).suggestion
    assert found is not None
    assert found.policy.verdicts is VerdictSource.TENSORRT
    assert found.policy.computed == ("float64",)
    assert found.accepted == found.operators
