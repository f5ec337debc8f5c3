"""Float16 data with numbers in float32 and float64: they do not widen it."""

import torch


class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("gain", torch.tensor(0.5))
        self.register_buffer("offset", torch.tensor(0.75, dtype=torch.float64))

    def forward(self, x, w):
        return torch.sigmoid(torch.matmul(x * self.gain, w) - self.offset)


def make():
    torch.manual_seed(0)
    return Model().eval(), (torch.randn(2, 3, 6).half(), torch.randn(2, 6, 5).half()), None
