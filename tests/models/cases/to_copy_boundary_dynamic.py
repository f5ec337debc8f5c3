"""A cast between an operator of PyTorch and an engine's output, rows dynamic."""

import torch


class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(6, 6)

    def forward(self, code):
        low = code & 7  # stays in PyTorch
        value = low.to(torch.float32)  # the engine's first operator, and an output of it
        return torch.tanh(self.layer(value)), value


def make():
    torch.manual_seed(0)
    return (
        Model().eval(),
        (torch.randint(0, 32, (3, 6)),),
        {"code": {0: torch.export.Dim("rows", min=2, max=12)}},
    )
