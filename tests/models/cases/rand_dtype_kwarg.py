"""Noise with its dtype written out, although it is the usual one."""

import torch


class Model(torch.nn.Module):
    def forward(self, x):
        return torch.sigmoid(x) * torch.rand(2, 6, dtype=torch.float32)


def make():
    torch.manual_seed(0)
    return Model().eval(), (torch.randn(2, 6),), None
