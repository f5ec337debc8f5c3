"""A transformer whose attention scores are computed in float64 inside a float32 model.

Someone wanted a safer softmax. In trtdbg: every layer has one `_to_copy` to float64 that its
validator rejects on the original dtype and accepts on the truncated one (TD101), so N layers
become N + 1 engines with N operators left to PyTorch under `--timing upstream`, and one engine
with none under `--timing late`.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn


class Attention(nn.Module):
    """Multi-head self-attention that widens its scores before the softmax."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.scale = (width // heads) ** -0.5
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Maps (batch, tokens, width) float32 to the same."""
        batch, tokens, width = x.shape
        qkv = self.qkv(x).reshape(batch, tokens, 3, self.heads, width // self.heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        scores = (query @ key.transpose(-2, -1)).double() * self.scale
        weights = scores.softmax(-1).float()
        return self.out((weights @ value).transpose(1, 2).reshape(batch, tokens, width))


class Block(nn.Module):
    """One pre-norm transformer layer."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm_attention = nn.LayerNorm(width)
        self.attention = Attention(width, heads)
        self.norm_mlp = nn.LayerNorm(width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Maps (batch, tokens, width) float32 to the same."""
        x = x + self.attention(self.norm_attention(x))
        return x + self.mlp(self.norm_mlp(x))


class Transformer(nn.Module):
    """A stack of layers with a linear head on the mean token."""

    def __init__(self, layers: int, width: int, heads: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(layers))
        self.head = nn.Linear(width, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Maps (batch, tokens, width) float32 to (batch, 10) float32."""
        for block in self.blocks:
            x = block(x)
        return self.head(x.mean(1))


def build(layers: int = 4) -> tuple[nn.Module, tuple[Any, ...], Any]:
    """Returns the model with its example arguments and dynamic shapes (none)."""
    torch.manual_seed(0)
    model = Transformer(layers, width=24, heads=2).eval()
    return model, (torch.randn(2, 8, 24),), None
