"""Is compiled by torch.compile into three graphs, with a print and a data-dependent branch."""

import torch
import torch_tensorrt  # registers the backend


class Broken(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = torch.nn.Linear(4, 8)
        self.second = torch.nn.Linear(8, 2)
        self.register_buffer("scale", torch.full((8,), 2.0))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.first(x)) * self.scale
        print("between")
        x = self.second(x).double().cumsum(0)
        if x.sum() > 0:
            return x + 1
        return x - 1


torch.manual_seed(0)
model = torch.compile(
    Broken().eval(),
    backend="torch_tensorrt",
    options={"min_block_size": 2, "use_fast_partitioner": False, "optimization_level": 1},
)
with torch.no_grad():
    assert model(torch.ones(3, 4)).shape == (3, 2)
assert torch_tensorrt is not None
