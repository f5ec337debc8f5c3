"""Traces a module itself, and compiles what it traced."""

import torch
import torch_tensorrt


class Net(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(x) * 2


if __name__ == "__main__":
    inputs = [torch_tensorrt.Input(shape=(2, 8), dtype=torch.float32)]
    traced = torch_tensorrt.dynamo.trace(Net().eval(), inputs)
    compiled = torch_tensorrt.dynamo.compile(traced, inputs=inputs, min_block_size=1)
    print(compiled(torch.ones(2, 8)).shape)
