"""Writes a program around its engines as an exported program and a script that runs both.

The engines are calls of one operator, `trtdbg_run::engine`, which the script registers: so
the PyTorch part keeps dynamic shapes and its structure of inputs and outputs, and neither
trtdbg nor the model's source is needed to run it.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, Final

import msgspec
import torch
from torch._guards import detect_fake_mode
from torch.export import Dim
from torch.fx import GraphModule, Interpreter
from torch.utils._pytree import tree_flatten, tree_unflatten

from trtdbg.errors import StageError
from trtdbg.graphs.graph import fetch_attr
from trtdbg.graphs.splits import Program, engine_dtype, placeholders
from trtdbg.records import EngineRecord

PROGRAM_FILE: Final = "program.pt2"
SCRIPT_FILE: Final = "run.py"
TABLE_FILE: Final = "run.json"

_OPERATOR: Final = "trtdbg_run::engine"


Assemble = Callable[[Program, Callable[[str, GraphModule], torch.nn.Module]], GraphModule]
"""The stage `assemble`, which the session hands over."""


class RunEntry(msgspec.Struct, frozen=True, kw_only=True):
    """What the script has to know of an engine."""

    file: str
    name: str
    inputs: tuple[str, ...]
    """Names of bindings, in order, here and below."""
    outputs: tuple[str, ...]
    input_dtypes: tuple[str | None, ...]
    output_dtypes: tuple[str | None, ...]
    requires_output_allocator: bool = False
    requires_native_multidevice: bool = False


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """`run.json`: engines in the order of their index, and what they were built with."""

    schema: str = "trtdbg.run/1"
    engines: tuple[RunEntry, ...]
    torch: str | None
    torch_tensorrt: str | None
    tensorrt: str | None
    flavour: str | None
    target: str | None


def write(
    folder: Path,
    program: Program,
    assemble: Assemble,
    call: tuple[Sequence[Any], Mapping[str, Any]],
    table: Table,
) -> tuple[str, ...]:
    """Writes the exported program, the script and its table; returns their names.

    Args:
        folder: takes the files.
        program: what the session's repair made.
        assemble: puts modules in the engines' places.
        call: positional and keyword arguments that the program takes.
        table: what the script has to know.

    Raises:
        StageError: a size that was dynamic would be fixed.
        Exception: whatever torch.export raises at what it cannot write.
    """
    exported = export(program, assemble, call)
    torch.export.save(exported, folder / PROGRAM_FILE)
    encoded = msgspec.json.format(msgspec.json.encode(table), indent=2)
    (folder / TABLE_FILE).write_bytes(encoded + b"\n")
    template = resources.files("trtdbg.outputs").joinpath("templates", "run.py.txt")
    (folder / SCRIPT_FILE).write_text(template.read_text("utf-8"), encoding="utf-8")
    return PROGRAM_FILE, TABLE_FILE, SCRIPT_FILE


def entry(record: EngineRecord, network: Any, file: str) -> RunEntry:
    """Returns what the script has to know of one engine.

    Args:
        record: of the engine.
        network: the network that it was built from.
        file: its file, beside the script.
    """
    interpreter = network.interpreter
    return RunEntry(
        file=file,
        name=record.name,
        inputs=tuple(interpreter._input_names),
        outputs=tuple(interpreter._output_names),
        input_dtypes=tuple(each.bound or each.declared for each in record.inputs),
        output_dtypes=tuple(each.bound or each.declared for each in record.outputs),
        requires_output_allocator=bool(interpreter.ctx.requires_output_allocator),
        requires_native_multidevice=bool(interpreter.ctx.requires_native_multidevice),
    )


def export(
    program: Program, assemble: Assemble, call: tuple[Sequence[Any], Mapping[str, Any]]
) -> Any:
    """Returns the program as one exported program that calls its engines by an operator."""
    _define_operator()
    calls: list[_Call] = []

    def make(_name: str, subgraph: GraphModule) -> torch.nn.Module:
        calls.append(_Call(len(calls), subgraph))
        return calls[-1]

    assembled = assemble(program, make)
    _subgraphs.clear()
    _subgraphs.update({each.index: each.subgraph[0] for each in calls})
    symbolic = _symbolic(program)
    try:
        with torch.no_grad():
            exported = torch.export.export(
                assembled,
                tuple(call[0]),
                dict(call[1]),
                dynamic_shapes=_dynamic_shapes(assembled, symbolic, call),
            )
    finally:
        _subgraphs.clear()
    kept = sum(
        isinstance(size, torch.SymInt)
        for node in exported.graph.nodes
        if node.op == "placeholder" and isinstance(node.meta.get("val"), torch.Tensor)
        for size in node.meta["val"].shape
    )
    if kept < sum(map(len, symbolic)):
        raise StageError("torch.export fixes a size of the inputs that was dynamic")
    return exported


class _Call(torch.nn.Module):  # type: ignore[misc]
    """Stands in an engine's place: calls the operator with tensors only."""

    def __init__(self, index: int, subgraph: GraphModule) -> None:
        super().__init__()
        self.index = index
        # In a list, so that its weights are not the program's.
        self.subgraph = [subgraph]

    def forward(self, *inputs: Any) -> Any:
        """Returns what the engine returns: a tensor, or several."""
        tensors = [
            each
            if isinstance(each, torch.Tensor)
            else torch.scalar_tensor(each, dtype=_number_dtype(each))
            for each in inputs
        ]
        returned = torch.ops.trtdbg_run.engine(tensors, self.index)
        return returned[0] if len(returned) == 1 else tuple(returned)


