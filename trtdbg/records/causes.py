"""Why the model is not one engine: causes, what each costs, and the cures that were tried."""

from __future__ import annotations

from enum import StrEnum

from trtdbg.policy import Settings, Timing, TruncationPolicy
from trtdbg.records.graph import Record, Source


class CauseKind(StrEnum):
    """What keeps an operator outside an engine, or breaks an engine or the whole analysis."""

    LOWERING_FAILED = "lowering_failed"
    """A lowering pass raises: nothing after it was analysed."""
    PARTITION_FAILED = "partition_failed"
    ENGINE_FAILED = "engine_failed"
    """TensorRT refuses an engine as a whole, and no single operator explains it."""
    SETTING = "setting"
    """A compilation setting keeps accepted operators out of engines, or cuts engines apart."""
    DATA_DEPENDENT = "data_dependent"
    """The size of the result depends on the data, and a setting keeps such operators out."""
    NO_CONVERTER = "no_converter"
    OTHER_OVERLOAD = "other_overload"
    """There is no converter for this overload, but there are some for others of its name."""
    FLAVOUR = "flavour"
    """The installed build of TensorRT lacks what the converter needs; the other has it."""
    VALIDATOR_CRASHED = "validator_crashed"
    TRUNCATED_DTYPE = "truncated_dtype"
    """A validator refuses a wide dtype that truncation before the verdicts removes."""
    DTYPE = "dtype"
    """A validator refuses a dtype that no truncation of this tool removes."""
    METADATA = "metadata"
    """A validator cannot read `val` or `tensor_meta`; the dtypes themselves are accepted."""
    DYNAMIC_SHAPE = "dynamic_shape"
    SHAPE = "shape"
    """A validator refuses static sizes."""
    ARGUMENT = "argument"
    """A validator refuses the value of an argument, or something that nothing tried turns."""
    TENSORRT_REFUSES = "tensorrt_refuses"
    """Validators accept; the converter or TensorRT refuses the operator."""
    INSIDE_ENGINE = "inside_engine"
    """Accepted in the whole graph, refused by its validators inside its engine."""
    PARTITIONER = "partitioner"
    """Accepted, and left out by the partitioner for a reason that it does not give."""
    NOT_JUDGED = "not_judged"
    """No verdict is known."""


class Cost(Record, frozen=True, kw_only=True):
    """What there would be less of if a cause were gone; negative if there would be more."""

    engines: int
    torch_ops: int
    """Operators left to PyTorch."""
    casts: int
    """Boundary casts."""
    bytes: int | None = None
    """Copied across boundaries per run; None where a size is symbolic."""


class CureKind(StrEnum):
    """What has to be changed."""

    EDIT = "edit"
    """A line of the model."""
    SETTING = "setting"
    """A setting of torch_tensorrt."""
    POLICY = "policy"
    """A policy of trtdbg: build with it."""
    NONE = "none"
    """Nothing that was tried helps."""


class Cure(Record, frozen=True, kw_only=True):
    """A change that was tried on this model: applied, lowered and partitioned again."""

    kind: CureKind
    say: str
    """One sentence: what to do, or that nothing that was tried helps."""
    type: str | None = None
    """What to type: a call, a line of source, a command; None if there is nothing to type."""
    engines_before: int | None = None
    engines_after: int | None = None
    """None of a cure of kind `none`, here and above."""
    numbers: float | None = None
    """Largest absolute difference of the outputs of both programs, on the CPU."""
    numbers_reason: str | None = "numbers not compared"
    """Why `numbers` is None; None if it is not."""
    torch_ops_before: int | None = None
    """Operators left to PyTorch, here and below; None of a cure of kind `none`."""
    torch_ops_after: int | None = None
    source: Source | None = None
    """The line to edit; None of other kinds."""
    line: str | None = None
    """That line rewritten, where it parses to exactly the call that was tried."""
    policy: TruncationPolicy | None = None
    """Of kind `policy`, what to build with."""
    settings: Settings | None = None
    """The settings that were tried; None of other kinds."""


class Cause(Record, frozen=True, kw_only=True):
    """One reason with every place that shares it."""

    kind: CauseKind
    code: str | None = None
    """Code of the findings of the same thing; None if it is no finding."""
    target: str | None = None
    """The operator; None of a cause that is not of one operator."""
    reason: str
    """One sentence, the same for all nodes of the cause and the answer of `why`."""
    then: tuple[str, ...] = ()
    """What would keep these operators out next if the first reason were gone, where known."""
    nodes: tuple[str, ...] = ()
    """Operators of the lowered graph, in graph order."""
    engines: tuple[int, ...] = ()
    """Engines that TensorRT refuses, of a cause of kind `engine_failed`."""
    sources: tuple[Source, ...] = ()
    """Lines of the model, each once, in graph order."""
    modules: tuple[str, ...] = ()
    """Paths of nn.Modules, each once."""
    fact: str | None = None
    """What is known and was not tried here, such as what another build of TensorRT takes."""
    cost: Cost | None = None
    """None until weighed."""
    cures: tuple[Cure, ...] = ()
    """Empty until they were tried."""


class Counts(Record, frozen=True, kw_only=True):
    """A partition in numbers, and what it was made with."""

    timing: Timing
    settings: Settings
    truncate_double: bool = False
    """torch_tensorrt's own setting; of timing `upstream` only."""
    engines: int | None = None
    """None if the analysis ended before there was a partition."""
    torch_ops: int | None = None
    """Operators left to PyTorch; None as for `engines`, here and below."""
    casts: int | None = None
    """Boundary casts."""
    failed: int = 0
    """Engines whose network TensorRT refuses."""
    error: str | None = None
    """What ended the analysis."""


class Headline(Record, frozen=True, kw_only=True):
    """The first line: what the user runs, what is analysed, what `late` would bring."""

    compiled: Counts
    """As `torch_tensorrt.compile` does with its own settings, or with the recorded ones."""
    here: Counts
    """Under the policy and the settings of this report."""
    late: Counts | None = None
    """Under timing `late` and the settings of this report; None if that is `here`."""


class OtherFlavour(Record, frozen=True, kw_only=True):
    """What torch_tensorrt's validators say for the build of TensorRT that is not installed.

    A fact about validators: nothing is built with that TensorRT here.
    """

    flavour: str
    """`standard` or `rtx`."""
    accepts: bool
    validator: str | None = None
    """The validator that accepts; None if none does or the converter has none."""
    mechanism: str | None = None
    """What differs in words: `TensorRT-RTX has no ScatterAdd plugin`."""
