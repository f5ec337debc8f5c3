"""Has keyword arguments and a nested output."""

import torch
import torch_tensorrt


class Nested(torch.nn.Module):
    def forward(
        self, x: torch.Tensor, *, offsets: dict[str, torch.Tensor]
    ) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
        moved = x + offsets["first"]
        return {"both": (moved, moved - offsets["second"])}


kwargs = {"offsets": {"first": torch.ones(3), "second": torch.zeros(3)}}
compiled = torch_tensorrt.compile(
    Nested(), arg_inputs=[torch.ones(2, 3)], kwarg_inputs=kwargs, min_block_size=1
)
first, second = compiled(torch.ones(2, 3), **kwargs)["both"]
assert first.shape == second.shape
