"""How the node table is shown: columns, order, filter, folding; small and easy to remember."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum


class Quick(StrEnum):
    """Filters that a single key chooses."""

    CHANGED = "changed"
    """What truncation narrows; in a pass what the pass touched."""
    REJECTED = "rejected"
    """Refused by the validators, or left to PyTorch for another reason."""
    DISAGREEING = "disagreeing"
    """Original, recorded and inferred dtype are not all the same, or TensorRT has another."""
    WIDE = "wide"
    BOUNDARY = "boundary"
    """Enters or leaves an engine, or is cast where values cross."""


@dataclass(frozen=True)
class View:
    """What the user chose about the node table; the defaults are those of a fresh start."""

    columns: tuple[str, ...] = ()
    """Keys of the columns of the result; empty is what fits best."""
    pass_columns: tuple[str, ...] = ()
    """The same for the graph after a pass."""
    sort: str | None = None
    """Key of the column that orders the rows; None is graph order."""
    descending: bool = False
    quick: Quick | None = None
    engine: int | None = None
    """Shows only the nodes of this engine."""
    modules: tuple[str, ...] = ()
    """Shows only the nodes of these modules and of those below them."""
    line: tuple[str | None, int | None] | None = None
    """Shows only the nodes of this line, by file and number."""
    fold: bool = False
    """Shows blocks that repeat once."""

    @property
    def filtered(self) -> bool:
        """Whether nodes are left out by a filter."""
        chosen = (self.quick, self.engine, self.line)
        return bool(self.modules) or any(each is not None for each in chosen)

    def unfiltered(self) -> View:
        """Returns the view without its filters."""
        return replace(self, quick=None, engine=None, modules=(), line=None)

    @property
    def whole(self) -> bool:
        """Whether every node has a row."""
        return not self.filtered and not self.fold

    def opened(self) -> View:
        """Returns the view with every node in it again."""
        return replace(self.unfiltered(), fold=False)


USUAL = View()
"""What a fresh start shows: every node, in graph order."""
