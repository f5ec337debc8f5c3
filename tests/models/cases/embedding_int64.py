"""Token numbers and positions in int64, with nothing wrong."""

import torch


class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.words = torch.nn.Embedding(40, 12)
        self.kinds = torch.nn.Embedding(2, 12)
        self.places = torch.nn.Embedding(16, 12)
        self.out = torch.nn.Linear(12, 4)

    def forward(self, tokens, kinds):
        places = torch.arange(tokens.shape[1])
        h = self.words(tokens) + self.kinds(kinds) + self.places(places)
        return self.out(torch.relu(h))


def make():
    torch.manual_seed(0)
    return Model().eval(), (torch.randint(0, 40, (2, 6)), torch.randint(0, 2, (2, 6))), None
