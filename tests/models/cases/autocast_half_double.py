"""A float16 layer with a float32 input, and statistics in float64 behind it."""

import torch


class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(12, 20).half()

    def forward(self, x):
        h = self.layer(x.half())
        share = torch.softmax(h.double(), -1)
        return h.float() * 2, (share * share).sum(-1)


def make():
    torch.manual_seed(0)
    return Model().eval(), (torch.randn(5, 12),), None
