"""What is truncated and when, and the compilation settings in force; frozen, hashable."""

from __future__ import annotations

import shlex
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
    """As the installed torch_tensorrt does it, with `truncate_double` as the settings say."""
    LATE = "late"
    """After lowering and only inside engines; validators judge the truncated dtypes."""

    @property
    def is_upstream(self) -> bool:
        """Whether torch_tensorrt itself decides what is truncated."""
        match self:
            case Timing.UPSTREAM:
                return True
            case Timing.OFF | Timing.EARLY | Timing.LATE:
                return False
        assert_never(self)

    @property
    def narrows_engines(self) -> bool:
        """Whether values inside engines are narrowed."""
        match self:
            case Timing.EARLY | Timing.UPSTREAM | Timing.LATE:
                return True
            case Timing.OFF:
                return False
        assert_never(self)

    @property
    def narrows_pytorch(self) -> bool:
        """Whether what PyTorch runs is narrowed too."""
        match self:
            case Timing.EARLY:
                return True
            case Timing.OFF | Timing.UPSTREAM | Timing.LATE:
                return False
        assert_never(self)

    @property
    def meaning(self) -> str:
        """What it does, in one sentence without its name."""
        match self:
            case Timing.OFF:
                return "nothing is truncated"
            case Timing.EARLY:
                return "wide dtypes are narrowed before lowering, in the PyTorch part too"
            case Timing.UPSTREAM:
                return (
                    "as torch_tensorrt does it: validators judge the dtypes that the model "
                    "wrote, and what they refuse stays in PyTorch; truncation comes after that"
                )
            case Timing.LATE:
                return (
                    "validators judge the truncated dtypes; only engines are narrowed, and "
                    "casts stand only where a value crosses"
                )
        assert_never(self)

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


class Precision(StrEnum):
    """The dtype that float32 values inside engines are computed in instead."""

    NONE = "none"
    FLOAT16 = "float16"
    BFLOAT16 = "bfloat16"


class KeepRule(StrEnum):
    """What keeps an operator in float32 by itself, without being named."""

    RANGE = "range"
    """A value of it leaves the low type."""
    REDUCTION = "reduction"
    """It sums so many terms that the low type cannot tell the last ones from zero."""
    OPERATOR = "operator"
    """It is of a class that loses much in a low type: softmax, layer norm, exp, cumsum."""


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
    precision: Precision = Precision.NONE
    """What float32 becomes inside engines; under `early` everywhere."""
    keep_nodes: tuple[str, ...] = ()
    """Nodes that stay in float32, by their names in the graph that the timing makes low."""
    keep_modules: tuple[str, ...] = ()
    """Regular expressions; a node whose module path one matches from its start stays."""
    keep_operators: tuple[str, ...] = ()
    """Operators that stay, spelled as torch does: `aten.exp.default`."""
    keep_rules: tuple[KeepRule, ...] = tuple(KeepRule)
    """The rules in force; a search begins with none of them."""
    keep_measured: tuple[str, ...] = ()
    """Nodes that stay because `trtdbg precision` measured that they have to."""

    @property
    def is_low(self) -> bool:
        """Returns whether a low precision is asked for, under a timing that has one."""
        return self.precision is not Precision.NONE and self.timing is not Timing.OFF

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
        text = f"--timing {self.timing.value} {lists} --verdicts {self.verdicts.value}"
        return f"{text}{self._low_flags()}"

    def _low_flags(self) -> str:
        """Returns the flags of the low precision, with a space in front; empty without."""
        if self.precision is Precision.NONE:
            return ""
        text = f" --low {self.precision.value}"
        nodes = tuple(dict.fromkeys((*self.keep_nodes, *self.keep_measured)))
        for flag, names in (
            ("keep-nodes", nodes),
            ("keep-operators", self.keep_operators),
        ):
            text += f" --{flag} {','.join(names)}" if names else ""
        text += "".join(f" --keep-modules {shlex.quote(each)}" for each in self.keep_modules)
        if set(self.keep_rules) != set(KeepRule):
            text += f" --keep-rules {','.join(self.keep_rules) or 'none'}"
        return text


class Partitioner(StrEnum):
    """torch_tensorrt's two partitioners."""

    GLOBAL = "global"
    FAST = "fast"


