"""An integer division in float64: exact there, not in float32."""

import torch


class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.rows = torch.nn.Embedding(64, 6)

    def forward(self, ids, gain):
        row = torch.floor(ids.double() / 1048579.0).long()
        return self.rows(row) + gain, ids - row * 1048579


def make():
    torch.manual_seed(0)
    return (
        Model().eval(),
        (
            torch.tensor([2, 5, 30, 55]) * 1048579 - torch.tensor([1, 0, 1, 1]),
            torch.randn(4, 6),
        ),
        None,
    )
