"""Cross-compiles for Windows and saves the result."""

import os

import torch
import torch_tensorrt


class Doubled(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * 2


torch_tensorrt.cross_compile_for_windows(
    Doubled(), "windows.ep", inputs=[torch.ones(3)], min_block_size=1
)
assert not os.path.exists("windows.ep")
