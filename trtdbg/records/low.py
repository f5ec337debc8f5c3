"""What a node computes in under a low precision, and why."""

from __future__ import annotations

from enum import StrEnum

from trtdbg.records.graph import Record


class LowRule(StrEnum):
    """What decided whether a node computes in the low type."""

    LOW = "low"
    """Nothing speaks against it."""
    USER_NODE = "user_node"
    USER_MODULE = "user_module"
    USER_OPERATOR = "user_operator"
    RANGE = "range"
    """A value that it reads or makes leaves the low type."""
    REDUCTION_DEPTH = "reduction_depth"
    OPERATOR_CLASS = "operator_class"
    MEASURED = "measured"
    """A search measured that an output leaves its tolerance otherwise."""
    REFUSED = "refused"
    """A validator, PyTorch or TensorRT refuses it in the low type."""
    FOLLOWS = "follows"
    """It only moves values, and those stay in float32."""
    IN_PYTORCH = "in_pytorch"
    """It is in no engine, and PyTorch's part stays as exported."""
    SOURCE = "source"
    """It makes float32 of no float; low readers read a cast of it."""
    NOT_FLOATING = "not_floating"
    OTHER_DTYPE = "other_dtype"
    """It is floating, and not float32: float64, or low as exported."""
    PASS_RAISED = "pass_raised"
    """torch_tensorrt's own pass raised, so nothing is low."""


class LowDecision(Record, frozen=True, kw_only=True):
    """Whether a node computes in the low type, and what decided."""

    dtype: str | None
    """The dtype that its floating result has; None where it has none."""
    rule: LowRule
    reason: str
    """One sentence with the figure that decided."""
    figure: float | None = None
    """The number that decided: a magnitude, a depth; None where none did."""
    upstream: str | None = None
    """What torch_tensorrt's own rules say of the exported node; None if not asked."""


KEPT_RULES = (
    LowRule.USER_NODE,
    LowRule.USER_MODULE,
    LowRule.USER_OPERATOR,
    LowRule.RANGE,
    LowRule.REDUCTION_DEPTH,
    LowRule.OPERATOR_CLASS,
    LowRule.MEASURED,
    LowRule.REFUSED,
    LowRule.FOLLOWS,
    LowRule.IN_PYTORCH,
)
"""Rules by which a node that could be low is not."""


class ValueRange(Record, frozen=True, kw_only=True):
    """The finite magnitudes that a floating value held in a run."""

    largest: float | None = None
    """None where it held no finite number."""
    smallest: float | None = None
    """The smallest that is not zero; None where all are."""
    elements: int = 0
    subnormal: int = 0
    """Elements that the low type holds with fewer digits only."""
    zeroed: int = 0
    """Elements that are not zero and become zero in the low type."""
    zeros: int = 0
    """Elements that are zero."""
    above: int = 0
    """Elements that are finite and become infinite in the low type."""
    nan: int = 0
    inf: int = 0

    def is_tiny(self, dtype: str) -> bool:
        """Returns whether the low type holds none of the values with all its digits."""
        lost = self.subnormal + self.zeroed
        return bool(lost) and lost + self.zeros == self.elements
