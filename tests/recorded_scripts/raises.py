"""Raises after it has compiled."""

import torch
import torch_tensorrt


class Doubled(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * 2


torch_tensorrt.compile(Doubled(), inputs=[torch.ones(3)])
raise KeyError("of the script")
