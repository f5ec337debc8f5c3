"""A size leaves an engine as a number, for an operator that only PyTorch knows."""

import torch

if not hasattr(torch.ops.trtdbgcase, "mark"):

    @torch.library.custom_op("trtdbgcase::mark", mutates_args=())
    def mark(x: torch.Tensor, n: int) -> torch.Tensor:
        return x - float(n)

    @mark.register_fake
    def _(x, n):
        return torch.empty_like(x)


class Model(torch.nn.Module):
    def forward(self, x):
        y = torch.tanh(x) - 0.25
        return torch.ops.trtdbgcase.mark(y, y.shape[0] * 2)


def make():
    torch.manual_seed(0)
    return (
        Model().eval(),
        (torch.randn(3, 5, dtype=torch.float64),),
        {"x": {0: torch.export.Dim("rows", min=2, max=12)}},
    )
