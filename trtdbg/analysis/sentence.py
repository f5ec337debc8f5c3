"""Returns whether two sentences of TensorRT say the same of two graphs."""

from __future__ import annotations

import re
from typing import Final

SUBSTITUTIONS: Final = (
    (r"\[[^\]]*\](?:-\[[^\]]*\])+", "[layer]"),
    (r"(?:_\d+)+\b", ""),
    (r"\d+", "#"),
)
"""Patterns of what hangs on the graph: layers by name, numbers of nodes, any other number."""


def gist(sentence: str) -> str:
    """Returns what a sentence says of any graph: without names of layers and numbers."""
    text = " ".join(sentence.split())
    for pattern, word in SUBSTITUTIONS:
        text = re.sub(pattern, word, text)
    return text
