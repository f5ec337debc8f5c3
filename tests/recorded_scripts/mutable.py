"""Wraps a module so that it compiles itself as it is called."""

import torch
import torch_tensorrt


class Net(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(4, 2)

    def forward(self, x: torch.Tensor, *, scale: torch.Tensor) -> torch.Tensor:
        return self.linear(x) * scale


module = torch_tensorrt.MutableTorchTensorRTModule(
    Net().eval(), strict=False, use_fast_partitioner=False
)
assert module(torch.ones(3, 4), scale=torch.ones(2)).shape == (3, 2)
