"""Exports a module with a dynamic batch and compiles the program."""

import torch
import torch_tensorrt


class Head(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.softmax(x @ x.transpose(-1, -2), dim=-1)


batch = torch.export.Dim("batch", min=1, max=8)
program = torch.export.export(
    Head().eval(), (torch.ones(4, 5, 6),), dynamic_shapes={"x": {0: batch}}
)
spec = torch_tensorrt.Input(
    min_shape=(1, 5, 6), opt_shape=(4, 5, 6), max_shape=(8, 5, 6), dtype=torch.float32
)
compiled = torch_tensorrt.dynamo.compile(program, arg_inputs=[spec], min_block_size=1)
assert compiled(torch.ones(7, 5, 6)).shape == (7, 5, 5)
