"""Is compiled by torch.compile with a batch that is dynamic, and by `ir="torch_compile"`."""

import torch
import torch_tensorrt


def attend(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return torch.softmax(x @ y.transpose(-1, -2), dim=-1).reshape(x.shape[0], -1)


x, y = torch.ones(4, 5, 6), torch.ones(4, 5, 6)
torch._dynamo.mark_dynamic(x, 0, min=2, max=16)
torch._dynamo.mark_dynamic(y, 0, min=2, max=16)
with torch.no_grad():
    assert torch.compile(attend, backend="tensorrt")(x, y).shape == (4, 25)
    conv = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4)).eval()
    boxed = torch_tensorrt.compile(conv, ir="torch_compile", min_block_size=1)
    assert boxed(torch.ones(1, 3, 8, 8)).shape == (1, 4, 6, 6)
