"""Two states of one graph side by side: what happened to each node's dtype, as a picture."""

from __future__ import annotations

from typing import Final

LAYOUT_SECONDS: Final = 20.0
"""Time that Graphviz has for one layout, unless somebody says otherwise."""
