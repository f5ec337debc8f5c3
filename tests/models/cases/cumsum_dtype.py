"""Positions as running sums of a mask."""

import torch


class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.places = torch.nn.Embedding(12, 6)
        self.words = torch.nn.Embedding(4, 6)

    def forward(self, tokens):
        real = tokens.gt(0).int()
        place = torch.cumsum(real, dim=1, dtype=torch.int64) * real
        return self.places(place.long()) + self.words(tokens)


def make():
    torch.manual_seed(0)
    return Model().eval(), (torch.randint(0, 3, (2, 6)),), None
