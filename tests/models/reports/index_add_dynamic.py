"""Rows added up at repeated places, their number dynamic."""

import torch

ROWS = torch.export.Dim("rows", min=2, max=32)


class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(8, 8)

    def forward(self, total, place, rows):
        return torch.relu(total.index_add(0, place, self.layer(rows)))


def make():
    torch.manual_seed(0)
    return (
        Model().eval().half(),
        (torch.randn(5, 8).half(), torch.tensor([1, 1, 4, 0]), torch.randn(4, 8).half()),
        {"total": None, "place": {0: ROWS}, "rows": {0: ROWS}},
    )
