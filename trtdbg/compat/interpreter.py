"""torch_tensorrt's interpreter, watched: which node added what, and what TensorRT says.

This is ground for the stages that define networks, not a stage.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import operator
import re
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch.fx import Node

from trtdbg.graphs.graph import LOW_CAST, NODE_MARK, dtype_name, first_line
from trtdbg.records import Dtype

EMPTY_MESSAGE = "__len__() should return >= 0"
"""What pybind raises when TensorRT refuses a layer: it says nothing, TensorRT's log does."""

_WRAPPED = re.compile(
    r"^(?:[\w:]+: )?Error Code \d+: [\w ]+\((?P<says>.*?)\.?(?: In \w+ at \S+)?\)$", re.DOTALL
)
_NO_DEVICE = "catchCudaError"
"""TensorRT-RTX logs this after every refusal on a machine without a GPU; it is no reason."""


@functools.cache
def recording_interpreter() -> Any:
    """Returns a TRTInterpreter class that notes layers and dtypes of each node.

    An instance has `current_mark` (the node being converted), `layer_owner` (a mark per layer)
    and `node_dtypes` (TensorRT's dtype of each node's value, by mark).
    """
    from torch_tensorrt.dynamo.conversion._TRTInterpreter import TRTInterpreter

    class RecordingInterpreter(TRTInterpreter):  # type: ignore[misc]
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self.current_mark: str | None = None
            self.layer_owner: list[str | None] = []
            self.node_dtypes: dict[str, Dtype] = {}

        def run_node(self, n: Node) -> Any:
            mark = n.meta.get(NODE_MARK, n.name)
            # A layer of a cast for a low precision belongs to the node whose value it casts.
            self.current_mark = (
                n.meta.get(LOW_CAST, mark) if n.op != "output" else self._maker_of_nothing(n)
            )
            with _kept_module_stack(n):
                try:
                    result = super().run_node(n)
                except Exception as error:
                    said = self._meaning(n, error)
                    if said is None:
                        raise
                    raise BindingRefusesError(said) from error
            added = self.ctx.net.num_layers - len(self.layer_owner)
            self.layer_owner += [self.current_mark] * added
            dtype = tensorrt_dtype(result)
            if dtype is not None and n.op != "output":
                # A cast added behind a node shares its mark: the cast's dtype is the value's.
                self.node_dtypes[mark] = dtype
            return result

        def _meaning(self, n: Node, error: Exception) -> str | None:
            """Returns in plain words what was raised, None where its own words are best.

            What a converter did not make is laid at its operator, not at what reads it.
            """
            maker = self._maker_of_nothing(n)
            if maker is not None:
                self.current_mark = maker
                return "its converter makes no tensor for an output that is read"
            return _translated(n, str(error)) if isinstance(error, TypeError) else None

        def _maker_of_nothing(self, reader: Node) -> str | None:
            """Returns the operator whose converter made no tensor for a value that is read.

            Converters of normalisations make the first of their outputs only.
            """
            for value in reader.all_input_nodes:
                if self.env.get(value, value) is None:
                    while value.target is operator.getitem and isinstance(value.args[0], Node):
                        value = value.args[0]
                    return str(value.meta.get(NODE_MARK, value.name))
            return None

    return RecordingInterpreter


class BindingRefusesError(Exception):
    """A converter or TensorRT's Python binding refused; the message says why in few words."""


def _translated(node: Node, message: str) -> str | None:
    """Returns what pybind's refusal of a call means, None if it is no such refusal."""
    import tensorrt as trt

    if "incompatible function arguments" not in message:
        return None
    values = [each.meta.get("val") for each in (node, *node.all_input_nodes)]
    most = int(trt.Dims.MAX_DIMS)
    rank = max((v.dim() for v in values if isinstance(v, torch.Tensor)), default=0)
    if rank > most:
        return f"{rank} dimensions, TensorRT has at most {most}"
    call = message.partition("():")[0].strip() or "a call"
    given = message.rpartition("Invoked with: ")[2].split("\n", 1)[0]
    given = given if len(given) < 120 else f"{given[:120]}..."
    return f"TensorRT's Python binding refuses the arguments of {call}: {given}"


@contextlib.contextmanager
def _kept_module_stack(node: Node) -> Iterator[None]:
    """Lends a node a copy of its module stack, which copies of the node share.

    Source: torch_tensorrt 2.13, `dynamo/conversion/converter_utils.py` get_node_name, which
    names a layer by the stack's last item and takes that item away.
    """
    stack = node.meta.get("nn_module_stack")
    if not stack:
        yield
        return
    node.meta["nn_module_stack"] = stack.copy()
    try:
        yield
    finally:
        node.meta["nn_module_stack"] = stack


