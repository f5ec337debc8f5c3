"""Lets torch_tensorrt export a module with a dynamic `Input`."""

import torch
import torch_tensorrt


class Scaled(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.double().cumsum(0).float() + 1


compiled = torch_tensorrt.compile(
    Scaled().eval(),
    inputs=[torch_tensorrt.Input(min_shape=(2, 3), opt_shape=(4, 3), max_shape=(9, 3))],
    assume_dynamic_shape_support=True,
    min_block_size=1,
)
assert compiled(torch.ones(9, 3)).shape == (9, 3)
