"""A mask's smallest float64 in a buffer: no float32."""

import torch


class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        least = torch.finfo(torch.float64).min
        self.register_buffer("neg", torch.tensor(least, dtype=torch.float64))

    def forward(self, scores, seen):
        return torch.where(seen, scores * 2, self.neg).softmax(-1)


def make():
    torch.manual_seed(0)
    return (
        Model().eval(),
        (torch.randn(2, 5), torch.tensor([[True, True, False, True, True]] * 2)),
        None,
    )
