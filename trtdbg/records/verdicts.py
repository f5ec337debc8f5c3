"""What validators say of nodes, and the row of a node."""

from __future__ import annotations

from enum import StrEnum

from trtdbg.records.causes import OtherFlavour
from trtdbg.records.graph import Dtype, Record, Shape, Source
from trtdbg.records.low import LowDecision


class Verdict(StrEnum):
    """One validator's answer. What was not asked is `not_checked`, never an accept."""

    ACCEPT = "accept"
    REJECT = "reject"
    CRASHED = "crashed"
    NOT_APPLICABLE = "not_applicable"
    """There is no converter to ask, or the operator is excluded by a setting."""
    NOT_CHECKED = "not_checked"


class Scope(StrEnum):
    """Where a node stood when it was judged."""

    GRAPH = "graph"
    """In the whole lowered graph, before partitioning."""
    SUBGRAPH = "subgraph"
    """Inside its engine, where torch_tensorrt asks again during conversion."""


class TypingKind(StrEnum):
    """The dtypes that a verdict was given on; also the names of a verdict's columns."""

    ORIGINAL = "original"
    INFERRED = "inferred"
    TRUNCATED = "truncated"
    LOW = "low"
    """Truncated, with what a low precision makes of it."""


class ValidatorVerdict(Record, frozen=True, kw_only=True):
    """What one converter candidate's validator says about a node under each typing.

    Rows of scope `subgraph` stand only where the answer inside the engine is another one than
    in the whole graph; they are filled in the column of the typing in force.
    """

    validator: str
    """Qualified name of the capability validator, or `gate:NAME` for the partitioner's own."""
    candidate: int | None
    """Place in the registry's order, from 0; None for a gate or the partitioner as a whole."""
    scope: Scope
    original: Verdict
    """On the metadata that torch_tensorrt's lowering leaves, which it judges itself."""
    inferred: Verdict = Verdict.NOT_CHECKED
    """On refreshed metadata, with nothing truncated."""
    truncated: Verdict = Verdict.NOT_CHECKED
    """On refreshed metadata, with the wide dtypes narrowed that the policy names."""
    low: Verdict = Verdict.NOT_CHECKED
    """The same in the low precision of the policy; not checked where it has none."""
    reason: str | None = None
    converter: str | None = None
    """Qualified name of the converter that the validator guards."""
    file: str | None = None
    """File of the validator, from its package on; None for a gate."""
    line: int | None = None
    supports_dynamic_shapes: bool | None = None
    """Whether the converter takes symbolic sizes; None for a gate, here and below."""
    requires_output_allocator: bool | None = None
    requires_native_multidevice: bool | None = None
    wins: tuple[TypingKind, ...] = ()
    """Typings under which the registry takes this candidate: the first that accepts."""


class ValidatorSource(Record, frozen=True, kw_only=True):
    """Source text of a capability validator, and of the functions beside it that it calls."""

    validator: str
    file: str | None
    line: int | None
    text: str


class RefusalKind(StrEnum):
    """What a refusal hangs on, by what turns it."""

    DTYPE = "dtype"
    """Dtypes of operands, of the `dtype` keyword or of scalars."""
    METADATA = "metadata"
    """`val` or `tensor_meta` is missing or stale; the dtypes themselves are accepted."""
    SHAPE = "shape"
    FEATURE = "feature"
    """An option of the operator, or something that no change tried here turns."""
    EXCLUDED = "excluded"
    """A compilation setting keeps the operator in PyTorch."""
    NO_CONVERTER = "no_converter"
    OTHER_OVERLOAD = "other_overload"
    """There is no converter for this overload, but there is for others of its name."""
    CRASHED = "crashed"
    """The validator raises."""


class ChangePlace(StrEnum):
    """What a counterfactual change is made to."""

    OPERAND = "operand"
    """The dtype of a node's value, in `val` and `tensor_meta`."""
    METADATA = "metadata"
    """`val` and `tensor_meta` of a node, written anew from type inference."""
    SHAPE = "shape"
    """The sizes of a node's value."""
    ARGUMENT = "argument"
    """A positional argument; an index into a list stands behind a dot."""
    KEYWORD = "keyword"
    SETTING = "setting"


class Change(Record, frozen=True, kw_only=True):
    """One change of a refused node or of what it reads."""

    place: ChangePlace
    node: str
    """The node whose value or argument is changed."""
    name: str | None = None
    """Position such as `1` or `1.0`, keyword or setting; None for a value."""
    before: str | None
    """A dtype, a Python literal or a shape; None if nothing stood there."""
    after: str | None
    """None if what stood there is taken away."""


class Counterfactual(Record, frozen=True, kw_only=True):
    """Why a node is refused, as the smallest change that makes its validators accept it."""

    kind: RefusalKind
    typing: TypingKind
    """The typing on which the node is refused and the changes were tried."""
    changes: tuple[Change, ...] = ()
    """Made together they turn the verdict; empty if nothing that was tried does."""
    keeps_meaning: bool = True
    """Whether the changes leave what the operator computes as it is, up to rounding.

    A mask made an index, or an option put at its default, computes something else: it says
    what the validator looks at, and is no advice.
    """
    text: str
    """`rejects because dtype=float64; accepts with float32`."""
    sentence: str
    """The same with operator and place: `... float32 (aten._to_copy, model.py:41)`."""


class NodeRecord(Record, frozen=True, kw_only=True):
    """One node of the lowered graph with its dtypes, verdicts and place."""

    name: str
    op: str
    target: str
    shape: Shape = None
    original: Dtype = None
    """What the exported program promised, through `from_node`."""
    recorded: Dtype = None
    """What the metadata says after the last lowering pass."""
    inferred: Dtype = None
    """What type inference computes with nothing truncated."""
    truncated: Dtype = None
    """What the same inference computes under the policy."""
    tensorrt: Dtype = None
    """TensorRT's own spelling of the ITensor's dtype; None outside engines."""
    engine: int | None = None
    source: Source | None = None
    from_node: str | None = None
    args: str = ""
    operands: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    verdict: Verdict = Verdict.NOT_CHECKED
    """The partitioner's answer under the policy, all candidates and gates considered."""
    verdicts: tuple[ValidatorVerdict, ...] = ()
    constant: str | None = None
    """For a `get_attr` node the name of its row in `Report.constants`."""
    dtype_argument: str | None = None
    """The dtype written in the call, by keyword or position, before any truncation."""
    counterfactual: Counterfactual | None = None
    """Why it is refused under some typing; None if it is refused under none."""
    other_flavour: OtherFlavour | None = None
    """What validators say for the other build of TensorRT; None where it was not asked."""
    low: LowDecision | None = None
    """What it computes in under a low precision, and why; None without one."""