def _number_dtype(value: Any) -> torch.dtype:
    return torch.float32 if isinstance(value, (float, torch.SymFloat)) else torch.int64


_subgraphs: Final[dict[int, GraphModule]] = {}
"""Engines of the program that is being exported, which say what the operator returns."""


@functools.cache
def _define_operator() -> None:
    torch.library.define(_OPERATOR, "(Tensor[] inputs, int index) -> Tensor[]")
    torch.library.register_fake(_OPERATOR)(_fake)


def _fake(inputs: Sequence[torch.Tensor], index: int) -> list[torch.Tensor]:
    """Returns what an engine returns, only in shapes and dtypes."""
    subgraph = _subgraphs[index]
    given = []
    for value, node in zip(inputs, placeholders(subgraph), strict=True):
        recorded = node.meta.get("val")
        if isinstance(recorded, torch.Tensor):
            given.append(value.to(recorded.dtype))
        else:
            given.append(value if recorded is None else value.item())
    returned = _Faked(subgraph).run(*given)
    values = returned if isinstance(returned, (tuple, list)) else (returned,)
    return [_bound(each) for each in values]


def _bound(value: Any) -> torch.Tensor:
    if not isinstance(value, torch.Tensor):
        return torch.empty((), dtype=_number_dtype(value))
    return torch.empty(value.shape, dtype=engine_dtype(value), device=value.device)


class _Faked(Interpreter):  # type: ignore[misc]
    """Runs a subgraph on fake values, its constants made fake too."""

    def get_attr(self, target: Any, args: Any, kwargs: Any) -> Any:
        """Returns a constant without its values."""
        value = fetch_attr(self.module, str(target))
        mode = detect_fake_mode()
        if mode is None or not isinstance(value, torch.Tensor):
            return value
        return mode.from_tensor(value, static_shapes=True)


def _symbolic(program: Program) -> list[list[int]]:
    """Returns the dimensions of each input that are dynamic."""
    found = []
    for node in placeholders(program.module):
        value = node.meta.get("val")
        shape = value.shape if isinstance(value, torch.Tensor) else ()
        found.append([at for at, size in enumerate(shape) if isinstance(size, torch.SymInt)])
    return found


def _dynamic_shapes(
    module: GraphModule,
    symbolic: list[list[int]],
    call: tuple[Sequence[Any], Mapping[str, Any]],
) -> Any:
    """Returns the dynamic dimensions in the structure of the call, None if there are none."""
    if not any(symbolic):
        return None
    args, kwargs = tuple(call[0]), dict(call[1])
    leaves, spec = tree_flatten((args, kwargs))
    marks: list[Any] = [
        dict.fromkeys(dims, Dim.AUTO) if isinstance(leaf, torch.Tensor) and dims else None
        for leaf, dims in zip(leaves, symbolic, strict=True)
    ]
    of_args, of_kwargs = tree_unflatten(marks, spec)
    parameters = inspect.signature(module.forward).parameters.values()
    if any(each.kind is each.VAR_POSITIONAL for each in parameters):
        # torch.export takes what `*args` holds for one argument.
        return (tuple(of_args), *of_kwargs.values())
    return (*of_args, *of_kwargs.values())
