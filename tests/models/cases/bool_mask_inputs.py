"""A mask of the caller and a causal mask, put together; nothing is wrong."""

import torch


class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(8, 8)
        self.register_buffer("past", torch.ones(8, 8).tril().bool())
        self.register_buffer("own", torch.eye(8).bool())

    def forward(self, x, real):
        seen = (real & self.past) | self.own
        return torch.where(seen, self.layer(x), x * 0.5)


def make():
    torch.manual_seed(0)
    return Model().eval(), (torch.randn(8, 8), torch.rand(8, 8) > 0.4), None
