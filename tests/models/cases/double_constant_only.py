"""A scale and an offset in float64, as NumPy makes them; all else is float32."""

import numpy as np
import torch


class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        gain, offset = np.linspace(0.3, 1.7, 4), np.linspace(-0.1, 0.1, 4)
        self.register_buffer("gain", torch.from_numpy(gain).view(1, 4, 1))
        self.register_buffer("offset", torch.from_numpy(offset).view(1, 4, 1))

    def forward(self, sound):
        return sound * self.gain + self.offset


def make():
    torch.manual_seed(0)
    return Model().eval(), (torch.rand(2, 4, 6),), None
