"""Token ids in int64, an embedding, and one float64 island in a float32 model.

In trtdbg: the ids stay int64 by default (TensorRT takes INT64), while the island's widening
cast is rejected needlessly (TD101). Widen `--inputs`, `--constants` and `--computed` with
`int64` one at a time, and see which of the three paths each int64 value comes from: the ids
(inputs), the offset of each place (constants), the token count and `argmax` (computed).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn


class Tagger(nn.Module):
    """Embeds ids, normalises with float64 statistics, scores tags."""

    offsets: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.tokens = nn.Embedding(64, 24)
        self.mix = nn.Linear(24, 24)
        self.head = nn.Linear(24, 7)
        self.register_buffer("offsets", torch.arange(16) * 2)

    def forward(self, ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Maps (batch, 16) int64 ids to tag scores, best tag and number of real tokens."""
        hidden = self.tokens(ids + self.offsets)
        hidden = torch.nn.functional.gelu(self.mix(hidden))
        wide = hidden.double()
        centred = wide - wide.mean(-1, keepdim=True)
        spread = centred.square().mean(-1, keepdim=True).sqrt() + 1e-9
        scores = self.head((centred / spread).float())
        return scores, scores.argmax(-1), (ids > 0).sum(-1)


def build() -> tuple[nn.Module, tuple[Any, ...], Any]:
    """Returns the model with its example arguments and dynamic shapes (none)."""
    torch.manual_seed(0)
    return Tagger().eval(), (torch.randint(0, 32, (2, 16)),), None
