"""Takes arguments, reads its own folder, writes to the working directory, ends with 7."""

import sys

import neighbour
import torch
import torch_tensorrt


class Doubled(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * neighbour.FACTOR


assert __name__ == "__main__"
assert sys.argv[1:] == ["--first", "-o", "x.txt"]
module = torch_tensorrt.compile(Doubled(), inputs=[torch.ones(3)])
torch_tensorrt.save(module, "compiled.ep")
with open(sys.argv[3], "w") as file:
    file.write(f"{__file__} {float(module(torch.ones(3)).sum())}")
sys.exit(7)
