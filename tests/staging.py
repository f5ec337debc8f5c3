"""Runs small modules through the stages, in the order of the session, for the stage tests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from trtdbg.graphs.graph import Typing  # noqa: E402
from trtdbg.graphs.splits import Program  # noqa: E402
from trtdbg.graphs.tensors import Narrowings  # noqa: E402
from trtdbg.policy import Settings, TruncationPolicy  # noqa: E402
from trtdbg.stages import boundary, capture, infer, narrow, partition  # noqa: E402

BOTH = ("float64", "int64")


def quiet(stage: str, detail: str, done: int | None, total: int | None) -> None:
    """Takes progress and does nothing with it."""


def module(function: Callable[..., Any], **tensors: Any) -> Any:
    """Returns an eval module with buffers `tensors` whose forward is `function(self, ...)`."""
    kind = type("Model", (torch.nn.Module,), {"forward": function})
    model = kind()
    for name, tensor in tensors.items():
        model.register_buffer(name, tensor)
    return model.eval()


def export(model: Any, *args: Any, dynamic_shapes: Any = None) -> Any:
    """Returns the exported program of a module."""
    with torch.no_grad():
        return torch.export.export(model, args, dynamic_shapes=dynamic_shapes)


def options(settings: Settings | None = None) -> Any:
    """Returns torch_tensorrt's settings for ours."""
    return capture.compilation_settings(settings or Settings(), truncate_double=False)


def lower(program: Any, settings: Settings | None = None) -> Any:
    """Returns the lowered graph of an exported program."""
    captured = capture.capture(
        program, settings or Settings(), truncate_double=False, emit=quiet
    )
    assert captured.error is None
    return captured.module


@dataclass(frozen=True)
class Typed:
    """A lowered graph with both typings."""

    inferred: Typing
    truncated: Typing

    def node(self, name: str) -> Any:
        """Returns a node of the truncated graph."""
        return next(n for n in self.truncated.module.graph.nodes if n.name == name)


def typed(program: Any, policy: TruncationPolicy, settings: Settings | None = None) -> Typed:
    """Returns both typings of an exported program."""
    inferred = infer.infer(lower(program, settings))
    return Typed(inferred, infer.infer_truncated(inferred, policy))


@dataclass(frozen=True)
class Late:
    """A program partitioned, narrowed and repaired as timing `late` does it."""

    typing: Typed
    split: partition.Split
    program: Program

    def casts(self) -> list[tuple[str, str, str]]:
        """Returns value, from and to of each boundary cast."""
        return [(c.value, c.from_dtype, c.to_dtype) for c in self.program.casts]

    def engine(self, index: int) -> Any:
        """Returns an engine's submodule."""
        return getattr(self.program.module, self.split.engine_names[index])


def late(
    program: Any, policy: TruncationPolicy | None = None, settings: Settings | None = None
) -> Late:
    """Runs the stages of timing `late` up to the networks."""
    both = typed(program, policy or TruncationPolicy(), settings)
    split = partition.partition(both.truncated.module, options(settings), tolerant=True)
    narrowings = Narrowings()
    repaired = boundary.repair_late(split.module, both.inferred, both.truncated, narrowings)
    narrow.narrow_engines(split.module, both.truncated, narrowings)
    return Late(both, split, repaired)


def dtypes(values: Any) -> list[Any]:
    """Returns the dtypes of a program's outputs, numbers as they are."""
    leaves = torch.utils._pytree.tree_leaves(values)
    return [leaf.dtype if isinstance(leaf, torch.Tensor) else leaf for leaf in leaves]


def assert_runs_like(model: Any, program: Program, *args: Any) -> None:
    """Checks that a repaired program returns what the model does, engines in PyTorch."""
    with torch.no_grad():
        wanted, given = model(*args), program.module(*args)
    assert dtypes(given) == dtypes(wanted)
    torch.testing.assert_close(
        torch.utils._pytree.tree_leaves(given),
        torch.utils._pytree.tree_leaves(wanted),
        rtol=1e-4,
        atol=1e-5,
    )
