"""The few words about FX graphs that all stages share: dtypes, shapes, sources, cheap copies.

This is the ground of the stages, not a stage: stages import it and never each other.
"""

from __future__ import annotations

import contextlib
import copy
import functools
import logging
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.fx import Graph, GraphModule, Node
from torch.fx._lazy_graph_module import _LazyGraphModule
from torch.fx.passes.shape_prop import _extract_tensor_metadata

from trtdbg.records import Dtype, Shape, Source

ENGINE_PREFIX = "_run_on_acc"
"""How both of torch_tensorrt's partitioners name a submodule that goes to TensorRT."""

NODE_MARK = "trtdbg_node"
"""Key in `meta` under which a node carries its name in the lowered graph through every
split."""

LOW_CAST = "trtdbg_low_cast"
"""Key in `meta` of what a low precision inserted, a cast or a converted constant; its value is
the name of the lowered node that holds the same value."""

Emit = Callable[[str, str, int | None, int | None], None]
"""Progress: stage, detail, done, total."""

_FRAME = re.compile(r'File "(?P<file>[^"]+)", line (?P<line>\d+), in .*\n(?P<code>.*)')
_GENERATED = "<eval_with_key>"
_LIBRARY = re.compile(
    r"(site-packages|dist-packages)[/\\](torch|torch_tensorrt)[/\\]|^torch[/\\]"
)


@dataclass(frozen=True)
class Edit:
    """What truncation changed in one node, with what stood there before."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]


@dataclass(frozen=True)
class Typing:
    """A graph whose `val` and `tensor_meta` hold the result of inference.

    `module` is a copy of the lowered graph that shares its constants.
    """

    module: GraphModule
    dtypes: dict[str, Dtype] = field(default_factory=dict)
    edits: dict[str, Edit] = field(default_factory=dict)
    """Nodes whose dtype keywords or positional dtypes were narrowed."""
    narrowed_constants: dict[str, str] = field(default_factory=dict)
    """get_attr nodes to narrow, with the narrow dtype; their values are converted later."""
    narrowed_results: dict[str, Dtype] = field(default_factory=dict)
    """Nodes that create a wide dtype without a keyword (argmax), typed as narrow."""
    refused: dict[str, str] = field(default_factory=dict)
    """Nodes whose PyTorch meta kernel refuses the narrow operands, with its sentence."""
    scalars: dict[str, tuple[float, str]] = field(default_factory=dict)
    """Nodes with a Python number that does not fit the narrow dtype, and that dtype."""
    stale: dict[str, str] = field(default_factory=dict)
    """Nodes that could not be inferred at all and keep what was recorded."""
    low_casts: dict[str, str] = field(default_factory=dict)
    """What a low precision inserted into the graph, with the node that holds the same
    value."""


def value_name(node: Node) -> str:
    """Returns the lowered node whose value a node of a split graph holds."""
    name: str = node.meta.get(LOW_CAST) or node.meta.get(NODE_MARK, node.name)
    return name


def dtype_name(dtype: torch.dtype) -> str:
    """Returns torch's name of a dtype without the `torch.` in front."""
    return str(dtype).removeprefix("torch.")


def torch_dtype(name: str) -> torch.dtype:
    """Returns the torch dtype of a name."""
    dtype: torch.dtype = getattr(torch, name)
    return dtype


def value_dtype(value: Any) -> Dtype:
    """Returns the dtype of a node's value: a name, a tuple for several values, or None.

    A symbolic or plain Python number has no tensor dtype and gives None.
    """
    if isinstance(value, torch.Tensor):
        return dtype_name(value.dtype)
    if isinstance(value, (tuple, list)):
        names = tuple(v if isinstance(v := value_dtype(item), str) else None for item in value)
        return names if any(names) else None
    return None


