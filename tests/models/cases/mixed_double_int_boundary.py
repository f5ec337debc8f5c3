"""Float64 and int64 inputs, and two operators without a converter between layers."""

import torch


class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.names = torch.nn.Embedding(8, 6)
        self.first = torch.nn.Linear(6, 6).double()
        self.second = torch.nn.Linear(6, 6).double()

    def forward(self, level, kind):
        h = torch.sigmoid(self.first(level)) * self.names(kind & 3)
        h = h + torch.special.i1(h).abs()
        return self.second(h)


def make():
    torch.manual_seed(0)
    return (
        Model().eval(),
        (torch.randn(3, 6, dtype=torch.float64), torch.randint(0, 9, (3,))),
        None,
    )
