"""Compiles a function that calls two modules."""

import torch
import torch_tensorrt  # noqa: F401  the backend registers itself


def run(first, second, x):
    return second(first(x))


compiled = torch.compile(run, backend="torch_tensorrt")
with torch.no_grad():
    compiled(
        torch.nn.Sequential(torch.nn.Linear(4, 4)),
        torch.nn.Sequential(torch.nn.ReLU()),
        torch.ones(2, 4),
    )
