"""Compiles a module with `torch_tensorrt.compile` and calls it."""

import torch
import torch_tensorrt


class Net(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = torch.nn.Linear(8, 16)
        self.second = torch.nn.Linear(16, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        scale = torch.arange(16, dtype=torch.float64).mean()
        return self.second(torch.relu(self.first(x)) * scale.to(torch.float32))


if __name__ == "__main__":
    model = Net().eval()
    x = torch.ones(2, 8)
    compiled = torch_tensorrt.compile(
        model,
        inputs=[x],
        min_block_size=2,
        use_fast_partitioner=False,
        torch_executed_ops={torch.ops.aten.relu.default},
        truncate_double=True,
        enabled_precisions={torch.float32},
        cache_built_engines=False,
        timing_cache_path="cache.bin",
    )
    compiled.eval()
    print("ran", tuple(compiled(x).shape))
