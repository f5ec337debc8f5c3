"""A projection to three parts, split and transposed into heads as GPT-2 does it.

Every validator accepts every operator, and TensorRT-RTX 1.5 refuses the engine with a sentence
that names none of them (TD503). In trtdbg: `trtdbg build` shows the sentence, and
`trtdbg repro samples/split_heads.pt2 -o repro --code TD503` what is to blame.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn


class Heads(nn.Module):
    """One attention of four heads of 16 values each, amid other operators."""

    def __init__(self) -> None:
        super().__init__()
        self.before = nn.Linear(64, 64)
        self.project = nn.Linear(64, 192)
        self.after = nn.Linear(16, 16)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Maps (1, 16, 64) to (1, 4, 16, 16), float32."""
        x = torch.tanh(self.before(x)) + 1
        parts = self.project(x.reshape(16, 64)).view(1, 16, 192).split(64, dim=2)
        query, key, value = (part.view(1, 16, -1, 16).transpose(1, 2) for part in parts)
        return torch.sigmoid(self.after(query @ key.transpose(2, 3) @ value))


def build() -> tuple[nn.Module, tuple[Any, ...], Any]:
    """Returns the model with its example arguments and dynamic shapes (none)."""
    torch.manual_seed(0)
    return Heads().eval(), (torch.randn(1, 16, 64),), None
