"""Small models of every kind: a folder beside the checkout, else the project's own."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

OWN: Final = Path(__file__).parent
_BESIDE: Final = OWN.parents[2] / "shared" / "corpus"

CORPUS: Final = (
    _BESIDE if _BESIDE.is_dir() and os.environ.get("TRTDBG_MODELS") != "own" else OWN
)
"""`TRTDBG_MODELS=own` takes the project's own also where others lie beside the checkout."""
