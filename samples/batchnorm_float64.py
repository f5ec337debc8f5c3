"""A small CNN converted with `.double()`, batch norm and its running statistics included.

In trtdbg: every validator accepts, yet under `--timing upstream` the engine does not build,
because upstream narrows the activations and leaves float64 weights to the batch-norm and
convolution converters (TD102). Under `--timing late` the constants themselves are converted:
one engine, two boundary casts, it builds. The constants table shows what narrowing cost.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn


class ConvBlock(nn.Module):
    """Convolution, batch norm, ReLU."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels_in, channels_out, 3, stride=2, padding=1)
        self.norm = nn.BatchNorm2d(channels_out)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Maps (batch, channels, height, width) float64 to half the height and width."""
        return torch.relu(self.norm(self.conv(x)))


class Classifier(nn.Module):
    """Three convolution blocks, mean pooling, a linear head."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.Sequential(ConvBlock(3, 8), ConvBlock(8, 16), ConvBlock(16, 16))
        self.head = nn.Linear(16, 10)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Maps (batch, 3, height, width) float64 to (batch, 10) float64 probabilities."""
        return self.head(self.blocks(image).mean((2, 3))).softmax(-1)


def build() -> tuple[nn.Module, tuple[Any, ...], Any]:
    """Returns the model with its example arguments and dynamic shapes (none)."""
    torch.manual_seed(0)
    model = Classifier().double().eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean = torch.randn_like(module.running_mean) * 0.1
            module.running_var = torch.rand_like(module.running_var) + 0.5
    return model, (torch.randn(2, 3, 16, 16, dtype=torch.float64),), None
