"""Fields of bits in an int64 input."""

import torch


class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.names = torch.nn.Embedding(8, 6)
        self.layer = torch.nn.Linear(6, 6)

    def forward(self, code):
        kind = code & 7
        level = (code >> 3) & 7
        return self.layer(self.names(kind) * self.names(level))


def make():
    torch.manual_seed(0)
    return Model().eval(), (torch.randint(0, 64, (3, 5)),), None
