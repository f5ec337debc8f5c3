"""A norm written out in float16 that overflows on its own example inputs."""

import torch


class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.first = torch.nn.Linear(24, 24)
        self.second = torch.nn.Linear(24, 6)
        self.shift = torch.nn.Parameter(torch.zeros(24))

    def forward(self, x):
        h = self.first(x) * 400
        away = h - h.mean(-1, keepdim=True)
        size = away.pow(2).mean(-1, keepdim=True) + 1e-5
        return self.second(away * torch.rsqrt(size) + self.shift)


def make():
    torch.manual_seed(0)
    return Model().eval().half(), (torch.randn(3, 24).half(),), None
