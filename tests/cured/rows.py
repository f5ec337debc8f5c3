"""Every cure that `trtdbg explain` names: its words, a case of its kind, the cure applied."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from trtdbg.policy import KeepRule, Precision, Settings, Timing, TruncationPolicy
from trtdbg.policy import VerdictSource as Source

torch = pytest.importorskip("torch")

UPSTREAM = TruncationPolicy(timing=Timing.UPSTREAM)
LATE = TruncationPolicy(timing=Timing.LATE)
EARLY = TruncationPolicy(timing=Timing.EARLY)
ASKED = TruncationPolicy(timing=Timing.LATE, verdicts=Source.TENSORRT)
EVERY = ("float64", "int64")
NARROW = TruncationPolicy(inputs=EVERY, constants=EVERY, computed=EVERY)
EARLY_NARROW = TruncationPolicy(
    timing=Timing.EARLY, inputs=EVERY, constants=EVERY, computed=EVERY
)
UPSTREAM_HALF = TruncationPolicy(timing=Timing.UPSTREAM, precision=Precision.FLOAT16)
HALF = TruncationPolicy(timing=Timing.LATE, precision=Precision.FLOAT16)
BRAIN = TruncationPolicy(timing=Timing.LATE, precision=Precision.BFLOAT16)


@dataclass(frozen=True)
class Way:
    """A model, and how it is analysed."""

    forward: Callable[..., Any]
    args: tuple[Any, ...]
    policy: TruncationPolicy = UPSTREAM
    settings: Settings = field(default_factory=Settings)
    buffers: dict[str, Any] = field(default_factory=dict)
    shapes: Any = None
    ask: str = "analyze"
    """Which method of the session finds it: analyze, numerics or build."""
    probe: float = 0.0
    lowering: Callable[..., Any] | None = None
    """A lowering pass of the user's own, which comes last."""

    def but(self, **changes: Any) -> Way:
        """Returns the same with something changed."""
        return Way(**{**self.__dict__, **changes})


@dataclass(frozen=True)
class Row:
    """One cure of a finding."""

    code: str
    words: str
    """Of the cure, as `explain` prints it."""
    before: Way
    after: Way
    gone: str | None = None
    """Another code that the cure takes away, where the finding itself stays."""


def executed(*names: str) -> Settings:
    """Returns the settings that keep operators in PyTorch."""
    return Settings(torch_executed_ops=tuple(f"torch.ops.aten.{name}" for name in names))


