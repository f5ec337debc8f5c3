"""What is truncated and when, and the compilation settings in force; frozen, hashable."""

from __future__ import annotations

from enum import StrEnum
from typing import assert_never

import msgspec

from trtdbg.dtypes import WIDE_POLICY_DTYPES, policy_dtype
from trtdbg.errors import UsageError


class Timing(StrEnum):
    """When wide dtypes are narrowed."""

    OFF = "off"
    EARLY = "early"
    """In the exported graph, before lowering, PyTorch part included."""
    UPSTREAM = "upstream"
    """As the installed torch_tensorrt does it with `truncate_double=True`."""
    LATE = "late"
    """After lowering and inside engines alone; validators judge the truncated dtypes."""

    @property
    def is_upstream(self) -> bool:
        """Whether torch_tensorrt itself truncates, and is told so."""
        return self is Timing.UPSTREAM

    @property
    def follows_lists(self) -> bool:
        """Whether the lists of a policy say what is narrowed."""
        match self:
            case Timing.EARLY | Timing.LATE:
                return True
            case Timing.OFF | Timing.UPSTREAM:
                return False
        assert_never(self)


class VerdictSource(StrEnum):
    """Who decides whether an engine may hold a node."""

    VALIDATORS = "validators"
    TENSORRT = "tensorrt"
    """The validators, and the TensorRT probe on top of them."""


class TruncationPolicy(msgspec.Struct, frozen=True):
    """Which wide dtypes are narrowed, by where the value comes from, and when.

    The three paths are independent. Each is a sorted tuple of wide dtypes (float64, int64);
    complex128 follows float64.
    """

    timing: Timing = Timing.LATE
    inputs: tuple[str, ...] = ("float64",)
    """Narrowed when a value enters through a program input."""
    constants: tuple[str, ...] = ("float64",)
    """Narrowed in parameters, buffers, lifted and folded constants."""
    computed: tuple[str, ...] = ("float64",)
    """Narrowed where an operator creates the wide dtype inside the graph."""
    verdicts: VerdictSource = VerdictSource.VALIDATORS

    def narrows(self, path: str, dtype: str) -> bool:
        """Returns whether `dtype` is narrowed on `path` (inputs, constants or computed).

        Under timing `off` nothing is. Under `upstream` torch_tensorrt decides, not this
        policy.
        """
        if not self.timing.follows_lists:
            return False
        named: tuple[str, ...] = getattr(self, path)
        return policy_dtype(dtype) in named

    def flags(self) -> str:
        """Returns the policy as command-line flags."""
        lists = " ".join(
            f"--{path} {','.join(getattr(self, path)) or 'none'}"
            for path in ("inputs", "constants", "computed")
        )
        return f"--timing {self.timing.value} {lists} --verdicts {self.verdicts.value}"


class Partitioner(StrEnum):
    """torch_tensorrt's two partitioners."""

    GLOBAL = "global"
    FAST = "fast"


class Settings(msgspec.Struct, frozen=True):
    """torch_tensorrt compilation settings that change lowering, verdicts, partition or build.

    The defaults are for debugging: nothing is hidden by a minimum block size. `as_compiled`
    gives torch_tensorrt's own defaults.
    """

    min_block_size: int = 1
    partitioner: Partitioner = Partitioner.GLOBAL
    torch_executed_ops: tuple[str, ...] = ()
    """Operators kept in PyTorch, spelled as torch does: `torch.ops.aten.add.Tensor`."""
    assume_dynamic_shape_support: bool = False
    enable_experimental_decompositions: bool = False
    decompose_attention: bool = False
    attn_bias_is_causal: bool = True
    fallback_data_dependent_ops: bool = False
    use_fp32_acc: bool = False
    disable_tf32: bool = False
    optimization_level: int | None = None
    """TensorRT builder optimization level, 0 to 5; None is TensorRT's default."""

    @classmethod
    def as_compiled(cls) -> Settings:
        """Returns the defaults of `torch_tensorrt.compile` (2.13: 5, fast partitioner)."""
        return cls(min_block_size=5, partitioner=Partitioner.FAST)


SETTINGS_WITH_FLAG = ("min_block_size", "partitioner", "torch_executed_ops")
"""Settings that have a flag of their own; the others stand in a `--settings` file."""


def changed_settings(settings: Settings) -> dict[str, object]:
    """Returns the settings without a flag that differ from their defaults, by name."""
    default = Settings()
    return {
        name: value
        for name in settings.__struct_fields__
        if name not in SETTINGS_WITH_FLAG
        and (value := getattr(settings, name)) != getattr(default, name)
    }


def parse_dtypes(text: str) -> tuple[str, ...]:
    """Parses `none` or comma-separated wide dtypes into a sorted tuple.

    Raises:
        UsageError: a name is not a wide dtype.
    """
    if text.strip() == "none":
        return ()
    names = {name.strip().removeprefix("torch.") for name in text.split(",")}
    unknown = sorted(names - set(WIDE_POLICY_DTYPES))
    if unknown:
        raise UsageError(
            f"{unknown[0]!r} is not a wide dtype",
            remedy=f"write none or a comma-separated list of {', '.join(WIDE_POLICY_DTYPES)}",
        )
    return tuple(sorted(names))


def converters_truncate(policy: TruncationPolicy) -> bool:
    """Returns whether float64 that a converter meets is narrowed rather than refused."""
    match policy.timing:
        case Timing.OFF:
            return False
        case Timing.UPSTREAM:
            return True
        case Timing.EARLY | Timing.LATE:
            return "float64" in policy.constants
    assert_never(policy.timing)
