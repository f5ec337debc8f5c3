"""Saves what `torch.compile` hands to torch_tensorrt's backend: one program a dynamo graph.

Dynamo makes parameters and buffers inputs of the graph, and they stay inputs here, since
torch_tensorrt lowers and partitions them as such. Their values are the example inputs.
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import torch
from torch._subclasses.fake_tensor import unset_fake_temporarily
from torch.export import Dim, ExportedProgram
from torch.fx import GraphModule, Node

from trtdbg.graphs.graph import copy_graph
from trtdbg.recordings import saving
from trtdbg.recordings.recorder import ScriptCall
from trtdbg.records import Front

_OF_A_MODULE: Final = re.compile(r"_(parameters|buffers)\[")
_ROOT: Final = re.compile(r"[LG]\['[^']*'\](\.|$)")
_PART: Final = re.compile(r"\._(?:modules|parameters|buffers)\['([^']*)'\]")


def save(
    path: Path, gm: GraphModule, sample_inputs: Sequence[Any], options: Any, call: ScriptCall
) -> tuple[int, str]:
    """Writes a dynamo graph as a program; returns its nodes and its settings file's text.

    Args:
        path: the .pt2 file.
        gm: the graph as the backend was handed it; it is not changed.
        sample_inputs: real tensors, and a SymInt for each dynamic size.
        options: torch_tensorrt's `CompilationSettings` in force.
        call: where it comes from.
    """
    # A backend is called amid a compilation, of which an export is to know nothing.
    with torch._guards.tracing(None), unset_fake_temporarily():
        graph, values = _simplified(gm, list(sample_inputs), options)
        program = _exported(graph, values)
    _name_modules_as_in_the_model(program)
    call = replace(call, noted=(*call.noted, *_fixed(gm, sample_inputs)))
    return saving.write(
        path,
        program,
        options,
        call,
        Front.TORCH_COMPILE,
        weights=_weights(program, graph),
        graph_break=_graph_break(gm),
    )


def _simplified(
    gm: GraphModule, values: list[Any], options: Any
) -> tuple[GraphModule, list[torch.Tensor]]:
    """Returns a copy of a graph without SymInt inputs, after torch_tensorrt's first passes.

    Source: torch_tensorrt 2.13 and 2.14, `dynamo/backend/backends.py` _pretraced_backend up to
    `aot_export_joint_simple`.
    """
    backends = importlib.import_module("torch_tensorrt.dynamo.backend.backends")
    copied = GraphModule(gm, copy_graph(gm.graph))
    copied = backends.fold_get_attr_item_calls(copied, values)
    backends.remove_detach(copied, options)
    if hasattr(backends, "_cast_bool_sdpa_attn_masks"):
        backends._cast_bool_sdpa_attn_masks(copied)
    return copied, _without_sizes(copied, values)


def _without_sizes(gm: GraphModule, values: Sequence[Any]) -> list[torch.Tensor]:
    """Reads each size from the tensor that it belongs to, in place; returns the tensors."""
    placeholders = [node for node in gm.graph.nodes if node.op == "placeholder"]
    tensors = {
        _source(node): node
        for node, value in zip(placeholders, values, strict=True)
        if isinstance(value, torch.Tensor)
    }
    first = next(node for node in gm.graph.nodes if node.op != "placeholder")
    kept = []
    for node, value in zip(placeholders, values, strict=True):
        if isinstance(value, torch.Tensor):
            kept.append(value)
            continue
        with gm.graph.inserting_before(first):
            size = _size(gm, node, tensors, value)
        node.replace_all_uses_with(size)
        gm.graph.erase_node(node)
    gm.graph.lint()
    gm.recompile()
    return kept


def _size(gm: GraphModule, node: Node, tensors: dict[Any, Node], value: Any) -> Any:
    source = _source(node)
    tensor = tensors.get(getattr(source, "base", None))
    read = _READS.get(getattr(getattr(source, "prop", None), "name", ""))
    if tensor is not None and read is not None and source.idx is not None:
        return gm.graph.call_method(read, (tensor, source.idx))
    # A number that is no size of an input: what it was in this call.
    return gm.graph.call_function(int, (int(value),))


_READS: Final = {"SIZE": "size", "STRIDE": "stride"}
"""What a tensor is asked for, by the property that dynamo reads of it.

Source: torch 2.13, `_dynamo/source.py` TensorProperty.
"""


def _fixed(gm: GraphModule, values: Sequence[Any]) -> tuple[tuple[str, str], ...]:
    """Returns the numbers that were inputs of a graph, and are what they were in this call."""
    placeholders = [node for node in gm.graph.nodes if node.op == "placeholder"]
    pairs = list(zip(placeholders, values, strict=True))
    tensors = {_source(node) for node, value in pairs if isinstance(value, torch.Tensor)}
    found = [
        f"{_text_of(_source(node))} = {int(value)}"
        for node, value in pairs
        if not isinstance(value, torch.Tensor)
        and getattr(_source(node), "base", None) not in tensors
    ]
    return (("numbers that were inputs", ", ".join(found)),) if found else ()


def _source(node: Node) -> Any:
    """Returns where dynamo found an input.

    Source: torch 2.13, `_dynamo/variables/builder.py` GraphArg, `_dynamo/source.py`.
    """
    return getattr(node.meta.get("grapharg"), "source", None)


class _Interpreted(torch.nn.Module):  # type: ignore[misc]
    """Runs a graph node by node, so that an export keeps each node's line of the source."""

    def __init__(self, gm: GraphModule) -> None:
        super().__init__()
        self.graph_module = gm
        names = [str(node.target) for node in gm.graph.nodes if node.op == "placeholder"]
        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD

        def forward(*args: torch.Tensor) -> Any:
            return _Interpreter(self.graph_module).run(*args)

        # The names of inputs in the program.
        forward.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
            [inspect.Parameter(name, kind) for name in names]
        )
        self.forward = forward


