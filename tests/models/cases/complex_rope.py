"""Pairs of numbers turned as complex64; nothing is wrong."""

import torch


class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(6, 6)
        angles = torch.outer(torch.arange(4).float(), torch.tensor([1.0, 0.1, 0.01]))
        self.register_buffer("turns", torch.polar(torch.ones_like(angles), angles))

    def forward(self, x):
        pairs = self.layer(x).reshape(3, 4, 3, 2).contiguous()
        turned = torch.view_as_complex(pairs) * self.turns
        return torch.view_as_real(turned).flatten(2) + 1


def make():
    torch.manual_seed(0)
    return Model().eval(), (torch.randn(3, 4, 6),), None
