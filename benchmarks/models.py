"""Exports the programs that are measured, once, into the `build` folder that git ignores."""

from __future__ import annotations

import hashlib
from pathlib import Path

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "build" / "benchmarks"


def model(subject: str) -> Path:
    """Returns the `.pt2` of a subject.

    `12 layers` of a decoder (`changed`: with one line edited), a chain of `1000 nodes`, or a
    few operators with weights of `1024 MiB`.
    """
    stamp = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:12]
    path = FOLDER / f"{subject.replace(' ', '_')}-{stamp}.pt2"
    if not path.exists():
        _export(subject, path)
    return path


def _export(subject: str, path: Path) -> None:
    import torch
    from torch import nn

    class Layer(nn.Module):
        """A decoder layer whose attention scores are float64."""

        def __init__(self, width: int, heads: int) -> None:
            super().__init__()
            self.heads, self.scale = heads, (width // heads) ** -0.5
            self.norm_attention, self.norm_mlp = nn.LayerNorm(width), nn.LayerNorm(width)
            self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
            self.out = nn.Linear(width, width)
            self.mlp = nn.Sequential(
                nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
            )

        def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
            batch, tokens, width = x.shape
            heads = (batch, tokens, self.heads, width // self.heads)
            h = self.norm_attention(x)
            query, key, value = (
                each(h).reshape(heads).transpose(1, 2)
                for each in (self.query, self.key, self.value)
            )
            scores = (query @ key.transpose(-2, -1)).double() * self.scale
            weights = scores.masked_fill(mask, -1e9).softmax(-1).float()
            x = x + self.out((weights @ value).transpose(1, 2).reshape(x.shape))
            return x + self.mlp(self.norm_mlp(x))

    class Decoder(nn.Module):
        """Token ids to logits."""

        def __init__(self, layers: int, changed: bool, width: int = 256) -> None:
            super().__init__()
            self.changed = changed
            self.tokens = nn.Embedding(1000, width)
            self.layers = nn.ModuleList(Layer(width, 4) for _ in range(layers))
            self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, 1000)

        def forward(self, ids: torch.Tensor) -> torch.Tensor:
            x = self.tokens(ids)
            size = ids.shape[1]
            mask = torch.ones(size, size, dtype=torch.bool).triu(1)
            for layer in self.layers:
                x = layer(x, mask)
            if self.changed:
                x = x.tanh()
            return self.head(self.norm(x))

    class Chain(nn.Module):
        """So many operators in a row, a float64 one now and then."""

        def __init__(self, nodes: int) -> None:
            super().__init__()
            self.nodes = nodes

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            for block in range(self.nodes // 10):
                for _ in range(2):
                    x = (x * 1.01 + 0.5).tanh() - 0.25
                x = x.double().float() if block % 10 == 0 else x.sin().cos()
            return x

    torch.manual_seed(0)
    number = int(subject.split()[0])
    if "layers" in subject:
        decoder = Decoder(number, "changed" in subject).eval()
        program = torch.export.export(decoder, (torch.randint(0, 1000, (2, 16)),))
    elif subject.endswith("MiB"):
        table = nn.Embedding(1, 1)
        table.weight = nn.Parameter(torch.zeros(number << 8, 1024))
        whole = nn.Sequential(table, nn.LayerNorm(1024), nn.Linear(1024, 8)).eval()
        program = torch.export.export(whole, (torch.zeros(4, dtype=torch.int64),))
    else:
        program = torch.export.export(Chain(number).eval(), (torch.randn(4, 8),))
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"unfinished-{path.name}")
    torch.export.save(program, str(unfinished))
    unfinished.rename(path)
