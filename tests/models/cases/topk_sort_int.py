"""The best of int64 scores, and all of them in order."""

import torch


class Model(torch.nn.Module):
    def forward(self, scores):
        best, place = torch.topk(scores, 2, dim=-1)
        ordered, order = torch.sort(scores, dim=-1)
        return best - ordered[:, :2], place * order[:, :2]


def make():
    torch.manual_seed(0)
    return Model().eval(), (torch.randint(0, 50, (3, 6)),), None