def value_shape(value: Any) -> Shape:
    """Returns the shape of a node's value; a symbolic size is its expression as text."""
    if isinstance(value, torch.Tensor):
        return tuple(d if isinstance(d, int) else str(d) for d in value.shape)
    if isinstance(value, (tuple, list)):
        shapes = tuple(_flat_shape(item) for item in value)
        return shapes if any(s is not None for s in shapes) else None
    return None


def _flat_shape(value: Any) -> tuple[int | str, ...] | None:
    if not isinstance(value, torch.Tensor):
        return None
    return tuple(d if isinstance(d, int) else str(d) for d in value.shape)


def node_value(node: Node) -> Any:
    """Returns a node's recorded value: `meta["val"]`, or its `tensor_meta` as a stand-in."""
    return node.meta.get("val")


def recorded_dtype(node: Node) -> Dtype:
    """Returns the dtype that `val` records, or `tensor_meta` where that is missing."""
    if node.op == "output":
        return None
    if "val" in node.meta:
        return value_dtype(node.meta["val"])
    tensor_meta = node.meta.get("tensor_meta")
    return dtype_name(tensor_meta.dtype) if hasattr(tensor_meta, "dtype") else None


def target_name(node: Node) -> str:
    """Returns a node's target as users write it: `aten.add.Tensor`, `operator.getitem`."""
    target = node.target
    if isinstance(target, str):
        return target
    if isinstance(target, (torch._ops.OpOverload, torch._ops.HigherOrderOperator)):
        return str(target)
    module = getattr(target, "__module__", "") or ""
    name = getattr(target, "__name__", None) or str(target)
    module = module.removeprefix("_")
    return f"{module}.{name}" if module else name


def origin_name(node: Node) -> str | None:
    """Returns the name that the node's first ancestor had in the exported program.

    A parameter's own ancestor is the lifted placeholder that it was before `unlift`; what
    stands behind that is the operator that reads it.

    Source: torch 2.13, `torch/fx/traceback.py` NodeSource; the list's last entry is the most
    recent step, and each entry nests the steps before it.
    """
    sources = node.meta.get("from_node") or ()
    if not sources:
        return None
    source = sources[-1]
    is_parameter = node.op == "get_attr" and "unlift" in source.pass_name
    while source.from_node and not is_parameter:
        source = source.from_node[-1]
    return str(source.name)


def source_of(node: Node) -> Source | None:
    """Returns file, line, code and module path of the user's code behind a node."""
    stack = node.meta.get("nn_module_stack")
    module = None
    if stack:
        path, _ = list(stack.values())[-1]
        module = path or None
    trace = node.meta.get("stack_trace")
    if not isinstance(trace, str):
        return Source(module=module) if module else None
    place = _place_in(trace)
    if place is None:
        return Source(module=module) if module else None
    file, line, code = place
    return Source(file=file, line=line, code=code, module=module)


@functools.lru_cache(maxsize=4096)
def _place_in(trace: str) -> tuple[str, int, str] | None:
    """Returns file, line and code of a stack trace; every pass asks for the same ones."""
    # Torch's own generated code, as control flow has it, is a place that nobody can look at.
    frames = [f for f in _FRAME.finditer(trace) if not f["file"].startswith(_GENERATED)]
    if not frames:
        return None
    # The innermost frame of the user's own code says more than a line inside torch.nn.
    own = [f for f in frames if not _LIBRARY.search(f["file"])]
    frame = (own or frames)[-1]
    return frame["file"], int(frame["line"]), frame["code"].strip()


def dtype_argument(node: Node) -> str | None:
    """Returns the dtype written in a node's call, by keyword or position, None if none is."""
    written = (node.kwargs.get("dtype"), *node.args)
    return next((dtype_name(d) for d in written if isinstance(d, torch.dtype)), None)


def args_text(node: Node, limit: int = 160) -> str:
    """Returns a node's arguments as text, operands by name, cut at `limit` characters."""
    parts = [arg_text(arg) for arg in node.args]
    parts += [f"{key}={arg_text(value)}" for key, value in node.kwargs.items()]
    text = ", ".join(parts)
    return text if len(text) <= limit else f"{text[: limit - 3]}..."


