"""The program around the engines as plain records: what is called in which order, on what."""

from __future__ import annotations

from enum import StrEnum

from trtdbg.records import Dtype, Record, Shape, dtype_text, shape_text


class CallKind(StrEnum):
    """What a call of the boundary graph is."""

    INPUT = "input"
    """A value that the caller passes."""
    CONSTANT = "constant"
    """A parameter or buffer of the model that the PyTorch part reads."""
    PYTORCH = "pytorch"
    CAST = "cast"
    """A cast that stands at the border of an engine, or of the program."""
    ENGINE = "engine"


class Port(Record, frozen=True, kw_only=True):
    """One binding of an engine and the value outside that it is tied to."""

    binding: str
    """Name of the binding in the serialized engine."""
    value: str | None
    """Name of the value outside; None for an output that nothing reads."""
    dtype: Dtype = None
    shape: Shape = None


class Call(Record, frozen=True, kw_only=True):
    """One call, with the name of the value that it makes."""

    kind: CallKind
    name: str
    target: str = ""
    """Operator, name of the constant, or name of the engine's submodule."""
    args: str = ""
    """Arguments as text, values by name."""
    dtype: Dtype = None
    shape: Shape = None
    engine: int | None = None
    inputs: tuple[Port, ...] = ()
    """Bindings in the order that the engine takes them; of an engine alone, as the next."""
    outputs: tuple[Port, ...] = ()


class BoundaryGraph(Record, frozen=True, kw_only=True):
    """The repaired program with its engines as single calls."""

    calls: tuple[Call, ...]
    """In the order they run."""
    outputs: tuple[str, ...]
    """What the program returns: names of values, or numbers as text."""


def text(graph: BoundaryGraph) -> str:
    """Returns a boundary graph as lines for people to read."""
    lines = ["# The program around the engines: one call a line, in the order they run."]
    for call in graph.calls:
        lines += _engine(call) if call.kind is CallKind.ENGINE else [_line(call)]
    lines.append(f"return {', '.join(graph.outputs)}")
    return "\n".join(lines) + "\n"


def _line(call: Call) -> str:
    match call.kind:
        case CallKind.INPUT:
            made = f"input {call.name}"
        case CallKind.CONSTANT:
            made = f"{call.name} = constant {call.target}"
        case CallKind.CAST:
            value = call.args.partition(", ")[0]
            made = f"{call.name} = cast {value} to {dtype_text(call.dtype)}"
        case _:
            made = f"{call.name} = {call.target}({call.args})"
    return f"{made}  # {_type(call.dtype, call.shape)}"


def _engine(call: Call) -> list[str]:
    lines = [f"{call.name} = engine {call.engine} ({call.target})"]
    lines += [
        f"    {port.binding} <- {port.value}  # {_type(port.dtype, port.shape)}"
        for port in call.inputs
    ]
    lines += [
        f"    {port.binding} -> {port.value or 'nothing'}  # {_type(port.dtype, port.shape)}"
        for port in call.outputs
    ]
    return lines


def _type(dtype: Dtype, shape: Shape) -> str:
    return f"{dtype_text(dtype)} {shape_text(shape)}" if dtype is not None else "number"