def rand(*sizes: int, dtype: Any = None) -> Any:
    """Returns the same numbers each time."""
    made = torch.randn(*sizes, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return made.to(dtype or torch.float32)


FLOATS = rand(3, 4)
DOUBLES = rand(3, 4, dtype=torch.float64)
WHOLE = torch.arange(12).reshape(3, 4)
HALVES = FLOATS.half(), torch.tensor([[0, 1], [2, 0]])
BOOLS = torch.tensor([True, False]), torch.tensor([True, True])


def _in_double(self: Any, x: Any) -> Any:
    return torch.relu(x.double() * 0.5 + 1.0)


def _half_in_double(self: Any, x: Any) -> Any:
    return torch.softmax(x, -1, dtype=torch.float64).float() * 2


def _bools(self: Any, a: Any, b: Any) -> Any:
    return torch.relu(a.float() * 2), a * b


def _ids(self: Any, table: Any) -> Any:
    return torch.relu(torch.nn.functional.embedding(self.ids, table))


def _sorted(self: Any, x: Any) -> Any:
    return torch.sort(torch.relu(x))[0] * 2


def _flags(self: Any, ids: Any) -> Any:
    flags = (ids & 3).to(torch.float32)
    return torch.nn.functional.linear(flags, self.weight), flags


def _remainders(self: Any, ids: Any) -> Any:
    flags = (ids % 4).to(torch.float32)
    return torch.nn.functional.linear(flags, self.weight), flags


def _bessel(self: Any, x: Any) -> Any:
    return torch.special.i0(torch.relu(x)) * 2


def _both(self: Any, a: Any, b: Any) -> Any:
    return torch.bitwise_and(torch.logical_not(a), b)


def _forgetful(module: Any, options: Any) -> Any:
    """Forgets what an operator computes."""
    for node in module.graph.nodes:
        if node.target is torch.ops.aten.logical_not.default:
            node.meta.pop("tensor_meta", None)
    return module


def _halved(self: Any, x: Any) -> Any:
    return torch.relu(x) * 2


def _stale(module: Any, options: Any) -> Any:
    """Writes down a dtype that an operator does not compute."""
    for node in module.graph.nodes:
        if node.target is torch.ops.aten.relu.default:
            node.meta["val"] = node.meta["val"].half()
    return module


def _fresh(module: Any, options: Any) -> Any:
    """Writes down both entries as the operator computes them."""
    from torch.fx.passes.shape_prop import _extract_tensor_metadata

    for node in _stale(module, options).graph.nodes:
        if node.target is torch.ops.aten.relu.default:
            node.meta["val"] = node.meta["val"].float()
            node.meta["tensor_meta"] = _extract_tensor_metadata(node.meta["val"])
    return module


def _shifted(self: Any, i: Any) -> Any:
    return torch.bitwise_left_shift(i + 1, 2) + 1


def _put(self: Any, x: Any, i: Any) -> Any:
    return torch.relu(x.index_put((i,), torch.ones(2, 4)))


def _picked(self: Any, x: Any) -> Any:
    return torch.relu(x)[x > 0] * 2


def _masked(self: Any, x: Any) -> Any:
    return torch.relu(x) * (x > 0) * 2


def _and(self: Any, i: Any) -> Any:
    return torch.relu((i & 3) + 1)


def _scattered(self: Any, x: Any, i: Any) -> Any:
    y = torch.relu(x)
    return torch.zeros_like(y).scatter_reduce(0, i, y, "sum", include_self=False)


def _scatter_added(self: Any, x: Any, i: Any) -> Any:
    y = torch.relu(x)
    return torch.zeros_like(y).scatter_add(0, i, y)


def _taken(self: Any, x: Any, i: Any) -> Any:
    return torch.take(torch.relu(x), i) + 1


def _half_scatter(self: Any, x: Any, i: Any) -> Any:
    return torch.relu(x).scatter(0, i, 2.0) * 2


def _sized(self: Any, x: Any) -> Any:
    return torch.special.i0(x.double() * x.shape[0]) * x.shape[0], x.shape[0] + 1


def _range(self: Any, x: Any) -> Any:
    return x * (torch.arange(x.shape[0], dtype=torch.float32) / 3.0)[:, None]


def _cast_range(self: Any, x: Any) -> Any:
    return x * (torch.arange(x.shape[0]).float() / 3.0)[:, None]


def _counted(self: Any, x: Any, n: Any) -> Any:
    k = n.item()
    return x * torch.sin(torch.arange(0, k).float() * 0.1).sum()


def _checked(self: Any, x: Any, n: Any) -> Any:
    k = n.item()
    torch._check(k >= 1)
    torch._check(k <= 4096)
    return x * torch.sin(torch.arange(0, k).float() * 0.1).sum()


def _gained(self: Any, x: Any) -> Any:
    return torch.relu(x * self.gain).tanh().half()


def _converted(self: Any, x: Any) -> Any:
    return torch.relu(x * self.gain.to(x.dtype)).tanh().half()


def _meant(self: Any, x: Any) -> Any:
    return torch.relu((x.float() * self.gain).to(x.dtype)).tanh()


def _large(self: Any, x: Any) -> Any:
    return torch.relu(x * 3000.0) / 3000.0


def _embedded(self: Any, i: Any) -> Any:
    return torch.relu(torch.nn.functional.embedding(i, self.table) * 2)


def _attended(self: Any, parts: Any) -> Any:
    q, k, v = (part.view(1, 16, -1, 16).transpose(1, 2) for part in parts)
    return torch.sigmoid(q @ k.transpose(2, 3) @ v)


def _entered(self: Any, x: Any) -> Any:
    return torch.tanh(torch.nn.functional.linear(x, self.before)) + 1


def _heads(self: Any, x: Any) -> Any:
    x = _entered(self, x).reshape(16, 64)
    x = torch.nn.functional.linear(x, self.project, self.bias).view(1, 16, 192)
    return _attended(self, x.split(64, dim=2))


def _heads_apart(self: Any, x: Any) -> Any:
    weights = self.project.split(64), self.bias.split(64)
    pairs = zip(*weights, strict=True)
    return _attended(self, [torch.nn.functional.linear(_entered(self, x), *p) for p in pairs])


def _normed(self: Any, x: Any) -> Any:
    return (x - self.mean) / self.std


def _linear(self: Any, x: Any) -> Any:
    return torch.relu(torch.nn.functional.linear(x, self.weight))


STATISTICS = {
    "mean": torch.full((4,), 0.485, dtype=torch.float64),
    "std": torch.full((4,), 0.229, dtype=torch.float64),
}
SORTED = Way(_sorted, (FLOATS,))
BOOL = Way(_bools, BOOLS, LATE, probe=20.0)
FLAGS = Way(
    _flags,
    (WHOLE,),
    LATE,
    buffers={"weight": rand(4, 4)},
    shapes={"ids": {0: torch.export.Dim("b", min=2, max=16)}},
    probe=20.0,
)
HEADS = Way(
    _heads,
    (rand(1, 16, 64),),
    LATE,
    buffers={"before": rand(64, 64), "project": rand(192, 64), "bias": rand(192)},
    ask="build",
)
SCATTERED = Way(_scattered, (FLOATS, torch.zeros(3, 4, dtype=torch.int64)))
ROWS_OF_RANGE = {"x": {0: torch.export.Dim("rows", min=2, max=9)}}
RANGED = Way(_range, (FLOATS,), LATE, shapes=ROWS_OF_RANGE)
EMPTY = Way(_counted, (FLOATS, torch.tensor(5)), LATE)
LARGE = Way(
    _large,
    (torch.full((2, 3), 100.0),),
    TruncationPolicy(precision=Precision.FLOAT16, keep_rules=()),
    ask="numerics",
)
LEAK = Way(_gained, (FLOATS.half(),), LATE, buffers={"gain": torch.ones(4)})
EMBEDDED = Way(
    _embedded, (torch.tensor([1, 2]),), UPSTREAM_HALF, buffers={"table": rand(9, 4)}
)


ROWS = (
    Row(
        "TD101",
        "`--timing late`, where this finding is only a note",
        Way(_in_double, (FLOATS,)),
        Way(_in_double, (FLOATS,), LATE),
    ),
    Row(
        "TD101",
        "write `x.float()` for `x.double()`",
        Way(_in_double, (FLOATS,)),
        Way(lambda self, x: torch.relu(x.float() * 0.5 + 1.0), (FLOATS,)),
    ),
    Row(
        "TD101",
        "drop the `dtype=` keyword",
        Way(_half_in_double, (FLOATS,)),
        Way(lambda self, x: torch.softmax(x, -1).float() * 2, (FLOATS,)),
    ),
    Row("TD102", "`--verdicts tensorrt`", BOOL, BOOL.but(policy=ASKED)),
    Row(
        "TD102",
        "`--torch-executed-ops OPERATOR`",
        BOOL,
        BOOL.but(settings=executed("mul.Tensor")),
    ),
    Row(
        "TD102",
        "change its dtypes in the model",
        BOOL,
        BOOL.but(forward=lambda self, a, b: (torch.relu(a.float() * 2), a.int() * b.int())),
    ),
    Row(
        "TD102",
        "`--constants float64,int64`",
        Way(_ids, (rand(9, 4),), LATE, buffers={"ids": torch.tensor([1, 3])}, probe=20.0),
        Way(
            _ids,
            (rand(9, 4),),
            TruncationPolicy(constants=EVERY),
            buffers={"ids": torch.tensor([1, 3])},
            probe=20.0,
        ),
    ),
    Row(
        "TD103",
        "such as a dimension counted from the front (`dim=1` for `dim=-1`)",
        SORTED,
        SORTED.but(forward=lambda self, x: torch.sort(torch.relu(x), dim=1)[0] * 2),
    ),
    Row(
        "TD103",
        "keep the operator in PyTorch with `--torch-executed-ops`",
        SORTED,
        SORTED.but(settings=executed("sort.default")),
    ),
    Row(
        "TD103",
        "`--timing late` goes on where torch_tensorrt's own compilation ends",
        SORTED,
        SORTED.but(policy=LATE),
        gone="TD502",
    ),
    Row("TD104", "`--verdicts tensorrt`", FLAGS, FLAGS.but(policy=ASKED)),
    Row(
        "TD104",
        "make the value that crosses the border part of the same engine",
        FLAGS,
        FLAGS.but(forward=_remainders),
    ),
    Row(
        "TD104",
        "keep it in PyTorch by name (`--torch-executed-ops`)",
        FLAGS,
        FLAGS.but(settings=executed("_to_copy.default")),
    ),
    Row(
        "TD105",
        "`--timing late` or `early`",
        Way(_both, BOOLS, lowering=_forgetful),
        Way(_both, BOOLS, LATE, lowering=_forgetful),
    ),
    Row(
        "TD106",
        "write the operator as others that have a converter",
        Way(_shifted, (WHOLE,)),
        Way(lambda self, i: (i + 1) * 4 + 1, (WHOLE,)),
    ),
    Row(
        "TD107",
        "write it as other operators",
        Way(_picked, (FLOATS,)),
        Way(_masked, (FLOATS,)),
    ),
    Row(
        "TD107",
        "leave it to PyTorch",
        Way(_picked, (FLOATS,)),
        Way(_picked, (FLOATS,), settings=executed("index.Tensor", "nonzero.default")),
    ),
    Row(
        "TD108",
        "Take the operator off the list (`--torch-executed-ops`)",
        Way(_masked, (FLOATS,), settings=executed("relu.default")),
        Way(_masked, (FLOATS,)),
    ),
    Row(
        "TD108",
        "lower `--min-block-size`",
        Way(_bessel, (FLOATS,), settings=Settings(min_block_size=5)),
        Way(_bessel, (FLOATS,), settings=Settings(min_block_size=1)),
    ),
    Row(
        "TD110",
        "Write that part of the model otherwise",
        Way(_and, (WHOLE,)),
        Way(lambda self, i: torch.relu(torch.remainder(i, 4) + 1), (WHOLE,)),
    ),
    Row(
        "TD110",
        "leave the operator to PyTorch",
        Way(_and, (WHOLE,)),
        Way(_and, (WHOLE,), settings=executed("bitwise_and.Scalar", "bitwise_and.Tensor")),
    ),
    Row(
        "TD201",
        "`--timing late` or `early`",
        Way(_halved, (FLOATS,), lowering=_stale),
        Way(_halved, (FLOATS,), LATE, lowering=_stale),
    ),
    Row(
        "TD201",
        "let it update `node.meta['val']` and `node.meta['tensor_meta']`",
        Way(_halved, (FLOATS,), lowering=_stale),
        Way(_halved, (FLOATS,), lowering=_fresh),
    ),
    Row(
        "TD202",
        "`--timing late`",
        Way(_in_double, (DOUBLES,)),
        Way(_in_double, (DOUBLES,), LATE),
    ),
    Row(
        "TD202",
        "cast the value explicitly in the model",
        Way(lambda self, x: torch.special.i0(torch.relu(x)).float() * 2, (DOUBLES,)),
        Way(lambda self, x: torch.special.i0(torch.relu(x.float())) * 2, (DOUBLES,), LATE),
    ),
    Row(
        "TD203",
        "keep the operator in PyTorch",
        Way(_half_scatter, HALVES, LATE),
        Way(_half_scatter, HALVES, LATE, settings=executed("scatter.value")),
    ),
    Row(
        "TD204",
        "`torch.arange(n).float()` in place",
        RANGED,
        RANGED.but(forward=_cast_range),
    ),
    Row(
        "TD204",
        "keep the operator in PyTorch with `--torch-executed-ops`",
        RANGED,
        RANGED.but(settings=executed("arange.start_step")),
    ),
    Row(
        "TD301",
        "`--timing late`, which restores every promised dtype",
        Way(_normed, (FLOATS,), buffers=STATISTICS),
        Way(_normed, (FLOATS,), LATE, buffers=STATISTICS),
    ),
    Row(
        "TD302",
        "`--timing late`, which reads dtypes from inference and runs nothing",
        Way(_sized, (FLOATS,), shapes=ROWS_OF_RANGE),
        Way(_sized, (FLOATS,), LATE, shapes=ROWS_OF_RANGE),
    ),
    Row(
        "TD302",
        "turn `truncate_double` off and remove float64 from the model",
        Way(_sized, (FLOATS,), shapes=ROWS_OF_RANGE),
        Way(
            lambda self, x: (torch.special.i0(x * x.shape[0]) * x.shape[0], x.shape[0] + 1),
            (FLOATS,),
            settings=Settings(truncate_double=False),
            shapes=ROWS_OF_RANGE,
        ),
    ),
    Row(
        "TD303",
        "`--timing late`, which leaves the PyTorch part as it was",
        Way(_taken, (FLOATS, WHOLE), EARLY_NARROW),
        Way(_taken, (FLOATS, WHOLE), NARROW),
    ),
    Row(
        "TD303",
        "leave int64 out of `--inputs`, `--constants` or `--computed`",
        Way(_taken, (FLOATS, WHOLE), EARLY_NARROW),
        Way(_taken, (FLOATS, WHOLE), EARLY),
    ),
    Row(
        "TD501",
        "Write the operator at the line of the message otherwise",
        SCATTERED,
        SCATTERED.but(forward=_scatter_added),
    ),
    Row(
        "TD502",
        "use `--timing late`, which takes a validator that raises for one that refuses",
        SORTED,
        SORTED.but(policy=LATE),
    ),
    Row(
        "TD502",
        "Keep the operator that TD103 names in PyTorch with `--torch-executed-ops`",
        SORTED,
        SORTED.but(settings=executed("sort.default")),
    ),
    Row(
        "TD503",
        "Keep one of them in PyTorch with `--torch-executed-ops`",
        HEADS,
        HEADS.but(settings=executed("split.Tensor", "split_with_sizes.default")),
    ),
    Row(
        "TD503",
        "or write that part of the model otherwise",
        HEADS,
        HEADS.but(forward=_heads_apart),
    ),
    Row(
        "TD601",
        "`model.half()` after it is registered",
        LEAK,
        LEAK.but(buffers={"gain": torch.ones(4).half()}),
    ),
    Row("TD601", "`.to(x.dtype)` where it is read", LEAK, LEAK.but(forward=_converted)),
    Row(
        "TD601",
        "`(x.float() * self.gain).to(x.dtype)`",
        LEAK,
        LEAK.but(forward=_meant),
    ),
    Row(
        "TD602",
        "`--keep-nodes NODE`",
        LARGE,
        LARGE.but(
            policy=TruncationPolicy(
                precision=Precision.FLOAT16, keep_rules=(), keep_nodes=("mul", "relu", "div")
            )
        ),
    ),
    Row(
        "TD602",
        "let `--keep-rules range` see the values",
        LARGE,
        LARGE.but(
            policy=TruncationPolicy(precision=Precision.FLOAT16, keep_rules=(KeepRule.RANGE,))
        ),
    ),
    Row("TD602", "bfloat16 has the range of float32", LARGE, LARGE.but(policy=BRAIN)),
    Row(
        "TD603",
        "convert the model before its export (`model.half()`) in place of",
        EMBEDDED,
        EMBEDDED.but(policy=UPSTREAM, buffers={"table": rand(9, 4).half()}),
    ),
    Row(
        "TD603",
        "`--timing late --low TYPE` casts floating values only",
        EMBEDDED,
        EMBEDDED.but(policy=HALF),
    ),
    Row(
        "TD604",
        "`--timing late`, whose outputs stay as exported",
        Way(_linear, (FLOATS,), UPSTREAM_HALF, buffers={"weight": rand(4, 4)}),
        Way(_linear, (FLOATS,), HALF, buffers={"weight": rand(4, 4)}),
    ),
    Row(
        "TD701",
        "`torch._check(n >= 1); torch._check(n <= 4096)`",
        EMPTY,
        EMPTY.but(forward=_checked),
    ),
)
