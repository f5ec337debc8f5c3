"""Tables computed from sizes, one of which is twice a dynamic number."""

import torch

HALF = torch.export.Dim("half", min=2, max=12)


class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.mix = torch.nn.Conv2d(3, 3, 1)

    def forward(self, x):
        x = self.mix(x)
        rows, columns = x.shape[2] // 2, x.shape[3]
        step = 1.0 / 100.0 ** (torch.arange(0, 6, 2).float() / 6)
        place = torch.arange(64, dtype=torch.float32)
        down = torch.outer(place[:rows], step)[:, None, :].expand(rows, columns, -1)
        along = torch.outer(place[:columns], step)[None, :, :].expand(rows, columns, -1)
        angle = torch.cat([down, along], dim=-1).flatten(0, 1)
        return torch.cos(angle), torch.sin(angle), x.amax()


def make():
    torch.manual_seed(0)
    return (
        Model().eval(),
        (torch.randn(1, 3, 8, 6),),
        {"x": {2: 2 * HALF, 3: torch.export.Dim("columns", min=2, max=12)}},
    )
