"""The search for what must stay in float32, on real programs."""

from __future__ import annotations

import itertools
import re
from typing import Any

import msgspec
import pytest

torch = pytest.importorskip("torch")

from tests.lowering import HALF, Applied, lows, session  # noqa: E402
from trtdbg.batch.low_search import Found, LowSearch  # noqa: E402
from trtdbg.policy import Settings, searched  # noqa: E402
from trtdbg.worker.messages import ExpressLow, Job, RankLow, TryLow  # noqa: E402

pytestmark = pytest.mark.usefixtures("torch_tensorrt_ready")

JOB = Job(model="model", settings=Settings())


class Searched:
    """A program and what evaluates it."""

    def __init__(
        self, model: Any, *args: Any, rtol: float = 1e-2, accumulate_low: bool = False
    ) -> None:
        self.session = session(model, *args)
        self.asked = {"job": JOB, "policy": HALF, "rtol": rtol}
        self.asked["accumulate_low"] = accumulate_low
        self.ranking = self.session.rank_low(RankLow(**self.asked))

    def trial(self, keep: Any) -> Any:
        return self.session.try_low(TryLow(**self.asked, keep=tuple(keep)))

    def search(self) -> Found:
        return LowSearch(self.ranking.candidates, self.trial).run()

    def fewest(self) -> int:
        """Returns the size of the smallest set, all sets being tried."""
        names = [each.name for each in self.ranking.candidates]
        for size in range(len(names) + 1):
            for keep in itertools.combinations(names, size):
                if self.trial(keep).passes:
                    return size
        raise AssertionError("no set passes")


PLANTED = {
    "exp": (lambda x: torch.exp(x * 12).log() + x.relu() * 2, (torch.linspace(0.1, 1, 8),)),
    "norm": (
        lambda x: x * torch.rsqrt((x * 300).pow(2).mean(-1, keepdim=True) + 1e-6) + x.abs(),
        (torch.linspace(-2, 2, 16).reshape(2, 8),),
    ),
    "mask": (
        lambda x, m: torch.softmax(x * 2 + (1 - m.float()) * -1e9, -1) * 3,
        (torch.randn(2, 4, generator=torch.Generator().manual_seed(0)), torch.eye(2, 4) > 0),
    ),
    "masked": (
        lambda x, m: torch.softmax(x.masked_fill(m, -1e9).clamp(min=-1e30) * 1e-3, -1),
        (torch.randn(2, 4, generator=torch.Generator().manual_seed(0)), torch.eye(2, 4) > 0),
    ),
    "sum": (
        lambda x: (x.sum(-1, keepdim=True) / 1e5) * x,
        (torch.full((2, 100), 1000.0),),
    ),
    "indices": (
        lambda x, i: torch.exp(x.gather(-1, i) * 12).log(),
        (torch.linspace(0.1, 1, 8).reshape(2, 4), torch.tensor([[0, 3], [1, 2]])),
    ),
    "difference": (
        lambda x: ((x * 1.5 + 1000) - 1000) * 2 + x,
        (torch.linspace(0.1, 1, 8),),
    ),
}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(n, marks=pytest.mark.slow) if n in ("masked", "indices", "norm") else n
        for n in PLANTED
    ],
)
def test_what_is_kept_is_the_fewest_by_brute_force(name: str) -> None:
    function, args = PLANTED[name]
    searched_program = Searched(Applied(function), *args)
    found = searched_program.search()
    assert found.trial is not None
    assert found.trial.passes
    assert len(found.keep) == searched_program.fewest()
    assert found.minimal


def test_a_long_sum_is_kept_where_every_step_is_rounded() -> None:
    model = Applied(lambda x: (x.sum(-1, keepdim=True) * 1e-3 + x[:, :1]).relu())
    given = torch.linspace(0.5, 1.5, 4000).reshape(1, 4000)
    assert Searched(model, given).search().keep == ()
    pessimist = Searched(model, given, accumulate_low=True)
    found = pessimist.search()
    assert found.keep == ("sum_1",)
    assert found.smallest
    assert pessimist.fewest() == 1


