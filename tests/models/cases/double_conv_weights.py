"""Convolutions and a batch norm with float64 weights."""

import torch


def make():
    torch.manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Conv2d(2, 6, 3, padding=1),
        torch.nn.BatchNorm2d(6),
        torch.nn.ReLU(),
        torch.nn.ConvTranspose2d(6, 3, 2, stride=2),
    )
    model = model.double().eval()
    return model, (torch.randn(1, 2, 6, 6, dtype=torch.float64),), None
