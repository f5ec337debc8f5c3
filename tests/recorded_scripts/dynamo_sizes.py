"""Is compiled by torch.compile(dynamic=True): sizes of tensors in a list, and a number."""

import torch
import torch_tensorrt


def joined(xs: list[torch.Tensor], times: int) -> torch.Tensor:
    rows = torch.cat([x.double().mean(-1, keepdim=True).float() + x for x in xs])
    return (rows.transpose(0, 1) * times).reshape(-1, xs[0].shape[0] + xs[1].shape[0])


model = torch.compile(joined, backend="torch_tensorrt", dynamic=True)
with torch.no_grad():
    assert model([torch.ones(3, 4), torch.ones(5, 4)], 7).shape == (4, 8)
assert torch_tensorrt is not None
