"""What must hold of every analysis: the checks of the property tests, free of any policy."""

from __future__ import annotations

import hashlib
import math
import operator
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from programs import Recipe

torch = pytest.importorskip("torch")

from trtdbg.graphs.graph import ENGINE_PREFIX, dtype_name  # noqa: E402
from trtdbg.graphs.splits import engine_dtype  # noqa: E402
from trtdbg.policy import Timing, TruncationPolicy  # noqa: E402
from trtdbg.records import Report  # noqa: E402
from trtdbg.session.steps import Steps  # noqa: E402

CAST = torch.ops.aten._to_copy.default
WIDER = {torch.int32: torch.int64, torch.float32: torch.float64}
LOSSY = frozenset({"TD202", "TD401", "TD402"})
"""Findings that announce other numbers than the original program's.

TD202 says that TensorRT narrows a float64 which the policy keeps.
"""
BROKEN = frozenset({"TD102", "TD301", "TD302", "TD303", "TD501", "TD502", "TD503"})
"""Findings that announce that a program cannot be run, or not with the promised dtypes."""


@dataclass
class Watch:
    """The repaired programs that the steps of a session made, by policy."""

    programs: dict[TruncationPolicy, Any] = field(default_factory=dict)
    early: dict[TruncationPolicy, Any] = field(default_factory=dict)
    executed: list[str] = field(default_factory=list)
    """Real tensors computed on while boundaries were repaired, by operator."""

    def steps(self) -> type[Steps]:
        """Returns a Steps class that keeps what it repairs and notes what it executes."""
        watch = self

        class WatchedSteps(Steps):
            def _repair(self, *args: Any) -> Any:
                if self.policy.timing is Timing.UPSTREAM:
                    program, inputs = super()._repair(*args)
                else:
                    with NothingRuns(watch.executed):
                        program, inputs = super()._repair(*args)
                watch.programs[self.policy] = program
                watch.early[self.policy] = getattr(self.timing, "narrowed", None)
                return program, inputs

        return WatchedSteps


class NothingRuns(torch.utils._python_dispatch.TorchDispatchMode):
    """Notes every operator that computes on real tensors; converting a constant is none."""

    ALLOWED = frozenset({"aten::_to_copy", "aten::detach", "aten::alias"})

    def __init__(self, executed: list[str]) -> None:
        super().__init__()
        self.executed = executed

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        leaves = torch.utils._pytree.tree_leaves((args, kwargs))
        tensors = [leaf for leaf in leaves if isinstance(leaf, torch.Tensor)]
        fake = torch._subclasses.fake_tensor.FakeTensor
        if func.name().split(".")[0] not in self.ALLOWED and not any(
            isinstance(tensor, fake) for tensor in tensors
        ):
            self.executed.append(func.name())
        return func(*args, **kwargs)


class EnginesInPytorch(torch.fx.Interpreter):
    """Runs a repaired program on real tensors: engines as TensorRT would, the rest as it is.

    TensorRT has no float64: with `narrow`, engines compute it in float32. PyTorch's kernels
    refuse some narrow operands that TensorRT takes (an int32 index): inside engines, and only
    there, such an operator runs on widened operands.
    """

    def __init__(self, module: Any, *, narrow: bool = False, inside: bool = False) -> None:
        super().__init__(module)
        self.narrow, self.inside = narrow, inside

    def call_module(self, target: Any, args: Any, kwargs: Any) -> Any:
        submodule = self.module.get_submodule(target)
        engine = target.startswith(ENGINE_PREFIX)
        runner = EnginesInPytorch(
            submodule, narrow=self.narrow and engine, inside=engine or self.inside
        )
        values = runner.run(*args)
        if engine:
            _check_declared(target, submodule, values, self.narrow)
        return values

    def run_node(self, n: Any) -> Any:
        self.current = n
        value = super().run_node(n)
        if self.inside and self.narrow and n.op != "output":
            return torch.utils._pytree.tree_map_only(torch.Tensor, _as_float32, value)
        return value

    def call_function(self, target: Any, args: Any, kwargs: Any) -> Any:
        if not self.inside:
            return super().call_function(target, args, kwargs)
        if self.narrow and kwargs.get("dtype") == torch.float64:
            kwargs = {**kwargs, "dtype": torch.float32}
        try:
            return super().call_function(target, args, kwargs)
        except (RuntimeError, IndexError, TypeError):
            widened = torch.utils._pytree.tree_map_only(torch.Tensor, _widen, (args, kwargs))
            values = super().call_function(target, *widened)
            recorded = self.current.meta["val"]
            return torch.utils._pytree.tree_map(_like, values, recorded)