def arg_text(arg: Any) -> str:
    """Returns an argument of a node as text, operands by name."""
    if isinstance(arg, Node):
        return str(arg.name)
    if isinstance(arg, (list, tuple)):
        return f"[{', '.join(arg_text(item) for item in arg)}]"
    if isinstance(arg, torch.dtype):
        return dtype_name(arg)
    return str(arg)


def copy_graph(graph: Graph) -> Graph:
    """Returns a copy of a graph in which every node keeps its name.

    A plain deep copy renames a node that is called like a builtin (`input`), which breaks an
    export signature and everything that finds nodes by name.
    """
    twin = copy.deepcopy(graph)
    for node, copied in zip(graph.nodes, twin.nodes, strict=True):
        copied.name = node.name
    return twin


def copy_graph_module(module: GraphModule) -> GraphModule:
    """Returns a copy with a graph of its own that shares every parameter and buffer.

    Its Python code is generated when it is run, which most copies never are.
    """
    twin = _LazyGraphModule(module, copy_graph(module.graph))
    twin.meta.update(module.meta)
    for spec in ("_in_spec", "_out_spec"):
        if hasattr(module, spec):
            setattr(twin, spec, getattr(module, spec))
    return twin


def fetch_attr(module: torch.nn.Module, target: str) -> Any:
    """Returns what a `get_attr` target names, through submodules."""
    value: Any = module
    for part in target.split("."):
        value = getattr(value, part)
    return value


def refresh_metadata(node: Node, value: Any) -> None:
    """Writes `val` and `tensor_meta` of a node from a fake value, in place.

    A tuple value gets a tuple of tensor metadata; a number has none.
    """
    node.meta["val"] = value
    if isinstance(value, torch.Tensor):
        node.meta["tensor_meta"] = _extract_tensor_metadata(value)
    elif isinstance(value, (tuple, list)) and any(isinstance(v, torch.Tensor) for v in value):
        node.meta["tensor_meta"] = tuple(
            _extract_tensor_metadata(v) if isinstance(v, torch.Tensor) else None for v in value
        )
    else:
        node.meta.pop("tensor_meta", None)


def engine_nodes(split: GraphModule) -> Iterator[tuple[Node, GraphModule]]:
    """Yields each engine's call node and its submodule, in graph order."""
    for node in split.graph.nodes:
        if node.op == "call_module" and str(node.target).startswith(ENGINE_PREFIX):
            yield node, getattr(split, str(node.target))


def output_node(graph: Graph) -> Node:
    """Returns the output node of a graph."""
    return next(node for node in reversed(graph.nodes) if node.op == "output")


def output_values(graph: Graph) -> tuple[Any, ...]:
    """Returns what a graph returns, flat: nodes, numbers or None."""
    returned = output_node(graph).args[0]
    return tuple(returned) if isinstance(returned, (tuple, list)) else (returned,)


@contextlib.contextmanager
def captured_log(logger_name: str, level: int = logging.DEBUG) -> Iterator[list[str]]:
    """Collects the lines that a logger and its children write inside, at `level` and above."""
    lines: list[str] = []

    class _Collect(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record.getMessage())

    logger = logging.getLogger(logger_name)
    collect, before, propagate = _Collect(level), logger.level, logger.propagate
    logger.addHandler(collect)
    logger.setLevel(level)
    logger.propagate = False
    try:
        yield lines
    finally:
        logger.removeHandler(collect)
        logger.setLevel(before)
        logger.propagate = propagate


def first_line(error: BaseException) -> str:
    """Returns the class and first line of an exception, for a message of one line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def as_tuple(items: Iterable[Any]) -> tuple[str, ...]:
    """Returns the names of nodes as a tuple."""
    return tuple(node.name for node in items)
