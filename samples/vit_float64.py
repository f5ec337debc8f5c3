"""The `transformers` library's ViT in float64, with random weights and a tiny configuration.

A real architecture rather than a made-up one; exporting needs `transformers`, opening the
exported file does not. Its eager attention takes the softmax in float32 and casts back to the
model's dtype. In trtdbg: that cast back to float64, three times, is all that splits the model
under `--timing upstream` (TD101, with the source line inside transformers); under `--timing
late` it is one engine with a cast at each program input and output.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn


class Features(nn.Module):
    """Returns ViT's tensors alone, without the dict-like output class of transformers."""

    def __init__(self, vit: nn.Module) -> None:
        super().__init__()
        self.vit = vit

    def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Maps (batch, 3, 16, 16) float64 to all tokens and the first token, float64."""
        tokens = self.vit(pixels).last_hidden_state
        return tokens, tokens[:, 0]


def build() -> tuple[nn.Module, tuple[Any, ...], Any]:
    """Returns the model with its example arguments and dynamic shapes (none)."""
    from transformers import ViTConfig, ViTModel

    torch.manual_seed(0)
    config = ViTConfig(
        image_size=16,
        patch_size=8,
        hidden_size=8,
        intermediate_size=16,
        num_hidden_layers=3,
        num_attention_heads=2,
        attn_implementation="eager",
    )
    vit = ViTModel(config, add_pooling_layer=False)
    pixels = torch.randn(2, 3, 16, 16, dtype=torch.float64)
    return Features(vit).double().eval(), (pixels,), None