def _as_float32(value: Any) -> Any:
    return value.float() if value.dtype == torch.float64 else value


def _widen(value: Any) -> Any:
    return value.to(WIDER.get(value.dtype, value.dtype))


def _like(value: Any, recorded: Any) -> Any:
    return value.to(recorded.dtype) if isinstance(value, torch.Tensor) else value


def _check_declared(name: str, engine: Any, values: Any, narrow: bool) -> None:
    returned = engine.graph.output_node().args[0]
    declared = returned if isinstance(returned, (tuple, list)) else (returned,)
    given = values if isinstance(values, (tuple, list)) else (values,)
    for node, value in zip(declared, given, strict=True):
        if isinstance(value, torch.Tensor):
            fake = node.meta["val"]
            declared_dtype = engine_dtype(fake) if narrow else fake.dtype
            assert value.dtype == declared_dtype, f"{name} declares {node} otherwise"


def fingerprint(program: Any) -> str:
    """Returns a hash of everything in an exported program: tensors, graph, metadata."""
    parts: list[str] = [str(program.graph_signature), str(program.range_constraints)]
    for node in program.graph.nodes:
        parts.append(f"{node.format_node()} {node.name} {node.meta.get('val')!r}")
        parts.append(f"{node.meta.get('tensor_meta')!r}")
    for name, tensor in sorted({**program.state_dict, **program.constants}.items()):
        parts.append(f"{name} {tensor.dtype} {tuple(tensor.shape)} {tensor.data_ptr()}")
        parts.append(
            tensor.detach().contiguous().flatten().view(torch.uint8).numpy().tobytes().hex()
            if tensor.dim()
            else str(tensor.item())
        )
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


@dataclass(frozen=True)
class Expected:
    """What the original program returns, and how far rounding alone can move each value."""

    values: tuple[Any, ...]
    slack: tuple[Any, ...]
    """Per element the tolerance; inf where rounding alone changes the answer."""


def expected(recipe: Recipe) -> Expected:
    """Runs the original program, and again with every float rounded at random."""
    plain = recipe.run()
    generator = torch.Generator().manual_seed(1)

    def jitter(value: Any) -> Any:
        if not isinstance(value, torch.Tensor) or not value.dtype.is_floating_point:
            return value
        size = 1e-3 if value.dtype == torch.float16 else 1e-6
        noise = torch.randn(value.shape, generator=generator, dtype=torch.float64)
        return (value.double() * (1 + size * noise)).to(value.dtype)

    runs = [recipe.run(jitter) for _ in range(4)]
    return Expected(plain, tuple(_slack(p, vs) for p, *vs in zip(plain, *runs, strict=True)))


def _slack(plain: Any, others: list[Any]) -> Any:
    if not isinstance(plain, torch.Tensor):
        return 0.0
    wide = plain.double()
    if any(other.shape != plain.shape for other in others):
        return torch.full_like(wide, math.inf)
    spread = torch.stack([(other.double() - wide).abs() for other in others]).amax(0)
    if not plain.dtype.is_floating_point:
        return torch.where(spread > 0, math.inf, 0.0)
    base = 2e-2 if plain.dtype == torch.float16 else 1e-4
    return torch.nan_to_num(20 * spread, nan=math.inf) + base * (1e-1 + wide.abs())


def differences(wanted: Expected, given: tuple[Any, ...]) -> Iterator[str]:
    """Yields a sentence per output that is not the original's within the tolerance."""
    for i, (value, slack, got) in enumerate(
        zip(wanted.values, wanted.slack, given, strict=True)
    ):
        if not isinstance(value, torch.Tensor):
            if value != got:
                yield f"output {i} is {got}, not {value}"
            continue
        if value.shape != got.shape:
            yield f"output {i} has shape {tuple(got.shape)}, not {tuple(value.shape)}"
            continue
        error = (got.double() - value.double()).abs()
        wrong = ~(error <= slack) & ~torch.isinf(slack)
        wrong &= ~(got.isnan() & value.isnan()) & (got != value)
        if bool(wrong.any()):
            yield f"output {i} is {got[wrong]}, not {value[wrong]}"


def codes(report: Report) -> set[str]:
    """Returns the codes of a report's findings."""
    return {finding.code for finding in report.findings}