class Settings(msgspec.Struct, frozen=True):
    """torch_tensorrt compilation settings that change lowering, verdicts, partition or build.

    The defaults are for debugging: nothing is hidden by a minimum block size. `as_compiled`
    gives torch_tensorrt's own defaults.
    """

    truncate_double: bool = True
    """Whether torch_tensorrt narrows float64 by itself; only timing `upstream` obeys it."""
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
    enable_autocast: bool = False
    """torch_tensorrt's own low precision, under timing `upstream` and without `--low`."""
    autocast_low_precision_type: str | None = None
    """float16 or bfloat16."""
    autocast_excluded_nodes: tuple[str, ...] = ()
    """Regular expressions that match module paths from their start."""
    autocast_excluded_ops: tuple[str, ...] = ()
    """Operators as its rule compares them: `torch.ops.aten.softmax.int`."""
    autocast_max_output_threshold: float = 512.0
    autocast_max_depth_of_reduction: int | None = None
    autocast_calibration_file: str | None = None
    """A file of input values that its range rule is run on; None runs nothing."""
    use_distributed_mode_trace: bool = False
    require_full_compilation: bool = False
    workspace_size: int = 0
    max_aux_streams: int | None = None
    version_compatible: bool = False
    hardware_compatible: bool = False
    sparse_weights: bool = False
    engine_capability: str = "standard"
    num_avg_timing_iters: int = 1
    dla_sram_size: int = 1 << 20
    dla_local_dram_size: int = 1 << 30
    dla_global_dram_size: int = 1 << 29
    immutable_weights: bool = True
    refit_identical_engine_weights: bool = False
    strip_engine_weights: bool = False
    enable_weight_streaming: bool = False
    enable_cross_compile_for_windows: bool = False
    tiling_optimization_level: str = "none"
    l2_limit_for_tiling: int = -1

    @classmethod
    def as_compiled(cls) -> Settings:
        """Returns the defaults of `torch_tensorrt.compile`.

        In 2.13 these are blocks of 5, the fast partitioner, and no truncation.
        """
        return cls(truncate_double=False, min_block_size=5, partitioner=Partitioner.FAST)


def unpartitioned(settings: Settings) -> Settings:
    """Returns settings without what lowering and the verdicts do not depend on."""
    usual = Settings()
    return msgspec.structs.replace(
        settings,
        min_block_size=usual.min_block_size,
        partitioner=usual.partitioner,
        truncate_double=usual.truncate_double,
    )


BUILD_SETTINGS = (
    *("use_distributed_mode_trace", "require_full_compilation", "workspace_size"),
    *("max_aux_streams", "version_compatible", "hardware_compatible", "sparse_weights"),
    *("engine_capability", "num_avg_timing_iters", "dla_sram_size", "dla_local_dram_size"),
    *("dla_global_dram_size", "immutable_weights", "refit_identical_engine_weights"),
    *("strip_engine_weights", "enable_weight_streaming", "enable_cross_compile_for_windows"),
    *("tiling_optimization_level", "l2_limit_for_tiling"),
)
"""Settings that torch_tensorrt is only told of where they differ from its defaults (2.13)."""

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


def truncates_double(policy: TruncationPolicy, settings: Settings) -> bool:
    """Returns whether torch_tensorrt is told to truncate float64 by itself."""
    return policy.timing.is_upstream and settings.truncate_double


def converters_truncate(policy: TruncationPolicy, settings: Settings) -> bool:
    """Returns whether float64 that a converter meets is narrowed rather than refused."""
    match policy.timing:
        case Timing.OFF:
            return False
        case Timing.UPSTREAM:
            return settings.truncate_double
        case Timing.EARLY | Timing.LATE:
            return "float64" in policy.constants
    assert_never(policy.timing)


def upstream_precision(policy: TruncationPolicy, settings: Settings) -> Precision:
    """Returns what torch_tensorrt's own pass is told to lower float32 to."""
    if not policy.timing.is_upstream:
        return Precision.NONE
    if policy.precision is not Precision.NONE:
        return policy.precision
    named = settings.autocast_low_precision_type
    if not settings.enable_autocast or named is None:
        return Precision.NONE
    return Precision(named.removeprefix("torch."))


def low_precision(policy: TruncationPolicy, settings: Settings) -> Precision:
    """Returns what float32 becomes under a policy, whoever lowers it; `none` if it stays."""
    if policy.timing.is_upstream:
        return upstream_precision(policy, settings)
    return policy.precision if policy.is_low else Precision.NONE


def searched(policy: TruncationPolicy) -> TruncationPolicy:
    """Returns the policy that a search evaluates under: no rules, nothing measured yet."""
    return msgspec.structs.replace(
        policy,
        timing=Timing.LATE,
        verdicts=VerdictSource.VALIDATORS,
        keep_rules=(),
        keep_measured=(),
    )