@functools.cache
def choosing_interpreter() -> Any:
    """Returns a RecordingInterpreter class that takes converters as given, unvalidated.

    A node that stands alone may be judged otherwise than in its engine; `choices` keeps the
    engine's answer. An output that is also an input, or no tensor, is made one that TensorRT
    lets a network return.
    """
    import tensorrt as trt
    from torch_tensorrt.dynamo.conversion.converter_utils import get_trt_tensor

    class ChoosingInterpreter(recording_interpreter()):  # type: ignore[misc]
        def __init__(self, *args: Any, choices: Mapping[str, Any], **kwargs: Any) -> None:
            self.choices = choices
            super().__init__(*args, **kwargs)

        def validate_conversion(self) -> set[str]:
            return set()

        def call_function(self, target: Any, args: Any, kwargs: Any) -> Any:
            if target is operator.getitem:
                return args[0][args[1]]
            converter = self.choices[self._cur_node.name]
            self.ctx.current_node = self._cur_node
            return converter(self.ctx, target, args, kwargs, self._cur_node_name)

        def output(self, target: str, args: Any, kwargs: Any) -> list[Any]:
            inputs = {id(self.ctx.net.get_input(i)) for i in range(self.ctx.net.num_inputs)}
            values = []
            for i, value in enumerate(args[0]):
                if value is None:
                    continue
                tensor = value
                if not isinstance(value, trt.ITensor):
                    tensor = get_trt_tensor(self.ctx, value, f"{target}_{i}")
                if id(tensor) in inputs or tensor.is_network_input:
                    tensor = self.ctx.net.add_identity(tensor).get_output(0)
                if not tensor.is_network_output:
                    self.ctx.net.mark_output(tensor)
                values.append(tensor)
            return values

    return ChoosingInterpreter


def tensorrt_dtype(value: Any) -> Dtype:
    """Returns TensorRT's name of a tensor's dtype, a tuple for several, None for none."""
    import tensorrt as trt

    if isinstance(value, trt.ITensor):
        return short_name(value.dtype)
    if isinstance(value, (tuple, list)):
        names = tuple(n if isinstance(n := tensorrt_dtype(v), str) else None for v in value)
        return names if any(names) else None
    return None


def short_name(value: Any) -> str:
    """Returns the last word of a TensorRT enum member: `DataType.FLOAT` is `FLOAT`."""
    return str(value).rsplit(".", 1)[-1]


def torch_name(trt_dtype: Any) -> str:
    """Returns torch's name of a TensorRT dtype, TensorRT's own where torch has none."""
    from torch_tensorrt import dtype

    try:
        return dtype_name(dtype._from(trt_dtype).to(torch.dtype))
    except (TypeError, KeyError):
        return short_name(trt_dtype)


def torch_dtype_of(name: str) -> torch.dtype | None:
    """Returns the torch dtype of TensorRT's name of a dtype, None where torch has none."""
    import tensorrt as trt

    found = getattr(torch, torch_name(getattr(trt.DataType, name)), None)
    return found if isinstance(found, torch.dtype) else None


def refusal(error: BaseException | None, log: list[tuple[int, str]]) -> str:
    """Returns the sentence that says why TensorRT or a converter refused.

    TensorRT's first error is the cause, what it logs behind that are consequences. A Python
    exception counts only where the log is silent; `__len__()` says nothing at all.
    """
    errors = error_lines(log)
    if errors:
        return errors[0]
    says = str(error).strip() if error is not None else ""
    if isinstance(error, BindingRefusesError):
        # torch adds to the message what it was executing.
        return says.split("\n", 1)[0]
    if error is not None and says and EMPTY_MESSAGE not in says:
        return first_line(error)
    return "TensorRT refused without a word in its log"


def error_lines(log: list[tuple[int, str]]) -> list[str]:
    """Returns the sentences of TensorRT's errors, freed of the wrapping around them."""
    return [
        _sentence(text)
        for level, text in log
        if level >= logging.ERROR and _NO_DEVICE not in text
    ]


def _sentence(text: str) -> str:
    line = " ".join(part.strip() for part in text.splitlines() if part.strip())
    match = _WRAPPED.match(line)
    return match["says"] if match is not None else line
