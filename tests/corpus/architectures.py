"""Architectures of the `transformers` library, small, with random weights in float32."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

LAYERS, HIDDEN, HEADS, VOCABULARY, TOKENS = 2, 32, 4, 50, 8


IMAGES = {
    "num_hidden_layers": LAYERS,
    "hidden_size": HIDDEN,
    "num_attention_heads": HEADS,
    "intermediate_size": 2 * HIDDEN,
    "image_size": 32,
    "patch_size": 16,
}
"""What a small transformer for images is made with."""


def bert(library: Any) -> tuple[Any, dict[str, Any]]:
    config = library.BertConfig(
        num_hidden_layers=LAYERS,
        hidden_size=HIDDEN,
        num_attention_heads=HEADS,
        intermediate_size=2 * HIDDEN,
        vocab_size=VOCABULARY,
    )
    return library.BertModel(config), _tokens()


def vit(library: Any) -> tuple[Any, dict[str, Any]]:
    config = library.ViTConfig(
        **IMAGES,
    )
    return library.ViTModel(config), _picture(32)


def clip(library: Any) -> tuple[Any, dict[str, Any]]:
    config = library.CLIPVisionConfig(
        **IMAGES,
    )
    return library.CLIPVisionModel(config), _picture(32)


def t5(library: Any) -> tuple[Any, dict[str, Any]]:
    config = library.T5Config(
        num_layers=LAYERS,
        d_model=HIDDEN,
        num_heads=HEADS,
        d_kv=HIDDEN // HEADS,
        d_ff=2 * HIDDEN,
        vocab_size=VOCABULARY,
        use_cache=False,
    )
    given = _tokens()
    return library.T5Model(config), {**given, "decoder_input_ids": given["input_ids"]}


def swin(library: Any) -> tuple[Any, dict[str, Any]]:
    config = library.SwinConfig(
        image_size=32,
        patch_size=4,
        embed_dim=16,
        depths=[1, 1],
        num_heads=[2, 4],
        window_size=4,
    )
    return library.SwinModel(config), _picture(32)


ARCHITECTURES: dict[str, Callable[[Any], tuple[Any, dict[str, Any]]]] = {
    made.__name__: made for made in (bert, vit, clip, t5, swin)
}


def _tokens() -> dict[str, Any]:
    import torch

    ids = torch.randint(0, VOCABULARY, (1, TOKENS), generator=_generator())
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}


def _picture(size: int) -> dict[str, Any]:
    import torch

    return {"pixel_values": torch.randn(1, 3, size, size, generator=_generator())}


def _generator() -> Any:
    import torch

    return torch.Generator().manual_seed(0)


def export(name: str, folder: Path) -> Path:
    """Exports an architecture; returns the file.

    Raises:
        ImportError: the library is not installed.
    """
    import torch
    import transformers

    torch.manual_seed(0)
    model, given = ARCHITECTURES[name](transformers)

    class First(torch.nn.Module):
        """Returns the first tensor alone, without the library's output class."""

        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, **given: Any) -> Any:
            return self.model(**given, return_dict=False)[0]

    with torch.no_grad():
        program = torch.export.export(First().eval(), (), given)
    path = folder / f"{name}.pt2"
    torch.export.save(program, path)
    return path
