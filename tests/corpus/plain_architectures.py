"""Architectures with random weights, small: each exports with a dynamic batch."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

torch = pytest.importorskip("torch")

nn, F = torch.nn, torch.nn.functional

WIDTH, HEADS, LENGTH = 32, 4, 12


class Attention(nn.Module):
    """Heads over queries and keys, with a bias or a mask added to the scores."""

    def __init__(self, wide: bool = False) -> None:
        super().__init__()
        self.q, self.k, self.v, self.o = (nn.Linear(WIDTH, WIDTH) for _ in range(4))
        self.wide = wide

    def forward(self, x: Any, given: Any, bias: Any) -> Any:
        def heads(h: Any) -> Any:
            return h.reshape(*h.shape[:-1], HEADS, -1).transpose(-3, -2)

        q, k, v = heads(self.q(x)), heads(self.k(given)), heads(self.v(given))
        scores = q @ k.transpose(-1, -2) / math.sqrt(WIDTH // HEADS) + bias
        # Scores in float64, as models in the wild have them.
        scores = scores.double() if self.wide else scores
        mixed = torch.softmax(scores, -1).to(v.dtype) @ v
        return self.o(mixed.transpose(-3, -2).flatten(-2))


class Block(nn.Module):
    def __init__(self, wide: bool = False, cross: bool = False) -> None:
        super().__init__()
        self.own, self.norm = Attention(wide), nn.LayerNorm(WIDTH)
        self.cross = Attention() if cross else None
        self.mlp = nn.Sequential(nn.LayerNorm(WIDTH), nn.Linear(WIDTH, WIDTH), nn.GELU())

    def forward(self, x: Any, bias: Any, given: Any = None) -> Any:
        h = self.norm(x)
        x = x + self.own(h, h, bias)
        if self.cross is not None:
            x = x + self.cross(x, given, torch.zeros(1))
        return x + self.mlp(x)


class Decoder(nn.Module):
    """A language model: ids, positions, a causal mask."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.places = nn.Embedding(50, WIDTH), nn.Embedding(LENGTH, WIDTH)
        self.blocks = nn.ModuleList(Block(wide=True) for _ in range(2))

    def forward(self, ids: Any) -> Any:
        at = torch.arange(ids.shape[1])
        mask = torch.full((LENGTH, LENGTH), torch.finfo(torch.float32).min).triu(1)
        x = self.words(ids) + self.places(at)
        for block in self.blocks:
            x = block(x, mask)
        return x @ self.words.weight.T


