"""Float64 from the input to the output; every operator has a converter."""

import torch


def make():
    torch.manual_seed(0)
    layers = torch.nn.Linear(12, 24), torch.nn.Tanh(), torch.nn.Linear(24, 3)
    model = torch.nn.Sequential(*layers).double().eval()
    return model, (torch.randn(2, 12, dtype=torch.float64),), None