class Layer(torch.nn.Module):
    """Attention and a feed-forward part, with a place in it where float16 is not enough."""

    def __init__(self, size: int, planted: bool) -> None:
        super().__init__()
        self.planted = planted
        self.first, self.second = torch.nn.LayerNorm(size), torch.nn.LayerNorm(size)
        self.qkv = torch.nn.Linear(size, 3 * size)
        self.out = torch.nn.Linear(size, size)
        self.up, self.down = torch.nn.Linear(size, 2 * size), torch.nn.Linear(2 * size, size)

    def forward(self, x: Any) -> Any:
        q, k, v = self.qkv(self.first(x)).chunk(3, -1)
        scores = torch.softmax(q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5, -1)
        x = x + self.out(scores @ v)
        hidden = torch.relu(self.up(self.second(x)))
        if self.planted:
            # Below float16's smallest number, and back: nothing of it is left in float16.
            tiny = hidden * 1e-9
            back = tiny * 1e9
            hidden = torch.sigmoid(back) * hidden
        return x + self.down(hidden)


class Transformer(torch.nn.Module):
    def __init__(self, size: int = 32, layers: int = 12, at: tuple[int, ...] = (2, 6, 9)):
        super().__init__()
        torch.manual_seed(0)
        self.layers = torch.nn.ModuleList(Layer(size, i in at) for i in range(layers))

    def forward(self, x: Any) -> Any:
        for layer in self.layers:
            x = layer(x)
        return x


def test_the_policy_that_was_found_is_what_an_analysis_keeps() -> None:
    function, args = PLANTED["exp"]
    under = Searched(Applied(function), *args)
    found = under.search()
    policy = msgspec.structs.replace(searched(HALF), keep_measured=found.keep)
    report = under.session.numerics(policy, rtol=1e-2, atol=1e-2 * 25)
    kept = {name for name, each in lows(report).items() if each.rule == "measured"}
    assert kept == set(found.keep)
    largest = max(float(o.abs().max()) for o in under.session._trials[1].runs.originals[0])
    exact = under.session.numerics(policy, rtol=1e-2, atol=1e-2 * largest).numerics
    assert exact.outputs[0].times_tolerance == pytest.approx(found.trial.error, rel=1e-6)


def test_settings_of_torch_tensorrt_say_the_set_where_they_can() -> None:
    class Two(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.first, self.second = torch.nn.Linear(4, 4), torch.nn.Linear(4, 4)

        def forward(self, x: Any) -> Any:
            return self.second(torch.relu(self.first(x)))

    under = session(Two(), torch.randn(2, 4))
    asked = {"job": JOB, "policy": HALF}
    found = under.express_low(ExpressLow(**asked, keep=("linear",)))
    assert found.exact
    assert found.error is None
    assert found.autocast_excluded_nodes == ("first$",)
    found = under.express_low(ExpressLow(**asked, keep=("linear", "linear_1")))
    assert (found.exact, found.autocast_excluded_nodes) == (True, ())
    assert found.autocast_excluded_ops == ("torch.ops.aten.linear.default",)


def test_settings_of_torch_tensorrt_that_keep_more_say_what() -> None:
    class One(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            return torch.exp(x * 2) + torch.exp(x * 3)

    found = session(One(), torch.ones(4)).express_low(
        ExpressLow(job=JOB, policy=HALF, keep=("exp",))
    )
    assert not found.exact


@pytest.mark.slow
def test_three_places_in_twelve_layers_are_found_in_a_hundred_evaluations() -> None:
    under = Searched(Transformer(), torch.randn(1, 8, 32), rtol=2e-2)
    found = under.search()
    assert found.evaluations <= 100
    assert found.smallest, "each is needed whatever else is kept, so no other set is as small"
    planted = [
        each.name
        for each in under.ranking.candidates
        if each.source is not None and re.search("1e-9|1e9", each.source.code or "")
    ]
    assert len(planted) == 6, "two operators in each of three layers"
    assert list(found.keep) == planted
    without = [under.trial(set(found.keep) - {name}) for name in planted]
    assert not any(each.passes for each in without)