def check_outputs(report: Report, program: Any) -> None:
    """Output dtypes are export's; under `off` and `upstream` a finding says where not."""
    promised = []
    for node in program.graph.output_node().args[0]:
        value = node.meta.get("val") if isinstance(node, torch.fx.Node) else node
        promised.append(dtype_name(value.dtype) if isinstance(value, torch.Tensor) else None)
    if codes(report) & {"TD302", "TD501", "TD502"}:
        return
    bound = [output.bound for output in report.model.outputs]
    if bound != promised:
        assert report.policy.timing in (Timing.OFF, Timing.UPSTREAM), (bound, promised)
        assert "TD301" in codes(report), (bound, promised)


def check_values(
    report: Report,
    repaired: Any,
    wanted: Expected,
    args: Any,
    numerics: Callable[[], Report],
) -> None:
    """The repaired program computes the original's values, or a finding says why not.

    What no constant and no number of the program tells, a value that outgrows the narrow dtype
    as it is computed, `numerics` finds by running both programs.
    """
    found = codes(report)
    if found & {"TD302", "TD501", "TD502"} or (
        report.policy.timing in (Timing.OFF, Timing.UPSTREAM) and found & BROKEN
    ):
        return
    narrow = report.policy.timing is not Timing.OFF
    with torch.no_grad():
        given = EnginesInPytorch(repaired.module, narrow=narrow).run(*args)
    dtypes = [getattr(value, "dtype", None) for value in given]
    assert dtypes == [getattr(value, "dtype", None) for value in wanted.values]
    wrong = list(differences(wanted, given))
    explained = found & LOSSY
    if "float64" not in report.policy.constants:
        # TensorRT refuses the constants that the policy keeps: there is no such engine.
        explained |= found & {"TD102", "TD503"}
    assert not wrong or explained or codes(numerics()) & LOSSY, "\n".join(wrong)


def check_casts(repaired: Any) -> None:
    """One cast per value and direction, none between engines, none that cancel."""
    nodes = list(repaired.module.graph.nodes)
    inserted = [n for n in nodes if n.target is CAST and "trtdbg_node" not in n.meta]
    twice = Counter((n.args[0], n.kwargs["dtype"]) for n in inserted)
    assert all(count == 1 for count in twice.values()), f"cast twice: {twice}"
    for cast in inserted:
        readers = list(cast.users)
        assert readers, f"{cast} is read by nobody"
        if _from_engine(cast.args[0]):
            assert not all(map(_is_engine, readers)), f"{cast} stands between two engines"
        for reader in readers:
            if reader.target is CAST:
                assert not _cancel(cast, reader), f"{cast} and {reader} cancel"
        if cast.args[0].target is CAST:
            assert not _cancel(cast.args[0], cast), f"{cast.args[0]} and {cast} cancel"


def check_early(
    report: Report,
    original: Any,
    early: Any,
    wanted: Expected,
    args: Any,
    numerics: Callable[[], Report],
) -> None:
    """The program that timing `early` narrowed runs in PyTorch, and its casts are few."""
    _check_early_casts(original, early.program)
    if codes(report) & {"TD401", "TD402"}:
        return
    dtypes = {
        n.name: n.meta["val"].dtype for n in early.program.graph.nodes if n.op == "placeholder"
    }
    names = early.program.graph_signature.user_inputs
    given = [arg.to(dtypes[name]) for arg, name in zip(args, names, strict=True)]
    with torch.no_grad():
        values = early.program.module()(*given)
    wrong = list(differences(wanted, values))
    assert not wrong or codes(numerics()) & LOSSY, "\n".join(wrong)


def _check_early_casts(original: Any, narrowed: Any) -> None:
    names = {node.name for node in original.graph.nodes}
    inserted = [n for n in narrowed.graph.nodes if n.target is CAST and n.name not in names]
    twice = Counter((n.args[0], n.kwargs["dtype"]) for n in inserted)
    assert all(count == 1 for count in twice.values()), f"cast twice: {twice}"
    for cast in inserted:
        assert cast.users, f"{cast} is read by nobody"
        if cast.args[0] in inserted:
            assert not _cancel(cast.args[0], cast), f"{cast.args[0]} and {cast} cancel"


def _cancel(first: Any, second: Any) -> bool:
    before, after = first.args[0].meta.get("val"), second.kwargs.get("dtype")
    return isinstance(before, torch.Tensor) and before.dtype == after


def _is_engine(node: Any) -> bool:
    return node.op == "call_module" and str(node.target).startswith(ENGINE_PREFIX)


def _from_engine(node: Any) -> bool:
    if node.target is operator.getitem:
        return _is_engine(node.args[0])
    return _is_engine(node)
