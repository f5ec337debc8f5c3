"""Windows of a volume as a tensor of nine dimensions: TensorRT has eight."""

import torch


class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.first = torch.nn.Linear(3, 3)
        self.second = torch.nn.Linear(6, 6)

    def forward(self, x):
        h = torch.relu(self.first(x))
        w = h.reshape(1, 2, 2, 2, 2, 2, 1, 2, 3)
        w = w.permute(0, 1, 3, 5, 2, 4, 6, 7, 8)
        return self.second(w.reshape(8, 4, 6))


def make():
    torch.manual_seed(0)
    return Model().eval(), (torch.randn(1, 4, 4, 4, 3),), None
