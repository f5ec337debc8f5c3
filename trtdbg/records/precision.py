"""What a search for the operators that must stay in float32 asks, and what it found."""

from __future__ import annotations

from trtdbg.policy import TruncationPolicy
from trtdbg.records.graph import Record, Source

PRECISION_SCHEMA = "trtdbg.precision/1"


class LowCandidate(Record, frozen=True, kw_only=True):
    """An operator that could compute low, as one run on the original's operands shows it."""

    name: str
    """Node of the lowered graph."""
    target: str
    source: Source | None = None
    local_error: float | None = None
    """Its own error as a multiple of the tolerance; None where a finite value is lost."""
    largest: float = 0.0
    """The largest finite magnitude that it reads or makes."""
    leaves: bool = False
    """That is beyond the low type, or a finite value is lost."""


class LowRanking(Record, frozen=True, kw_only=True):
    """The operators that a search can keep in float32."""

    candidates: tuple[LowCandidate, ...]
    """In graph order."""
    outputs: tuple[str, ...]
    inputs: tuple[str, ...]
    """Where each set of input values comes from."""
    atol: tuple[float, ...]
    """Of each output: given, or rtol times its largest magnitude."""
    fixed: int = 0
    """Operators that stay in float32 whatever is searched: refused low, or in no engine."""


class LowTrial(Record, frozen=True, kw_only=True):
    """How the outputs come out with some operators kept in float32."""

    error: float | None
    """The largest error as a multiple of the tolerance; None where an element is nan or
    infinite in one program only."""
    max_abs_error: float | None = None
    first_inf: str | None = None
    first_nan: str | None = None
    low: int = 0
    """Operators that computed low, those that only move values included."""

    @property
    def passes(self) -> bool:
        """Returns whether every output is within its tolerance."""
        return self.error is not None and self.error <= 1.0


class UpstreamSettings(Record, frozen=True, kw_only=True):
    """A kept set as settings of torch_tensorrt, tried through its own pass."""

    exact: bool
    """Its rules keep exactly the set, of all float32 operators of the exported graph."""
    enable_autocast: bool = True
    autocast_low_precision_type: str = "float16"
    autocast_excluded_nodes: tuple[str, ...] = ()
    autocast_excluded_ops: tuple[str, ...] = ()
    also_kept: tuple[str, ...] = ()
    """Exported operators that the settings keep although they are not of the set."""
    error: str | None = None
    """What torch_tensorrt's lowering raises with these settings; None if nothing."""


class KeptLow(Record, frozen=True, kw_only=True):
    """An operator that stays in float32."""

    name: str
    target: str
    source: Source | None = None
    reason: str = ""
    error_without: float | None = None
    """Error of the outputs if it alone became low too, as a multiple of the tolerance; None
    where they are then nan or infinite, or if it was not tried."""
    tried_without: bool = False


class Point(Record, frozen=True, kw_only=True):
    """One evaluation of a search."""

    kept: int
    share_low: float
    error: float | None


class PrecisionTolerance(Record, frozen=True, kw_only=True):
    """An element of an output may differ by `atol + rtol * |original|`."""

    rtol: float
    atol: float | None
    """None is rtol times the largest magnitude of the output."""


class PrecisionSearch(Record, frozen=True, kw_only=True):
    """The operators of a model that must stay in float32 for its outputs to stay close."""

    schema: str = PRECISION_SCHEMA
    model: str
    precision: str
    keep: tuple[KeptLow, ...]
    accumulate: str = "float32"
    """What sums were added up in: float32, or `low` for the worst case."""
    error: float | None
    """Of the outputs with this set, as a multiple of the tolerance."""
    max_abs_error: float | None = None
    tolerance: PrecisionTolerance
    evaluations: int
    candidates: int
    minimal: bool
    """No operator of the set can be left out: each was tried."""
    smallest: bool
    """No smaller set does: every operator of it is needed whatever else is kept, or all
    smaller sets were tried. Keeping more is taken never to hurt."""
    found: bool
    """The set is within the tolerance; no set is where it is not."""
    finished: bool
    """The search came to its end before the time was over."""
    ending: str
    inputs: tuple[str, ...] = ()
    curve: tuple[Point, ...] = ()
    settings: UpstreamSettings | None = None
    policy: TruncationPolicy
    """What keeps the set, for `build`, `report` and `trtdbg.compile`."""
    seconds: float = 0.0
