"""What stages saw that no record of a report holds."""

from __future__ import annotations

from dataclasses import dataclass, field

from trtdbg.records import Cure, PassRecord, Source


@dataclass
class Evidence:
    """What stages saw that no record of the report holds; filled as the pipeline goes."""

    lowering_error: tuple[str, str] | None = None
    """Name of the pass that raised, and its sentence."""
    partition_error: str | None = None
    repair_crash: str | None = None
    crashed_engine: str | None = None
    """Name of the engine whose repair raised."""
    refused: dict[str, str] = field(default_factory=dict)
    """Operators of the PyTorch part that refuse a narrow dtype, with PyTorch's sentence."""
    widened: dict[str, str] = field(default_factory=dict)
    """Operators of the exported graph that refuse narrow dtypes, with PyTorch's sentence;
    timing early gives them wide ones."""
    scalars: dict[str, tuple[float, str]] = field(default_factory=dict)
    """Operators with a Python number that does not fit the narrow dtype, and that dtype."""
    exported_scalars: dict[str, tuple[float, str]] = field(default_factory=dict)
    """The same for operators of the exported graph, which timing early narrows."""
    dissolved: dict[str, tuple[str, str, Source | None]] = field(default_factory=dict)
    """Refused nodes that narrowing before lowering removed: operator, reason, source."""
    autocast_failure: PassRecord | None = None
    """The pass that raised with torch_tensorrt's own low precision, and does not without."""
    leak_cures: dict[str, Cure] | None = None
    """What was tried against float32 values that widen a half model, by node; None until it
    was."""
    narrowed_readers: dict[str, tuple[str, str, str]] = field(default_factory=dict)
    """Operators of the PyTorch part that read a value narrower than promised: the value,
    its promised dtype and the one it has."""
