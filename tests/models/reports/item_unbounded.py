"""A number of the data gives a size, and its range has no end."""

import torch


class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(6, 6)

    def forward(self, x, n):
        wave = torch.cos(torch.arange(0, n.item()).float() * 0.2)
        return self.layer(x) - wave.sum(), wave + 1


def make():
    torch.manual_seed(0)
    return Model().eval(), (torch.randn(3, 6), torch.tensor(4)), None
