"""Values of every kind crossing between engines and PyTorch.

A float64 sensor channel, int64 ids, and operators without a converter (Bessel functions)
between the blocks, with a float64, a float32, an int64 and a bool output. In trtdbg: look at
the boundary casts. Under `--timing late` each crossing value is cast once per direction and
not at all between two engines; compare with `--timing early` and `--timing upstream`.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn


class SensorFusion(nn.Module):
    """Fuses a float64 sensor with embedded ids through two operators PyTorch must run."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(32, 16)
        self.sense = nn.Linear(16, 16).double()
        self.fuse = nn.Linear(16, 16).double()
        self.refine = nn.Linear(16, 16)
        self.head = nn.Linear(16, 4).double()

    def forward(
        self, sensor: torch.Tensor, ids: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """Maps (batch, 16) float64 and (batch,) int64 to one output of each dtype."""
        signal = torch.tanh(self.sense(sensor))
        hidden = signal + self.embed(ids)
        window = torch.special.i0(hidden)  # no converter: float64 leaves the first engine
        fused = torch.relu(self.fuse(window * hidden))
        embedded = torch.relu(self.refine(self.embed(ids + 1)))
        ripple = torch.special.bessel_j0(embedded)  # no converter: float32 leaves an engine
        scores = self.head(fused + ripple)
        return scores, embedded * ripple, scores.argmax(-1), signal.mean(-1) > 0


def build() -> tuple[nn.Module, tuple[Any, ...], Any]:
    """Returns the model with its example arguments and dynamic shapes (none)."""
    torch.manual_seed(0)
    args = (torch.randn(4, 16, dtype=torch.float64), torch.randint(0, 31, (4,)))
    return SensorFusion().eval(), args, None
