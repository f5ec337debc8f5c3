"""Places of the smallest values, written into an int64 table."""

import torch


class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("rows", torch.tensor([1, 3]))

    def forward(self, table, scores):
        return table.index_put((self.rows,), scores.argmin(-1))


def make():
    torch.manual_seed(0)
    return Model().eval(), (torch.zeros(5, dtype=torch.int64), torch.randn(2, 6)), None