class _Interpreter(torch.fx.Interpreter):  # type: ignore[misc]
    """Runs what `torch.utils.checkpoint` wraps in its place.

    So does `aot_export_joint_simple`. `torch.export` of torch 2.13 cannot trace the wrapped
    call itself.
    """

    def call_function(self, target: Any, args: tuple[Any, ...], kwargs: Any) -> Any:
        if target is torch.ops.higher_order.tag_activation_checkpoint:
            wrapped, *values = args
            return _Interpreter(wrapped).run(*values)
        return super().call_function(target, args, kwargs)


def _exported(gm: GraphModule, values: Sequence[torch.Tensor]) -> ExportedProgram:
    placeholders = [node for node in gm.graph.nodes if node.op == "placeholder"]
    shapes = tuple(_dynamic(node) for node in placeholders)
    dynamic = shapes if any(shapes) else None
    module = _Interpreted(gm)
    with _without_recompiling(), torch.fx.traceback.preserve_node_meta():
        return torch.export.export(module, tuple(values), dynamic_shapes=dynamic, strict=False)


@contextlib.contextmanager
def _without_recompiling() -> Iterator[None]:
    """Keeps an export from looking at what dynamo compiles around it."""
    with torch.compiler.set_stance("force_eager"):
        yield


def _dynamic(node: Node) -> dict[int, Any]:
    """Returns the dynamic dimensions of an input, with the range that dynamo knows."""
    shape = getattr(node.meta.get("example_value"), "shape", ())
    found = {}
    for place, size in enumerate(shape):
        if isinstance(size, torch.SymInt):
            found[place] = Dim.AUTO(**_range(size))
    return found


def _range(size: torch.SymInt) -> dict[str, int]:
    expression = size.node.expr
    bounds = size.node.shape_env.var_to_range.get(expression)
    if bounds is None:
        return {}
    known = {"min": bounds.lower, "max": bounds.upper}
    return {name: int(v) for name, v in known.items() if str(v).lstrip("-").isdigit()}


def _weights(program: ExportedProgram, gm: GraphModule) -> list[str]:
    """Returns the inputs of a program that are parameters or buffers, and their paths."""
    placeholders = [node for node in gm.graph.nodes if node.op == "placeholder"]
    found = []
    for name, node in zip(program.graph_signature.user_inputs, placeholders, strict=True):
        text = _text_of(_source(node))
        if _OF_A_MODULE.search(text):
            found.append(f"{name} {_path(text)}")
    return found


def _name_modules_as_in_the_model(program: ExportedProgram) -> None:
    """Makes paths of modules `layers.0` where dynamo has `L['self'].layers.0`.

    Where a function calls several modules of its own, their names stay, to tell them apart.
    """
    graphs = [m.graph for m in program.graph_module.modules() if isinstance(m, GraphModule)]
    nodes = [n for graph in graphs for n in graph.nodes if n.meta.get("nn_module_stack")]
    paths = {path for node in nodes for path, _ in node.meta["nn_module_stack"].values()}
    if len({found[0].rstrip(".") for path in paths if (found := _ROOT.match(path))}) != 1:
        return
    for node in nodes:
        stack = node.meta["nn_module_stack"].items()
        node.meta["nn_module_stack"] = {
            key: (_ROOT.sub("", path, count=1) if _ROOT.match(path) else path, kind)
            for key, (path, kind) in stack
        }


def _text_of(source: Any) -> str:
    # A method in torch 2.13's predecessors, a property since.
    name = getattr(source, "name", "")
    return str(name() if callable(name) else name)


def _path(text: str) -> str:
    """Returns `first.weight` for `L['self']._modules['first']._parameters['weight']`."""
    return ".".join(_PART.findall(text))


def _graph_break(gm: GraphModule) -> str | None:
    """Returns why dynamo ended the graph, with the line, if the function goes on behind it.

    Source: torch 2.13, `_dynamo/output_graph.py` GraphCompileReason.
    """
    reason = getattr(gm, "compile_subgraph_reason", None)
    if reason is None or not reason.graph_break:
        return None
    first = str(reason.reason).strip().splitlines()[0]
    hints = re.search(r"Explanation: (.*)", str(reason.reason))
    said = f"{first}: {hints[1].strip()}" if hints else first
    places = [f"{each.filename}:{each.lineno}" for each in reason.user_stack or ()]
    return f"{said} ({places[-1]})" if places else said
