"""Writes to buffers and inputs that torch_tensorrt's lowering takes out of the program."""

from __future__ import annotations

from typing import Any

import pytest

from trtdbg.policy import Timing, TruncationPolicy

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.usefixtures("torch_tensorrt_ready")

UPSTREAM = TruncationPolicy(timing=Timing.UPSTREAM)


class Counter(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros(1))

    def forward(self, x: Any) -> Any:
        self.calls.add_(1)
        return x * self.calls


class Cache(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("cache", torch.zeros(1, 8, 4))

    def forward(self, x: Any, place: Any) -> Any:
        self.cache[:, place] = torch.relu(x)
        return self.cache.sum(1)


class IntoInput(torch.nn.Module):
    def forward(self, x: Any, state: Any) -> Any:
        state.copy_(x * 2)
        return x + 1


class Returned(torch.nn.Module):
    """The cure: the state is an input, and what is written is returned."""

    def forward(self, x: Any, state: Any) -> Any:
        return x + 1, x * 2 + state * 0


def told(module: Any, *args: Any) -> list[str]:
    from tests.lowering import session

    report = session(module, *args).analyze(UPSTREAM)
    return [each.message for each in report.findings if each.code == "TD406"]


@pytest.mark.parametrize(
    ("module", "args", "what"),
    [
        (Counter(), (torch.randn(3),), "buffer calls"),
        (Cache(), (torch.randn(1, 1, 4), torch.tensor([2])), "buffer cache"),
        (IntoInput(), (torch.randn(3), torch.zeros(3)), "input state"),
    ],
)
def test_a_write_that_is_lost_is_told_with_its_pass(
    module: Any, args: tuple[Any, ...], what: str
) -> None:
    (message,) = told(module, *args)
    assert message.startswith(f"what the program writes to its {what} is lost: pass ")
    assert "test_lost_writes.py:" in message


def test_the_cure_of_td406_returns_the_state() -> None:
    assert told(Returned(), torch.randn(3), torch.zeros(3)) == []