class Translator(nn.Module):
    """An encoder and a decoder, with a bias by relative place, as T5 has it."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.bias = nn.Embedding(50, WIDTH), nn.Embedding(2 * LENGTH, HEADS)
        self.encode, self.decode = Block(), Block(cross=True)

    def relative(self) -> Any:
        at = torch.arange(LENGTH)
        return self.bias(at[None, :] - at[:, None] + LENGTH).permute(2, 0, 1)

    def forward(self, ids: Any, past: Any) -> Any:
        given = self.encode(self.words(ids), self.relative())
        return self.decode(self.words(past), self.relative(), given)


class Windows(nn.Module):
    """Attention inside windows that are rolled, as Swin has it."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = nn.Conv2d(3, WIDTH, 4, 4)
        self.blocks = nn.ModuleList(Block() for _ in range(2))
        self.merge = nn.Linear(4 * WIDTH, WIDTH)

    def forward(self, image: Any) -> Any:
        x = self.patch(image).permute(0, 2, 3, 1)
        for shift, block in enumerate(self.blocks):
            x = torch.roll(x, (-shift, -shift), (1, 2))
            n, h, w, c = x.shape
            parts = x.reshape(n, h // 2, 2, w // 2, 2, c).permute(0, 1, 3, 2, 4, 5)
            parts = block(parts.reshape(-1, 4, c), torch.zeros(1))
            parts = parts.reshape(n, h // 2, w // 2, 2, 2, c).permute(0, 1, 3, 2, 4, 5)
            x = torch.roll(parts.reshape(n, h, w, c), (shift, shift), (1, 2))
        corners = [x[:, i::2, j::2] for i in (0, 1) for j in (0, 1)]
        return self.merge(torch.cat(corners, -1)).mean((1, 2))


class Unet(nn.Module):
    """Down and up again, with time given in float64 and group norms."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.down = nn.Conv2d(3, 16, 3, 1, 1), nn.Conv2d(16, 32, 3, 2, 1)
        self.norm, self.time = nn.GroupNorm(4, 32), nn.Linear(16, 32)
        self.up, self.last = nn.ConvTranspose2d(32, 16, 2, 2), nn.Conv2d(32, 3, 1)

    def forward(self, image: Any, step: Any) -> Any:
        rates = torch.exp(torch.arange(8, dtype=torch.float64) * -math.log(1e4) / 8)
        angle = step[:, None].double() * rates
        time = self.time(torch.cat([angle.sin(), angle.cos()], -1).float())
        a = F.silu(self.first(image))
        b = F.silu(self.norm(self.down(a)) + time[:, :, None, None])
        return self.last(torch.cat([self.up(b), a], 1))


class Experts(nn.Module):
    """A mixture of experts: the two best of four, by a router."""

    def __init__(self) -> None:
        super().__init__()
        self.router = nn.Linear(WIDTH, 4)
        self.experts = nn.ModuleList(nn.Linear(WIDTH, WIDTH) for _ in range(4))

    def forward(self, x: Any) -> Any:
        share, chosen = torch.topk(torch.softmax(self.router(x), -1), 2)
        gates = torch.zeros_like(self.router(x)).scatter(-1, chosen, share)
        every = torch.stack([F.gelu(expert(x)) for expert in self.experts], -2)
        return (every * gates[..., None]).sum(-2)


class Recurrent(nn.Module):
    """Two directions of gated units, and their last states."""

    def __init__(self) -> None:
        super().__init__()
        self.units = nn.GRU(8, 16, batch_first=True, bidirectional=True)

    def forward(self, x: Any) -> Any:
        rows, last = self.units(x)
        return rows.mean(1), last


class StateSpace(nn.Module):
    """A selective scan, as Mamba writes it out without its kernel."""

    def __init__(self) -> None:
        super().__init__()
        self.enter, self.given = nn.Linear(WIDTH, 2 * WIDTH), nn.Linear(WIDTH, 2 * 4 + 1)
        self.conv = nn.Conv1d(WIDTH, WIDTH, 4, groups=WIDTH, padding=3)
        self.rates = nn.Parameter(torch.arange(1.0, 5.0).log().repeat(WIDTH, 1).double())

    def forward(self, x: Any) -> Any:
        h, gate = self.enter(x).chunk(2, -1)
        h = F.silu(self.conv(h.transpose(1, 2))[..., : x.shape[1]].transpose(1, 2))
        step, b, c = self.given(h).split([1, 4, 4], -1)
        keep = torch.exp(F.softplus(step)[..., None] * -self.rates.exp())
        state, rows = torch.zeros(1), []
        for t in range(x.shape[1]):
            state = keep[:, t] * state + h[:, t, :, None] * b[:, t, None, :]
            rows.append((state * c[:, t, None, :]).sum(-1).to(x.dtype))
        return torch.stack(rows, 1) * F.silu(gate)


def image() -> Any:
    return torch.randn(2, 3, 16, 16)


ARCHITECTURES: dict[str, tuple[type, Callable[[], tuple[Any, ...]]]] = {
    "decoder": (Decoder, lambda: (torch.arange(2 * LENGTH).reshape(2, LENGTH) % 50,)),
    "translator": (Translator, lambda: (torch.arange(24).reshape(2, 12),) * 2),
    "windows": (Windows, lambda: (image(),)),
    "unet": (Unet, lambda: (image(), torch.tensor([3, 700]))),
    "experts": (Experts, lambda: (torch.randn(2, 5, WIDTH),)),
    "recurrent": (Recurrent, lambda: (torch.randn(2, 6, 8),)),
    "state space": (StateSpace, lambda: (torch.randn(2, 6, WIDTH),)),
}


def exported(name: str) -> Any:
    """Returns an architecture exported with a dynamic batch."""
    made, args = ARCHITECTURES[name]
    torch.manual_seed(0)
    batch = torch.export.Dim("batch", min=2, max=8)
    given = args()
    with torch.no_grad():
        shapes = tuple({0: batch} for _ in given)
        return torch.export.export(made().eval(), given, dynamic_shapes=shapes, strict=False)
