"""A constant int64 table of places, looked up in a computed weight."""

import torch


class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        place = torch.arange(3)
        self.register_buffer("places", place[None, :] - place[:, None] + 2)
        self.layer = torch.nn.Linear(2, 2)

    def forward(self, offsets, scores):
        weight = torch.tanh(self.layer(offsets)) * 4
        bias = torch.nn.functional.embedding(self.places, weight)
        return torch.softmax(scores + bias.permute(2, 0, 1), -1)


def make():
    torch.manual_seed(0)
    return Model().eval(), (torch.randn(5, 2), torch.randn(2, 3, 3)), None
