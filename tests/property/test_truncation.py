"""Truncation on random programs: whatever the policy, the promises of the policy hold."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("hypothesis")
torch = pytest.importorskip("torch")

from hypothesis import given, note  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from oracle import (  # noqa: E402
    Watch,
    check_casts,
    check_early,
    check_outputs,
    check_values,
    expected,
    fingerprint,
)
from programs import Recipe, recipes  # noqa: E402
from told import check_rows  # noqa: E402

from tests.examples import unshrunk  # noqa: E402
from trtdbg.policy import Partitioner, Settings, Timing, TruncationPolicy  # noqa: E402
from trtdbg.session import session as sessions  # noqa: E402
from trtdbg.worker.messages import Job  # noqa: E402

PROFILE = unshrunk(200)
EXCLUDED = (
    (),
    ("torch.ops.aten._to_copy.default",),
    ("torch.ops.aten._to_copy.default", "torch.ops.aten.relu.default"),
    ("torch.ops.aten.add.Tensor", "torch.ops.aten.mul.Tensor"),
    ("torch.ops.aten.gather.default", "torch.ops.aten.topk.default"),
)
"""Operators to leave to PyTorch, for more borders than converters alone would make."""
LISTS = st.sampled_from([(), ("float64",), ("int64",), ("float64", "int64")])


def policies(timing: Timing) -> Any:
    """Draws a policy of a timing."""
    return st.builds(
        TruncationPolicy, st.just(timing), inputs=LISTS, constants=LISTS, computed=LISTS
    )


@dataclass(frozen=True)
class Plan:
    """What a program is analysed under."""

    policies: tuple[TruncationPolicy, ...]
    settings: Settings

    def __repr__(self) -> str:
        """Returns what hypothesis prints of a failing example."""
        return "\n".join(["", str(self.settings), *(p.flags() for p in self.policies)])


@st.composite
def plans(draw: Any) -> Plan:
    """Draws the policies to try on a program; lowering again costs most, so those are few."""
    late = draw(st.lists(policies(Timing.LATE), min_size=1, max_size=4, unique=True))
    early = draw(st.lists(policies(Timing.EARLY), max_size=1))
    plain = draw(st.sampled_from([(), (Timing.OFF,), (Timing.OFF, Timing.UPSTREAM)]))
    settings = Settings(
        partitioner=draw(st.sampled_from(Partitioner)),
        torch_executed_ops=draw(st.sampled_from(EXCLUDED)),
    )
    return Plan(
        (*late, *early, *(TruncationPolicy(timing=timing) for timing in plain)), settings
    )


def check(recipe: Recipe, plan: Plan) -> None:
    """Analyses a program under each policy of a plan and checks what was made of it."""
    program = recipe.export()
    args = tuple(recipe.inputs.values())
    wanted = expected(recipe)
    watch = Watch()
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        path = Path(folder) / "model.pt2"
        torch.export.save(program, path)
        patch.setattr(sessions, "Steps", watch.steps())
        job = Job(model=str(path), settings=plan.settings, probe_seconds=0)
        session = sessions.Session(job, lambda event: None)
        loaded = session._loaded.program
        before = fingerprint(loaded)
        for policy in plan.policies:
            note(policy.flags())
            report = session.analyze(policy)
            assert fingerprint(loaded) == before, "the loaded program has changed"
            assert watch.executed == [], "repair has run something"
            check_outputs(report, loaded)
            check_rows(report)
            if policy not in watch.programs:
                assert {f.code for f in report.findings} & {"TD501", "TD502"}
                continue
            repaired = watch.programs[policy]
            numerics = partial(session.numerics, policy)
            check_values(report, repaired, wanted, args, numerics)
            if policy.timing is not Timing.UPSTREAM:
                check_casts(repaired)
            if watch.early[policy] is not None:
                early = watch.early[policy]
                check_early(report, loaded, early, wanted, args, numerics)


@PROFILE
@given(recipe=recipes(), plan=plans())
def test_truncation_keeps_its_promises(recipe: Recipe, plan: Plan) -> None:
    check(recipe, plan)


@pytest.mark.slow
@unshrunk(2000)
@given(recipe=recipes(lines=14), plan=plans())
def test_truncation_keeps_its_promises_at_length(recipe: Recipe, plan: Plan) -> None:
    check(recipe, plan)
