"""Two comparisons multiplied: accepted by the validators, refused by TensorRT."""

import torch


class Model(torch.nn.Module):
    def forward(self, x):
        inside = (x > -1) * (x < 1)
        return torch.where(inside, x, x.sign())


def make():
    torch.manual_seed(0)
    return Model().eval(), (torch.randn(3, 7),), None
