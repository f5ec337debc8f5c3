"""Compiles a module whose parts `torch.utils.checkpoint` calls, one inside the other."""

import torch
import torch_tensorrt  # noqa: F401  the backend registers itself
from torch.utils.checkpoint import checkpoint


class Inner(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(4, 4)

    def forward(self, x):
        return checkpoint(lambda y: self.linear(y).relu(), x, use_reentrant=False)


class Outer(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = Inner()

    def forward(self, x):
        return checkpoint(self.inner, x.sin(), use_reentrant=False).cos()


compiled = torch.compile(Outer().eval(), backend="torch_tensorrt")
with torch.no_grad():
    compiled(torch.ones(2, 4))
